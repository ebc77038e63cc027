"""Joins the rows of a file that has several rows a text, each with a part of the text's entities.

In: the parts, in the file's order. Out: one RawRow a text, where its first part stands, or a BadRow if one of its parts can't be used: a text that is annotated in part teaches
wrong. All texts are held in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tools.data.raw.row import BadRow, RawRow, shown


def take(rows: Iterable[RawRow | BadRow], notes: list[Any], parts: list[tuple[RawRow, Any]], bad: list[BadRow]) -> Iterator[BadRow]:
    """Divides the rows of a file into `parts`, each with the note that its reader appended to `notes`, and `bad` ones.

    Yields the bad rows before the first part at once: a file of another format is told from its first rows.
    """
    for row in rows:
        if isinstance(row, RawRow):
            parts.append((row, notes.pop()))
        elif parts:
            bad.append(row)
        else:
            yield row


@dataclass(slots=True)
class Text:
    """One text: its first row, and why it can't be used if one of its rows can't be."""

    row: RawRow
    fault: BadRow | None = None
    labels: set[str] = field(default_factory=set)  # that the rows ask for


class Texts:
    """The texts of a file, by their parts."""

    def __init__(self) -> None:
        self.texts: dict[str, Text] = {}

    def add(self, part: RawRow, asked: Iterable[str], fault: str = "") -> None:
        """Takes one part, the labels that it asks for, and why it can't be used if it can't be."""
        text = self.texts.setdefault(part.text, Text(replace(part, entities=[])))
        text.labels.update(asked)
        row = text.row
        if part.label is not None and row.label not in (None, part.label):
            fault = fault or f"the text has two classes, {shown(row.label)} and {shown(part.label)}."
        if fault and not text.fault:
            text.fault = BadRow(part.line, fault, item=part.item)
        if part.label is not None:
            row.label, row.options = part.label, part.options
        known = {*row.entities}
        row.entities.extend(entity for entity in part.entities if entity not in known)

    def rows(self, bad: Iterable[BadRow]) -> Iterator[RawRow | BadRow]:
        """Yields each text once and the bad rows, which belong to no text, by lines."""
        yield from sorted([*bad, *(text.fault or text.row for text in self.texts.values())], key=lambda row: row.line)
