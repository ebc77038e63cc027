"""Reads the rows of a table: cells between bars or tabs, or CSV under a header.

In: a line. Out: its pair, added to a Reading. It serves tools.answers.label_lines.
"""

from __future__ import annotations

import csv
import re

from tools.answers.assertion import is_false, is_flag_word, is_switched_off
from tools.answers.collected import SEPARATORS, trimmed
from tools.answers.field_names import LABEL_FIELDS, TEXT_FIELDS
from tools.answers.reading import Reading
from tools.answers.sides import Sides, at_colon
from tools.text import fold

_RULE = re.compile(r"[-:=+|\s]+")


class Tables(Sides):
    """Reads rows, and keeps the places of the columns that a header names."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading)
        self.columns: dict[str, int] = {}

    def _table(self, line: str) -> bool:
        """Reads a row of cells between bars, tabs or, under a header, commas."""
        row = line.strip().strip("|｜")
        mark = "|" if "|" in row else "\t" if "\t" in row else "," if "," in self.columns or ("," in row and not self.columns) else None
        if mark is None or (
            mark == "|" and any("：" in cell or ":" in cell for cell in row.split("|")[:1]) and line.count("|") < 3 and not self.columns
        ):
            return False
        cells = [trimmed(cell) for cell in (next(csv.reader([row])) if mark == "," else row.split(mark))]
        if header := self._header(cells):
            self.columns = {**header, mark: 0}
            return True
        if mark not in self.columns and mark != "|":
            return False
        return self._cells(cells)

    def _header(self, cells: list[str]) -> dict[str, int] | None:
        labels = [number for number, cell in enumerate(cells) if fold(cell) in LABEL_FIELDS]
        texts = [number for number, cell in enumerate(cells) if fold(cell) in TEXT_FIELDS and number not in labels]
        return {"label": labels[0], "text": texts[0]} if labels and texts and len(cells) > 1 else None

    def _cells(self, cells: list[str]) -> bool:
        """Reads a table's row by its header, or by the one cell that is a known label and the first of the others that is a word."""
        if any(is_false(cell) or is_switched_off(*at_colon(cell)[::2]) for cell in cells):
            self.reading.rules.add("rejected")
            return True
        if self.columns:
            place, other = self.columns["label"], self.columns["text"]
            if max(place, other) >= len(cells):
                return False
            label, text = cells[place], cells[other]
            if self.reading.is_nothing(label) and not self._label(label):
                return True
        else:
            labels = [cell for cell in cells if self._label(cell)]
            texts = [cell for cell in cells if cell and cell not in labels and not cell.isdecimal() and not is_flag_word(cell)]
            if len(labels) != 1 or not texts:
                self.reading.unread += len(texts) > 1
                return False
            label, text = labels[0], texts[0]
        if not label or not text or _RULE.fullmatch(text):
            return True
        parts = SEPARATORS.split(text) if not self.reading.in_sentence(text) else [text]
        for part in parts:
            if string := trimmed(part):
                self._add_strings(label, string)
        return True
