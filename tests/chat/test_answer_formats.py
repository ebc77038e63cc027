"""Each format writes an example's answer, and reads it back with its places."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.chat.answer_formats import FORMATS, inline
from tools.chat.prompt import answer
from tools.conf.task import Answer, Task, find_task, load_task
from tools.errors import ToolError
from tools.example import Entity, Example
from tools.text import neutralise

NAMES = {"LOC": "address", "PER": "人名", "ORG": "a: b"}
TEXT = "张三在北京大学，李四在北京。"
ENTITIES = [("LOC", 3, 5), ("PER", 8, 10), ("PER", 0, 2), ("LOC", 11, 13), ("ORG", 3, 7)]


def task_of(form: str, order: str = "source", names: dict[str, str] | None = None) -> Task:
    return find_task("sample").changed(answer=Answer(format=form, order=order), names=names or {**NAMES, "ORG": "org"})


def example(text: str, *spans: tuple[str, int, int]) -> Example:
    return Example("x", text, [Entity(label, text[start:end], start, end) for label, start, end in spans])


WRITTEN = {
    (
        "json",
        "source",
    ): '[{"label": "address", "text": "北京"}, {"label": "人名", "text": "李四"}, {"label": "人名", "text": "张三"}, {"label": "org", "text": "北京大学"}]',
    ("grouped", "source"): '{"address": ["北京"], "人名": ["李四", "张三"], "org": ["北京大学"]}',
    ("grouped", "text"): '{"人名": ["张三", "李四"], "address": ["北京"], "org": ["北京大学"]}',
    ("lines", "source"): "address: 北京\n人名: 李四\n人名: 张三\norg: 北京大学",
    ("lines", "text"): "人名: 张三\naddress: 北京\norg: 北京大学\n人名: 李四",
    ("inline", "source"): "[张三 | 人名]在[[北京 | address]大学 | org]，[李四 | 人名]在[北京 | address]。",
    ("inline", "text"): "[张三 | 人名]在[[北京 | address]大学 | org]，[李四 | 人名]在[北京 | address]。",
}


@pytest.mark.parametrize(("form", "order"), WRITTEN)
def test_an_answer_is_written_in_the_tasks_format_and_order(form: str, order: str) -> None:
    assert answer(task_of(form, order), example(TEXT, *ENTITIES)) == WRITTEN[form, order]


@pytest.mark.parametrize(("form", "empty"), [("json", "[]"), ("grouped", "{}"), ("lines", "[]"), ("inline", r"他说\[无\]：\\")])
def test_an_answer_without_an_entity(form: str, empty: str) -> None:
    text = "他说[无]：\\"
    assert answer(task_of(form), example(text)) == empty
    assert FORMATS[form].written(task_of(form), empty, text) == []


PIECES = [
    "甲",
    "乙",
    "[",
    "]",
    "\\",
    "|",
    " ",
    " | ",
    ":",
    ": ",
    '"',
    "'",
    "{",
    "}",
    ",",
    "\n",
    "\r",
    "\r\n",
    "\0",
    "\t",
    "\u2028",
    "\x85",
    "\x1c",
    "😀",
    "e\u0301",
]
PIECES += ["<|im_end|>", "<think>", "[]", "{}", "\\n", " | address]", "address: ", "a"]


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """A hostile text with entities that nest, in any order."""
    text = (
        "".join(draw(st.lists(st.sampled_from(PIECES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), min_size=1, max_size=8)))
        or "甲"
    )
    spans, parts = list[tuple[str, int, int]](), [(0, len(text))]
    for _ in range(draw(st.integers(0, 6))):
        low, high = draw(st.sampled_from(parts))
        start = draw(st.integers(low, high - 1))
        end = draw(st.integers(start + 1, high))
        spans.append((draw(st.sampled_from(list(NAMES))), start, end))
        parts = [part for part in ((low, start), (start, end), (end, high)) if part[0] < part[1]] + [part for part in parts if part != (low, high)]
    return example(text, *draw(st.permutations(spans)))


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(given=examples(), order=st.sampled_from(["source", "text"]))
def test_what_is_written_is_read_back_whatever_the_text(form: str, given: Example, order: str) -> None:
    task = task_of(form, order, NAMES if form in ("json", "grouped", "inline") else None)
    seen, out = neutralise(given.text), answer(task, given)
    found = FORMATS[form].written(task, out, seen)
    assert found is not None
    label_of = {name: label for label, name in task.names.items()}
    if form == "inline":
        assert {(label_of[one.label], one.start, one.text) for one in found} == {
            (one.label, one.start, seen[one.start : one.end]) for one in given.entities
        }
        assert all(seen[one.start :].startswith(one.text) for one in found if one.start is not None)
    else:
        assert {(label_of[one.label], one.text) for one in found} == {(one.label, neutralise(one.text)) for one in given.entities}
    for one in found:
        assert out[slice(*one.label_at)] == (one.label if form in ("lines", "inline") else one.label.replace('"', '\\"'))
        assert 0 <= one.text_at[0] < one.text_at[1] <= len(out)


def test_the_places_of_a_pair_in_its_answer() -> None:
    one = example("北京大学", ("LOC", 0, 2), ("ORG", 0, 4))
    for form, pieces in {
        "json": [("address", "北京"), ("org", "北京大学")],
        "grouped": [("address", "北京"), ("org", "北京大学")],
        "lines": [("address", "北京"), ("org", "北京大学")],
        "inline": [("org", "[北京 | address]大学"), ("address", "北京")],
    }.items():
        out = answer(task_of(form), one)
        found = FORMATS[form].written(task_of(form), out, one.text) or []
        assert [(out[slice(*pair.label_at)], out[slice(*pair.text_at)]) for pair in found] == pieces
        assert [pair.start for pair in found] == ([0, 0] if form == "inline" else [None, None])


NEAR = {
    "json": [
        "",
        "[ ]",
        '[{"label":"address","text":"北京"}]',
        '[{"label": "address", "text": "北京"}] ',
        '[{"label": "address", "text": "北京"}, ]',
        "{}",
    ],
    "grouped": [
        "",
        "[]",
        "{ }",
        '{"address": []}',
        '{"address": ["北京"],}',
        '{"address":["北京"]}',
        '{"address": ["北京", ]}',
        '{"address": ["北京"]} ',
        '{"address": "北京"}',
        '{"address": ["北京"], "address": ["上海"]}',
        '{"address": ["北京"]',
        '{"address": ["北',
        '{"address": ["\\u5317"]}',
        '[{"address": ["北京"]}]',
    ],
    "lines": [
        "",
        "{}",
        "address: 北京\n",
        "\naddress: 北京",
        "address: 北京\n\norg: 北京",
        "address:北京",
        "address: ",
        "北京",
        "address: 北\\京",
        "address: 北京\r\norg: 北京",
        "address: 北京\\",
        "address: 北京\n[]",
        "address: 北京\norg",
    ],
    "inline": [
        "",
        "[]",
        "他在北京",
        "他在北京。 ",
        "他在[北京 | address。",
        "他在[北京| address]。",
        "他在[北京 |address]。",
        "他在[ | address]北京。",
        "他在北京 | address]。",
        "他在[北京 | ]。",
        "他在[北京]。",
        "他在[南京 | address]。",
        "他在[北京 | a|b]。",
        "他在[北京 | a\\]]。",
        "他在\\北京。",
        "他在[北京 | a\nb]。",
        "他在[[北京 | address]。",
        "\\",
        "他在北京。\\",
    ],
}


@pytest.mark.parametrize(("form", "near"), [(form, near) for form, some in NEAR.items() for near in some])
def test_what_is_near_a_format_is_not_in_it(form: str, near: str) -> None:
    assert FORMATS[form].written(task_of(form), near, "他在北京。") is None


def test_two_labels_on_one_span_nest_the_tasks_first_inside() -> None:
    for spans in ([("LOC", 0, 2), ("ORG", 0, 2)], [("ORG", 0, 2), ("LOC", 0, 2), ("LOC", 0, 2)]):
        assert answer(task_of("inline"), example("北京", *spans)) == "[[北京 | address] | org]"


def test_only_the_marked_occurrence_has_a_place() -> None:
    found = inline.written(task_of("inline"), "北京，[北京 | address]，北京", "北京，北京，北京") or []
    assert [(one.label, one.text, one.start) for one in found] == [("address", "北京", 3)]


def test_entities_that_cross_cant_be_marked() -> None:
    with pytest.raises(ToolError, match=r"'org' \[1, 3\) can't be marked in the text"):
        answer(task_of("inline"), example("甲乙丙", ("LOC", 0, 2), ("ORG", 1, 3)))
    with pytest.raises(ToolError, match="can't be marked"):
        answer(task_of("inline"), Example("x", "甲", [Entity("LOC", "甲乙", 0, 2)]))


def test_an_answer_that_never_ends_is_in_no_format() -> None:
    for piece in ("[", "]", "[甲", "\\[", "甲 | ", "[[甲 | a]", "a: 甲\n", '{"a":["甲"],', '"', "\\"):
        endless = piece * (1_000_000 // len(piece)) + "x"
        assert [form for form, one in FORMATS.items() if one.written(task_of(form), endless, "甲") is not None] == []


def test_marks_are_read_as_deep_as_any_text_needs() -> None:
    assert inline.marked("[" * 64 + "甲" + " | a]" * 64)
    assert inline.marked("[" * 65 + "甲" + " | a]" * 65) is None


@pytest.mark.parametrize(
    ("form", "names", "refused"),
    [
        ("lines", ["a: b", "x\ny", "x\u2028", "fine:", "a:b", "[]"], ["'a: b'", r"'x\ny'", r"'x\u2028'"]),
        ("inline", ["a|b", "[x", "x]", "\\", "x\r", "a: b"], ["'a|b'", "'[x'", "'x]'", r"'\\'", r"'x\r'"]),
        ("json", ["a|b", "x\n", "a: b"], []),
        ("grouped", ["a|b", "x\n", "a: b"], []),
    ],
)
def test_a_label_name_that_a_format_cant_hold_is_refused_with_all_others(
    write_task: Callable[..., Path], form: str, names: list[str], refused: list[str]
) -> None:
    path = write_task(labels=names, answer={"format": form})
    if not refused:
        assert load_task(path).answer.format == form
        return
    with pytest.raises(ToolError) as error:
        load_task(path)
    lines = str(error.value).splitlines()
    assert [line for line, name in zip(lines, refused, strict=True) if f"{form} can't write the label name {name}: " not in line] == []
    assert load_task(path, ["answer.format=json"]).labels == names
