"""Joins the rows of a file that has several rows a text, each with a part of the text's entities.

In: the parts, in the file's order. Out: one RawRow a text, where its first part stands, or a BadRow if one of its parts can't be used: a text that is annotated in part teaches
wrong. All texts are held in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from tools.data.readers.row import BadRow, RawRow, shown


@dataclass(slots=True)
class Text:
    """One text: its first row, and why it can't be used if one of its rows can't be."""

    row: RawRow
    fault: BadRow | None = None
    labels: set[str] = field(default_factory=set)  # that the rows ask for


class Parts:
    """The texts of a file, by their rows."""

    def __init__(self) -> None:
        self.texts: dict[str, Text] = {}

    def add(self, row: RawRow, asked: Iterable[str], fault: BadRow | None = None) -> None:
        """Takes one row, its text with the entities that it holds, the labels that it asks for, and its fault if it can't be used."""
        text = self.texts.setdefault(row.text, Text(replace(row, entities=[])))
        text.labels.update(asked)
        if row.label is not None and text.row.label not in (None, row.label):
            fault = BadRow(row.line, f"the text has two classes, {shown(text.row.label)} and {shown(row.label)}.")
        text.fault = text.fault or fault
        if row.label is not None:
            text.row.label, text.row.options = row.label, row.options
        known = {*text.row.entities}
        text.row.entities.extend(entity for entity in row.entities if entity not in known)

    def joined(self, rows: Iterable[RawRow | BadRow]) -> Iterator[RawRow | BadRow]:
        """Yields what became of the rows: the bad ones that belong to no text, and each text once, by lines."""
        lone = [row for row in rows if isinstance(row, BadRow)]
        yield from sorted([*lone, *(text.fault or text.row for text in self.texts.values())], key=lambda row: row.line)
