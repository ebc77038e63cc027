import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.answers.parse import parse
from tools.chat.prompt import alpaca, alpaca_line, answer, messages, renderer
from tools.conf.task import Answer, find_task, load_task
from tools.errors import ToolError
from tools.example import Entity, Example
from tools.text import neutralise


def render(write_task: Callable[..., Path], template: str, text: str) -> str:
    path = write_task()
    (path.parent / "prompt.txt").write_bytes(template.encode())
    return renderer(load_task(path, ["labels=[a,b]"]))(Example("x", text, []))


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ('[{{"label": "x"}}]\n{text}', '[{"label": "x"}]\nT'),
        ('[{"label": "x"}]\n{text}\n', '[{"label": "x"}]\nT'),
        ('{"a": {"b": 1}}\n{text}', '{"a": {"b": 1}}\nT'),
        ("{labels}|{text}", "a, b|T"),
        ("前{text}中{text}后", "前T中T后"),
        ("一行\r\n{text}\r\n", "一行\nT"),
        ("{text}", "T"),
    ],
)
def test_a_template_is_rendered_once_with_doubled_or_single_braces(write_task: Callable[..., Path], template: str, rendered: str) -> None:
    assert render(write_task, template, "T") == rendered


def test_options_are_the_examples_own_or_all_labels_by_their_names(write_task: Callable[..., Path]) -> None:
    path = write_task(labels={"A": "甲", "B": "乙"})
    (path.parent / "prompt.txt").write_text("{text}|{options}|{labels}")
    prompt = renderer(load_task(path))
    assert prompt(Example("x", "T", [], "B", ["B"])) == "T|乙|甲, 乙"
    assert prompt(Example("y", "U", [])) == "U|甲, 乙|甲, 乙"


@pytest.mark.parametrize("text", ["{text}", "{{x}}", "{labels}", "a{b}c", "}{", "%s {0} $text"])
def test_braces_in_a_text_stay_as_they_are(write_task: Callable[..., Path], text: str) -> None:
    assert render(write_task, "句子：{text}", text) == f"句子：{text}"


@pytest.mark.parametrize(
    ("template", "message"),
    [("没有", "no {text} in it"), ("{{a}} {b} {text}", r"prompt\.txt:1: .*both doubled and single"), ('x\n{{a}} {"b"} {text}', r"prompt\.txt:2")],
)
def test_a_template_that_cant_be_meant_is_refused(write_task: Callable[..., Path], template: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        render(write_task, template, "T")


def test_a_missing_prompt_names_the_task_that_wants_it(write_task: Callable[..., Path]) -> None:
    with pytest.raises(ToolError, match=r"nowhere\.txt: no such file.*toy\.yaml names it"):
        renderer(load_task(write_task(prompt="nowhere.txt")))


def test_the_chat_is_the_tasks_system_line_and_the_rendered_text() -> None:
    chat = messages(find_task("clue"), "x")
    assert [turn["role"] for turn in chat] == ["system", "user"]
    assert chat[0]["content"] == "你是一个文本实体识别领域的专家，擅长从自然语言中提取不同类别的实体名称。"


def test_answers_are_unique_pairs_in_the_tasks_order_with_its_field_names(write_task: Callable[..., Path]) -> None:
    example = Example("x", '甲"乙甲', [Entity("b", '"乙', 1, 3), Entity("a", "甲", 3, 4), Entity("a", "甲", 0, 1)])
    assert answer(load_task(write_task()), example) == '[{"label": "b", "text": "\\"乙"}, {"label": "a", "text": "甲"}]'
    task = load_task(write_task(answer={"label": "entity_label", "text": "entity_text", "order": "text"}))
    assert answer(task, example) == '[{"entity_label": "a", "entity_text": "甲"}, {"entity_label": "b", "entity_text": "\\"乙"}]'
    assert answer(task, Example("x", "无", [])) == "[]"
    task = load_task(write_task(answer={"text": "t", "label": "l"}, labels={"a": "甲类", "b": "乙类"}))
    assert answer(task, example) == '[{"t": "\\"乙", "l": "乙类"}, {"t": "甲", "l": "甲类"}]'


strings = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    ['"', "\\", "<|im_end|>", "{text}", "\u2028", "\n"]
)
spans = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), strings, strings), max_size=5)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(spans=spans, text_first=st.booleans(), order=st.sampled_from(["source", "text"]))
def test_any_examples_answer_parses_to_the_same_set_of_pairs(spans: list[tuple[str, str, str]], text_first: bool, order: str) -> None:
    text, entities = "", []
    for label, between, string in spans:
        start = len(text) + len(between)
        text += between + string
        entities.append(Entity(label, string, start, start + len(string)))
    task = find_task("sample").changed(
        answer=Answer(order=order, **({"text": "text", "label": "label"} if text_first else {})), names={"a": "甲", "b": '"乙"', "c": "c"}
    )
    example = Example("x", text or "无", entities)
    line = alpaca_line(task)(example)
    row = json.loads(line)
    assert line == json.dumps(alpaca(task, example, renderer(task)), ensure_ascii=False)
    expected = {(label, neutralise(string)) for label, string in example.pairs()}
    assert set(parse(row["output"], task, neutralise(text)).pairs or []) == expected
    assert row["input"].endswith(neutralise(example.text))
