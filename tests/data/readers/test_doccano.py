import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.row import BadRow, FileReading, RawRow, misplaced
from tools.data.readers.doccano import read_doccano
from tools.example import Entity


def read(path: Path, *rows: Any) -> list[RawRow | BadRow]:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return list(read_doccano(path, FileReading()))


WITH_RELATIONS = [{"id": 9, "label": "GPE", "start_offset": 3, "end_offset": 5}, {"id": 8, "label": "PER", "start_offset": 0, "end_offset": 2}]


@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "text": "张三在北京", "label": [[3, 5, "GPE"], [0, 2, "PER"]], "Comments": []},
        {"id": 1, "data": "张三在北京", "label": [[3, 5, "GPE"], [0, 2, "PER"]]},
        {"text": "张三在北京", "labels": [[3, 5, "GPE"], [0, 2, "PER"]]},
        {"text": "张三在北京", "label": None, "labels": [[3, 5, "GPE"], [0, 2, "PER"]]},
        {"text": "张三在北京", "entities": [], "label": [[3, 5, "GPE"], [0, 2, "PER"]]},
        {"text": "张三在北京", "entities": WITH_RELATIONS, "label": []},
        {
            "id": 1,
            "text": "张三在北京",
            "entities": WITH_RELATIONS,
            "relations": [{"id": 1, "from_id": 8, "to_id": 9, "type": "在"}],
            "Comments": ["?"],
        },
    ],
)
def test_every_form_of_export_gives_the_same_entities(tmp_path: Path, row: Any) -> None:
    assert read(tmp_path / "a.jsonl", row) == [RawRow(1, "张三在北京", [Entity("GPE", "北京", 3, 5), Entity("PER", "张三", 0, 2)])]


def test_astral_characters_count_as_one(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", {"text": "😀张三", "label": [[1, 3, "PER"]]}) == [RawRow(1, "😀张三", [Entity("PER", "张三", 1, 3)])]


def test_an_annotated_row_may_have_no_entity(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", {"text": "x", "label": []}, {"text": "x", "entities": []}) == [RawRow(1, "x", []), RawRow(2, "x", [])]


@pytest.mark.parametrize("label", [["pos"], "pos"])
def test_a_classification_export_has_one_label(tmp_path: Path, label: Any) -> None:
    assert read(tmp_path / "a.jsonl", {"text": "好看", "label": label}) == [RawRow(1, "好看", [], "pos")]


@pytest.mark.parametrize("span", [[1, 9, "x"], [-2, -1, "x"], [2, 1, "x"], [1, 1, "x"], [0, 3, "x"]])
def test_a_span_beyond_the_text_has_no_string_so_that_the_check_finds_it(tmp_path: Path, span: Any) -> None:
    [row] = read(tmp_path / "a.jsonl", {"text": "甲乙", "label": [span]})
    assert row == RawRow(1, "甲乙", [Entity("x", "", span[0], span[1])])
    assert misplaced(row) != []


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        ({"text": "x"}, "unannotated", "isn't annotated"),
        ({"text": "x", "label": None}, "unannotated", "isn't annotated"),
        ({"label": []}, "type", "no 'text'"),
        ({"text": "x", "label": [[0, 1, "a"]], "entities": WITH_RELATIONS}, "type", "both 'entities' and 'label'"),
        ({"data": 1, "label": []}, "type", "'data' must be a string, it is 1"),
        ({"text": "x", "label": ["pos", "neg"]}, "several", "several classes in 'label', ['pos', 'neg']: a row of this project has one class"),
        ({"text": "x", "label": '[[0, 1, "a"]]'}, "type", "a list in a string, no class"),
        ({"text": "x", "label": [7]}, "type", "'label' must be"),
        ({"text": "x", "label": {}}, "type", "'label' must be"),
        ({"text": "x", "label": [[0, 1, "a"], "b"]}, "type", "'label' must be"),
        ({"text": "x", "label": [[0, 1]]}, "type", "'label' must be"),
        ({"text": "x", "label": [[False, True, "a"]]}, "type", "'label' must be"),
        ({"text": "x", "label": [["0", "1", "a"]]}, "type", "'label' must be"),
        ({"text": "x", "label": [[0, 1, 5]]}, "type", "'label' must be"),
        ({"text": "x", "entities": [{"label": 5, "start_offset": 0, "end_offset": 1}]}, "type", "'label' must be a string, it is 5"),
        ({"text": "x", "entities": [{"label": "a", "end_offset": 1}]}, "type", "no 'start_offset'"),
        ({"text": "x", "entities": ["a"]}, "type", "'entities' must be a list of objects"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_is_still_read(tmp_path: Path, row: Any, kind: str, reason: str) -> None:
    first, second = read(tmp_path / "a.jsonl", row, {"text": "好", "label": []})
    assert second == RawRow(2, "好", [])
    assert isinstance(first, BadRow)
    assert (first.line, first.kind, reason in first.reason) == (1, kind, True), first
