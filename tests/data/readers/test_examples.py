import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.examples import read_canonical
from tools.example import Entity, Example

PERSON = {"label": "name", "text": "张三", "start": 0, "end": 2}


def read(path: Path, *lines: str) -> list[RawRow | BadRow]:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return list(read_canonical(path, FileReading()))


@pytest.mark.parametrize(
    "example",
    [
        Example("x-1", "张三在北京", [Entity("address", "北京", 3, 5), Entity("name", "张三", 0, 2)]),
        Example("x-1", "没有", []),
        Example("x-1", "股市大涨", [], "Economy"),
        Example("x-1", "股市大涨", [], "Economy", ["Art", "Economy"]),
        Example("x-1", "股市大涨", [], "Economy", []),
    ],
)
def test_an_example_is_read_back_as_it_was_written(tmp_path: Path, example: Example) -> None:
    assert read(tmp_path / "a.jsonl", example.to_json()) == [RawRow(1, example.text, example.entities, example.label, example.options)]


def test_a_row_with_entities_and_a_class_keeps_both_for_the_tasks_kind(tmp_path: Path) -> None:
    row = {"text": "张三", "entities": [PERSON], "label": "Art"}
    assert read(tmp_path / "a.jsonl", json.dumps(row)) == [RawRow(1, "张三", [Entity("name", "张三", 0, 2)], "Art")]


def test_an_id_is_not_asked_for(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", json.dumps({"text": "张三", "entities": [PERSON]})) == [RawRow(1, "张三", [Entity("name", "张三", 0, 2)])]


def test_a_lone_surrogate_passes_unharmed(tmp_path: Path) -> None:
    [row] = read(tmp_path / "a.jsonl", r'{"text": "a\ud800b", "entities": [{"label": "x", "text": "\ud800", "start": 1, "end": 2}]}')
    assert row == RawRow(1, "a\ud800b", [Entity("x", "\ud800", 1, 2)])


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        ({"text": "张三"}, "unannotated", "isn't annotated"),
        ({"text": "张三", "label": None}, "unannotated", "isn't annotated"),
        ({"entities": []}, "type", "no 'text'"),
        ({"text": "张三", "entities": [[0, 2]]}, "type", "'entities' must be a list of objects"),
        ({"text": "张三", "entities": [{**PERSON, "text": 3}]}, "type", "'text' must be a string, it is 3"),
        ({"text": "张三", "entities": [{**PERSON, "end": False}]}, "type", "'end' must be a whole number, it is False"),
        ({"text": "张三", "label": ["a"]}, "type", "'label' must be a string"),
        ({"text": "张三", "label": "a", "options": "a"}, "type", "'options' must be a list of strings"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_is_still_read(tmp_path: Path, row: Any, kind: str, reason: str) -> None:
    first, second = read(tmp_path / "a.jsonl", json.dumps(row), '{"text": "好", "entities": []}')
    assert second == RawRow(2, "好", [])
    assert isinstance(first, BadRow)
    assert (first.line, first.kind, reason in first.reason) == (1, kind, True), first
