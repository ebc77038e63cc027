"""Looks for one other reading of a file's offsets under which every wrong one agrees with its text.

In: a row's text and an entity whose string isn't at its offsets. Out: for each file, how many entities each reading mends, and the reading that mends all.
`./ner check` reports it, and --fix uses it.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from tools.data.faults import is_empty
from tools.data.offsets.units import BOTH, CRLF, UTF16, Span, is_plain, span_of
from tools.data.raw.fields import slice_of
from tools.data.raw.row import RawRow, misplaced
from tools.example import Entity

INCLUSIVE = {"cluener"}  # readers of formats whose ends are inclusive
# (name, added to starts, added to ends), the likeliest first. Readers have already made inclusive ends exclusive.
_OF_INCLUSIVE = (
    ("ends are read as exclusive", 0, -1),
    ("ends are read as inclusive and one too low", 0, 1),
    ("offsets are counted from 1", -1, -1),
    ("offsets are counted from 1 and ends are read as exclusive", -1, -2),
)
_OF_EXCLUSIVE = (
    ("ends are read as inclusive", 0, 1),
    ("ends are read as exclusive and one too high", 0, -1),
    ("offsets are counted from 1", -1, -1),
    ("offsets are counted from 1 and ends are read as inclusive", -1, 0),
)
_UNITS = {
    "offsets are counted in UTF-16 units, as JavaScript does": UTF16,
    "CR and LF at a line's end are counted as one": CRLF,
    "offsets are counted in UTF-16 units, and CR and LF as one": BOTH,
}
_OF_BOTH = (
    *(("1 is added to starts", 1, 0), ("1 is taken from starts", -1, 0), ("1 is added to starts and ends", 1, 1)),
    *((name, 0, 0) for name in _UNITS),
)


class OffsetReading(NamedTuple):
    """Another way to read offsets: its name, and what it adds to starts and ends."""

    name: str
    to_start: int
    to_end: int

    def span(self, text: str, start: int, end: int) -> Span:
        """Returns the span that offsets mean in this reading; an empty one for none."""
        if unit := _UNITS.get(self.name):
            return span_of(text, start, end, unit) or (0, 0)
        return start + self.to_start, end + self.to_end


def readings(reader: str) -> list[OffsetReading]:
    """Returns the readings that are tried for a reader's files, the likeliest first."""
    return [OffsetReading(*words) for words in (*(_OF_INCLUSIVE if reader in INCLUSIVE else _OF_EXCLUSIVE), *_OF_BOTH)]


def agrees(text: str, span: Span, string: str) -> bool:
    """Returns whether a non-empty string stands at a span of a text."""
    return bool(string) and slice_of(text, *span) == string


class Survey:
    """Counts one file's entities: the `right` ones, the `wrong` ones whose string isn't at their offsets, and how many each reading mends and breaks."""

    def __init__(self, reader: str) -> None:
        self.wrong = self.right = 0
        self._readings = readings(reader)
        self._mended: Counter[OffsetReading] = Counter()
        self._broken: Counter[OffsetReading] = Counter()

    def add_row(self, row: RawRow) -> None:
        """Counts a row's entities; those without a character are left out."""
        wrong = [entity for entity in misplaced(row) if not is_empty(entity, len(row.text))]
        for entity in wrong:
            self.add(row.text, entity)
        self.right += len(row.entities) - len(wrong)
        units = [] if is_plain(row.text) else [reading for reading in self._readings if reading.name in _UNITS]
        for entity in row.entities if units else ():
            if agrees(row.text, (entity.start, entity.end), entity.text):
                self._broken.update(unit for unit in units if not agrees(row.text, unit.span(row.text, entity.start, entity.end), entity.text))

    def add(self, text: str, entity: Entity) -> None:
        """Counts an entity whose string isn't at its offsets."""
        self.wrong += 1
        for reading in self._readings:
            if agrees(text, reading.span(text, entity.start, entity.end), entity.text):
                self._mended[reading] += 1

    def mends_all(self) -> OffsetReading | None:
        """Returns the first reading that mends every wrong entity, and that most entities of the file need or all of them fit; None if there is none."""
        fitting = (reading for reading in self._readings if self._mended[reading] == self.wrong > 0)
        return next((reading for reading in fitting if self.wrong > self.right or not self._breaks(reading)), None)

    def _breaks(self, reading: OffsetReading) -> int:
        """Returns how many entities that are right as they are would be wrong."""
        return self._broken[reading] if reading.name in _UNITS else self.right

    def __str__(self) -> str:
        """Returns a clause about the best reading; empty if no reading mends more than half of the wrong ones."""
        best = max(self._readings, key=lambda reading: self._mended[reading])
        mended = self._mended[best]
        if mended * 2 <= self.wrong:
            return ""
        return f"{f'{mended:,} of' if mended < self.wrong else 'all'} {self.wrong:,} agree when {best.name}"
