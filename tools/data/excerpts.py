"""Shows what a reader made of a task's files: the rules that it applied, some entities of each label in their sentences, and the first row's prompt and answer.

In: the rows, one at a time. Out: lines for a terminal. `new`, `data` and `check` print them, so that a file that was read wrongly is seen at a glance. Memory doesn't
grow with the rows: a few pieces of text a label are kept.

    ./ner check conf/task/sample.yaml
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tools.chat import prompt
from tools.conf.task import Task
from tools.data.raw.row import FileReading, RawRow
from tools.errors import ToolError
from tools.example import Entity, Example
from tools.text import clipped, columns, one_line, padded, paint

LABELS = 20  # shown
LABELS_KEPT = 1000  # so that a file whose labels are all different can't fill the memory
EACH = 3  # excerpts of a label
AROUND = 12  # characters on each side of an entity
LONGEST = 40  # characters of an entity, or of a text that has a class
NARROWEST, WIDEST, USUAL = 50, 160, 110  # columns of a terminal, and those of a file
PROMPT_HEAD, PROMPT_TAIL = 3, 5  # lines
MARKS = (("【", "】"), ("⟦", "⟧"), ("《", "》"), ("«", "»"), ("<", ">"), ("[", "]"))


class Excerpt(NamedTuple):
    """An entity and the text on its two sides; of a text that has a class, its beginning alone. `note` says what the file has in place of the string."""

    before: str
    string: str = ""
    after: str = ""
    note: str = ""

    def line(self, room: int) -> tuple[str, str]:
        """Returns the excerpt on one line of at most `room` columns, plain and as a terminal shows it. The entity stands between marks that the text doesn't have."""
        before, string, after, note = map(one_line, self)
        if not string + note:
            return (text := clipped(before, room // EACH - 2)), text
        opening, closing = next((marks for marks in MARKS if not any(mark in before + string + after for mark in marks)), MARKS[0])
        string = f"{opening}{clipped(string, room // 2)}{closing}"
        side = max(0, room - columns(string + note)) // 2
        before, after = clipped(before[::-1], side)[::-1], clipped(after, side) + note
        return f"{before}{string}{after}", f"{before}{paint(string, 'cyan', sys.stdout)}{after}"


@dataclass(slots=True)
class _Seen:
    """A label's number of entities or rows, excerpts of different strings, and of equal ones where different ones are too few. A full one takes no more."""

    count: int = 0
    full: bool = False
    different: dict[str, Excerpt] = field(default_factory=dict)
    equal: list[Excerpt] = field(default_factory=list)

    def wants(self, string: str) -> bool:
        return string not in self.different or len(self.equal) < EACH

    def add(self, string: str, excerpt: Excerpt) -> None:
        if string in self.different:
            self.equal.append(excerpt)
        else:
            self.different[string] = excerpt
        self.full = len(self.different) == EACH

    @property
    def excerpts(self) -> list[Excerpt]:
        return [*self.different.values(), *self.equal][:EACH]


class Excerpts:
    """Some entities of each label of a task, or texts of each class, and the first annotated row. `readings` are those with which the task's files are read."""

    def __init__(self, task: Task, readings: Iterable[FileReading] = ()) -> None:
        self.task, self.readings = task, [*readings]
        self._first: RawRow | None = None
        self._seen: dict[str, _Seen] = {}

    def add(self, row: RawRow) -> None:
        """Takes a row."""
        if row.label is not None:
            seen = self._seen.get(row.label) or self._new(row.label)
            seen.count += 1
            if not seen.full and seen.wants(text := row.text[:LONGEST]):
                seen.add(text, Excerpt(text))
        else:
            for entity in row.entities:
                seen = self._seen.get(entity.label) or self._new(entity.label)
                seen.count += 1
                if not seen.full and seen.wants(entity.text):
                    seen.add(entity.text, _excerpt(row.text, entity))
        if self._first is None and (row.entities or row.label is not None):
            self._first = row

    def lines(self) -> Iterator[str]:
        """Yields what there is to see, a few lines a label, each as wide as the terminal at most."""
        width = min(max(shutil.get_terminal_size((USUAL, 24)).columns, NARROWEST), WIDEST)
        yield from (f"read as: {one_line(rule)}" for rule in self._said("applied"))
        if self._seen:
            yield f"some {'texts of each class' if self.task.kind == 'classification' else 'entities of each label'}, as they were read:"
            yield from self._label_lines(width)
        yield from self._first_lines(width)

    def doubts(self) -> list[str]:
        """Returns each thing that a reader took, but doubts."""
        return self._said("doubts")

    def _said(self, kind: str) -> list[str]:
        return list(dict.fromkeys(said for reading in self.readings for said in getattr(reading, kind)))

    def _new(self, label: str) -> _Seen:
        """Returns what is known of a label that is new: nothing. One label too many is forgotten again."""
        return self._seen.setdefault(label, _Seen()) if len(self._seen) < LABELS_KEPT else _Seen(full=True)

    def _label_lines(self, width: int) -> Iterator[str]:
        shown = sorted(self._seen.items(), key=lambda item: -item[1].count)[:LABELS]
        heads = [f"  {clipped(one_line(label if label == label.strip() else repr(label)), 20)} {seen.count:,}" for label, seen in shown]
        margin = max(map(columns, heads)) + 2
        for head, (_, seen) in zip(heads, shown, strict=True):
            yield from _flow(padded(head, margin), [excerpt.line(width - margin) for excerpt in seen.excerpts], width)
        if (more := len(self._seen) - len(shown)) > 0:
            yield f"  … and {more:,}{' or more' * (len(self._seen) == LABELS_KEPT)} other labels"

    def _first_lines(self, width: int) -> Iterator[str]:
        """Yields the prompt and the answer of the first annotated row; nothing where the task has no usable prompt, which the doctor reports."""
        if (row := self._first) is None:
            return
        try:
            alpaca = prompt.alpaca(self.task, Example("", row.text, row.entities, row.label, row.options), prompt.renderer(self.task))
        except ToolError:
            return
        asked = [line for line in alpaca["input"].split("\n") if line.strip()]
        if (others := len(asked) - PROMPT_HEAD - PROMPT_TAIL) > 1:
            asked[PROMPT_HEAD:-PROMPT_TAIL] = [f"… {others} more lines"]
        yield f"the model is asked ({row.item or f'line {row.line}'}):"
        yield from (f"  {clipped(one_line(line), width - 2)}" for line in asked)
        yield f"and learns to answer: {clipped(one_line(alpaca['output']), 2 * width)}"


def _excerpt(text: str, entity: Entity) -> Excerpt:
    """Returns an entity between its neighbours, of which AROUND characters are kept on each side. What is shown is the text at its offsets."""
    start, end = entity.start, entity.end
    if not 0 <= start < end <= len(text):
        return Excerpt(text[:AROUND], note=f" [{start}, {end}) isn't in the text: {entity.text[:LONGEST]}")
    there = text[start:end]
    if len(there) > LONGEST:
        there = f"{there[: LONGEST // 2]}…{there[-LONGEST // 2 :]}"
    before = "…" * (start > AROUND) + text[max(0, start - AROUND) : start]
    after = text[end : end + AROUND] + "…" * (end + AROUND < len(text))
    return Excerpt(before, there, after, "" if text[start:end] == entity.text else f" (in the file: {entity.text[:LONGEST]})")


def _flow(head: str, pieces: list[tuple[str, str]], width: int) -> Iterator[str]:
    """Yields the pieces, plain and painted, behind `head`: as many a line as `width` columns hold."""
    line, margin = head, columns(head)
    used = margin
    for plain, painted in pieces:
        if used > margin and used + 2 + columns(plain) > width:
            yield line
            line, used = " " * margin, margin
        gap = "  " if used > margin else ""
        line, used = line + gap + painted, used + len(gap) + columns(plain)
    yield line
