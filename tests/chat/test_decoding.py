"""The grammar of a task's answers holds what training writes, and nothing else."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import regex

from tools.chat.decoding import constraint, grammar
from tools.chat.prompt import answer
from tools.conf.task import Task, find_task, load_task
from tools.example import Entity, Example


def as_regex(task: Task, thought: str = "") -> regex.Pattern[str]:
    """The grammar as a regular expression: each rule is a group, which its name calls. Literals are Python's own, too."""
    rules = dict(line.split(" ::= ", 1) for line in grammar(task, thought).splitlines())
    known: set[str] = set()
    parts = {name: re.findall(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|[a-z]+|\S', body) for name, body in rules.items()}

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
    assert constraint(find_task("topics"), ["体育", "财经"]) == {"choice": ["体育", "财经"]}
    assert list(constraint(find_task("sample"), [])) == ["grammar"]


def test_a_trained_thought_stands_before_every_answer_and_is_demanded(task: Task) -> None:
    thought, written = "<think>\n\n</think>\n\n", answer(task, Example("x", "叶老桂", [Entity("a", "叶老桂", 0, 3)]))
    for one in (written, "[]"):
        assert as_regex(task, thought).fullmatch(thought + one)
        assert not as_regex(task, thought).fullmatch(one) and not as_regex(task).fullmatch(thought + one)
    assert constraint(find_task("topics"), ["体育", "财经"], thought) == {"choice": [f"{thought}体育", f"{thought}财经"]}
