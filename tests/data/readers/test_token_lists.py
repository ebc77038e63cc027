import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.token_lists import read_token_lists
from tools.example import Entity

TEXT = "陈小芳在苏州上班"
TAGS = ["B-PER", "I-PER", "I-PER", "O", "B-LOC", "I-LOC", "O", "O"]
FOUND = [Entity("PER", "陈小芳", 0, 3), Entity("LOC", "苏州", 4, 6)]
NUMBERS = [1, 2, 2, 0, 3, 4, 0, 0]
NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def read(path: Path, *rows: Any, reading: FileReading | None = None) -> list[RawRow | BadRow]:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return list(read_token_lists(path, reading or FileReading()))


SHAPES: dict[str, Any] = {
    "Hugging Face": {"id": "0", "tokens": list(TEXT), "pos_tags": ["N"] * 8, "ner_tags": TAGS},
    "a class beside": {"tokens": list(TEXT), "ner_tags": TAGS, "label": "简历"},
    "other names": {"words": list(TEXT), "labels": TAGS},
    "the text as a list": {"text": list(TEXT), "labels": TAGS},
    "a tag a character": {"text": TEXT, "label": TAGS},
    "spaces between characters": {"text": " ".join(TEXT), "labels": TAGS},
    "tags in a string": {"text": " ".join(TEXT), "labels": " ".join(TAGS)},
    "tags under any name": {"sentence": TEXT, "标注序列": " ".join(TAGS)},
    "words": {"tokens": ["陈小芳", "在", "苏州", "上班"], "ner_tags": ["B-PER", "O", "B-LOC", "O"]},
    "GLiNER": {"tokenized_text": list(TEXT), "ner": [[0, 2, "PER"], [4, 5, "LOC"]]},
    "W2NER": {"sentence": list(TEXT), "ner": [{"index": [0, 1, 2], "type": "PER"}, {"index": [4, 5], "type": "LOC"}], "word": []},
    "inclusive ends, as the strings say": {
        "tokens": list(TEXT),
        "entities": [{"type": "PER", "start": 0, "end": 2, "text": "陈小芳"}, {"type": "LOC", "start": 4, "end": 5, "text": "苏州"}],
    },
    "exclusive ends, as the strings say": {
        "tokens": list(TEXT),
        "entities": [{"type": "PER", "start": 0, "end": 3, "text": "陈小芳"}, {"type": "LOC", "start": 4, "end": 6, "text": "苏 州"}],
    },
    "SpERT": {"tokens": list(TEXT), "entities": [{"type": "PER", "start": 0, "end": 3}, {"type": "LOC", "start": 4, "end": 6}], "relations": []},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_entities(shape: str, tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", SHAPES[shape]) == [RawRow(1, TEXT, FOUND)]


def test_words_of_latin_letters_get_spaces_and_their_spans_follow(tmp_path: Path) -> None:
    tokens = ["买", "Aurora", "Lamp", "吧"]
    wanted = RawRow(1, "买Aurora Lamp吧", [Entity("物", "Aurora Lamp", 1, 12)])
    assert read(tmp_path / "a.jsonl", {"tokens": tokens, "ner_tags": ["O", "B-物", "I-物", "O"]}) == [wanted]
    assert read(tmp_path / "a.jsonl", {"tokenized_text": tokens, "ner": [[1, 2, "物"]]}) == [wanted]


def test_what_was_passed_over_beside_the_tags_is_said(tmp_path: Path) -> None:
    reading = FileReading()
    read(tmp_path / "a.jsonl", {"tokens": list(TEXT), "ner_tags": TAGS, "pos_tags": ["N"] * 8, "label": "简历"}, reading=reading)
    assert [*reading.applied] == ["the tags are 'ner_tags'; 'pos_tags' was passed over", "the tags are 'ner_tags'; 'label' was passed over"]


def test_numbers_are_the_tasks_names_and_are_never_guessed(tmp_path: Path) -> None:
    row = {"tokens": list(TEXT), "ner_tags": NUMBERS}
    assert read(tmp_path / "a.jsonl", row, reading=FileReading(numbers=NAMES)) == [RawRow(1, TEXT, FOUND)]
    [bad] = read(tmp_path / "a.jsonl", row)
    assert isinstance(bad, BadRow)
    assert bad.kind == "named"
    assert "the numbers 0, 1, 2, 3, 4: " in bad.reason
    assert "numbers=[TAG0,TAG1,TAG2,TAG3,TAG4]" in bad.reason
    assert read(tmp_path / "a.jsonl", {**row, "label_names": NAMES}) == [RawRow(1, TEXT, FOUND)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset_infos.json", {"default": {"features": {"ner_tags": {"feature": {"names": NAMES, "_type": "ClassLabel"}, "_type": "Sequence"}}}}),
        ("dataset_info.json", {"features": {"id": {}, "ner_tags": {"feature": {"names": NAMES}}}}),
        ("label2id.json", {name: number for number, name in enumerate(NAMES)}),
        ("config.json", {"id2label": {str(number): name for number, name in enumerate(NAMES)}}),
        ("labels.json", NAMES),
    ],
)
def test_a_description_beside_the_file_names_its_numbers_and_that_is_said(tmp_path: Path, name: str, content: Any) -> None:
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    reading = FileReading()
    assert read(tmp_path / "a.jsonl", {"tokens": list(TEXT), "ner_tags": NUMBERS}, reading=reading) == [RawRow(1, TEXT, FOUND)]
    assert f"the numbers in 'ner_tags' stand for the names in {name}: O, B-PER, I-PER, B-LOC, I-LOC" in reading.applied
    assert reading.numbers == NAMES


def test_a_data_sets_page_names_its_numbers(tmp_path: Path) -> None:
    names = "".join(f"          '{number}': {name}\n" for number, name in enumerate(NAMES))
    page = f"---\ndataset_info:\n  features:\n  - name: ner_tags\n    sequence:\n      class_label:\n        names:\n{names}---\n# A set\n"
    (tmp_path / "README.md").write_text(page, encoding="utf-8")
    assert read(tmp_path / "a.jsonl", {"tokens": list(TEXT), "ner_tags": NUMBERS}) == [RawRow(1, TEXT, FOUND)]


@pytest.mark.parametrize("content", ["{", "[]", '{"O": 0, "B-PER": 5}', "---\n: [\n---\n"])
def test_a_description_that_isnt_clear_names_nothing(tmp_path: Path, content: str) -> None:
    for name in ("labels.json", "README.md"):
        (tmp_path / name).write_text(content, encoding="utf-8")
    [bad] = read(tmp_path / "a.jsonl", {"tokens": list(TEXT), "ner_tags": NUMBERS})
    assert isinstance(bad, BadRow)


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        ({"tokens": list(TEXT)}, "unannotated", "the row isn't annotated"),
        ({"tokens": list(TEXT), "pos_tags": ["N"] * 8}, "named", "fields.tags=pos_tags"),
        ({"字": list(TEXT), "ner_tags": TAGS}, "type", "fields.tokens=NAME"),
        ({"tokens": list(TEXT), "ner_tags": TAGS[:7]}, "named", "8 tokens in 'tokens' and 7 tags in 'ner_tags'"),
        ({"tokens": [1, 2], "ner_tags": ["O", "O"]}, "type", "no list of tokens"),
        ({"text": TEXT, "labels": ["体育"]}, "type", "a tag (B-PER, I-PER, … or O) for each"),
        ({"text": TEXT, "label": "体育"}, "unannotated", "no tags beside 'text'"),
        ({"tokenized_text": list(TEXT), "ner": [[0, 8, "PER"]]}, "type", "isn't within the row's 8 tokens"),
        ({"tokens": list(TEXT), "ner": [{"index": [0, 2], "type": "PER"}]}, "type", "isn't one piece of the text"),
        ({"tokens": list(TEXT), "entities": [[0, 3, "PER"]]}, "named", "call the field 'ner'"),
        ({"tokens": list(TEXT), "labels": [-100, 1, 1, 0, 2, 2, 0, 0]}, "named", "before it was tokenized"),
        ({"tokens": list(TEXT), "entities": [{"type": "PER", "start": 0, "end": 3, "text": "苏州"}]}, "named", "is inside the span isn't clear"),
        ({"text": TEXT, "tokens": ["陈小芳", "在"], "entities": [{"type": "PER", "start": 0, "end": 2}]}, "unannotated", "no tags beside 'tokens'"),
        ({"sentences": [list(TEXT)], "ner": [[[0, 2, "PER"]]]}, "named", "a document of several sentences"),
    ],
)
def test_a_row_that_isnt_clear_is_named_with_the_words_that_answer(tmp_path: Path, row: Any, kind: str, reason: str) -> None:
    [bad] = read(tmp_path / "a.jsonl", row)
    assert isinstance(bad, BadRow)
    assert (bad.kind, reason in bad.reason) == (kind, True), bad


def test_names_that_are_no_tags_name_no_tags(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["体育", "财经", "娱乐", "科技", "家居"]', encoding="utf-8")
    [bad] = read(tmp_path / "a.jsonl", {"tokens": list(TEXT), "ner_tags": NUMBERS})
    assert isinstance(bad, BadRow)
    assert "TAG0" in bad.reason


def test_spans_that_count_characters_are_weighed_with_the_files_other_evidence(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"tokenized_text": ["林", "晓", "来"], "ner": [[0, 1, "人名"]]}]', encoding="utf-8")
    (row,) = read_token_lists(path, FileReading())
    assert isinstance(row, RawRow)
    assert (row.entities[0].text, row.sliced) == ("林晓", True)
