r"""The format `lines`: a label and a string a line, with a colon and a space between them.

In: a task and an example, or an answer. Out: `address: 成都`, one a line, without a line's end behind the last; `[]` without an entity. A backslash, a line feed and a
carriage return of a string are written `\\`, `\n` and `\r`, so that a line feed always ends an entity; every other character stands as it is.

    ./ner data conf/task/sample.yaml answer.format=lines
"""

from __future__ import annotations

import re
from functools import lru_cache

from tools.chat.answer_formats.json_strings import literal
from tools.chat.answer_formats.written import Written, pairs_of
from tools.conf.task import Task
from tools.example import Example

BETWEEN, NOTHING = ": ", "[]"
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_PLAIN = {escape: character for character, escape in _ESCAPES.items()}
_ESCAPED = re.compile(r"\\[\\nr]")
_LINE = re.compile(r"(?P<label>(?:(?!: )[^\n])+): (?P<text>(?:[^\\\n\r]|\\[\\nr])++)(?:\n(?=.)|\Z)", re.DOTALL)
_ESCAPE_TABLE = str.maketrans(_ESCAPES)


def render(task: Task, example: Example) -> str:
    """Returns the unique pairs, one a line, in the task's order."""
    lines = [f"{label}{BETWEEN}{text.translate(_ESCAPE_TABLE)}" for label, text in pairs_of(task, example)]
    return "\n".join(dict.fromkeys(lines)) or NOTHING


def grammar(task: Task, text: str, before: str) -> str:
    """Returns a GBNF grammar of the answers that training can teach, the same string for all texts."""
    return _grammar(tuple(task.names.values()), before)


def written(task: Task, answer: str, text: str) -> list[Written] | None:
    """Returns the pairs of an answer with their places; None for an answer in any other form."""
    if answer == NOTHING:
        return []
    found, end = list[Written](), 0
    while match := _LINE.match(answer, end):
        string = _ESCAPED.sub(lambda escape: _PLAIN[escape[0]], match["text"])
        found.append(Written(match["label"], string, match.span("label"), match.span("text")))
        end = match.end()
    return found if found and end == len(answer) else None


@lru_cache(maxsize=64)
def _grammar(names: tuple[str, ...], before: str) -> str:
    labels = " | ".join(literal(name) for name in names)
    character, escape = r"[^\\\n\r]", r'"\\" [\\nr]'
    return "\n".join(
        (
            f'root ::= {literal(before)} ("[]" | line ("\\n" line)*)',
            'line ::= label ": " string',
            f"label ::= {labels}",
            # Each way begins with its own character, as in a JSON string's rules.
            f"string ::= {character} rest | {escape} rest",
            f'rest ::= "" | {character} rest | {escape} rest',
        )
    )
