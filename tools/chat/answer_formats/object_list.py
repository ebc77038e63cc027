"""The format `json`: a list of objects, each with a label and a string, as json.dumps(…, ensure_ascii=False) writes it.

In: a task and an example, or an answer. Out: `[{"label": "address", "text": "成都"}]`; `[]` without an entity.

    ./ner data conf/task/sample.yaml
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from json.encoder import encode_basestring as quoted

from tools.chat.answer_formats.json_strings import INSIDE, RULES, literal
from tools.chat.answer_formats.written import Written, pairs_of
from tools.conf.task import Task
from tools.example import Example


def render(task: Task, example: Example) -> str:
    """Returns the list of the unique (label, string) pairs, in the task's order."""
    # The same text as json.dumps writes, several times as fast.
    label_field, text_field = quoted(task.answer.label), quoted(task.answer.text)
    pairs = [(quoted(label), quoted(text)) for label, text in pairs_of(task, example)]
    if task.answer.text_first:
        return f"[{', '.join([f'{{{text_field}: {text}, {label_field}: {label}}}' for label, text in pairs])}]"
    return f"[{', '.join([f'{{{label_field}: {label}, {text_field}: {text}}}' for label, text in pairs])}]"


def grammar(task: Task, text: str, before: str) -> str:
    """Returns a GBNF grammar of the answers that training can teach, the same string for all texts."""
    return _grammar(task.answer.label, task.answer.text, task.answer.text_first, tuple(task.names.values()), before)


def written(task: Task, answer: str, text: str) -> list[Written] | None:
    """Returns the pairs of an answer with their places, without the quotes; None for an answer in any other form."""
    if answer == "[]":
        return []
    pattern, found, end = _item(task.answer.label, task.answer.text, task.answer.text_first), list[Written](), 1
    while answer.startswith("[") and (match := pattern.match(answer, end)):
        label, string = (json.loads(f'"{match[name]}"') for name in ("label", "text"))
        found.append(Written(label, string, match.span("label"), match.span("text")))
        end = match.end()
        if match["end"] == "]":
            return found if end == len(answer) else None
    return None


@lru_cache(maxsize=64)
def _grammar(label: str, text: str, text_first: bool, names: tuple[str, ...], before: str) -> str:
    fields = [(label, "label"), (text, "string")]
    if text_first:
        fields.reverse()
    object_ = ' ", " '.join(f"{literal(literal(name) + ': ')} {rule}" for name, rule in fields)
    labels = " | ".join(literal(literal(name)) for name in names)
    return "\n".join(
        (
            f'root ::= {literal(before + "[")} (object (", " object)*)? "]"',
            f'object ::= "{{" {object_} "}}"',
            f"label ::= {labels}",
            RULES,
        )
    )


@lru_cache(maxsize=64)
def _item(label: str, text: str, text_first: bool) -> re.Pattern[str]:
    """Returns a pattern of one object and what stands behind it."""
    fields = [f'{re.escape(literal(name))}: "(?P<{group}>{INSIDE})"' for name, group in ((label, "label"), (text, "text"))]
    if text_first:
        fields.reverse()
    return re.compile(rf"\{{{', '.join(fields)}\}}(?P<end>, (?=\{{)|\])")
