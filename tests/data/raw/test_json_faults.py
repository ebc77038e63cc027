"""What isn't JSON is named for what it is; only what ends in the middle was cut off."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.json_list import json_rows
from tools.data.raw.row import BadRow, FileReading, RawRow


def parse(line: int, row: dict[str, Any], _: FileReading) -> RawRow:
    return RawRow(line, json.dumps(row, ensure_ascii=False), [])


def last(tmp_path: Path, data: str, reading: FileReading | None = None) -> BadRow | RawRow:
    path = tmp_path / "a.json"
    path.write_text(data, encoding="utf-8")
    return list(json_rows(parse)(path, reading or FileReading()))[-1]


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("form", ["ROW", "[ROW]", '{"a": 1}\nROW', '[{"a": 1},\nROW]', '{"data": [{"text": "甲"}, ROW]}'])
@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ("{'text': '张三', 'label': {}}", "it is Python's repr"),
        ('{"text": None}', "it is Python's repr"),
        ('{"text": "张三", "done": True}', "it is Python's repr"),
        ('{"text": "张三",}', "delete the comma before '}'"),
        ('{"label": [1, 2,]}', "delete the comma before ']'"),
        ('{"text"："张三"}', "'：' is full-width"),
        ('{“text”: "张三"}', "'“' is full-width"),
        ('{"text": "张三" // the first}', "JSON has no comments"),
        ("('张三', {'entities': []})", "it is Python's repr"),
        ("{text: 1}", "not JSON"),
    ],
)
def test_a_fault_is_named_wherever_it_stands_and_is_no_cut(tmp_path: Path, row: str, hint: str, form: str, end: str) -> None:
    bad = last(tmp_path, form.replace("ROW", row) + end)
    assert isinstance(bad, BadRow)
    assert (bad.kind, hint in bad.reason) == ("json", True), bad


@pytest.mark.parametrize("row", ["{'text': '张三'}", "{“a”: 1}", "text,label", "not json at all", "# a comment"])
def test_a_file_that_never_was_json_isnt_called_cut_off(tmp_path: Path, row: str) -> None:
    bad = last(tmp_path, row)
    assert isinstance(bad, BadRow)
    assert bad.kind == "json"


def test_a_comma_behind_each_line_is_passed_over_and_said(tmp_path: Path) -> None:
    reading = FileReading()
    path = tmp_path / "a.json"
    path.write_text('{"a": 1},\n{"a": 2} ,\n{"a": 3}', encoding="utf-8")
    rows = list(json_rows(parse)(path, reading))
    assert [row.text for row in rows if isinstance(row, RawRow)] == ['{"a": 1}', '{"a": 2}', '{"a": 3}']
    assert [*reading.applied] == ["the comma behind an object was passed over"]


def test_the_elements_before_a_lists_last_comma_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[\n{"a": 1},\n{"a": 2},\n]\n', encoding="utf-8")
    *good, bad = json_rows(parse)(path, FileReading())
    assert len(good) == 2
    assert isinstance(bad, BadRow)
    assert "delete the comma before ']'" in bad.reason


@pytest.mark.parametrize("code", ["TRAIN_DATA = [('张三', {})]", 'var data = [{"text": "张三"}];', "rows={'a': 1}"])
def test_code_is_named(tmp_path: Path, code: str) -> None:
    bad = last(tmp_path, code)
    assert isinstance(bad, BadRow)
    assert (bad.kind, "it is code" in bad.reason) == ("json", True)
