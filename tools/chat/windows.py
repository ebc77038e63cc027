"""Cuts a text that is longer than any training text into windows that look as training's texts did.

In: a text and a Reach. Out: Windows, which may overlap. A window is shown whole, and answers for the entities that begin in its own part: each place of the text belongs to one
window alone, so that an entity on a seam is found once.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev --out DIR
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

SHARE = 0.99  # of the training texts that a window's length covers
OVERLAP = 5  # a seam within a sentence is shown by both sides: up to a fifth of a window to its left, and to its right

_TITLE = r"《[^《》\n\r]{0,60}》|〈[^〈〉\n\r]{0,60}〉"  # an end within a title is none
_LINE = r"[\r\n\v\f\x85\u2028\u2029]+"
_LINES = re.compile(rf"(?:(?!{_LINE}).)+(?:{_LINE})?|{_LINE}", re.DOTALL)
_CLOSING = r"[”’」』）)】\]\"'》〉]*"
_SENTENCE = re.compile(rf"(?:{_TITLE})|(?P<end>[。！？!?；;…]+{_CLOSING}|\.{_CLOSING}(?=\s)|{_LINE})")
_CLAUSE = re.compile(rf"(?:{_TITLE})|(?P<end>[，,、:：]+{_CLOSING}|\s+)")
_JOINED = re.compile(r"[A-Za-z0-9_.%@/-]")  # characters of one word or number
_JOINER = "\u200d"  # ZERO WIDTH JOINER: what stands behind it belongs to what stands before it
_MODIFIERS = range(0x1F3FB, 0x1F400)  # skin tones


@dataclass(frozen=True)
class Reach:
    """What training's texts were like: the `longest`, in characters; the `usual` length, which 99 of 100 don't exceed; and whether `lines` stood in more than 1 of 100.

    A text up to the longest is asked whole. A longer one is cut into windows of the usual length: a single long training text teaches nothing about its length. Where training
    showed single lines, each line of it is a text of its own.
    """

    longest: int
    usual: int
    lines: bool = True


class Window(NamedTuple):
    """A part of a text: text[start:end] is shown, and the entities that begin in text[first:last] are answered for."""

    start: int
    end: int
    first: int
    last: int

    def owns(self, place: int) -> bool:
        """Returns whether an entity that begins at a place of the text is this window's."""
        return self.first <= place < self.last


def has_lines(text: str) -> bool:
    """Returns whether a line end stands within a text."""
    return bool(re.search(_LINE, text.strip()))


def reach_of(counts: Mapping[int, int], lines: int) -> Reach | None:
    """Returns the Reach of training texts, from the number of texts of each length and that of texts with `lines`; None where there is no text of any length."""
    lengths = sorted(length for length in counts if length)
    if not lengths:
        return None
    passed = list(accumulate(counts[length] for length in lengths))
    return Reach(lengths[-1], lengths[bisect_left(passed, SHARE * passed[-1])], lines > (1 - SHARE) * passed[-1])


def windows(text: str, reach: Reach | None) -> list[Window]:
    """Returns the windows of a text, from the left: one that holds the whole text where that isn't longer than training's longest, or training is unknown."""
    if reach is None or len(text) <= reach.longest:
        return [whole(text)]
    lines = [(0, len(text))] if reach.lines else [match.span() for match in _LINES.finditer(text)]
    found = [window for begin, stop in lines for window in _line(text, begin, stop, reach)]
    return _stripped(text, found) or [whole(text)]


def whole(text: str) -> Window:
    """Returns the window that is the whole text."""
    return Window(0, len(text), 0, len(text))


def halves(text: str, window: Window) -> list[Window]:
    """Returns a window's part as smaller windows, of half its length. Raises ValueError for a window of a single character."""
    size = (window.end - window.start + 1) // 2
    if window.end - window.start < 2:
        raise ValueError("a single character can't be halved")
    return _stripped(text, _cut(text, window, size)) or [window]


def _line(text: str, begin: int, stop: int, reach: Reach) -> list[Window]:
    """Returns the windows of text[begin:stop], of which nothing else is shown."""
    line = Window(begin, stop, begin, stop)
    return [line] if len(text[begin:stop].strip()) <= reach.longest else _cut(text, line, reach.usual)


def _cut(text: str, window: Window, size: int) -> list[Window]:
    """Returns windows of at most `size` characters that show nothing beyond a window, and whose parts make up its own."""
    margin, stop = size // OVERLAP, window.last
    sentences, clauses = (_ends(pattern, text, window.start, window.end) for pattern in (_SENTENCE, _CLAUSE))
    clauses = sorted({*sentences, *clauses})
    found, first, is_clean = list[Window](), window.first, True
    while first < stop:
        start = first if is_clean else max(window.start, first - margin)
        if (at := bisect_left(clauses, start)) < len(clauses) and clauses[at] <= first:
            start = clauses[at]  # a window begins with a clause
        last = stop if stop - start <= size else _last(sentences, first, start + size)
        if is_clean := last is not None:
            end = last
        else:
            limit, end = start + size - margin, min(start + size, window.end)
            last = _last(clauses, first + (start + size - first) // 2, limit) or _safe(text, first, max(first + 1, limit))
            end = _last(clauses, last - 1, end) or end  # and ends with one
        found.append(Window(start, end, first, last))
        first = last
    return found


def _stripped(text: str, found: list[Window]) -> list[Window]:
    """Returns windows that show no white space at their ends; one that would show nothing is left out, and its part joins the one before it, or the first."""
    kept = list[Window]()
    for start, end, first, last in found:
        shown = text[start:end]
        if word := shown.strip():
            start += len(shown) - len(shown.lstrip())
            kept.append(Window(start, start + len(word), first if kept else found[0].first, last))
        elif kept:
            kept[-1] = kept[-1]._replace(last=last)
    return kept


def _ends(pattern: re.Pattern[str], text: str, begin: int, stop: int) -> list[int]:
    """Returns the places behind the ends that a pattern finds in text[begin:stop]."""
    return [match.end() for match in pattern.finditer(text, begin, stop) if match["end"] is not None]


def _last(ends: list[int], above: int, limit: int) -> int | None:
    """Returns the last of the ordered `ends` that is greater than `above` and not greater than `limit`."""
    place = bisect_right(ends, limit) - 1
    return ends[place] if place >= 0 and ends[place] > above else None


def _safe(text: str, first: int, last: int) -> int:
    """Returns the last place up to `last` that divides no word, number, line end or written character; `last` where there is none in the half before it."""
    return next((place for place in range(last, first + (last - first) // 2, -1) if not _joins(text[place - 1], text[place : place + 1])), last)


def _joins(left: str, right: str) -> bool:
    """Returns whether two characters are parts of one word, number, line end or written character."""
    if not right:
        return False
    marks = unicodedata.category(right)[0] == "M" or ord(right) in _MODIFIERS
    return marks or _JOINER in (left, right) or (left, right) == ("\r", "\n") or bool(_JOINED.match(left) and _JOINED.match(right))
