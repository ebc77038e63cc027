"""A file whose objects aren't one a line: over several lines, or under a key of a single object."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.fields import Unusable
from tools.data.raw.json_list import json_rows
from tools.data.raw.row import BadRow, FileReading, RawRow, place_of

ROWS = [{"text": "甲"}, {"text": "乙]"}, {"text": "丙"}]
GOOD = ["甲", "乙]", "丙"]


def parse(line: int, row: dict[str, Any], _: FileReading) -> RawRow:
    if "text" not in row:
        raise Unusable("no text")
    return RawRow(line, row["text"], [])


def read(tmp_path: Path, data: str, reading: FileReading | None = None) -> list[RawRow | BadRow]:
    path = tmp_path / "a.json"
    path.write_text(data, encoding="utf-8")
    return list(json_rows(parse)(path, reading or FileReading()))


def texts(rows: list[RawRow | BadRow]) -> list[str]:
    assert all(isinstance(row, RawRow) for row in rows), rows
    return [row.text for row in rows if isinstance(row, RawRow)]


@pytest.mark.parametrize("indent", [1, 4])
@pytest.mark.parametrize("between", ["\n", ",\n", "\n\n"])
def test_objects_over_several_lines_are_rows_that_begin_where_they_do(tmp_path: Path, indent: int, between: str) -> None:
    rows = read(tmp_path, between.join(json.dumps(row, indent=indent, ensure_ascii=False) for row in ROWS))
    assert texts(rows) == GOOD
    assert [row.line for row in rows] == ([1, 5, 9] if between == "\n\n" else [1, 4, 7])


@pytest.mark.parametrize(
    "value",
    [
        {"version": "1.0", "data": ROWS},
        {"examples": ROWS, "labels": ["a", "b"], "about": {"by": "x"}},
        {"meta": {}, "rows": ROWS},
        {"10": ROWS[0], "11": ROWS[1], "20": ROWS[2]},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_rows_under_a_key_are_found_and_the_key_is_said(tmp_path: Path, value: Any, indent: int | None) -> None:
    reading = FileReading()
    rows = read(tmp_path, json.dumps(value, ensure_ascii=False, indent=indent), reading)
    assert texts(rows) == GOOD
    assert len({place_of("a", row.line, row.item) for row in rows}) == 3
    assert next(iter(reading.applied)).startswith("the rows stand under '")


@pytest.mark.parametrize(
    "row",
    [
        {"text": "甲", "entities": [{"text": "甲"}]},
        {"data": {"text": "甲"}, "annotations": [{"text": "甲"}]},
        {"x": 1},
        {"messages": [{"role": "user", "content": "甲"}]},
        {"tokens": ["甲"], "ner": [[0, 0, "A"]]},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_a_file_of_one_row_is_that_row(tmp_path: Path, row: Any, indent: int | None) -> None:
    seen: list[Any] = []

    def keep(line: int, value: dict[str, Any], _: FileReading) -> RawRow:
        seen.append(value)
        return RawRow(line, "", [])

    path = tmp_path / "a.json"
    path.write_text(json.dumps(row, indent=indent), encoding="utf-8")
    list(json_rows(keep)(path, FileReading()))
    assert seen == [row]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"train": ROWS, "dev": ROWS}, "several lists of rows, 'train', 'dev'. Write each into a file of its own"),
        ({"text": {"0": "甲", "1": "乙"}, "label": {"0": "a", "1": "b"}}, "a table's columns, 'text', 'label', as pandas writes them"),
    ],
)
def test_what_holds_rows_in_another_way_is_named(tmp_path: Path, value: Any, reason: str) -> None:
    [bad] = read(tmp_path, json.dumps(value))
    assert isinstance(bad, BadRow)
    assert reason in bad.reason


def test_a_key_that_stands_twice_in_a_row_under_a_key_is_that_rows_fault_alone(tmp_path: Path) -> None:
    first, second, third = read(tmp_path, '{"data": [{"text": "甲"}, {"text": "乙", "text": "丙"}, {"text": "丁"}]}')
    assert isinstance(second, BadRow)
    assert ("stands twice" in second.reason, second.item) == (True, "row 2")
    assert texts([first, third]) == ["甲", "丁"]


def test_objects_before_a_fault_are_kept_and_the_end_of_the_file_is_told_from_a_fault(tmp_path: Path) -> None:
    whole = "\n".join(json.dumps(row, indent=1) for row in ROWS)
    *good, last = read(tmp_path, whole[:-5])
    assert (len(good), isinstance(last, BadRow) and last.kind) == (2, "truncated")
    *good, last = read(tmp_path, whole.replace('"\\u4e19"', "None"))
    assert (len(good), isinstance(last, BadRow) and last.kind) == (2, "json")


def test_a_key_that_stands_twice_in_an_object_that_is_cut_off_is_no_exception(tmp_path: Path) -> None:
    [bad] = read(tmp_path, '{\n"text": "甲",\n"a": {"b": 1, "b": 2},\n"c": ')
    assert isinstance(bad, BadRow)


def test_a_damaged_first_line_of_many_leaves_the_others_readable(tmp_path: Path) -> None:
    lines = "\n".join(map(json.dumps, ROWS))
    for damaged in (lines[1:], lines[:12] + "\n" + lines, "{\n" + lines, "{'text': 1}\n" + lines):
        rows = read(tmp_path, damaged)
        assert sum(isinstance(row, RawRow) for row in rows) >= 2, damaged
