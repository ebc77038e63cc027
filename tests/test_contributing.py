"""CONTRIBUTING.md: the reader that it shows runs as it stands there, and every file and name that it sends a contributor to exists."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.readers.test_any_bytes import check, converted
from tools.conf.task import load_task
from tools.data.convert import convert
from tools.data.raw.row import BadRow, FileReading, RawRow, Reader
from tools.data.readers import READERS
from tools.example import Entity
from tools.files import ROOT

PAGES = ("CONTRIBUTING.md", "CONTRIBUTING_zh.md")
LONGEST_EXAMPLE = 15  # lines, blank ones among them


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def fences(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


@pytest.fixture(params=PAGES)
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Reader, str, str]:
    """The page's reader, among READERS as `acme`, its raw row and the example that it makes of it."""
    (source,) = fences(request.param, "python")
    raw, made = fences(request.param, "json")
    assert len(source.splitlines()) <= LONGEST_EXAMPLE
    module: dict[str, Any] = {}
    exec(compile(source, request.param, "exec"), module)
    monkeypatch.setitem(READERS, "acme", module["read_acme"])
    return module["read_acme"], raw, made


def test_the_pages_reader_reads_the_pages_row(example: tuple[Reader, str, str], tmp_path: Path) -> None:
    read, raw, _ = example
    file = tmp_path / "acme.jsonl"
    file.write_text(raw, encoding="utf-8")
    assert list(read(file, FileReading())) == [RawRow(1, "叶老桂说", [Entity("PER", "叶老桂", 0, 3)])]


def test_a_row_without_a_field_is_a_bad_row_and_the_next_is_read(example: tuple[Reader, str, str], tmp_path: Path) -> None:
    read, raw, _ = example
    file = tmp_path / "acme.jsonl"
    file.write_text('{"content": "没有标注"}\n' + raw, encoding="utf-8")
    first, second = read(file, FileReading())
    assert first == BadRow(1, "no 'marks' in {'content': '没有标注'}; it must be a list of objects.")
    assert isinstance(second, RawRow) and second.line == 2


@pytest.mark.parametrize("damage", ["cut", "crlf", "mark", "twice", "gbk", "utf16"])
def test_the_pages_reader_outlives_damaged_files(example: tuple[Reader, str, str], tmp_path: Path, damage: str) -> None:
    data = example[1].encode()
    rows = check("acme", tmp_path / "acme.jsonl", data[:50] if damage == "cut" else converted(data, damage))
    assert [type(row) for row in rows] == {"cut": [BadRow], "gbk": [BadRow], "twice": [RawRow, RawRow]}.get(damage, [type(rows[0])])
    assert damage not in ("crlf", "mark") or isinstance(rows[0], RawRow)


def test_a_conversion_with_the_pages_reader_writes_the_pages_example(
    example: tuple[Reader, str, str], write_task: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_task([json.loads(example[1])], reader="acme", labels={"PER": "人名"})
    convert(load_task(path), tmp_path / "out")
    assert (tmp_path / "out" / "examples" / "toy_train.jsonl").read_text(encoding="utf-8") == example[2]
    (row,) = json.loads((tmp_path / "out" / "alpaca" / "alpaca_toy_train.json").read_text(encoding="utf-8"))
    assert row["output"] == '[{"label": "人名", "text": "叶老桂"}]'


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_the_page_names_exists_and_holds_the_names_beside_it(name: str) -> None:
    text = re.sub(r"^```.*?^```$", "", page(name), flags=re.MULTILINE | re.DOTALL)
    files = [word for word in re.findall(r"`((?:tools|tests|bench)/[\w/.]+)`", text) if "NAME" not in word]
    assert len(files) > 25
    assert [word for word in files if not (ROOT / word).exists()] == []
    sources = "\n".join(path.read_text(encoding="utf-8") for folder in ("tools", "tests") for path in (ROOT / folder).rglob("*.py"))
    tables = set(re.findall(r"`([A-Z][A-Z_]{3,})`", text)) - {"REAL_DATA"}
    assert {"READERS", "PROTOCOLS", "FORMATS", "VERBS", "FAMILIES"} <= tables
    assert [table for table in sorted(tables) if not re.search(rf"^{table}\b[^\n]*=", sources, re.MULTILINE)] == []
