"""Defines a reader's result, a row as it is annotated or a row that can't be used with the reason, and checks a row's offsets."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.example import Entity

TURNED_DOWN, SEVERAL = "turned-down", "several"  # kinds of a BadRow
LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no tokenizer takes; JSON's \u escapes can write one


@dataclass(slots=True)  # as if frozen, as Example
class RawRow:
    """A readable row. `line` is where it begins in its file (from 1); entities stand in the file's order, ends exclusive.

    Only types are checked: an entity's `text` is the file's string, which may differ from the text at its offsets. A classification row has `label`, and
    perhaps `options`, instead of entities. `repairs` describes what the reader repaired by its format's rule. `sliced`: the file has offsets without strings, and
    the reader took the strings from the text, so they agree with it even if the offsets are wrong. `item` names the row where its line doesn't: 'task 17'.
    `ticket` is that of the example which an annotation tool was given (tools/data/raw/ticket.py).
    """

    line: int
    text: str
    entities: list[Entity]
    label: str | None = None
    options: list[str] | None = None
    repairs: tuple[str, ...] = ()
    sliced: bool = field(default=False, compare=False)
    item: str = field(default="", compare=False)
    ticket: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't become an example. `reason` is a sentence.

    `kind` is 'json' (unreadable JSON), 'encoding' (not UTF-8), 'truncated' (the file ends in the middle of the row), 'type' (a field is missing or has the
    wrong type), 'unannotated' (there is no annotation to learn from), TURNED_DOWN (its annotator took it out), SEVERAL (it has several classes) or 'named' (the
    whole file is something else than the reader reads, and the reason says what it is and what to do).
    """

    line: int
    reason: str
    kind: str = "type"
    item: str = field(default="", compare=False)


@dataclass(slots=True)
class FileReading:
    """What a task says about one raw file beyond its reader, and what the reader has to say about it.

    `fields` maps a role ('text', 'label', …) to the field or column of the file that has it; `numbers` are the labels or tags that the file's numbers 0, 1, 2, …
    stand for. The reader adds each rule that it applied to `applied`, and each thing that it took but doubts to `doubts`, with its line. A second pass adds the same.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    numbers: Sequence[str] = ()
    applied: dict[str, int] = field(default_factory=dict)
    doubts: dict[str, int] = field(default_factory=dict)

    def apply(self, rule: str, line: int = 1) -> None:
        """Remembers a rule that was applied, a clause, and the first line that needed it."""
        self.applied.setdefault(rule, line)

    def doubt(self, doubt: str, line: int = 1) -> None:
        """Remembers a doubt, a sentence, and its first line."""
        self.doubts.setdefault(doubt, line)


Reader = Callable[[Path, FileReading], Iterator[RawRow | BadRow]]


def place_of(file: object, line: int, item: str = "") -> str:
    """Returns a row's place as a message names it: 'train.jsonl:7', or 'export.json:1 (task 17)' where the line doesn't tell rows apart."""
    return f"{file}:{line} ({item})" if item else f"{file}:{line}"


def misplaced(row: RawRow) -> list[Entity]:
    """Returns the entities whose string differs from the text at their offsets; among them are empty spans and spans that reach beyond the text."""
    text, length = row.text, len(row.text)
    return [e for e in row.entities if not (0 <= e.start < e.end <= length and text[e.start : e.end] == e.text)]


def shown(value: Any) -> str:
    """Returns a value of a file as a message quotes it: on one line, and short however long or deep the value is."""
    text = _SHORT.repr(value)
    return text if len(text) <= 150 else text[:149] + "…"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 3
