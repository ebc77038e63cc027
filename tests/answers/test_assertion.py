"""What is asserted, denied, doubted, and what says that there is nothing: one rule for every shape."""

from __future__ import annotations

import pytest

from tools.answers.assertion import is_denied, is_nothing, is_rejected, is_switched_off, may_be_nothing, says_no_entity
from tools.conf.task import find_task

SENTINELS = find_task("clue").sentinels


@pytest.mark.parametrize(
    "word",
    ["", " ", "无", "（无）", "-", "--", "—", "/", "N/A", "n/a", "NAN", "null", "None", "none found", "Not mentioned", "no company mentioned", "unknown", "未知", "不详", "未提及", "（空）", "没有相关信息", "未在文本中发现", "文本中没有人名", "句中未提到公司", "暂无", "无相关实体", "无法确定", "empty list"],
)  # fmt: skip
def test_a_placeholder_says_that_there_is_nothing(word: str) -> None:
    assert is_nothing(word, SENTINELS)
    assert may_be_nothing(word, SENTINELS), "the short way asks the same"


@pytest.mark.parametrize(
    "word",
    ["无锡", "没羽箭", "无印良品", "未来", "文森特", "《无名》", "不列颠", "North", "Nancy", "None Such Ltd", "乙", "空客", "A", "本田", "句容"],
)
def test_a_name_that_begins_like_a_placeholder_is_a_name(word: str) -> None:
    assert not is_nothing(word, SENTINELS)
    assert not may_be_nothing(word, SENTINELS)


@pytest.mark.parametrize(
    "words",
    ["没有实体。", "该文本中没有属于上述类别的实体。", "根据给定的句子，没有可以提取的实体。", "经过分析，未识别到任何命名实体。", "There are no entities in the text.", "I could not find any entities.", "结果：无", "输出为空列表"],
)  # fmt: skip
def test_a_sentence_says_that_there_is_no_entity(words: str) -> None:
    assert says_no_entity(words, SENTINELS, None)


@pytest.mark.parametrize(
    "words",
    ["除了顾青，没有实体", "没有实体，但有地点", "我不能回答。", "抱歉，我无法提供个人信息。", "顾青没有来", "I can't help with entities.", "好的"],
)
def test_a_sentence_that_says_something_else(words: str) -> None:
    assert not says_no_entity(words, SENTINELS, None)


@pytest.mark.parametrize(
    "name",
    ["excluded", "rejected_entities", "candidates", "Alternatives", "not_entities", "排除", "候选实体", "非实体", "草稿", "example", "filtered_out"],
)
def test_a_field_of_the_rejected(name: str) -> None:
    assert is_rejected(name)


@pytest.mark.parametrize("name", ["entities", "result", "人名", "notes", "实体", "accepted", "保留"])
def test_a_field_of_the_asserted(name: str) -> None:
    assert not is_rejected(name)


@pytest.mark.parametrize(
    ("name", "value"),
    [("is_entity", False), ("valid", "no"), ("是否实体", "否"), ("keep", 0), ("rejected", True), ("decision", "reject"), ("保留", "×")],
)
def test_a_flag_switches_an_entity_off(name: str, value: object) -> None:
    assert is_switched_off(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("is_entity", True), ("valid", "yes"), ("start", 0), ("rejected", False), ("decision", "accept"), ("label", "no"), ("excluded", None)],
)
def test_other_fields_switch_nothing_off(name: str, value: object) -> None:
    assert not is_switched_off(name, value)


def test_a_clause_denies_or_doubts() -> None:
    assert all(map(is_denied, ["不是人名", "不算", "可能是人名", "疑似", "not a name", "未提取", "人名？", "maybe a company"]))
    assert not any(map(is_denied, ["是人名", "人名", "is a name", "", "提取"]))
