import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.row import BadRow, FileReading, RawRow, misplaced
from tools.data.readers.spans import read_spans
from tools.example import Entity

TEXT = "陈小芳在苏州上班"
FOUND = [Entity("人名", "陈小芳", 0, 3), Entity("地点", "苏州", 4, 6)]


def read(path: Path, *rows: Any, reading: FileReading | None = None) -> list[RawRow | BadRow]:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return list(read_spans(path, reading or FileReading()))


SHAPES: dict[str, Any] = {
    "lists under entities": {"doc_id": 3, "text": TEXT, "entities": [[0, 3, "人名"], [4, 6, "地点"]], "username": "a"},
    "the label first": {"text": TEXT, "spans": [["人名", 0, 3], ["地点", 4, 6]]},
    "a place as a list": {"text": TEXT, "entities": [[[0, 3], "人名"], [[4, 6], "地点"]]},
    "the string last": {"text": TEXT, "entities": [[0, 3, "人名", "陈小芳"], [4, 6, "地点", "苏州"]]},
    "the string first": {"text": TEXT, "entities": [["陈小芳", "人名", 0, 3], ["苏州", "地点", 4, 6]]},
    "spaCy": [TEXT, {"entities": [[0, 3, "人名"], [4, 6, "地点"]]}],
    "Prodigy": {
        "text": TEXT,
        "_input_hash": 5,
        "tokens": [{"text": "陈小芳", "start": 0, "end": 3, "id": 0}],
        "spans": [{"start": 0, "end": 3, "token_start": 0, "label": "人名"}, {"start": 4, "end": 6, "token_start": 2, "label": "地点"}],
        "answer": "accept",
    },
    "CCKS": {
        "originalText": TEXT,
        "entities": [{"label_type": "人名", "overlap": 0, "start_pos": 0, "end_pos": 3}, {"label_type": "地点", "start_pos": 4, "end_pos": 6}],
    },
    "camel case": {
        "content": TEXT,
        "annotations": [{"startPos": 0, "endPos": 3, "labelType": "人名"}, {"startOffset": 4, "endOffset": 6, "type": "地点"}],
    },
    "lengths": {"text": TEXT, "entities": [{"offset": 0, "length": 3, "category": "人名"}, {"offset": 4, "length": 2, "category": "地点"}]},
    "pairs": {"sentence": TEXT, "mentions": [{"span": [0, 3], "type": "人名"}, {"span": [[4, 6]], "type": "地点"}]},
    "begin and end": {
        "text": TEXT,
        "entities": [{"begin": 0, "end": 3, "type": "人名", "word": "陈小芳"}, {"begin": 4, "end": 6, "type": "地点", "word": "苏州"}],
    },
    "Hugging Face's pipeline": {
        "text": TEXT,
        "entities": [
            {"entity_group": "人名", "score": 0.9, "word": "陈小芳", "start": 0, "end": 3},
            {"entity_group": "地点", "score": 0.8, "word": "苏州", "start": 4, "end": 6},
        ],
    },
    "digits in quotes": {"text": TEXT, "entities": [{"start": "0", "end": "3", "label": "人名"}, {"start": "4", "end": "6", "label": "地点"}]},
    "a place as an object": {
        "text": TEXT,
        "entity_list": [
            {"entity_index": {"begin": 0, "end": 3}, "entity_type": "人名", "entity": "陈小芳"},
            {"entity_index": {"begin": 4, "end": 6}, "entity_type": "地点", "entity": "苏州"},
        ],
    },
    "each under its id": {"text": TEXT, "entities": {"T1": {"start": 0, "end": 3, "type": "人名"}, "T2": {"start": 4, "end": 6, "type": "地点"}}},
    "names of labels beside": {"text": TEXT, "entities": [[0, 3, "人名"], [4, 6, "地点"]], "labels": ["人名", "地点"]},
    "pairs of string and label": {"text": TEXT, "entities": [["陈小芳", "人名"], ["地点", "苏州"]]},
    "label by string": {"text": TEXT, "entities": {"陈小芳": "人名", "苏州": "地点"}},
    "a list in a string": {"text": TEXT, "label": '[[0, 3, "人名"], [4, 6, "地点"]]'},
    "a list in Python's words in a string": {"text": TEXT, "entities": "[(0, 3, '人名'), (4, 6, '地点')]"},
    "columns of a dataset": {"text": TEXT, "entities": {"start": [0, 4], "end": [3, 6], "label": ["人名", "地点"]}},
    "a start and a string": {
        "text": TEXT,
        "entities": [{"answer_start": 0, "text": "陈小芳", "label": "人名"}, {"position": 4, "entity": "苏州", "type": "地点"}],
    },
    "whole numbers with a point": {
        "text": TEXT,
        "entities": [{"start": 0.0, "end": 3.0, "label": "人名"}, {"start": 4, "end": 6.0, "label": "地点"}],
    },
    "by label": {"text": TEXT, "label": {"人名": [[0, 3]], "地点": [[4, 6]]}},
    "strings": {"text": TEXT, "entities": [{"type": "人名", "value": "陈小芳"}, {"type": "地点", "value": "苏州"}]},
    "strings by label": {"text": TEXT, "label": {"人名": ["陈小芳"], "地点": ["苏州"]}},
    "several labels a span": {"text": TEXT, "entities": [{"start": 0, "end": 3, "labels": ["人名"]}, {"start": 4, "end": 6, "labels": ["地点"]}]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_spelling_gives_the_same_entities(shape: str, tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", SHAPES[shape]) == [RawRow(1, TEXT, FOUND)]


def test_the_strings_of_the_whole_file_tell_that_ends_are_inclusive(tmp_path: Path) -> None:
    entities = [{"start_idx": 0, "end_idx": 2, "type": "人名", "entity": "陈小芳"}, {"start_idx": 4, "end_idx": 5, "type": "地点", "entity": "苏州"}]
    reading = FileReading()
    rows = read(tmp_path / "a.jsonl", {"text": TEXT, "entities": entities}, {"text": "无", "entities": []}, reading=reading)
    assert rows == [RawRow(1, TEXT, FOUND), RawRow(2, "无", [])]
    assert [*reading.applied] == ["ends are inclusive: 2 of the first 2 strings stand at their places so"]


def test_the_strings_of_places_count_too(tmp_path: Path) -> None:
    points = [
        {"label": ["人名"], "points": [{"start": 0, "end": 2, "text": "陈小芳"}]},
        {"label": ["地点"], "points": [{"start": 4, "end": 5, "text": "苏州"}]},
    ]
    assert read(tmp_path / "a.jsonl", {"content": TEXT, "annotation": points}) == [RawRow(1, TEXT, FOUND)]


def test_a_string_at_several_places_is_an_entity_at_each(tmp_path: Path) -> None:
    text = "苏州人爱苏州"
    row = {"text": text, "entities": [{"entity": "苏州", "type": "地点", "positions": [[0, 2], [4, 6]]}]}
    assert read(tmp_path / "a.jsonl", row) == [RawRow(1, text, [Entity("地点", "苏州", 0, 2), Entity("地点", "苏州", 4, 6)])]


def test_one_string_of_many_doesnt_change_the_ends_of_all_and_stays_for_the_check(tmp_path: Path) -> None:
    right = {"text": TEXT, "entities": [{"start": 0, "end": 3, "label": "人名", "text": "陈小芳"}]}
    wrong = {"text": TEXT, "entities": [{"start": 4, "end": 5, "label": "地点", "text": "苏州"}]}
    rows = read(tmp_path / "a.jsonl", *[right] * 5, wrong)
    assert [bool(misplaced(row)) for row in rows if isinstance(row, RawRow)] == [False] * 5 + [True]


def test_only_strings_that_were_taken_from_the_text_are_marked_as_such(tmp_path: Path) -> None:
    first, second = read(tmp_path / "a.jsonl", {"text": TEXT, "spans": [[0, 3, "人名"]]}, SHAPES["begin and end"])
    assert isinstance(first, RawRow)
    assert isinstance(second, RawRow)
    assert (first.sliced, second.sliced) == (True, False)


def test_a_string_without_a_place_takes_its_first_place_and_the_doubt_is_said(tmp_path: Path) -> None:
    reading = FileReading()
    text = "苏州人爱苏州"
    [row] = read(tmp_path / "a.jsonl", {"text": text, "entities": [{"type": "地点", "value": "苏州"}]}, reading=reading)
    assert row == RawRow(1, text, [Entity("地点", "苏州", 0, 2)])
    assert [*reading.doubts] == ["a string without a place stands more often in its text than it is listed; its first place was taken"]
    [row] = read(tmp_path / "a.jsonl", {"text": text, "entities": [{"type": "地点", "value": "苏州"}] * 2})
    assert row == RawRow(1, text, [Entity("地点", "苏州", 0, 2), Entity("地点", "苏州", 4, 6)])


def test_the_tasks_fields_and_numbers_name_what_has_another_name(tmp_path: Path) -> None:
    reading = FileReading(fields={"text": "正文", "entities": "标记", "start": "从", "end": "到", "label": "种"}, numbers=["人名", "地点"])
    row = {"正文": TEXT, "text": "标题", "标记": [{"从": 0, "到": 3, "种": 0}, {"从": 4, "到": 6, "种": 1}]}
    assert read(tmp_path / "a.jsonl", row, reading=reading) == [RawRow(1, TEXT, FOUND)]


@pytest.mark.parametrize("answer", ["reject", "ignore"])
def test_rows_that_prodigys_annotator_turned_down_are_told_from_others(tmp_path: Path, answer: str) -> None:
    first, second = read(tmp_path / "a.jsonl", {**SHAPES["Prodigy"], "answer": answer}, {"text": "无", "answer": "accept"})
    assert isinstance(first, BadRow)
    assert (first.kind, f"its 'answer' is '{answer}'" in first.reason) == ("turned-down", True)
    assert second == RawRow(2, "无", [])


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        ({"text": TEXT}, "unannotated", "fields.entities=NAME"),
        ({"字段": TEXT, "entities": [[0, 3, "人名"]]}, "named", "fields.text=字段 fields.entities=entities"),
        ({"字段": TEXT, "entities": []}, "type", "fields.text=NAME"),
        ({"sentence": TEXT, "content": TEXT, "entities": []}, "named", "fields.text=sentence or fields.text=content"),
        ({"text": TEXT, "片段": [{"start": 0, "end": 3, "type": "人名"}]}, "named", "fields.entities=片段"),
        ({"text": TEXT, "label": "体育"}, "type", "'label' must be a list of spans, it is '体育'"),
        ({"text": TEXT, "label": ["体育"]}, "type", "'label' must be a list of spans, it is ['体育']"),
        ({"text": TEXT, "entities": [["陈小芳", "苏州"]]}, "type", "the text has neither there, or both"),
        ({"text": TEXT, "entities": [[0, 3]]}, "type", "a span must be [start, end, label]"),
        ({"text": TEXT, "entities": [[0, "人名", 3]]}, "type", "a span must be [start, end, label]"),
        ({"text": TEXT, "entities": [[0, 3, 1]]}, "type", "a span must be [start, end, label]"),
        ({"text": TEXT, "entities": [[0, 3, "甲", "乙"]]}, "type", "is the label isn't clear"),
        ({"text": TEXT, "entities": [{"start": "0", "end": "三", "label": "人名"}]}, "type", "start and end must be whole numbers"),
        ({"text": TEXT, "entities": [{"start": 0, "end": 3}]}, "named", "fields.label=NAME"),
        ({"text": TEXT, "entities": [{"start": 0, "label": "人名"}]}, "named", "fields.start=…"),
        ({"text": TEXT, "entities": [{"start": 0, "end": 3, "label": 1}]}, "named", "numbers=[NAME,NAME,…]"),
        ({"text": TEXT, "entities": [{"spans": [[0, 1], [4, 5]], "label": "病"}]}, "named", "has 2 parts"),
        ({"text": TEXT, "entities": [{"type": "人名", "value": "赵云"}]}, "type", "the string '赵云' (人名) isn't in the text"),
        ({"text": TEXT, "entities": [[0, 3, "人名"]], "spans": [[4, 6, "地点"]]}, "named", "fields.entities=entities or fields.entities=spans"),
        ({"号": "7", "字段": TEXT, "标记": [{"从": 0, "到": 3, "种": "人名"}]}, "named", "fields.text=字段 fields.entities=标记"),
    ],
)
def test_a_row_that_isnt_clear_is_named_with_the_words_that_answer(tmp_path: Path, row: Any, kind: str, reason: str) -> None:
    first, second = read(tmp_path / "a.jsonl", row, {"text": "好", "entities": []})
    assert second == RawRow(2, "好", [])
    assert isinstance(first, BadRow)
    assert (first.kind, reason in first.reason) == (kind, True), first


def test_a_row_of_label_studios_is_left_to_its_own_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": "张三", "label": [{"start": 0, "end": 2, "labels": ["PER"]}], "annotation_id": 1}]), encoding="utf-8")
    [row] = read_spans(path, FileReading())
    assert isinstance(row, BadRow)
    assert "--reader label_studio" in row.reason


def test_a_raw_text_beside_the_cleaned_one_is_a_question(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "a.jsonl", {"text": "林晓来了", "raw_text": "林晓，来了", "entities": [[0, 2, "PER"]]})
    assert isinstance(row, BadRow)
    assert (row.kind, "fields.text=raw_text or fields.text=text" in row.reason) == ("named", True)
    (same,) = read(tmp_path / "b.jsonl", {"text": "林晓来了", "raw_text": "林晓来了", "entities": [[0, 2, "PER"]]})
    assert isinstance(same, RawRow)


def test_a_spans_own_string_is_never_proposed_as_its_label(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "a.jsonl", {"text": "林晓来了", "entities": [{"start": 0, "end": 2, "text": "林晓"}]})
    assert "fields.label=NAME" in row.reason
