"""The format `grouped`: an object with a list of strings for each label that the text has, as json.dumps(…, ensure_ascii=False) writes it.

In: a task and an example, or an answer. Out: `{"address": ["成都", "北京"], "name": ["张三"]}`; `{}` without an entity. Labels stand in the order of their first entity.

    ./ner data conf/task/sample.yaml answer.format=grouped
"""

from __future__ import annotations

import json
import re
from functools import lru_cache

from tools.chat.answer_formats.json_strings import INSIDE, RULES, literal
from tools.chat.answer_formats.written import Written, pairs_of
from tools.conf.task import Task
from tools.example import Example

_GROUP = re.compile(rf'"(?P<label>{INSIDE})": \[(?=")')
_STRING = re.compile(rf'"(?P<text>{INSIDE})"(?P<end>, (?=")|\], (?=")|\]\}}\Z)')


def render(task: Task, example: Example) -> str:
    """Returns an object of the labels, each with its unique strings, in the task's order."""
    groups: dict[str, dict[str, None]] = {}
    for label, text in pairs_of(task, example):
        groups.setdefault(label, {})[text] = None
    return json.dumps({label: list(texts) for label, texts in groups.items()}, ensure_ascii=False)


def grammar(task: Task, text: str, before: str) -> str:
    """Returns a GBNF grammar, the same string for all texts. It can't say that a label stands once: it allows as many groups as there are labels."""
    return _grammar(tuple(task.names.values()), before)


def written(task: Task, answer: str, text: str) -> list[Written] | None:
    """Returns the pairs of an answer with their places, without the quotes; None for an answer in any other form, and for one with a label twice.

    All strings of a group have their label's one place.
    """
    if answer == "{}":
        return []
    found, seen, end = list[Written](), set[str](), 1
    while answer.startswith("{") and (group := _GROUP.match(answer, end)):
        label, end = json.loads(f'"{group["label"]}"'), group.end()
        if label in seen:
            return None
        seen.add(label)
        while string := _STRING.match(answer, end):
            found.append(Written(label, json.loads(f'"{string["text"]}"'), group.span("label"), string.span("text")))
            end = string.end()
            if string["end"] != ", ":
                break
        else:
            return None
        if string["end"] == "]}":
            return found
    return None


@lru_cache(maxsize=64)
def _grammar(names: tuple[str, ...], before: str) -> str:
    labels = " | ".join(literal(literal(name)) for name in names)
    more = "".join(f'more{left} ::= (", " group more{left - 1})?\n' for left in range(len(names) - 1, 0, -1))
    return "\n".join(
        (
            f'root ::= {literal(before + "{")} (group more{len(names) - 1})? "}}"',
            *(more + 'more0 ::= ""').splitlines(),
            'group ::= label ": [" string (", " string)* "]"',
            f"label ::= {labels}",
            RULES,
        )
    )
