"""Weighs how a file's offsets may be read where it has no strings beside them.

In: the rows whose reader took their strings from the text (`sliced`). Out: a Verdict on the whole file: the reading that it speaks for, or that only the user can
tell. Memory doesn't grow with the rows: counters, and at most KEPT strings of each sort.

A span speaks against a reading in which it is cut (`is_cut`) where it is whole in another. Of two readings in which it is whole, the likelier one is that whose
string is annotated elsewhere too, where all units agree. What stands beside the spans (margins.py) speaks for all of them. A reading is taken only where the
evidence is one-sided; offsets from 1 are always asked about, and so is a file whose spans are cut in every reading.

    ./ner data conf/task/mine.yaml offsets=utf-16
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import permutations

from tools.data.offsets.margins import Margins, Side
from tools.data.offsets.units import (
    FROM_ONE,
    FROM_ONE_INCLUSIVE,
    INCLUSIVE,
    MEANING,
    NO_FIRST,
    NO_LAST,
    OWN,
    SHIFTS,
    UNITS,
    Case,
    Pair,
    Span,
    case_of,
    is_cut,
    is_plain,
    is_sentence,
    span_of,
)
from tools.data.offsets.verdict import Verdict
from tools.data.raw.row import RawRow
from tools.text import one_line, quoted

KEPT = 50_000
EXAMPLES = 2
RARELY = 50  # spans that are right as they are for each one that may be wrong
MANY = 10  # spans
FEWEST, TIMES = 3, 10  # a reading is taken if so many spans speak for it, and so many times as many as against it
TIMES_AT_ENDS = 4  # for inclusive ends; where they aren't meant, a hundred spans speak against them for each that speaks for them
LIKELY = 3
SETTLED = 200  # so many against each shift, and hardly one for it: no longer looked for


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
        self._known: set[str] = set()  # strings on which all units agree
        self._open: dict[tuple[Pair, Pair], _Open] = {}
        self._margins = Margins()
        self._broken: list[Case] = []
        self._cut: Counter[str] = Counter()  # spans at odd places, by the shift that leaves them cut
        self._weighed = self._leading = self._trailing = self._touching = 0
        self._settled = False

    def add(self, row: RawRow) -> None:
        """Weighs a row's entities. A row that has strings of its own says nothing."""
        if not row.sliced or not row.entities:
            return
        text, plain = row.text, is_plain(row.text)
        if len(row.entities) > 1 and self.spans < KEPT:
            ends = {(entity.end, entity.label) for entity in row.entities}
            self._touching += sum((entity.start, entity.label) in ends for entity in row.entities)
        for entity in row.entities:
            start, end = entity.start, entity.end
            self.spans += 1
            if plain or len({span_of(text, start, end, reading) for reading in UNITS}) == 1:
                self._agreed(row, start, end)
            else:
                self._compare(row, {reading: span_of(text, start, end, reading) for reading in UNITS})

    def _agreed(self, row: RawRow, start: int, end: int) -> None:
        """Weighs a span that is the same in all units: whether it is one off."""
        text = row.text
        if start >= 0 and end - start > 1 and len(self._known) < KEPT:
            self._known.add(text[start:end])
        if self._settled:
            return
        self._weighed += 1
        spans = {reading: span_of(text, start, end, reading) for reading in SHIFTS}
        if (own := spans[OWN]) and start < end:
            if not _is_nested(row, start, end) and text[start:end].strip():
                self._margins.add(row, *_trimmed(text, start, end))
            self._leading += text[start].isspace()
            self._trailing += text[end - 1].isspace()
        cut = {reading: is_cut(text, span) for reading, span in spans.items()}
        if not any(cut.values()):
            return
        if own and start < end:  # what is added to a span doesn't mend the edge that is inside then
            cut[INCLUSIVE] |= text[end - 1] in NO_LAST
            cut[FROM_ONE_INCLUSIVE] |= text[start] in NO_FIRST
        if own and cut[OWN] and text[start:end].strip():  # a space at an edge is another fault, which the doctor counts
            cut[OWN] = is_cut(text, _trimmed(text, start, end))
        if cut[OWN] and not is_sentence(text, own):
            self._cut.update(reading for reading in SHIFTS if cut[reading])
            if len(self._broken) < EXAMPLES:
                self._broken.append(case_of(row, None, own or (0, 0)))
        self._vote(row, spans, cut)
        self._settled = all(self._for[OWN, other] > SETTLED + TIMES * self._for[other, OWN] for other in SHIFTS if other != OWN)

    def _compare(self, row: RawRow, spans: dict[str, Span | None]) -> None:
        """Weighs a span that isn't the same in all units."""
        cut = {span: is_cut(row.text, span) for span in set(spans.values())}
        self._vote(row, spans, {reading: cut[span] for reading, span in spans.items()})
        self._weighed += 1
        if all(cut.values()) and not is_sentence(row.text, spans[OWN]):
            self._cut[OWN] += 1
        for better, worse in permutations(UNITS, 2):
            one, other = spans[better], spans[worse]
            if one != other:
                self._differ[better, worse] += 1
                if one and other and not cut[one] and not cut[other]:
                    self._leave_open((better, worse), row, one, other)

    def _vote(self, row: RawRow, spans: dict[str, Span | None], cut: dict[str, bool]) -> None:
        """Counts a span for each reading in which it is whole, against those in which it is cut."""
        for better, worse in permutations(spans, 2):
            if cut[worse] and not cut[better]:
                self._for[better, worse] += 1
                cases = self._cases.setdefault((better, worse), [])
                if len(cases) < EXAMPLES:
                    cases.append(case_of(row, spans[better], spans[worse]))

    def _leave_open(self, pair: Pair, row: RawRow, one: Span, other: Span) -> None:
        strings = row.text[slice(*one)], row.text[slice(*other)]
        if found := self._open.get((pair, strings)):
            found.times += 1
        elif len(self._open) < KEPT:
            self._open[pair, strings] = _Open(1, case_of(row, one, other))

    def _of_strings(self) -> dict[Pair, list[_Open]]:
        """Returns the spans whose string is annotated where all units agree, while the other reading makes another string of them."""
        spoken: dict[Pair, list[_Open]] = {}
        for (pair, (one, other)), found in self._open.items():
            if one in self._known and other not in self._known:
                spoken.setdefault(pair, []).append(found)
        return spoken

    def verdict(self) -> Verdict:
        """Returns what the whole file says."""
        votes = self._for + Counter({pair: sum(found.times for found in opened) for pair, opened in self._of_strings().items()})
        rivals: list[str] = []  # without those that are the same as a simpler one in this file
        for reading in UNITS[1:]:
            if all(self._differ[reading, other] for other in (OWN, *rivals)):
                rivals.append(reading)
        refused = frozenset(reading for reading in (*rivals, *SHIFTS) if _clear(votes, OWN, reading))
        return self._judged(votes, rivals)._replace(against=refused)

    def _judged(self, votes: Counter[Pair], rivals: list[str]) -> Verdict:
        for reading in rivals:
            others = [other for other in rivals if other != reading]
            if _clear(votes, reading, OWN) and not any(_stands_against(votes, other, reading) for other in others):
                return self._verdict(votes, reading)
        against = [reading for reading in rivals if votes[reading, OWN] and votes[reading, OWN] * LIKELY > votes[OWN, reading]]
        if against:
            return self._verdict(votes, *against)._replace(take="")
        return self._shifted(votes) or self._untold(votes, rivals) or Verdict(doubt=self._doubt(votes, rivals))

    def _untold(self, votes: Counter[Pair], rivals: list[str]) -> Verdict | None:
        """Returns the question where one in a hundred spans, or more, is another one in other units, and nothing in the file tells."""
        for reading in rivals:
            differ = self._differ[reading, OWN]
            if not votes[OWN, reading] and differ >= FEWEST and differ * 100 >= self.spans:
                told = f"{differ:,} spans are others if offsets count {MEANING[reading]}, and nothing in the file tells; look at them"
                cases = [found.case for (pair, _), found in self._open.items() if pair == (reading, OWN)][:EXAMPLES]
                return Verdict("", (reading,), (told,), tuple((case, case.shown(reading)) for case in cases))
        return None

    def _shifted(self, votes: Counter[Pair]) -> Verdict | None:
        """Returns what the file says of ends inside the span, and of offsets from 1; None where it speaks for none of them."""
        cases = self._margins.cases
        votes[INCLUSIVE, OWN] += len(cases)
        votes[OWN, INCLUSIVE] += self._margins.free
        likely = [one for one in SHIFTS if votes[one, OWN] >= FEWEST and votes[one, OWN] >= LIKELY * votes[OWN, one]]
        likely = [one for one in likely if votes[one, OWN] >= self._cut[one] and not any(_clear(votes, other, one) for other in likely)]
        if likely == [INCLUSIVE] and votes[INCLUSIVE, OWN] >= max(TIMES_AT_ENDS * votes[OWN, INCLUSIVE], TIMES * self._cut[INCLUSIVE]):
            return self._verdict(votes, INCLUSIVE)
        if likely:
            return self._verdict(votes, *likely)._replace(take="")
        if pieces := self._in_pieces():
            return pieces
        margins = self._margins
        if margins.before.is_cut:
            told = f"{self._asked_of(margins.before)} begins at a text's start or behind punctuation, and {margins.before.near:,} do one character behind it, as if offsets were counted from 1"
            return Verdict("", (FROM_ONE, FROM_ONE_INCLUSIVE), (told,))
        if margins.behind.is_cut and not margins.free:
            told = f"{self._asked_of(margins.behind)} ends before punctuation or at a text's end, and {margins.behind.near:,} do one character before it, as if ends were inside the span"
            return Verdict("", (INCLUSIVE,), (told,))
        if len(halves := margins.halves) >= FEWEST:
            told = f"{len(halves):,} strings are annotated with and without the character that always follows, as if the file mixed ends inside and outside the span"
            return Verdict("", (INCLUSIVE,), (told,), tuple((case, case.shown(INCLUSIVE)) for case in halves[:EXAMPLES]))
        return None

    def _asked_of(self, side: Side) -> str:
        return f"hardly one of {side.spans:,} spans"

    def _in_pieces(self) -> Verdict | None:
        """Returns the question about a file of which every fifth span is cut, or as many have spaces at either edge; None for any other."""
        spaced = min(self._leading, self._trailing)
        cut = max(self._cut[OWN], spaced)
        if cut < FEWEST or cut * (5 if cut >= MANY else 2) < self._weighed:
            return None
        told = f"{cut:,} of {self._weighed:,} spans begin or end within a word, at punctuation or beyond the text, and no way of counting mends them: the offsets may count in another text or in bytes, or be no start and end"
        return Verdict(sentences=(told,), cases=tuple((case, one_line(f"{quoted(case.strings[1])}: {case.around}")) for case in self._broken))

    def _verdict(self, votes: Counter[Pair], *readings: str) -> Verdict:
        sentences, cases, strings = [], [], self._of_strings()
        for reading in readings:
            cut = "spans or strings are" if reading == INCLUSIVE else "spans are"
            now, other = f"{votes[reading, OWN]:,} {cut} cut out wrongly as {OWN} and whole as {reading}", votes[OWN, reading]
            sentences.append(f"{now}, {other:,} the other way round; {reading}: offsets count {MEANING[reading]}")
            more = self._margins.cases if reading == INCLUSIVE else [opened.case for opened in strings.get((reading, OWN), ())]
            found = [*self._cases.get((reading, OWN), ()), *more]
            cases += [(case, case.shown(reading)) for case in found[:EXAMPLES]]
        return Verdict(readings[0], (*readings,), (*sentences,), (*cases,))

    def _doubt(self, votes: Counter[Pair], rivals: list[str]) -> str:
        for reading in rivals:
            spoken, kept = votes[reading, OWN], votes[OWN, reading]
            if spoken > 1 and spoken * RARELY >= kept:
                return f"{spoken:,} spans are cut out wrongly as {OWN} and whole as {reading}, {kept:,} the other way round: the file may mix two ways of counting"
            if not kept and not spoken:
                differ = self._differ[reading, OWN]
                return f"{differ:,} spans are others if offsets count {MEANING[reading]}, and nothing in the file tells; look at them, then write offsets: {OWN} or offsets: {reading}"
        if self._margins.before.is_odd:
            return f"{self._asked_of(self._margins.before)} begins at a text's start or behind punctuation, as if offsets were counted from 1; if so, write offsets: {FROM_ONE} or offsets: {FROM_ONE_INCLUSIVE}"
        if self._margins.behind.is_odd and not self._margins.free:
            return f"{self._asked_of(self._margins.behind)} ends before punctuation or at a text's end, as if ends were inside the span; if so, write offsets: {INCLUSIVE}"
        if (spaced := max(self._leading, self._trailing)) * 20 >= self._weighed > 0:
            return f"{spaced:,} of {self._weighed:,} spans have a space at one edge, which a mended copy leaves out"
        if self._touching * 3 > min(self.spans, KEPT):
            return f"{self._touching:,} of {self.spans:,} spans begin where another of their label ends, as the characters of one entity would"
        if self._cut[OWN] >= FEWEST and self._cut[OWN] * 20 >= self._weighed:
            return f"{self._cut[OWN]:,} of {self._weighed:,} spans begin or end within a word, at punctuation or beyond the text, and no way of counting mends them"
        return ""


def _is_nested(row: RawRow, start: int, end: int) -> bool:
    """Returns whether another span of the row begins at the same place: one of two layers."""
    return len(row.entities) > 1 and any(other.start == start and other.end != end for other in row.entities)


def _trimmed(text: str, start: int, end: int) -> Span:
    string = text[start:end]
    return start + len(string) - len(string.lstrip()), end - len(string) + len(string.rstrip())


def _stands_against(votes: Counter[Pair], other: str, reading: str) -> bool:
    """Returns whether another reading is as likely as the one that may be taken."""
    if votes[other, reading]:
        return not _clear(votes, reading, other)
    return not votes[reading, other] and _clear(votes, other, OWN)


def _clear(votes: Counter[Pair], reading: str, other: str) -> bool:
    spoken, against = votes[reading, other], votes[other, reading]
    return spoken >= FEWEST and spoken >= TIMES * against
