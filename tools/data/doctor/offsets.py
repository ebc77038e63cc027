"""Offsets that disagree with the text: whether one other reading of the file's offsets would make all of them agree.

In: a row's text and an entity whose string isn't at its offsets. Out: for each file the counts of what every reading mends, and the one that mends all.
The doctor (`python -m tools.data.doctor.examine`) reports it, and --fix uses it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tools.example import Entity

Span = tuple[int, int]
INCLUSIVE = {"cluener"}  # readers of formats whose ends are inclusive


class Reading(NamedTuple):
    """Another way to read offsets: what it is called, and the span that it makes of a text and the reader's span."""

    name: str
    span: Callable[[str, int, int], Span]


def _shift(name: str, first: int, last: int) -> Reading:
    return Reading(name, lambda _, start, end: (start + first, end + last))


def _from_utf16(text: str, start: int, end: int) -> Span:
    units = text.encode("utf-16-le", "surrogatepass")
    if not 0 <= 2 * start <= 2 * end <= len(units):
        return start, end
    first = len(units[: 2 * start].decode("utf-16-le", "ignore"))
    return first, first + len(units[2 * start : 2 * end].decode("utf-16-le", "ignore"))


def readings(reader: str) -> list[Reading]:
    """The readings that are tried for a reader's files, the likeliest first: ends, then starts, counted one more or less."""
    if reader in INCLUSIVE:
        named = [("exclusive", 0, -1), ("inclusive and one too low", 0, 1)]
        both = [("offsets are counted from 1", -1, -1), ("offsets are counted from 1 and ends are read as exclusive", -1, -2)]
    else:
        named = [("inclusive", 0, 1), ("exclusive and one too high", 0, -1)]
        both = [("offsets are counted from 1", -1, -1), ("offsets are counted from 1 and ends are read as inclusive", -1, 0)]
    ends = [_shift(f"ends are read as {name}", first, last) for name, first, last in named]
    starts = [_shift("1 is added to starts", 1, 0), _shift("1 is taken from starts", -1, 0), _shift("1 is added to starts and ends", 1, 1)]
    known = [*ends, *(_shift(name, first, last) for name, first, last in both)]
    return [*known, *starts, Reading("offsets are counted in UTF-16 units, as JavaScript does", _from_utf16)]


def agrees(text: str, span: Span, string: str) -> bool:
    """Whether a string, not an empty one, stands at a span of a text."""
    start, end = span
    return 0 <= start < end <= len(text) and text[start:end] == string


class Survey:
    """One file's disagreeing spans: how many there are, and how many each reading would mend."""

    def __init__(self, reader: str) -> None:
        self.wrong = 0
        self._readings = readings(reader)
        self._mended: Counter[int] = Counter()

    def add(self, text: str, entity: Entity) -> None:
        """Count a span whose string isn't there."""
        self.wrong += 1
        for i, reading in enumerate(self._readings):
            if agrees(text, reading.span(text, entity.start, entity.end), entity.text):
                self._mended[i] += 1

    def mends_all(self) -> Reading | None:
        """The reading by which every disagreeing span agrees."""
        return next((reading for i, reading in enumerate(self._readings) if self.wrong and self._mended[i] == self.wrong), None)

    def __str__(self) -> str:
        """What would mend them, as a sentence; nothing where no reading mends more than half."""
        best = max(range(len(self._readings)), key=lambda i: self._mended[i])
        mended, name = self._mended[best], self._readings[best].name
        if not self.wrong or mended * 2 <= self.wrong:
            return ""
        if mended < self.wrong:
            return f"{mended:,} of {self.wrong:,} agree when {name}"
        return f"all {self.wrong:,} agree when {name}" if self.wrong > 1 else f"it agrees when {name}"
