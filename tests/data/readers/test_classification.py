import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import real
from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.classification import read_classification


def read(path: Path, *rows: Any) -> list[RawRow | BadRow]:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return list(read_classification(path, FileReading()))


def test_the_options_are_the_rows_own_in_its_order(tmp_path: Path) -> None:
    rows = read(
        tmp_path / "a.jsonl",
        {"text": "股市大涨", "category": ["Economy", "Art"], "output": "Economy", "model_prediction": "Art"},
        {"text": "股市大涨", "category": ["Art", "Economy"], "output": "Economy"},
    )
    assert rows == [RawRow(1, "股市大涨", [], "Economy", ["Economy", "Art"]), RawRow(2, "股市大涨", [], "Economy", ["Art", "Economy"])]


def test_a_plain_text_and_label_have_no_options(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", {"text": "好看", "label": "正面"}) == [RawRow(1, "好看", [], "正面", None)]


def test_text_and_class_are_kept_as_they_are(tmp_path: Path) -> None:
    row = {"text": "\u3000股市\t大涨 ", "category": ["Art"], "output": " Economy\n"}
    assert read(tmp_path / "a.jsonl", row) == [RawRow(1, "\u3000股市\t大涨 ", [], " Economy\n", ["Art"])]


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        ({"text": "x", "category": ["a", "b"]}, "unannotated", "isn't annotated"),
        ({"text": "x", "output": None}, "unannotated", "isn't annotated"),
        ({"output": "a"}, "type", "no 'text'"),
        ({"text": 1, "output": "a"}, "type", "'text' must be a string, it is 1"),
        ({"text": "x", "output": ["a"]}, "type", "'output' must be a string, it is ['a']"),
        ({"text": "x", "label": 1}, "type", "'label' must be a string, it is 1"),
        ({"text": "x", "category": "a", "output": "a"}, "type", "'category' must be a list of strings, it is 'a'"),
        ({"text": "x", "category": ["a", 1], "output": "a"}, "type", "'category' must be a list of strings"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_is_still_read(tmp_path: Path, row: Any, kind: str, reason: str) -> None:
    first, second = read(tmp_path / "a.jsonl", row, {"text": "好", "label": "正面"})
    assert second == RawRow(2, "好", [], "正面")
    assert isinstance(first, BadRow)
    assert (first.line, first.kind, reason in first.reason) == (1, kind, True), first


def test_the_real_rows_have_no_gold_answer() -> None:
    rows = list(read_classification(real("fudan_news/argonautz_notebook_10_rows.jsonl"), FileReading()))
    assert [(row.line, row.kind) for row in rows if isinstance(row, BadRow)] == [(line, "unannotated") for line in range(1, 11)]
    assert len(rows) == 10


def test_the_real_rows_keep_text_and_options_once_they_are_answered(tmp_path: Path) -> None:
    raw = real("fudan_news/argonautz_notebook_10_rows.jsonl").read_text(encoding="utf-8")
    given = [{**json.loads(line), "output": "Art"} for line in raw.split("\n") if line]
    rows = read(tmp_path / "a.jsonl", *given)
    assert rows == [RawRow(i, row["text"], [], "Art", row["category"]) for i, row in enumerate(given, 1)]


def test_json_is_no_class_and_prompts_are_no_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for row, fields in (
        ({"text": "张三", "output": '[{"label": "人名"}]'}, {}),
        ({"instruction": "找", "input": "张三", "output": "张三"}, {"text": "input"}),
    ):
        path.write_text(json.dumps(row), encoding="utf-8")
        [found] = read_classification(path, FileReading(fields))
        assert isinstance(found, BadRow)


def classes(path: Path, reading: FileReading, *rows: Any) -> list[Any]:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return [(row.text, row.label) if isinstance(row, RawRow) else (row.kind, row.reason) for row in read_classification(path, reading)]


@pytest.mark.parametrize("row", [{"sentence": "好看", "label": "正面"}, {"content": "好看", "category": "正面"}, {"评论": "好看", "情感": "正面"}])
def test_the_only_field_of_another_usual_name_is_taken_and_said(tmp_path: Path, row: Any) -> None:
    reading = FileReading()
    assert classes(tmp_path / "a.jsonl", reading, row) == [("好看", "正面")]
    text, label = row
    assert [*reading.applied] == [f"the text is the field '{text}', the class the field '{label}'"]


def test_fields_name_the_text_and_the_class(tmp_path: Path) -> None:
    reading = FileReading(fields={"text": "甲", "label": "乙"})
    assert classes(tmp_path / "a.jsonl", reading, {"text": "x", "label": "y", "甲": "好看", "乙": "正面"}) == [("好看", "正面")]


def test_whole_numbers_are_asked_about_until_they_have_names(tmp_path: Path) -> None:
    rows = [{"text": "好看", "label": 1}, {"text": "难看", "label": 0}]
    ((kind, reason),) = classes(tmp_path / "a.jsonl", FileReading(), *rows)
    assert (kind, "the numbers 0, 1: name them from 0 on. Say it: numbers=[NAME0,NAME1]" in reason) == ("named", True)
    assert classes(tmp_path / "a.jsonl", FileReading(numbers=("负面", "正面")), *rows) == [("好看", "正面"), ("难看", "负面")]


def test_a_list_of_names_beside_the_file_is_proposed(tmp_path: Path) -> None:
    (tmp_path / "class.txt").write_text("负面\n正面\n", encoding="utf-8")
    ((_, reason),) = classes(tmp_path / "a.jsonl", FileReading(), {"text": "好看", "label": 1}, {"text": "难看", "label": 0})
    assert "class.txt beside the file has as many names. Say it: numbers=[负面,正面]" in reason


def test_numbers_that_do_not_begin_at_0_are_classes(tmp_path: Path) -> None:
    assert classes(tmp_path / "a.jsonl", FileReading(), {"text": "好看", "label": 5}, {"text": "难看", "label": 1}) == [("好看", "5"), ("难看", "1")]


def test_a_description_of_each_number_is_the_class(tmp_path: Path) -> None:
    rows = [{"label": "104", "label_desc": "finance", "sentence": "涨了"}, {"label": "102", "label_desc": "sports", "sentence": "赢了"}]
    assert classes(tmp_path / "a.jsonl", FileReading(), *rows) == [("涨了", "finance"), ("赢了", "sports")]


def test_several_classes_a_row_are_named_and_the_row_refused(tmp_path: Path) -> None:
    ((kind, reason),) = classes(tmp_path / "a.jsonl", FileReading(), {"text": "好看", "label": ["电影", "娱乐"]})
    assert kind == "several"
    assert "several" in reason


def test_classes_that_look_like_several_in_one_are_doubted(tmp_path: Path) -> None:
    reading = FileReading()
    rows = [{"text": f"第{n}句", "label": label} for n, label in enumerate(["体育", "财经", "体育,财经"])]
    assert len(classes(tmp_path / "a.jsonl", reading, *rows)) == 3
    assert "'体育,财经' look like several in one" in "".join(reading.doubts)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text_a": "好", "text_b": "坏", "label": "是"}, "two texts a row"),
        ({"text": "好吃但贵", "aspect": "价格", "label": "负"}, "'aspect' is the second"),
        ({"text": "张三", "class": "news", "mentions": [{"a": 1}]}, "if it is: fields.label=class"),
        ({"text": "张三", "type": "news"}, "isn't annotated"),
        ({"input": "张三", "instruction": "x", "output": "y"}, "no 'text'"),
    ],
)
def test_what_is_no_text_with_its_class_is_named(tmp_path: Path, row: Any, said: str) -> None:
    ((_, reason),) = classes(tmp_path / "a.jsonl", FileReading(), row)
    assert said in reason
