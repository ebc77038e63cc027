"""Rows of instruction tuning become texts with entities, or with classes, and the reader says by which rules."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.instruction import read_instruction
from tools.example import Entity

PEOPLE = {"张三在北京": ["张三"], "明天李四来": ["李四"], "会议取消了": []}


def read(tmp_path: Path, rows: list[Any], **fields: str) -> tuple[list[RawRow | BadRow], FileReading]:
    path, reading = tmp_path / "a.json", FileReading(fields)
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    return list(read_instruction(path, reading)), reading


def reasons(rows: list[RawRow | BadRow]) -> list[str]:
    return [row.reason for row in rows if isinstance(row, BadRow)]


def answer(people: list[str]) -> str:
    return json.dumps([{"label": "人名", "text": one} for one in people], ensure_ascii=False)


def lines(people: list[str]) -> str:
    return "\n".join(f"人名：{one}" for one in people) or "无"


ALPACA = [{"instruction": "找出人名", "input": text, "output": answer(people)} for text, people in PEOPLE.items()]
SHAREGPT = [
    {"conversations": [{"from": "human", "value": f"找出人名：{text}"}, {"from": "gpt", "value": lines(people)}]} for text, people in PEOPLE.items()
]
OPENAI = [
    {"messages": [{"role": "system", "content": "你是专家"}, {"role": "user", "content": text}, {"role": "assistant", "content": answer(people)}]}
    for text, people in PEOPLE.items()
]
FIREFLY = [{"kind": "NER", "input": f"找出人名：\n{text}", "target": lines(people)} for text, people in PEOPLE.items()]


@pytest.mark.parametrize("rows", [ALPACA, SHAREGPT, OPENAI, FIREFLY])
def test_every_form_gives_the_same_rows_and_says_where_the_text_stands(tmp_path: Path, rows: list[Any]) -> None:
    found, reading = read(tmp_path, rows)
    people = [
        RawRow(row.line, text, [Entity("人名", one, text.index(one), text.index(one) + 2) for one in PEOPLE[text]])
        for row, text in zip(found, PEOPLE, strict=True)
    ]
    assert found == people
    assert any(rule.startswith("the text is what stands in ") for rule in reading.applied)
    assert any("has no offsets" in rule for rule in reading.applied)
    assert not reading.doubts


def test_an_answer_that_needs_a_guess_is_a_bad_row_and_the_others_are_read(tmp_path: Path) -> None:
    strange = [
        {**ALPACA[0], "output": "这句话里的人名大概是张三，不过也可能是别的，要看上下文才能确定下来。"},
        {**ALPACA[0], "output": answer(["王五"])},
    ]
    found, _ = read(tmp_path, [*ALPACA, *strange])
    assert [isinstance(row, RawRow) for row in found] == [True, True, True, False, False]
    for reason, part in zip(reasons(found), ("needs no guessing", "isn't in the text"), strict=True):
        assert part in reason


def news(*classes: str) -> list[dict[str, str]]:
    return [{"instruction": "属于哪一类？", "input": f"第{number}条新闻", "output": name} for number, name in enumerate(classes)]


def test_answers_of_one_word_out_of_few_are_classes(tmp_path: Path) -> None:
    found, reading = read(tmp_path, news("体育", "财经", "体育", "财经"))
    assert [row.label for row in found if isinstance(row, RawRow)] == ["体育", "财经", "体育", "财经"]
    assert any("class" in rule for rule in reading.applied)
    assert [row.label for row in read(tmp_path, news("有", "无", "有", "无"))[0] if isinstance(row, RawRow)] == ["有", "无", "有", "无"]


def test_many_different_words_are_asked_about(tmp_path: Path) -> None:
    rows = news("张三", "李四", "王五", "赵六")
    assert "fields.label=output" in reasons(read(tmp_path, rows)[0])[0]
    assert [row.label for row in read(tmp_path, rows, label="output")[0] if isinstance(row, RawRow)] == ["张三", "李四", "王五", "赵六"]


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        (["张三", "李四", "无"], "strings of the text"),
        (["<人名>张三</人名>在北京", "明天<人名>李四</人名>来", "会议取消了"], "marked entities"),
        (["B-PER I-PER O O O", "O O B-PER I-PER O", "O O O O O"], "tags"),
        (["(张三,在,北京)", "(李四,来,这里)", "(会议,是,取消)"], "triples"),
    ],
)
def test_answers_that_are_no_classes_are_not_called_classes(tmp_path: Path, answers: list[str], what: str) -> None:
    rows = [{**row, "output": one} for row, one in zip(ALPACA, answers, strict=True)] * 2
    found = reasons(read(tmp_path, rows)[0])
    assert len(found) == 6
    assert what in found[0]
    assert "fields.label" not in found[0]


def test_a_word_among_entities_is_a_bad_row(tmp_path: Path) -> None:
    found, _ = read(tmp_path, [*ALPACA, {**ALPACA[0], "output": "张三"}])
    assert "no entity with its label" in reasons(found)[0]


def test_where_the_text_cannot_be_told_the_task_says_the_field(tmp_path: Path) -> None:
    rows = [{**row, "instruction": f"找出人名{number}"} for number, row in enumerate(ALPACA)]
    assert all("fields.text=input" in reason for reason in reasons(read(tmp_path, rows)[0]))
    found, _ = read(tmp_path, rows, text="input")
    assert [row.text for row in found if isinstance(row, RawRow)] == [*PEOPLE]


def test_a_beginning_that_may_be_the_texts_own_is_a_doubt(tmp_path: Path) -> None:
    rows = [{"prompt": f"找出人名：甲方：{text}", "response": answer(people)} for text, people in PEOPLE.items()]
    found, reading = read(tmp_path, rows)
    assert len(found) == 3
    assert "甲方：" in next(iter(reading.doubts))


def test_texts_that_hold_their_labels_are_doubted(tmp_path: Path) -> None:
    pairs = [("张三", "北京", "人名、地点"), ("李四", "上海", "地点、人名"), ("王五", "广州", "地点，人名")]
    rows = [
        {"instruction": "找", "input": f"{one}去了{place}（{kinds}）", "output": [{"label": "人名", "text": one}, {"label": "地点", "text": place}]}
        for one, place, kinds in pairs
    ]
    assert "part of the prompt" in next(iter(read(tmp_path, rows)[1].doubts))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"text": "比赛结束了", "label": "体育"}, {"text": "涨了", "output": "财经"}], "no question"),
        ([{"instruction": '{"schema": ["人名"], "input": "张三"}', "output": '{"人名": ["张三"]}'}], "--reader iepile"),
        (
            [{"instruction": "写一首诗", "input": "", "output": "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。这首诗写的是春天的早晨。"}] * 2,
            "can't be told",
        ),
    ],
)
def test_other_rows_are_refused(tmp_path: Path, rows: list[Any], reason: str) -> None:
    found, _ = read(tmp_path, rows)
    assert all(isinstance(row, BadRow) for row in found)
    assert reason in reasons(found)[0]


@pytest.mark.parametrize(
    ("classes", "says"),
    [(["体育", "财经", "体育、财经"] * 4, "several classes in an answer"), (["文中有一个人名。", "文中没有人名。"] * 6, "are sentences")],
)
def test_answers_of_several_classes_or_sentences_are_no_classes(tmp_path: Path, classes: list[str], says: str) -> None:
    rows, _ = read(tmp_path, news(*classes))
    assert says in reasons(rows)[0]
