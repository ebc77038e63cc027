"""Raw files in each format, a folder like the checkout to write to, and the call of `./ner new`."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from tools.data.scaffold.new import main
from tools.files import ROOT

TEXT = "张三在北京"
CLUENER = {"text": TEXT, "label": {"PER": {"张三": [[0, 1]]}, "GPE": {"北京": [[3, 4]]}}}
CCFBDCI = {
    "text": TEXT,
    "entities": [
        {"start_idx": 0, "end_idx": 2, "entity_text": "张三", "entity_label": "PER", "entity_names": ["人名"]},
        {"start_idx": 3, "end_idx": 5, "entity_text": "北京", "entity_label": "GPE", "entity_names": ["地名"]},
    ],
}
OFFSETS = [{"id": 1, "label": "PER", "start_offset": 0, "end_offset": 2}, {"id": 2, "label": "GPE", "start_offset": 3, "end_offset": 5}]
CANONICAL = {
    "id": "x",
    "text": TEXT,
    "entities": [{"label": "PER", "text": "张三", "start": 0, "end": 2}, {"label": "GPE", "text": "北京", "start": 3, "end": 5}],
}
SPANS = [{"start": 0, "end": 2, "text": "张三", "labels": ["PER"]}, {"start": 3, "end": 5, "text": "北京", "labels": ["GPE"]}]
STUDIO = {"id": 1, "data": {"text": TEXT}, "annotations": [{"result": [{"type": "labels", "value": span} for span in SPANS]}]}
BIO = "张 B-PER\n三 I-PER\n在 O\n北 B-GPE\n京 I-GPE\n"
BMES = "张\tB-PER\n三\tE-PER\n在\tO\n北\tB-GPE\n京\tE-GPE\n"


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "surrogatepass")


def different(row: dict[str, Any], count: int = 12) -> bytes:
    """A row of entities at the beginning of the text so many times, each with a text of its own."""
    return lines(*({**row, "text": f"{TEXT}{number}"} for number in range(count)))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the repository's root, to write to."""
    root = tmp_path / "checkout"
    copytree(ROOT / "conf", root / "conf")
    copytree(ROOT / "data/prompts", root / "data/prompts")
    (root / "models").mkdir()
    (root / "models/tiny-qwen2").symlink_to(ROOT / "models/tiny-qwen2")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def give(tmp_path: Path) -> Callable[..., Path]:
    """A file that a user has somewhere, outside the checkout."""

    def write(data: bytes, name: str = "mine.data") -> Path:
        path = tmp_path / "elsewhere" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    return write


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def made(source: Path, *, name: str = "toy", dev: Path | None = None, words: Sequence[str] = (), **options: str) -> int:
    given = {"words": words, "reader": None, "kind": None, "label_order": "frequency", "model": None, "template": None, **options}
    return main(argparse.Namespace(name=name, source=source, dev=dev, **given))
