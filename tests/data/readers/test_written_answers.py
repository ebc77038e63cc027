"""A training answer is read strictly: what would have to be guessed is refused."""

from typing import Any

import pytest

from tools.data.raw.fields import Unusable
from tools.data.readers.written_answers import WrittenAnswer, placed, read_written

TEXT = "张三和李四在北京大学见面"
BOTH = [("人名", "张三"), ("机构", "北京大学")]


@pytest.mark.parametrize(
    "answer",
    [
        '[{"label": "人名", "text": "张三"}, {"label": "机构", "text": "北京大学"}]',
        '```json\n[{"类型": "人名", "实体": "张三"}, {"类型": "机构", "实体": "北京大学"}]\n```',
        '{"entities": [{"entity": "张三", "type": "人名", "start": 0, "end": 2}, {"entity": "北京大学", "type": "机构"}]}',
        '{"sentence": "张三和李四在北京大学见面", "entities": [{"name": "张三", "type": "人名"}, {"name": "北京大学", "type": "机构"}]}',
        '{"人名": ["张三"], "机构": ["北京大学"], "地点": []}',
        '{"人名": "张三", "机构": "北京大学", "地点": "", "公司": "无", "时间": null}',
        '{"人名": [{"text": "张三", "start": 0, "end": 2}], "机构": [{"text": "北京大学"}]}',
        '[["人名", "张三"], ["机构", "北京大学"]]',
        '[["张三", "人名"], ["北京大学", "机构"]]',
        "人名：张三\n机构：北京大学",
        '<think>\n\n</think>\n\n{"人名": ["张三"], "机构": ["北京大学"]}',
        "张三：人名\n北京大学: 机构",
        "- 人名: 张三\n- 机构: 北京大学\n- 地点: 无",
        "1. 人名：张三\n2. 机构：北京大学",
        "人名：张三；机构：北京大学",
        "张三（人名）、北京大学（机构）",
        "1. 张三（人名）\n2. 北京大学（机构）",
        "(张三, 人名)\n(北京大学, 机构)",
        "（人名，张三），（机构，北京大学）",
        '{"张三": "人名", "北京大学": "机构"}',
        '[{"张三": "人名"}, {"北京大学": "机构"}]',
        "句子里的实体有：\n人名：张三\n机构：北京大学",
        "张三: 人名, 北京大学: 机构",
        "Text: 张三\nLabel: 人名\nText: 北京大学\nLabel: 机构",
        [{"label": "人名", "text": "张三"}, {"label": "机构", "text": ["北京大学"]}],
    ],
)
def test_pairs_are_read_in_every_form_that_needs_no_guess(answer: Any) -> None:
    assert read_written(answer, TEXT).pairs == BOTH


@pytest.mark.parametrize(
    "answer", ['{"人名": ["张三", "李四"]}', '{"人名": "张三、李四"}', "人名：张三，李四", '[{"type": "人名", "entities": ["张三", "李四"]}]']
)
def test_several_strings_of_one_label_are_read(answer: str) -> None:
    assert read_written(answer, TEXT).pairs == [("人名", "张三"), ("人名", "李四")]


def test_an_echo_of_the_text_is_passed_over_and_an_entity_that_is_the_whole_text_is_not() -> None:
    assert read_written('{"text": "北京", "entities": [{"name": "北京", "type": "地点"}]}', "北京").pairs == [("地点", "北京")]
    assert read_written('{"地点": "北京"}', "北京").pairs == [("地点", "北京")]


def test_a_number_is_no_bullet() -> None:
    assert read_written("3.5亿元（金额）", "共3.5亿元").pairs == [("金额", "3.5亿元")]
    assert read_written("1. 3.5亿元：金额", "共3.5亿元").pairs == [("金额", "3.5亿元")]


def test_a_separator_within_a_string_of_the_text_is_not_one() -> None:
    assert read_written("项目：一、二期工程", "本合同为一、二期工程").pairs == [("项目", "一、二期工程")]
    assert read_written("机构：东湖大学、南山医院", "他与东湖大学、南山医院合作").pairs == [("机构", "东湖大学"), ("机构", "南山医院")]
    assert read_written("机构：Kite, Inc.", "他在Kite, Inc.工作").pairs == [("机构", "Kite, Inc.")]
    assert read_written("时间：上午8，12:30", "上午8到12:30").pairs == [("时间", "上午8"), ("时间", "12:30")]


@pytest.mark.parametrize(
    "answer",
    ["[]", "{}", "无", "没有实体。", "NAN", '{"entities": []}', '{"人名": []}', '{"人名": "NAN"}', "人名：无\n机构：无", "```json\n[]\n```", []],
)
def test_nothing_is_read_as_nothing(answer: Any) -> None:
    assert read_written(answer, TEXT).pairs == []


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("体育", "体育"),
        (" 体育 \n", "体育"),
        ('{"label": "体育"}', "体育"),
        ('{"label": "体育", "reason": "提到了比赛"}', "体育"),
        (1, "1"),
        ("类别：体育", "体育"),
    ],
)
def test_a_word_may_be_a_class(answer: str, word: str) -> None:
    assert read_written(answer, TEXT) == WrittenAnswer(None, word)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "is empty"),
        ("```json\n```", "is empty"),
        ("句子中提到了张三和李四，他们都是人名，北京大学则是一个机构，所以可以这样回答。", "needs no guessing"),
        ("张三\n李四", "needs no guessing"),
        ('[{"label": "人名", "text": "张三"}', "isn't"),
        ("['张三']", "isn't"),
        ('["张三"]', "a list of something else"),
        ('[{"text": "张三"}]', "one field with the label"),
        ('[{"label": 1, "text": "张三"}]', "one field with the label"),
        ('[{"label": "人名", "text": "张三", "entity": "李四"}]', "one field with the label"),
        ('[{"label": "人名", "text": 1}]', "must be a string"),
        ('{"人名": {"张三": [[0, 1]]}}', "must be strings"),
        ("张三：李四", "can't be told"),  # both stand in the text
        ("人名：王五", "can't be told"),  # neither does
        ("张三：人名\n地点：北京大学", "can't be told"),
        ("张三：人名。李四：也是", "can't be told"),
        ("实体：张三", "one field with the label"),
        ("张三：人名，他是", "can't be told"),
        ('{"人名": ["张三"], "人名": ["李四"]}', "stands twice"),
        (True, "must be a string or JSON"),
    ],
)
def test_what_needs_a_guess_is_refused(answer: Any, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        read_written(answer, TEXT)


def test_a_string_is_placed_where_it_stands_first_and_again_at_its_next_place() -> None:
    text = "张三见张三，us business"
    assert [(e.start, e.end) for e in placed(text, [("人名", "张三")])] == [(0, 2)]
    assert [e.start for e in placed(text, [("人名", "张三")] * 3)] == [0, 3]
    assert [(e.label, e.start) for e in placed(text, [("人名", "张三"), ("名", "张三")])] == [("人名", 0), ("名", 0)]
    assert [e.start for e in placed("business us", [("x", "us")])] == [9]


def test_a_string_that_is_not_in_the_text_is_refused() -> None:
    with pytest.raises(Unusable, match=r"'王五' \(人名\) isn't in the text"):
        placed(TEXT, [("人名", "张三"), ("人名", "王五")])
