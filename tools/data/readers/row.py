"""What a reader yields: a row as annotated, or a row that can't be used and why; and the check that every caller makes of a row's offsets."""

from __future__ import annotations

import re
import reprlib
from dataclasses import dataclass
from typing import Any

from tools.example import Entity

LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no tokenizer takes; JSON's \u escapes can write one


@dataclass(slots=True)  # as if frozen, as Example
class RawRow:
    """A readable row: `line` is where it begins in its file (from 1); entities stand in the file's order, ends exclusive.

    Nothing is checked but types: an entity's string is what the file says it is, which may not be what stands at its offsets. A classification row has
    `label` and perhaps `options` instead of entities. `repairs` says what the reader mended on the way by its format's stated rule.
    """

    line: int
    text: str
    entities: list[Entity]
    label: str | None = None
    options: list[str] | None = None
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't become an example; `reason` says what is wrong with it, and what is there instead, `kind` which sort of fault that is.

    Kinds: 'json' (unreadable JSON), 'encoding' (not UTF-8), 'truncated' (the file ends in the middle of the row), 'type' (a field is missing or has the wrong
    type), 'unannotated' (there is no annotation to learn from).
    """

    line: int
    reason: str
    kind: str = "type"


def offset_problem(row: RawRow) -> str:
    """The first entity whose string isn't what stands at its offsets, with what stands there; an empty string where all agree.

    An empty span and one that reaches beyond the text are problems too.
    """
    text, length = row.text, len(row.text)
    for entity in row.entities:
        start, end = entity.start, entity.end
        if not 0 <= start < end <= length or text[start:end] != entity.text:
            there = shown(text[max(start, 0) : max(end, 0)])
            return f"{shown(entity.text)} ({shown(entity.label)[1:-1]}) isn't at [{start}, {end}); the text there is {there}."
    return ""


def shown(value: Any) -> str:
    """A value of a file as a message quotes it: on one line, and short however long or deep the value is."""
    text = _SHORT.repr(value)
    return text if len(text) <= 150 else text[:149] + "…"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 3
