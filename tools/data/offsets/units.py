"""Reads offsets that have no string beside them in one of several ways, and tells a span that no annotator would have marked.

In: a text and raw offsets. Out: the span in code points, the end outside it; or a row whose entities are taken anew.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from tools.data.raw.row import BadRow, RawRow
from tools.example import Entity
from tools.text import one_line, quoted

Span = tuple[int, int]
Pair = tuple[str, str]  # (the better reading, the worse one), or the strings that they make of a span
AROUND = 8  # characters
OWN, UTF16, CRLF, BOTH = "code-points", "utf-16", "crlf-as-one", "utf-16-crlf-as-one"
INCLUSIVE, FROM_ONE, FROM_ONE_INCLUSIVE = "inclusive", "from-one", "from-one-inclusive"
UNITS = (OWN, UTF16, CRLF, BOTH)  # the simplest first
SHIFTS = {OWN: (0, 0), INCLUSIVE: (0, 1), FROM_ONE: (-1, -1), FROM_ONE_INCLUSIVE: (-1, 0)}  # what is added to start and end
MEANING = {
    OWN: "code points",
    UTF16: "UTF-16 units, as JavaScript counts (most emoji are two)",
    CRLF: "code points, and CR+LF as one",
    BOTH: "UTF-16 units, and CR+LF as one",
    INCLUSIVE: "code points, and the end is inside the span",
    FROM_ONE: "code points from 1, and the end is outside the span",
    FROM_ONE_INCLUSIVE: "code points from 1, and the end is inside the span",
}
# No entity begins or ends with these. Brackets, quotes, #, @, signs and units may stand at an edge.
NO_FIRST = frozenset("，。、：；！？…,:;!?)]}）】》」』〉”’％%~～·")
NO_LAST = frozenset("，。、：；,:;([{（【《「『〈“‘·")
_NO_EDGE = {"Cc", "Cf", "Mn", "Me", "So", "Zl", "Zp", "Zs"}  # blanks, invisible characters, and symbols such as emoji
_BEHIND = {"Cf", "Mn", "Me"}  # marks, which stand behind their character
_NEVER_INSIDE = re.compile(r"[\r\n。！？；]")
_PAIRS = ("《》", "“”", "（）", "()", "「」", "『』", "【】", "[]", "〈〉", "‘’", "{}")
_HALVES = re.compile("[" + re.escape("".join(_PAIRS)) + '"]')


class Case(NamedTuple):
    """A span that two readings cut out differently: its row, the text around it, and its string in either."""

    line: int
    item: str
    around: str
    strings: Pair

    def shown(self, reading: str) -> str:
        """Returns the case as a message shows it; `reading` is the better one."""
        better, worse = (quoted(string) if string else "nothing" for string in self.strings)
        return one_line(f"{worse} as {OWN}, {better} as {reading}: {self.around}")


def is_plain(text: str) -> bool:
    """Returns whether all units count the same: no character of the text is outside the Basic Multilingual Plane, and no line ends in CR+LF."""
    return "\r\n" not in text and (text.isascii() or len(text.encode("utf-16-le", "surrogatepass")) == 2 * len(text))


def span_of(text: str, start: int, end: int, reading: str) -> Span | None:
    """Returns the span that offsets mean in a reading; None if one of them is beyond the text, or within a character."""
    if shift := SHIFTS.get(reading):
        start, end = start + shift[0], end + shift[1]
        return (start, end) if 0 <= start <= end <= len(text) else None
    edges = _edges(text, reading)
    first, last = bisect_left(edges, start), bisect_left(edges, end)
    if start < 0 or last == len(edges) or first > last or (edges[first], edges[last]) != (start, end):
        return None
    return first, last


@lru_cache(maxsize=16)  # a row's entities ask one after the other
def _edges(text: str, reading: str) -> Sequence[int]:
    """Returns the offset of each character's beginning, and of the text's end."""
    wide, line_end = reading in (UTF16, BOTH), reading in (CRLF, BOTH)
    pairs = zip(text, text[1:] + " ", strict=False)  # each character and the one behind it
    widths = [2 if wide and c > "\uffff" else int(not (line_end and c == "\r" and after == "\n")) for c, after in pairs]
    return [*accumulate(widths, initial=0)]


def is_cut(text: str, span: Span | None) -> bool:
    """Returns whether a span can't be what an annotator marked: it is empty or beyond the text, its edge cuts a word, a number or a character in two or is punctuation
    that no entity has there, or it holds half a pair of brackets or a sentence's end."""
    if span is None or not 0 <= span[0] < span[1] <= len(text):
        return True
    start, end = span
    first, last = text[start], text[end - 1]
    if first in NO_FIRST or last in NO_LAST or (start and _joined(text[start - 1], first)) or (end < len(text) and _joined(last, text[end])):
        return True
    if not (first.isalnum() and last.isalnum()) and (
        _is_odd(first) or (_is_odd(last) and unicodedata.category(last) not in _BEHIND) or last == "\u200d"
    ):
        return True
    string = text[start:end]
    return bool(_NEVER_INSIDE.search(string, 1, len(string) - 1)) or (bool(_HALVES.search(string)) and _has_half(string))


def is_sentence(text: str, span: Span | None) -> bool:
    """Returns whether a span has a whole sentence, or several, or what stands between two breaks: cut for an entity, but at no odd place."""
    if span is None or span[0] >= span[1]:
        return False
    start, end = span
    return not text[start - 1 : start].isalnum() and (text[end - 1] in NO_LAST or not text[end : end + 1].isalnum())


def read_as(row: RawRow, reading: str) -> RawRow | BadRow:
    """Returns a row without strings of its own with its entities taken anew in a reading; a BadRow if that can't be."""
    entities = []
    for entity in row.entities:
        span = span_of(row.text, entity.start, entity.end, reading)
        if span is None:
            where = f"[{entity.start}, {entity.end}) ({entity.label})"
            return BadRow(row.line, f"{where} is beyond the text or within a character; offsets count {MEANING[reading]}.", "offsets", row.item)
        entities.append(Entity(entity.label, row.text[slice(*span)], *span))
    return replace(row, entities=entities)


def case_of(row: RawRow, one: Span | None, other: Span | None) -> Case:
    """Returns the case of a span that is `one` in the better reading and `other` in the worse."""
    text, spans = row.text, [span for span in (one, other) if span]
    start, end = min(span[0] for span in spans), max(span[1] for span in spans)
    around = text[max(0, start - AROUND) : end + AROUND]
    better, worse = (text[slice(*span)] if span else "" for span in (one, other))
    return Case(row.line, row.item, f"…{around}…", (better, worse))


def _joined(before: str, after: str) -> bool:
    """Returns whether two neighbours belong to one word, number or character: letters that have a case, digits, or a mark behind its letter."""
    if after.isalnum():
        return (before.isdecimal() and after.isdecimal()) or (before.lower() != before.upper() and after.lower() != after.upper())
    return after in "\u200d\ufe0f\ufe0e" or before == "\u200d" or (after > "\u02ff" and unicodedata.category(after) in ("Mn", "Mc", "Me", "Sk"))


def _is_odd(edge: str) -> bool:
    """Returns whether no entity has this character at its edge: a blank, a mark, or a symbol such as an emoji. Units such as ℃ stand before the arrows in Unicode."""
    return unicodedata.category(edge) in _NO_EDGE and not edge.isalnum() and not "\u00a1" <= edge < "\u2190"


def _has_half(string: str) -> bool:
    return string.count('"') % 2 == 1 or any(string.count(pair[0]) != string.count(pair[1]) for pair in _PAIRS)
