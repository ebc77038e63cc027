"""Reads the rows of a table: cells between bars or tabs, or CSV under a header.

In: a line. Out: its pair, added to a Reading. It serves tools.answers.label_lines.
"""

from __future__ import annotations

import csv
import re

from tools.answers.assertion import is_denied, is_false, is_flag_word, is_switched_off
from tools.answers.collected import SEPARATORS, split
from tools.answers.field_names import LABEL_FIELDS, TEXT_FIELDS
from tools.answers.reading import Reading
from tools.answers.sides import LabelSides, at_colon, bare, is_field
from tools.text import fold

_CELL_MARKS = ("|", "\t", ",", ";")
_REMARK = re.compile(r"[(（]([^()（）]{1,40})[)）]\W*\Z")
_RULE = re.compile(r"[-:=+|\s]+")


class Tables(LabelSides):
    """Reads rows, and keeps the places of the columns that a header names."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading)
        self.columns: dict[str, int] = {}  # "label" and "text" → their places; the mark between cells
        self.heads: list[str] = []  # labels, each over a column

    def _table(self, line: str) -> bool:
        """Reads a row of cells between bars, tabs or, under a header, commas."""
        row = line.strip().strip("|｜")
        mark = next((mark for mark in _CELL_MARKS if mark in row), None)
        if mark is None or (mark == "|" and row.count(mark) < 2 and not self.columns and at_colon(row.split(mark)[0])[1]):
            return False  # "人名：张三 | 公司：腾讯" has clauses, not cells
        cells = [self.reading.string(cell) for cell in (next(csv.reader([row], delimiter=mark)) if mark in ",;" else row.split(mark))]
        if header := self._header(cells):
            self.columns, self.heads = {**header, mark: 0}, []
            return True
        if mark == "|" and not self.columns and len(cells) > 1 and all(map(self._label, cells)):
            self.columns, self.heads = {}, cells
            return True
        if self.heads and mark == "|" and len(cells) == len(self.heads):
            for label, cell in zip(self.heads, cells, strict=True):
                self._strings(label, cell)
            return True
        if mark not in self.columns and mark not in "|\t":
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
            texts = [
                cell
                for cell in cells
                if cell and cell not in labels and not cell.isdecimal() and not is_flag_word(cell) and not is_field(bare(cell).strip('()（）"'))
            ]
            if not labels and any(map(is_flag_word, cells)):  # "张三 | True | a person (name)"
                labels = [bare(found[1]) for cell in cells if (found := _REMARK.search(cell)) and self._label(bare(found[1]))]
            if len(labels) != 1 or not texts:
                self.reading.unread += len(texts) > 1
                return False
            label, text = labels[0], texts[0]
        if any(is_denied(cell) and not self._denies_another(cell, label) and not self.reading.in_sentence(cell) for cell in cells if cell != text):
            self.reading.rules.add("rejected")
            return True
        if not label or not text or _RULE.fullmatch(text):
            return True
        self._strings(label, text)
        return True

    def _strings(self, label: str, cell: str) -> None:
        """Adds the strings of a cell."""
        for part in split(SEPARATORS, cell) if not self.reading.in_sentence(cell) else [cell]:
            if string := self.reading.string(part):
                self._add_strings(label, string)
