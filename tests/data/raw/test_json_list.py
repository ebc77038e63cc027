"""A JSON list's rows: each has a place that tells it from the others."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.fields import Unusable
from tools.data.raw.json_list import json_rows
from tools.data.raw.row import FileReading, RawRow, place_of

ROWS = [{"text": "甲"}, {}, {"text": "乙]"}]


def parse(line: int, row: dict[str, Any], _: FileReading) -> RawRow:
    if "text" not in row:
        raise Unusable("no text")
    return RawRow(line, row["text"], [])


def places(tmp_path: Path, data: str) -> list[str]:
    path = tmp_path / "a.json"
    path.write_text(data, encoding="utf-8")
    return [place_of("a.json", row.line, row.item) for row in json_rows(parse)(path, FileReading())]


def test_rows_of_one_line_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    assert places(tmp_path, json.dumps(ROWS)) == ["a.json:1 (row 1)", "a.json:1 (row 2)", "a.json:1 (row 3)"]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (json.dumps(ROWS, indent=1), [2, 5, 6]),
        ("[" + ",\n".join(map(json.dumps, ROWS)) + "]\n", [1, 2, 3]),
        ("[\r\n" + " ,\r\n".join(map(json.dumps, ROWS)) + "\r\n]", [2, 3, 4]),
        ("\n".join(map(json.dumps, ROWS)), [1, 2, 3]),
    ],
)
def test_rows_with_a_line_of_their_own_need_no_number(tmp_path: Path, data: str, lines: list[int]) -> None:
    assert places(tmp_path, data) == [f"a.json:{line}" for line in lines]


def test_only_the_rows_that_share_a_line_have_numbers(tmp_path: Path) -> None:
    first, second, third = map(json.dumps, ROWS)
    assert places(tmp_path, f"[{first}\n, {second}, {third}]") == ["a.json:1", "a.json:2 (row 2)", "a.json:2 (row 3)"]
    assert places(tmp_path, '[{"text": "甲"},\n{"text": "乙", "text": "丙"}, {"text": "丁"}]') == ["a.json:1", "a.json:2 (row 2)", "a.json:2 (row 3)"]


def test_a_list_a_line_is_a_row_a_line(tmp_path: Path) -> None:
    pairs = [[row["text"], {}] for row in ROWS if row]
    assert places(tmp_path, "\n".join(map(json.dumps, pairs))) == ["a.json:1", "a.json:2"]
    assert places(tmp_path, json.dumps(pairs[0])) == ["a.json:1"]
    assert places(tmp_path, json.dumps(pairs, indent=1)) == ["a.json:2", "a.json:6"]
