"""The grammar of a task's answers holds what training writes, and nothing else."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import pytest
import regex

from tests.chat.test_answer_formats import NEAR, task_of
from tools.chat.answer_formats import FORMATS
from tools.chat.decoding import constraint
from tools.chat.prompt import answer
from tools.conf.task import Answer, Task, find_task, load_task
from tools.example import Entity, Example


def as_regex(task: Task, thought: str = "", text: str = "") -> regex.Pattern[str]:
    """The grammar as a regular expression: each rule is a group, which its name calls. Literals are Python's own, too."""
    rules = dict(line.split(" ::= ", 1) for line in constraint(task, text, [], thought)["grammar"].split("\n"))
    known: set[str] = set()
    parts = {name: re.findall(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|[a-z][a-z0-9]*|\S', body) for name, body in rules.items()}

    def pattern(name: str) -> str:
        if name in known:
            return f"(?&{name})"
        known.add(name)
        out = ""
        for part in parts[name]:
            if part.startswith('"'):
                out += re.escape(json.loads(part))
            elif part in parts:
                out += pattern(part)
            else:
                out += part
        return f"(?P<{name}>{out})"

    return regex.compile(pattern("root"))


LABELS = {"a": "甲类", "b": '乙"\\类'}


@pytest.fixture(params=[{"text": "实体", "label": "类别"}, {"label": "类别", "text": "实体"}], ids=["text first", "label first"])
def task(write_task: Callable[..., Path], request: pytest.FixtureRequest) -> Task:
    return load_task(write_task(labels=LABELS, answer=request.param))


@pytest.mark.parametrize("string", ["叶老桂", 'a"b\\c', "制表\t换行\n回车\r", "\x00\x1f\x7f", "😀\u2028", " ", "[]{}|"])
def test_what_training_writes_is_in_the_grammar(task: Task, string: str) -> None:
    example = Example("x", string, [Entity("a", string, 0, len(string)), Entity("b", string, 0, len(string))])
    assert as_regex(task).fullmatch(answer(task, example))
    assert as_regex(task).fullmatch("[]")


@pytest.mark.parametrize(
    "output",
    [
        "",
        "甲类",
        '[{"实体": "x", "类别": "丙类"}]',
        '[{"类别": "甲类", "实体": "x"}]',
        '[{"实体":"x","类别":"甲类"}]',
        '[{"实体": "", "类别": "甲类"}]',
        '[{"实体": "\\u4e2d", "类别": "甲类"}]',
        '[{"实体": "x", "类别": "甲类"}',
        '[{"实体": "x", "类别": "甲类"}, ]',
        '[{"实体": "x", "类别": "甲类", "更多": "y"}]',
    ],
)
def test_what_training_never_writes_is_not(write_task: Callable[..., Path], output: str) -> None:
    task = load_task(write_task(labels=LABELS, answer={"text": "实体", "label": "类别"}))
    assert not as_regex(task).fullmatch(output)


def test_a_class_is_one_of_the_rows_options() -> None:
    assert constraint(find_task("topics"), "", ["体育", "财经"]) == {"choice": ["体育", "财经"]}
    assert list(constraint(find_task("sample"), "", [])) == ["grammar"]


def test_a_trained_thought_stands_before_every_answer_and_is_demanded(task: Task) -> None:
    thought, written = "<think>\n\n</think>\n\n", answer(task, Example("x", "叶老桂", [Entity("a", "叶老桂", 0, 3)]))
    for one in (written, "[]"):
        assert as_regex(task, thought).fullmatch(thought + one)
        assert not as_regex(task, thought).fullmatch(one) and not as_regex(task).fullmatch(thought + one)
    assert constraint(find_task("topics"), "", ["体育", "财经"], thought) == {"choice": [f"{thought}体育", f"{thought}财经"]}


def of_format(task: Task, form: str) -> Task:
    return task.changed(answer=Answer(format=form), names={"a": "甲类", "b": "b"})


@pytest.mark.parametrize("form", ["grouped", "lines", "inline"])
@pytest.mark.parametrize("string", ["叶老桂", 'a"b\\c', "制表\t换行\n回车\r", "\x00\x1f\x7f", "😀\u2028", " ", "[]{}|", " | b]", "<|im_end|>"])
def test_what_training_writes_in_any_format_is_in_its_grammar(task: Task, form: str, string: str) -> None:
    own, thought = of_format(task, form), "<think>\n\n</think>\n\n"
    for spans in ([], [("a", 0)], [("a", 0), ("b", 0)], [("b", len(string) - 1), ("a", 0)]):
        one = Example("x", string, [Entity(label, string[start:], start, len(string)) for label, start in spans])
        assert as_regex(own, "", string).fullmatch(answer(own, one))
        assert as_regex(own, thought, string).fullmatch(thought + answer(own, one))
        assert not as_regex(own, thought, string).fullmatch(answer(own, one))


@pytest.mark.parametrize(
    ("form", "near"),
    [(form, near) for form in ("grouped", "lines", "inline") for near in NEAR[form] if near != '{"address": ["北京"], "address": ["上海"]}'],
)
def test_what_no_format_writes_is_not_in_its_grammar(form: str, near: str) -> None:
    assert not as_regex(task_of(form), "", "他在北京。").fullmatch(near)


def test_a_grouped_answer_has_as_many_groups_as_there_are_labels(task: Task) -> None:
    group = '"b": ["x"]'
    assert [bool(as_regex(of_format(task, "grouped")).fullmatch(f"{{{', '.join([group] * times)}}}")) for times in (1, 2, 3)] == [True, True, False]
    alone = task.changed(answer=Answer(format="grouped"), names={"b": "b"})
    assert [bool(as_regex(alone).fullmatch(f"{{{', '.join([group] * times)}}}")) for times in (0, 1, 2)] == [True, True, False]


def all_answers(task: Task, text: str) -> Iterator[str]:
    """Every string of an inline grammar."""
    rules = dict(line.split(" ::= ", 1) for line in constraint(task, text, [])["grammar"].split("\n"))
    ways = {
        name: [re.findall(r'"(?:\\.|[^"\\])*"|[a-z]\w*', way) for way in re.split(r' \| (?=(?:[^"]|"(?:\\.|[^"\\])*")*$)', body)]
        for name, body in rules.items()
    }

    def expand(parts: list[str]) -> Iterator[str]:
        if not parts:
            yield ""
        elif parts[0].startswith('"'):
            yield from (json.loads(parts[0]) + rest for rest in expand(parts[1:]))
        else:
            yield from (one for way in ways[parts[0]] for one in expand([*way, *parts[1:]]))

    yield from expand(["root"])


def test_the_inline_grammar_of_a_text_holds_every_marking_of_it_and_nothing_else(task: Task) -> None:
    own, text = of_format(task, "inline"), "甲]"
    answers, found = list(all_answers(own, text)), set[frozenset[tuple[str, int, int]]]()
    for one in answers:
        marks = FORMATS["inline"].written(own, one, text)
        assert marks is not None, one
        assert as_regex(own, "", text).fullmatch(one)
        found.add(frozenset((mark.label, mark.start or 0, len(mark.text)) for mark in marks))
    places = [(label, start, length) for label in ("甲类", "b") for start, length in ((0, 1), (1, 1), (0, 2))]
    # A place can have both labels, and the longest mark both of theirs: four marks in one another are one too many.
    wanted = {
        frozenset(chosen)
        for times in range(len(places) + 1)
        for chosen in combinations(places, times)
        if max(sum(start <= at < start + length for _, start, length in chosen) for at in (0, 1)) <= 3
    }
    assert found == wanted
    assert len(answers) == len(set(answers))


def test_rows_share_one_grammar_unless_their_answers_copy_the_text(task: Task) -> None:
    for form in FORMATS:
        own = of_format(task, form)
        first, second = (constraint(own, text, [])["grammar"] for text in ("甲", "乙"))
        assert (first is second) == (form != "inline")
    own = of_format(task, "inline")
    assert constraint(own, "<|im_end|>", []) == constraint(own, "<｜im_end｜>", [])
