"""Where the text stands in the prompts of instruction rows: found where it is certain, refused else."""

import pytest

from tools.data.raw.fields import Unusable
from tools.data.readers.instruction_frame import Frame, find_frame

TEXTS = ["张三在北京", "明天的会取消了", "李四说：“好的”", "北京大学很大\n也很老", "合同由甲方保存"]


def rows(template: str, field: str = "prompt", texts: list[str] = TEXTS, **others: str) -> list[dict[str, str]]:
    return [{**others, field: template.format(text)} for text in texts]


@pytest.mark.parametrize(
    "template",
    [
        "{}",
        "找出实体：{}",
        "下面的句子里有哪些实体？{}",
        "找出下面句子中的实体，类型有人名、地名。\n{}",
        "找出实体。\n\n文本：{}\n\n输出：",
        "# 任务\n找出实体\n\n<输入文本>\n{}",
        "从“{}”中找出人名",
        "文本：“{}”\n请找出人名",
        "识别下面这句话中的实体【{}】",
        '找出实体，文本在三引号内："""{}"""',
        "找出实体。<text>{}</text>只输出 JSON。",
        "类型有“人名”和“地名”，文本是「{}」。",
        "Extract entities.\nInput: {}\nOutput:",
    ],
)
def test_the_words_around_the_texts_are_told_from_them(template: str) -> None:
    found = rows(template)
    frame = find_frame(found)
    assert [frame.text_of(row) for row in found] == TEXTS
    assert not frame.is_doubtful


def test_a_constant_instruction_leaves_the_input_as_it_is() -> None:
    alike = ["甲方：张三", "甲方：李四", "甲方：王五公司"]
    found = rows("{}", "input", alike, instruction="找出人名")
    assert find_frame(found) == Frame("input")


@pytest.mark.parametrize("template", ["文本：{}", "请按下面的要求识别实体，只输出 JSON。\n{}", "请识别。\n<输入文本>：{}\n输出："])
def test_an_input_that_is_a_prompt_beside_an_instruction_is_one(template: str) -> None:
    found = rows(template, "input", instruction="你是专家")
    frame = find_frame(found)
    assert [frame.text_of(row) for row in found] == TEXTS


def test_one_row_alone_has_its_input_as_text() -> None:
    assert find_frame([{"instruction": "找出人名", "input": "文本：张三"}]) == Frame("input")
    with pytest.raises(Unusable, match="can't be told"):
        find_frame([{"prompt": "找出人名：张三"}])


def test_a_beginning_that_may_be_the_texts_own_is_doubted() -> None:
    found = rows("找出实体：{}", texts=["甲方：张三", "甲方：李四", "甲方：王五公司"])
    frame = find_frame(found)
    assert (frame.before, frame.is_doubtful) == ("找出实体：甲方：", True)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([{"instruction": f"找出{what}", "input": text} for what, text in zip("甲乙丙丁戊", TEXTS, strict=True)], "fields.text=input"),
        (rows("请从{}中抽取所有实体"), "where the text begins"),
        (rows("找出实体：{}")[:3] + rows("请识别下列文本：{}")[3:], "several prompts"),
        ([{"instruction": "找", "input": f"类型：{kind}\n文本：{text}"} for text in TEXTS for kind in ("人名", "地名")], "parts of a prompt"),
        (rows("找出实体。\n句子：{}")[:3] + rows("抽取实体。\n内容：{}")[3:], "several prompts"),
    ],
)
def test_what_is_not_certain_is_refused(found: list[dict[str, str]], reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        find_frame(found)


def test_a_later_row_with_other_words_is_refused() -> None:
    frame = Frame("prompt", "找出实体：", "\n输出：")
    assert frame.text_of({"prompt": "找出实体：张三\n输出："}) == "张三"
    for row in ({"prompt": "找出实体：\n输出"}, {"prompt": "识别实体：张三\n输出："}, {"query": "x"}):
        with pytest.raises(Unusable):
            frame.text_of(row)
