"""What a row of instruction tuning asks and answers, in each of the common forms."""

from typing import Any

import pytest

from tools.data.raw.fields import Unusable
from tools.data.readers.instruction_turns import turns_of

ASKED, ANSWER = {"role": "user", "content": "找人名：张三"}, {"role": "assistant", "content": "张三"}


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        ({"instruction": "找人名", "input": "张三", "output": "张三"}, {"instruction": "找人名", "input": "张三"}),
        ({"instruction": "找人名：张三", "input": "", "output": "张三", "history": []}, {"instruction": "找人名：张三"}),
        ({"kind": "NER", "input": "找人名：张三", "target": "张三"}, {"input": "找人名：张三"}),
        ({"text": "张三", "instruction": "找人名", "output": "张三"}, {"text": "张三", "instruction": "找人名"}),
        ({"instruction": "找人名", "input": "张三", "output": "张三", "text": "### 找人名\n张三"}, {"instruction": "找人名", "input": "张三"}),
        ({"指令": "找人名", "输入": "张三", "输出": "张三"}, {"instruction": "找人名", "input": "张三"}),
        ({"Instruction": "找人名", "Input": "张三", "Output": "张三"}, {"instruction": "找人名", "input": "张三"}),
        ({"prompt": "找人名：张三", "completion": "张三"}, {"prompt": "找人名：张三"}),
        ({"system": "你是专家", "query": "找人名：张三", "response": "张三"}, {"system": "你是专家", "query": "找人名：张三"}),
        ({"conversation": [{"human": "找人名：张三", "assistant": "张三"}]}, {"input": "找人名：张三"}),
        ({"conversation": [{"system": "你是专家", "input": "找人名：张三", "output": "张三"}]}, {"system": "你是专家", "input": "找人名：张三"}),
        ({"messages": [ASKED, ANSWER]}, {"user": "找人名：张三"}),
        ({"messages": [{"role": "system", "content": "你是专家"}, ASKED, ANSWER]}, {"system": "你是专家", "user": "找人名：张三"}),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "张三"}]}, ANSWER]}, {"user": "张三"}),
        (
            {"conversations": [{"from": "human", "value": "张三"}, {"from": "gpt", "value": "张三"}], "system": "你是专家"},
            {"system": "你是专家", "user": "张三"},
        ),
        ({"conversations": [ASKED, ANSWER]}, {"user": "找人名：张三"}),
    ],
)
def test_each_form_is_taken_apart(row: dict[str, Any], asked: dict[str, str]) -> None:
    turns = turns_of(row)
    assert (turns.asked, turns.answer) == (asked, "张三")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "张三", "output": "张三"}, "no question"),
        ({"text": "张三", "label": "a"}, "no question"),
        ({"system": "你是专家", "output": "张三"}, "no question"),
        ({"instruction": "找人名", "input": "张三"}, "no question"),
        ({"prompt": "找", "chosen": "a", "rejected": "b"}, "no question"),
        ({"instruction": "找", "input": "张三", "output": "张三", "history": [["a", "b"]]}, "'history'"),
        ({"messages": [ASKED, ANSWER, ASKED, ANSWER]}, "several turns of 'user'"),
        ({"messages": [ASKED, ANSWER, ANSWER]}, "2 answers"),
        ({"messages": [ASKED]}, "0 answers"),
        ({"conversation": [{"human": "a", "assistant": "b"}] * 2}, "2 turns"),
        ({"messages": [ANSWER]}, "one question"),
        ({"messages": [{"role": "tool", "content": "x"}, ASKED, ANSWER]}, "one of the roles"),
        ({"messages": ["x"]}, "one of the roles"),
        ({"messages": [{"role": "user", "content": 3}, ANSWER]}, "one of the roles"),
    ],
)
def test_other_rows_are_refused(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        turns_of(row)
