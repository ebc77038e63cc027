"""The final answer is found first: behind thoughts, in its wrapper, before invented turns, after drafts, without examples."""

from __future__ import annotations

import pytest

from tools.answers.final import final_answer

ANSWER = '[{"label": "name", "text": "顾青"}]'
DRAFT = '[{"label": "name", "text": "白鹤"}]'

# Each says ANSWER, whatever else stands in it.
FINAL = [
    ANSWER,
    f"<think>{DRAFT}</think>{ANSWER}",
    f"<thinking_process>\n{DRAFT}\n</thinking_process>\n\n{ANSWER}",
    f"<seed:think>{DRAFT}</seed:think>{ANSWER}",
    f"◁think▷{DRAFT}◁/think▷{ANSWER}",
    f"[THINK]{DRAFT}[/THINK]{ANSWER}",
    f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>{ANSWER}",
    f"<|START_THINKING|>{DRAFT}<|END_THINKING|>{ANSWER}",
    f"<scratchpad>{DRAFT}</scratchpad>{ANSWER}",
    f"<分析>{DRAFT}</分析>{ANSWER}",
    f"先写{DRAFT}\n</think>\n{ANSWER}",
    f"{ANSWER}\n<think>再看一遍</think>",
    f"<think>{DRAFT}</think>{DRAFT}<think>不对</think>{ANSWER}",
    f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
    f"analysisMaybe {DRAFT}assistantfinal{ANSWER}",
    f"<answer>{ANSWER}</answer>",
    f"草稿{DRAFT}<final_answer>\n{ANSWER}\n</final_answer>",
    f"<|begin_of_solution|>{ANSWER}<|end_of_solution|>",
    f"<answer>{ANSWER}",
    f"\\boxed{{{ANSWER}}}",
    f"{ANSWER}<|im_end|>",
    f"{ANSWER}<|im_end|>\n<|im_start|>user\n白鹤？<|im_end|>",
    f"<|im_start|>assistant\n{ANSWER}<|im_end|>",
    f"{ANSWER}</s>",
    f"{ANSWER}\nuser\n白鹤是谁\nassistant\n{DRAFT}",
    f"{ANSWER}\n\n输入：白鹤飞走了。\n输出：{DRAFT}",
    f"示例：\n输入：白鹤飞走了。\n输出：{DRAFT}\n\n输入：顾青来了。\n输出：{ANSWER}",
    f"例如：{DRAFT}\n\n{ANSWER}",
    f"错误示例：{DRAFT}\n正确答案：\n{ANSWER}".replace("正确答案：\n", "最终答案："),
    f"{DRAFT}\n更正：{ANSWER}",
    f"初稿：{DRAFT}\n修正后的结果如下：\n{ANSWER}",
    f"{DRAFT}\n等等，{ANSWER}",
    f"{DRAFT}\nFinal answer: {ANSWER}",
    f"{DRAFT}\n**最终答案**\n{ANSWER}",
    f"Correction: {ANSWER}",
]


@pytest.mark.parametrize("output", FINAL)
def test_only_the_final_answer_is_kept(output: str) -> None:
    final = final_answer(output)
    assert (final.body, final.cut) == (ANSWER, False)
    assert bool(final.rules) == (output != ANSWER)


@pytest.mark.parametrize(
    "output", ["<think>顾青", f"<think>{DRAFT}", "好的。<thought>再想", "analysisMaybe 顾青", "<|channel|>analysis<|message|>顾青"]
)
def test_a_thought_without_an_end_has_no_answer(output: str) -> None:
    assert (final_answer(output).body, final_answer(output).cut) == (None, True)


@pytest.mark.parametrize(
    "output", [f"{DRAFT}\n以上答案有误，请忽略。", f"{DRAFT}\n不对。", f"{DRAFT} Please ignore the above answer.", f"{DRAFT}\n这个结果不正确。"]
)
def test_what_is_taken_back_is_gone(output: str) -> None:
    assert "白鹤" not in (final_answer(output).body or "")


@pytest.mark.parametrize(
    "output",
    [
        '[{"label": "book", "text": "《<think>》"}] 如上',
        '[{"label": "book", "text": "最终答案：甲"}] 如上',
        f"{ANSWER}\n注意：白鹤没有提取。",
        f"{ANSWER}\n重新检查后，结果无误。",
        "顾青、白鹤等等都来了",
        "句子：顾青来了",
    ],
)
def test_words_in_a_string_or_in_passing_are_no_turn_of_speech(output: str) -> None:
    assert (final_answer(output).body, final_answer(output).rules) == (output, frozenset())


def test_a_conclusion_and_a_fence_are_parts_to_try_first() -> None:
    assert final_answer(f"顾青像人名，但不算。因此，{ANSWER}").conclusions == (ANSWER,)
    assert final_answer(f"```json\n{ANSWER}\n```\n白鹤不算。").conclusions == (ANSWER,)
    assert final_answer(ANSWER).conclusions == ()
