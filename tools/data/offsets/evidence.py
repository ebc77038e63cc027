"""Weighs how a file's offsets may be read where it has no strings beside them.

In: the rows whose reader took their strings from the text (`sliced`). Out: a Verdict on the whole file: the reading that it speaks for, or that only the user can
tell. Memory doesn't grow with the rows: counters, and at most KEPT strings of each sort.

A span speaks against a reading in which it is cut (`is_cut`) where it is whole in another. Of two readings in which it is whole, the likelier one is that whose
string is annotated elsewhere too, where all readings agree. A reading is taken only where the evidence is one-sided.

    ./ner data conf/task/mine.yaml offsets=utf-16
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

from tools.data.offsets.successors import Successors
from tools.data.offsets.units import INCLUSIVE, MEANING, OWN, UNITS, Case, Pair, Span, case_of, is_cut, is_plain, span_of
from tools.data.raw.row import RawRow, Reader, Reading

# For inclusive ends; where they are meant, hardly a span speaks against them, and where they aren't, a hundred for each that speaks for them.
TIMES_AT_ENDS = 4
KEPT = 50_000
EXAMPLES = 2
RARELY = 50  # spans that are right as they are for each one that may be wrong
FEWEST, TIMES = 3, 10  # a reading is taken if so many spans speak for it, and so many times as many as against it


class Verdict(NamedTuple):
    """What a file says about its offsets: `take` is the reading that it speaks for one-sidedly, `readings` are those that it speaks for at all.

    Where it speaks for several, or not clearly, `take` is empty and the user has to choose; without `readings`, the reading in force stands. `sentences` are the
    reasons, `cases` spans with their strings in both readings, as a message shows them; `doubt` is a sentence on offsets that stand.
    """

    take: str = ""
    readings: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    cases: tuple[tuple[Case, str], ...] = ()
    doubt: str = ""

    @property
    def stops(self) -> bool:
        """Whether the file speaks against the reading in force, so that nothing may be made of it before the task says `offsets`."""
        return bool(self.readings)

    @property
    def answers(self) -> list[str]:
        """The values of a task's `offsets` to choose from: the one that the file speaks for, or all that it leaves open."""
        return [self.take] if self.take else [*self.readings, OWN]

    def lines(self, path: Path) -> list[str]:
        """Returns the reasons and the cases, one a line."""
        return [
            *(f"{path}: {sentence}" for sentence in self.sentences),
            *(f"  {case.item or f'line {case.line}'}: {message}" for case, message in self.cases),
        ]

    def advice(self, task: Path) -> str:
        """Returns how to answer, as a sentence; `task` is the task file."""
        written, words = (" or ".join(f"offsets{sign}{answer}" for answer in self.answers) for sign in (": ", "="))
        return f"Write {written} in {task}, or lay it over this once: {words} (make: ARGS=offsets={self.answers[0]})"


@dataclass(slots=True)
class _Open:
    """Strings of two readings, both whole: which is likelier is known after the last row."""

    times: int
    case: Case


class Evidence:
    """What a file's offsets say for and against each reading. `add` every row, then ask for the `verdict`."""

    def __init__(self) -> None:
        self.spans = 0
        self._for: Counter[Pair] = Counter()
        self._differ: Counter[Pair] = Counter()
        self._cases: dict[Pair, list[Case]] = {}
        self._known: set[str] = set()  # strings on which all readings agree
        self._open: dict[tuple[Pair, Pair], _Open] = {}
        self._ends = Successors()

    def add(self, row: RawRow) -> None:
        """Weighs a row's entities. A row that has strings of its own says nothing."""
        if not row.sliced or not row.entities:
            return
        text, plain = row.text, is_plain(row.text)
        for entity in row.entities:
            start, end = entity.start, entity.end
            self.spans += 1
            if plain or len({span_of(text, start, end, reading) for reading in UNITS}) == 1:
                self._agreed(row, start, end)
            else:
                self._compare(row, start, end)

    def verdict(self) -> Verdict:
        """Returns what the whole file says."""
        votes = self._for + Counter({pair: sum(found.times for found in opened) for pair, opened in self._of_strings().items()})
        rivals: list[str] = []  # without those that are the same as a simpler one in this file
        for reading in UNITS[1:]:
            if all(self._differ[reading, other] for other in (OWN, *rivals)):
                rivals.append(reading)
        for reading in rivals:
            others = [other for other in rivals if other != reading]
            if _clear(votes, reading, OWN) and not any(_stands_against(votes, other, reading) for other in others):
                return self._verdict(votes, reading)
        against = [reading for reading in rivals if votes[reading, OWN] and votes[reading, OWN] * 3 > votes[OWN, reading]]
        if against:
            return self._verdict(votes, *against)._replace(take="")
        inclusive, exclusive = self._ends.votes()
        if inclusive >= FEWEST and inclusive >= TIMES_AT_ENDS * exclusive:
            return self._verdict(Counter({(INCLUSIVE, OWN): inclusive, (OWN, INCLUSIVE): exclusive}), INCLUSIVE)
        return Verdict(doubt=self._doubt(votes, rivals, inclusive, exclusive))

    def _agreed(self, row: RawRow, start: int, end: int) -> None:
        text = row.text
        if start >= 0 and end - start > 1 and len(self._known) < KEPT:
            self._known.add(text[start:end])
        if not self._ends.settled and 0 <= start <= end <= len(text) and self._ends.add(row, start, end):
            self._keep((INCLUSIVE, OWN), row, (start, end + 1), (start, end))

    def _compare(self, row: RawRow, start: int, end: int) -> None:
        spans = {reading: span_of(row.text, start, end, reading) for reading in UNITS}
        cut = {span: is_cut(row.text, span) for span in set(spans.values())}
        for better, worse in permutations(UNITS, 2):
            one, other = spans[better], spans[worse]
            if one == other:
                continue
            pair = (better, worse)
            self._differ[pair] += 1
            if cut[other] and not cut[one]:
                self._for[pair] += 1
                self._keep(pair, row, one, other)
            elif one and other and not cut[one] and not cut[other]:
                self._leave_open(pair, row, one, other)

    def _leave_open(self, pair: Pair, row: RawRow, one: Span, other: Span) -> None:
        strings = row.text[slice(*one)], row.text[slice(*other)]
        if found := self._open.get((pair, strings)):
            found.times += 1
        elif len(self._open) < KEPT:
            self._open[pair, strings] = _Open(1, case_of(row, one, other))

    def _of_strings(self) -> dict[Pair, list[_Open]]:
        """Returns the spans whose string is annotated where all readings agree, while the other reading makes another string of them."""
        spoken: dict[Pair, list[_Open]] = {}
        for (pair, (one, other)), found in self._open.items():
            if one in self._known and other not in self._known:
                spoken.setdefault(pair, []).append(found)
        return spoken

    def _keep(self, pair: Pair, row: RawRow, one: Span | None, other: Span | None) -> None:
        cases = self._cases.setdefault(pair, [])
        if len(cases) < EXAMPLES:
            cases.append(case_of(row, one, other))

    def _verdict(self, votes: Counter[Pair], *readings: str) -> Verdict:
        sentences, cases, strings = [], [], self._of_strings()
        for reading in readings:
            cut = "spans or strings are" if reading == INCLUSIVE else "spans are"
            now, other = f"{votes[reading, OWN]:,} {cut} cut out wrongly as {OWN} and whole as {reading}", votes[OWN, reading]
            sentences.append(f"{now}, {other:,} the other way round; {reading}: offsets count {MEANING[reading]}")
            more = self._ends.cases if reading == INCLUSIVE else [opened.case for opened in strings.get((reading, OWN), ())]
            found = [*self._cases.get((reading, OWN), ()), *more]
            cases += [(case, case.shown(reading)) for case in found[:EXAMPLES]]
        return Verdict(readings[0], (*readings,), (*sentences,), (*cases,))

    def _doubt(self, votes: Counter[Pair], rivals: list[str], inclusive: int, exclusive: int) -> str:
        for reading in rivals:
            spoken, kept = votes[reading, OWN], votes[OWN, reading]
            if spoken > 1 and spoken * RARELY >= kept:
                return f"{spoken:,} spans are cut out wrongly as {OWN} and whole as {reading}, {kept:,} the other way round: the file may mix two ways of counting"
            if not kept and not spoken:
                differ = self._differ[reading, OWN]
                return f"{differ:,} spans are others if offsets count {MEANING[reading]}, and nothing in the file tells; look at them, then write offsets: {OWN} or offsets: {reading}"
        if self._ends.never_first:
            return f"hardly one of {self._ends.spans:,} spans begins at a text's start or behind punctuation, as if offsets were counted from 1; if so, take 1 from each in the file"
        if self._ends.never_free:
            return f"none of {self._ends.spans:,} spans ends before punctuation or at a text's end, as if ends were inside the span; if so, write offsets: {INCLUSIVE}"
        if inclusive > exclusive:
            return f"{inclusive:,} spans or strings look as if ends were inside the span, {exclusive:,} as if they were outside; if so, write offsets: {INCLUSIVE}"
        if self._ends.broken >= FEWEST and self._ends.broken * 20 >= self._ends.spans:
            return f"{self._ends.broken:,} of {self._ends.spans:,} spans are cut in whatever way offsets are read: they begin or end within a word or at punctuation"
        return ""


def weigh(path: Path, read: Reader, reading: Reading) -> Verdict:
    """Returns what a whole file says about its offsets."""
    evidence = Evidence()
    for row in read(path, reading):
        if isinstance(row, RawRow):
            evidence.add(row)
    return evidence.verdict()


def _stands_against(votes: Counter[Pair], other: str, reading: str) -> bool:
    """Returns whether another reading is as likely as the one that may be taken."""
    if votes[other, reading]:
        return not _clear(votes, reading, other)
    return not votes[reading, other] and _clear(votes, other, OWN)


def _clear(votes: Counter[Pair], reading: str, other: str) -> bool:
    spoken, against = votes[reading, other], votes[other, reading]
    return spoken >= FEWEST and spoken >= TIMES * against
