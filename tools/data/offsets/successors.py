"""Tells inclusive ends from exclusive ones, where a file's offsets have no strings beside them, and notices offsets that are counted from 1.

In: a text and a span with an exclusive end. Out: how many spans and strings speak for ends inside the span, and how many against it. Memory: at most KEPT strings.

A span speaks where it is cut in one of the two readings only: `[2, 2)` is empty, `《红楼梦` has half a pair, `北京，` has a comma. A string speaks where it stands
often: behind a whole string anything may follow; behind one that lost its last character, that character follows each time, and then anything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tools.data.offsets.units import Case, case_of, is_cut
from tools.data.raw.row import RawRow

KEPT = 20_000  # strings
OFTEN = 3  # different characters behind a string: anything follows
MANY = 20  # spans
SETTLED = 200  # so many against it, and hardly one for it: no longer looked for


@dataclass(slots=True)
class _Behind:
    case: Case
    next: set[str] = field(default_factory=set)
    after_next: set[str] = field(default_factory=set)


class Successors:
    """Counts what speaks for inclusive ends (`gaining`) and against them (`losing`; `free`: strings), and spans that are cut either way (`broken`)."""

    def __init__(self) -> None:
        self.gaining = self.losing = self.free = self.broken = self.spans = 0
        self.settled = False
        self._behind_break = 0
        self._before: set[str] = set()
        self._behind: dict[str, _Behind] = {}

    def add(self, row: RawRow, start: int, end: int) -> bool:
        """Counts a span; returns whether it speaks for inclusive ends by itself."""
        text = row.text
        cut, cut_longer = is_cut(text, (start, end)), is_cut(text, (start, end + 1))
        self.spans += 1
        self.settled = self.losing + self.free > SETTLED + 10 * self.gaining
        before = text[start - 1 : start]
        if not before.isalnum():
            self._behind_break += 1
        elif len(self._before) <= OFTEN:
            self._before.add(before)
        if cut != cut_longer:
            self.gaining += cut
            self.losing += cut_longer
            return cut
        self.broken += cut
        if not cut:
            self._follow(row, start, end)
        return False

    def _follow(self, row: RawRow, start: int, end: int) -> None:
        text, string = row.text, row.text[start:end]
        behind = self._behind.get(string)
        if behind is None:
            if len(self._behind) >= KEPT:
                return
            behind = self._behind[string] = _Behind(case_of(row, (start, end + 1), (start, end)))
        if len(behind.next) < OFTEN:
            behind.next.add(text[end])
            self.free += len(behind.next) == OFTEN and len(string) > 1  # behind a surname anything may follow, too
        if len(behind.after_next) < OFTEN:
            behind.after_next.add(text[end + 1 : end + 2])

    def votes(self) -> tuple[int, int]:
        """Returns how many spans and strings speak for inclusive ends, and how many against."""
        return self.gaining + len(self.cases), self.losing + self.free

    @property
    def never_first(self) -> bool:
        """Whether of many spans, behind many characters, hardly one begins at a text's start or behind punctuation, where every fifth or so would."""
        return self.spans >= MANY and self._behind_break * 50 <= self.spans and len(self._before) > OFTEN

    @property
    def never_free(self) -> bool:
        """Whether many spans stand before many characters, but none before punctuation or at a text's end, where every tenth or so would."""
        following = set().union(*(behind.next for behind in self._behind.values()))
        return self.spans >= MANY and not self.losing and not self.free and len(following) >= OFTEN + 1

    @property
    def cases(self) -> list[Case]:
        """The strings that one character always follows, and then anything. None if it is the same one behind half of them: 的 completes nothing."""
        found = [behind for behind in self._behind.values() if len(behind.next) == 1 and len(behind.after_next) >= OFTEN]
        commonest = max(Counter(next(iter(behind.next)) for behind in found).values(), default=0)
        return [behind.case for behind in found] if 2 * commonest < len(found) or len(found) == 1 else []
