"""Watches what stands beside the spans of a file whose offsets have no strings: it tells whether all lost their first or last character.

In: a text and a span within it. Out: counts, and the strings that speak. Memory: at most KEPT strings.

A side speaks where many spans stand. Some entities begin at a text's start or behind punctuation. Where each has lost its first character none does, and many begin one
character behind such a place, each behind another character. The same holds for ends.
A string speaks where it stands often: behind a whole string anything may follow; behind one that lost its last character, that character follows each time, and then anything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tools.data.offsets.units import Case, case_of
from tools.data.raw.row import RawRow

KEPT = 20_000  # strings
OFTEN = 3  # different characters behind a string: anything follows
MANY = 20  # spans
RARELY = 50  # spans for each one that stands at a break
VARIED = 20  # different characters


class Side:
    """One side of a file's spans: how many stand at a break, which is a text's edge, a space, a digit or punctuation, and how many one character from it."""

    def __init__(self) -> None:
        self.spans = self.at_break = self.near = 0
        self._next: set[str] = set()
        self._between: set[str] = set()

    def add(self, one: str, two: str) -> None:
        """Counts a span by the character next to it and the one next to that; empty strings at the text's edge."""
        self.spans += 1
        if not one.isalnum() or one.isdecimal():
            self.at_break += 1
            return
        if len(self._next) <= OFTEN:
            self._next.add(one)
        if not two.isalnum():
            self.near += 1
            if len(self._between) <= VARIED:
                self._between.add(one)

    @property
    def is_odd(self) -> bool:
        """Whether of many spans, beside many characters, hardly one stands at a break, where every fifth or so would."""
        return self.spans >= MANY and self.at_break * RARELY <= self.spans and len(self._next) > OFTEN

    @property
    def is_cut(self) -> bool:
        """Whether the spans lost a character here: hardly one stands at a break, and many one character from it."""
        return self.is_odd and 10 * self.near >= self.spans and len(self._between) >= min(VARIED, max(OFTEN, self.near // 2))


@dataclass(slots=True)
class _Behind:
    case: Case
    next: set[str] = field(default_factory=set)
    after_next: set[str] = field(default_factory=set)


class Margins:
    """What stands `before` and `behind` spans, and the strings that speak for an end inside the span (`cases`) or against it (`free`)."""

    def __init__(self) -> None:
        self.before, self.behind = Side(), Side()
        self.free = 0
        self._behind: dict[str, _Behind] = {}

    def add(self, row: RawRow, start: int, end: int) -> None:
        """Counts a span that isn't empty, and is within the text."""
        text = row.text
        self.before.add(text[start - 1 : start], text[max(0, start - 2) : max(0, start - 1)])
        self.behind.add(text[end : end + 1], text[end + 1 : end + 2])
        string = text[start:end]
        found = self._behind.get(string)
        if found is None:
            if len(self._behind) >= KEPT:
                return
            found = self._behind[string] = _Behind(case_of(row, (start, end + 1), (start, end)))
        if len(found.next) < OFTEN:
            found.next.add(text[end : end + 1])
            self.free += len(found.next) == OFTEN and len(string) > 1  # behind a surname anything may follow, too
        if len(found.after_next) < OFTEN:
            found.after_next.add(text[end + 1 : end + 2])

    @property
    def cases(self) -> list[Case]:
        """The strings that one character always follows, and then anything. None if it is the same one behind half of them: 的 completes nothing."""
        found = [behind for behind in self._behind.values() if len(behind.next) == 1 and "" not in behind.next and len(behind.after_next) >= OFTEN]
        commonest = max(Counter(next(iter(behind.next)) for behind in found).values(), default=0)
        return [behind.case for behind in found] if 2 * commonest < len(found) or len(found) == 1 else []

    @property
    def halves(self) -> list[Case]:
        """The strings that one character always follows, and that are annotated with it elsewhere; none if they are few of the file's strings."""
        found = [behind.case for string, behind in self._behind.items() if len(behind.next) == 1 and string + next(iter(behind.next)) in self._behind]
        found = [case for case in found if case.strings[0] != case.strings[1]]
        return found if 10 * len(found) >= len(self._behind) else []
