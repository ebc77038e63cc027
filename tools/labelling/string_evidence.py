"""Counts how a task's strings are annotated, and tells of one place what all other rows say about it, in numbers.

In: a task's examples, read twice. Out: for each entity, and for each unmarked place of a string that is an entity elsewhere, a vector of evidence: how often that string is
annotated so, otherwise or not at all; how often an entity of this label begins, ends and stands so; how the place lies among the words of its text; and a model's answer
where there is one. What a row says of itself never counts. Memory grows with the number of different strings, not with that of rows.

    ./ner suspects conf/task/sample.yaml
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tools.answers import Span
from tools.example import Entity, Example
from tools.labelling.segmentation import among_words

SHORTEST = 2  # characters of a string whose places are counted; a single one is a part of too many words
EDGE = "\0"  # stands before and behind a text
LONGEST = 9  # characters; longer entities count as equally long
_WORD = re.compile(r"[A-Za-z0-9]")
UNKNOWN = -1.0  # in place of a relation or a confidence where no model was asked


class Marking(NamedTuple):
    """How a place of a string is annotated: as `label` from `start` to `end`, counted from the string's own start and end; as nothing where `label` is empty.

    (label, 0, 0) is the string itself. Other numbers are an entity within it, such as (label, 1, -1) of 三国 in 《三国》.
    """

    label: str
    start: int = 0
    end: int = 0

    def span(self, start: int, end: int) -> Span | None:
        """Returns the entity at a place [start, end) of the string; None for nothing."""
        return (self.label, start + self.start, end + self.end) if self.label else None


NOTHING = Marking("")
Place = tuple[str, int, int, Marking]  # an annotated string, its start and end, and how it is annotated there
Fact = tuple[str, str, str]  # what is counted, of which characters, for which label ('' for all)


class Doubt(NamedTuple):
    """A place of a string whose other places are annotated otherwise. `same` are annotated as this one, `others` as `marking`, this place not among them."""

    string: str
    start: int
    end: int
    here: Marking
    marking: Marking
    same: int
    others: int

    @property
    def share(self) -> float:
        """The share of the string's places, this one among them, that are annotated as `marking` and not as this one."""
        return self.others / (self.others + self.same + 1)

    @property
    def weight(self) -> tuple[float, int]:
        """Which doubt about one place comes first: the one with the larger share, of equal ones that of the shorter string."""
        return self.share, -len(self.string)


@dataclass(frozen=True)
class ModelAnswer:
    """A model's answer about a text: its spans, each with a confidence from 0 to 1."""

    spans: Mapping[Span, float]

    def over(self, span: Span) -> tuple[Span | None, float]:
        """Returns the span of highest confidence that overlaps another, and its confidence; (None, 0) where none does."""
        _, start, end = span
        found = [(confidence, one) for one, confidence in self.spans.items() if one[1] < end and start < one[2]]
        confidence, best = max(found, default=(0.0, None))
        return best, confidence


@dataclass(frozen=True)
class JudgedPlace:
    """A place of an example that may be wrong: an entity that is there (`now`), or one that may be missing (`now` is None). `key` is the span of either."""

    key: Span
    now: Span | None
    vector: list[float]
    doubt: Doubt | None
    answer: Span | None


class StringEvidence:
    """What a task's rows say about the places of its strings."""

    def __init__(self, read: Callable[[], Iterable[Example]], more: Iterable[Example] = ()) -> None:
        """Reads the examples twice: `read` returns them anew at each call. Strings that are entities in `more` are looked for too."""
        lengths = defaultdict[str, set[int]](set)
        self._markings: dict[str, Counter[Marking]] = {}
        for examples in (read(), more):
            for example in examples:
                for entity in example.entities:
                    if len(entity.text) >= SHORTEST:
                        lengths[entity.text[:SHORTEST]].add(len(entity.text))
                        self._markings[entity.text] = Counter()
        self._lengths = {head: sorted(found) for head, found in lengths.items()}
        self._facts = Counter[Fact]()
        for example in read():
            for string, _, _, marking in self.places(example):
                self._markings[string][marking] += 1
            self._facts.update(_facts(example))

    def candidates(self, example: Example, own: Example, said: ModelAnswer | None = None) -> list[JudgedPlace]:
        """Returns an example's candidates. `own` is the same row as it was counted: what it says isn't evidence about itself."""
        view = _View(self._markings, self._facts, list(self.places(own)), Counter(_facts(own)))
        doubts = view.doubts(self.places(example))
        now = [(entity.label, entity.start, entity.end) for entity in example.entities]
        taken, covered = list(now), bytearray(len(example.text))
        for _, start, end in now:
            covered[start:end] = b"\1" * (end - start)
        for span in [*sorted(said.spans if said else (), key=lambda span: -said.spans[span] if said else 0), *doubts]:
            if not any(covered[span[1] : span[2]]):
                taken.append(span)
                covered[span[1] : span[2]] = b"\1" * (span[2] - span[1])
        return [self._candidate(view, example, span, number < len(now), doubts.get(span), said) for number, span in enumerate(taken)]

    def markings(self, string: str) -> list[tuple[Marking, int]]:
        """Returns how the places of a string are annotated, the most frequent first."""
        return self._markings.get(string, Counter[Marking]()).most_common()

    def labels_of_ending(self, string: str, labels: Iterable[str]) -> list[tuple[str, int]]:
        """Returns how many entities of each label end in a string's last two characters, the most frequent first."""
        found = [(label, count) for label in labels if (count := self._facts["last two", string[-2:], label])]
        return sorted(found, key=lambda one: -one[1])

    def places(self, example: Example) -> Iterator[Place]:
        """Yields each place of an annotated string, but those within a longer entity or across one's border."""
        text, at = example.text, _entities_at(example)
        for start in range(len(text) - SHORTEST + 1):
            for length in self._lengths.get(text[start : start + SHORTEST], ()):
                string = text[start : start + length]
                if len(string) == length and string in self._markings and (marking := _marking(text, at, start, start + length)):
                    yield string, start, start + length, marking

    def _candidate(self, view: _View, example: Example, span: Span, is_there: bool, doubt: Doubt | None, said: ModelAnswer | None) -> JudgedPlace:
        answer, confidence = said.over(span) if said else (None, UNKNOWN)
        vector = [
            float(is_there),
            _relation(span, answer) if said else UNKNOWN,
            confidence,
            *view.of_string(example.text[span[1] : span[2]], span[0]),
            *_of_doubt(doubt),
            *view.of_shape(example.text, span),
            *among_words(example.text, span),
        ]
        return JudgedPlace(span, span if is_there else None, vector, doubt, answer)


class _View:
    """The counts as one row sees them: without its own."""

    def __init__(self, markings: dict[str, Counter[Marking]], facts: Counter[Fact], own: Sequence[Place], own_facts: Counter[Fact]) -> None:
        self._markings, self._facts, self._own_facts = markings, facts, own_facts
        self._own = Counter((string, marking) for string, _, _, marking in own)

    def _others(self, string: str) -> dict[Marking, int]:
        found: Mapping[Marking, int] = self._markings.get(string, {})
        return {marking: left for marking, count in found.items() if (left := count - self._own[string, marking]) > 0}

    def _count(self, *fact: str) -> int:
        return max(0, self._facts[fact] - self._own_facts[fact])  # type: ignore[index]

    def doubts(self, places: Iterable[Place]) -> dict[Span, Doubt]:
        """Returns for each entity, and for each unmarked place of a string, the doubt with the largest share."""
        found: dict[Span, Doubt] = {}
        for string, start, end, here in places:
            others = self._others(string)
            same = others.pop(here, 0)
            wanted = {marking: count for marking, count in others.items() if here != NOTHING or (marking.start, marking.end) == (0, 0)}
            if not wanted:
                continue
            marking, most = max(wanted.items(), key=lambda item: (item[1], item[0]))
            doubt = Doubt(string, start, end, here, marking, same, most)
            key = here.span(start, end) or marking.span(start, end)
            if key and (key not in found or doubt.weight > found[key].weight):
                found[key] = doubt
        return found

    def of_string(self, string: str, label: str) -> list[float]:
        """Returns logarithms of how often the string is an entity of this label, something else, or nothing."""
        others = self._others(string)
        same, nothing = others.get(Marking(label), 0), others.get(NOTHING, 0)
        return [math.log1p(same), math.log1p(sum(others.values()) - same - nothing), math.log1p(nothing), float(len(string))]

    def of_shape(self, text: str, span: Span) -> list[float]:
        """Returns log-odds: of the label, given how such a string begins, ends and stands; and of a border, given the two characters on both sides of it."""
        label, start, end = span
        odds = []
        for what, value in _shape(text, start, end):
            own = self._count(what, value, label)
            odds.append(_odds(own, self._count(what, value, "") - own))
        for what, pair in (("start", _pair(text, start)), ("end", _pair(text, end))):
            borders = self._count(what, pair, "")
            odds.append(_odds(borders, self._count("pair", pair, "") - borders))
        within = [_pair(text, at) for at in range(start + 1, end)]
        borders_within = [self._count("start", pair, "") + self._count("end", pair, "") for pair in within]
        odds.append(max((_odds(n, self._count("pair", pair, "") - n) for pair, n in zip(within, borders_within, strict=True)), default=0.0))
        return odds


def _of_doubt(doubt: Doubt | None) -> list[float]:
    if doubt is None:
        return [0.0, 0.0, 0.0, 0.0]
    kind = 1.0 if doubt.here == NOTHING else 2.0 if doubt.marking == NOTHING else 3.0 if doubt.here[1:] == doubt.marking[1:] else 4.0
    return [math.log1p(doubt.others), math.log1p(doubt.same), doubt.share, kind]


def _relation(span: Span, answer: Span | None) -> float:
    """Returns how a model's answer stands to a span: 0 nothing there, 1 the same, 2 another label, 3 another border, 4 both."""
    if answer is None:
        return 0.0
    return {(True, True): 1.0, (False, True): 2.0, (True, False): 3.0, (False, False): 4.0}[answer[0] == span[0], answer[1:] == span[1:]]


def _facts(example: Example) -> Iterator[Fact]:
    """Yields what an example adds to the counts beside its places: pairs of characters, borders between them, and the shape of each entity, for its label and for all."""
    text = example.text
    for at in range(len(text) + 1):
        yield "pair", _pair(text, at), ""
    for entity in example.entities:
        yield "start", _pair(text, entity.start), ""
        yield "end", _pair(text, entity.end), ""
        for what, value in _shape(text, entity.start, entity.end):
            yield what, value, entity.label
            yield what, value, ""


def _shape(text: str, start: int, end: int) -> Iterator[tuple[str, str]]:
    """Yields what is counted of an entity's characters and of those around it."""
    before, behind = text[start - 1] if start else EDGE, text[end] if end < len(text) else EDGE
    yield "last", text[end - 1]
    yield "last two", text[end - 2 : end] if end - start > 1 else ""
    yield "first", text[start]
    yield "first two", text[start : start + 2] if end - start > 1 else ""
    yield "before", before
    yield "behind", behind
    yield "around", before + behind
    yield "length", str(min(end - start, LONGEST))


def _pair(text: str, at: int) -> str:
    """Returns the two characters on both sides of a place."""
    return (text[at - 1] if at else EDGE) + (text[at] if at < len(text) else EDGE)


def _odds(yes: int, no: int) -> float:
    return math.log((yes + 0.5) / (max(0, no) + 0.5))


def _entities_at(example: Example) -> Mapping[int, Sequence[Entity]]:
    """Returns the entities that cover each character of a text."""
    found = defaultdict[int, list[Entity]](list)
    for entity in example.entities:
        for place in range(entity.start, entity.end):
            found[place].append(entity)
    return found


def _marking(text: str, at: Mapping[int, Sequence[Entity]], start: int, end: int) -> Marking | None:
    """Returns how a place is annotated; None where that says nothing of the string: within a longer entity, across a border, or in the middle of a Latin word.

    `at` has the entities that cover each character.
    """
    inside = list(dict.fromkeys(one for place in range(start, end) for one in at.get(place, ())))
    if exact := sorted(one.label for one in inside if (one.start, one.end) == (start, end)):
        return Marking(exact[0])
    if _divides_a_word(text, start, end):
        return None
    if not inside:
        return NOTHING
    one = inside[0]
    within = len(inside) == 1 and start <= one.start and one.end <= end
    return Marking(one.label, one.start - start, one.end - end) if within else None


def _divides_a_word(text: str, start: int, end: int) -> bool:
    """Returns whether a place begins or ends between two letters or digits: DOTA isn't a word of DOTA2."""
    return any(0 < at < len(text) and _WORD.match(text[at - 1]) and _WORD.match(text[at]) for at in (start, end))
