"""What counts as right: one small function a protocol, from gold and prediction side by side to an outcome of integers.

In: one row's gold and predicted pairs and spans. Out: its outcome; equal outcomes are counted together, and every ratio is derived from the sums, once.

    python -c "from tools.eval.protocols import PROTOCOLS; help(PROTOCOLS['partial'])"

set      the set of (label, string) a sentence, as CLUENER's official script counts: offsets and repeats don't matter
span     the set of (label, start, end), as seqeval counts
partial  boundaries may differ, and the label: an exact place is right, an overlap is half right (nervaluate's 'partial')
type     some overlap with the same label is right, an overlap with another label is wrong (nervaluate's 'ent_type')
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tools.eval.parse import Pair
from tools.eval.rows import Row
from tools.example import neutralise

Span = tuple[str, int, int]  # (label, start, end), end exclusive
# One row's items, sorted, each as "correct name": what became of it, and its label; where labels meet, "whole …" says what all together have more than the labels'
# sum. Flat and of few strings, for a million are made, compared and sent to another process.
Outcome = tuple[str, ...]
Cluster = tuple[list[Span], list[Span]]  # gold and predicted spans that overlap, directly or through others, from the left

NO_LABEL = "(unknown label)"
OCCURRENCES = ("all", "first")
KINDS = ("correct", "incorrect", "partial", "missed", "spurious")
WHOLE = "whole"


@dataclass(slots=True)
class Counts:
    """True positives, false positives and false negatives; everything else follows from them."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def add(self, predicted: bool, gold: bool) -> None:
        """Count one item that is in the prediction, in the gold, or in both."""
        self.tp += predicted and gold
        self.fp += predicted and not gold
        self.fn += gold and not predicted

    def to_dict(self) -> dict[str, Any]:
        """The integers, then precision tp/(tp+fp), recall tp/(tp+fn), F1 2tp/(2tp+fp+fn) (0.0 where nothing stands below the line), and support tp+fn."""
        return {
            **{"tp": self.tp, "fp": self.fp, "fn": self.fn},
            "precision": ratio(self.tp, self.tp + self.fp),
            "recall": ratio(self.tp, self.tp + self.fn),
            "f1": ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn),
            "support": self.tp + self.fn,
        }


@dataclass(slots=True)
class Matched:
    """Items that are correct, incorrect, partial (half right), missed and spurious: SemEval-2013's and nervaluate's terms."""

    correct: int = 0
    incorrect: int = 0
    partial: int = 0
    missed: int = 0
    spurious: int = 0

    def counts(self) -> Counts:
        """The same where an item is right or wrong."""
        return Counts(self.correct, self.spurious, self.missed)

    def to_dict(self) -> dict[str, Any]:
        """The integers, then precision and recall with a partial item as half a correct one, F1, their harmonic mean, and support, the gold items.

        With R = 2 correct + partial, A the predicted items and P the gold items: R/2A, R/2P, and F1 = R/(A+P); 0.0 where nothing stands below the line.
        """
        right, paired = 2 * self.correct + self.partial, self.correct + self.incorrect + self.partial
        actual, possible = paired + self.spurious, paired + self.missed
        return {
            **{"correct": self.correct, "incorrect": self.incorrect, "partial": self.partial, "missed": self.missed, "spurious": self.spurious},
            "precision": ratio(right, 2 * actual),
            "recall": ratio(right, 2 * possible),
            "f1": ratio(right, actual + possible),
            "support": possible,
        }


def ratio(part: int, whole: int) -> float:
    """part / whole, 0.0 when whole is 0."""
    return part / whole if whole else 0.0


@dataclass(slots=True)
class Sides:
    """Gold and prediction of one row, as a protocol sees them.

    `known` are the labels that the answer may use. `nowhere` holds the labels of predicted strings that don't stand in the text: they have no place, and count
    as one spurious item each wherever places count.
    """

    known: Collection[str]
    gold: set[Pair]
    predicted: set[Pair]
    gold_spans: set[Span]
    predicted_spans: set[Span]
    nowhere: list[str]
    # What protocols have in common, once one of them has asked.
    by_span: Outcome | None = None
    base: tuple[Outcome, list[Cluster]] | None = None


def sides(row: Row, known: Collection[str], first: bool = False) -> Sides:
    """A row as the protocols see it; each predicted string stands at all its occurrences in the text, or only at the `first`."""
    example = row.example
    gold, predicted = set(row.gold), set(row.predicted)
    spans: set[Span] = set()
    nowhere: list[str] = []
    if example.label is None:
        text = neutralise(example.text)
        for label, string in predicted:
            places = occurrences(string, text)
            if not places:
                nowhere.append(label)
            elif first or len(places) == 1:
                spans.add((label, *places[0]))
            else:
                spans.update([(label, start, end) for start, end in places])
    return Sides(known, gold, predicted, {(entity.label, entity.start, entity.end) for entity in example.entities}, spans, nowhere)


def occurrences(string: str, text: str) -> list[tuple[int, int]]:
    """(start, end) of every non-overlapping occurrence of `string` in `text`, from the left; none for an empty string."""
    places, start = [], text.find(string) if string else -1
    while start >= 0:
        end = start + len(string)
        places.append((start, end))
        start = text.find(string, end)
    return places


def by_set(row: Sides) -> Outcome:
    """The set of (label, string): what CLUENER's official script counts, and for a classification row the class."""
    return _equal(row.gold, row.predicted, [], row.known)


def by_span(row: Sides) -> Outcome:
    """The set of (label, start, end)."""
    if row.by_span is None:
        row.by_span = _equal(row.gold_spans, row.predicted_spans, row.nowhere, row.known)
    return row.by_span


def by_partial(row: Sides) -> Outcome:
    """nervaluate's 'partial': each prediction, from the left, takes the gold span at its very place (correct), else the first that it overlaps (partial).

    Labels don't matter for the whole; a label's own figures compare that label's spans alone.
    """
    return _matched(row, _match_boundaries)


def by_type(row: Sides) -> Outcome:
    """nervaluate's 'ent_type': each prediction, from the left, takes the nearest overlapping gold span of its label (correct), else the first (incorrect).

    A label's own figures compare that label's spans alone, so what is incorrect in the whole is there missed under one label and spurious under the other.
    """
    return _matched(row, _match_types)


# Protocol → the function that counts one row by it.
PROTOCOLS: dict[str, Callable[[Sides], Outcome]] = {"set": by_set, "span": by_span, "partial": by_partial, "type": by_type}
PRIMARY = "set"
FIVEFOLD = ("partial", "type")  # these know more than right and wrong


def totals(outcomes: Mapping[Outcome, int]) -> tuple[dict[str, Matched], Matched]:
    """The integers by label, NO_LABEL among them where it occurs, and those behind the micro average, from outcomes and how often each was met."""
    items: Counter[str] = Counter()
    for outcome, times in outcomes.items():
        for item in outcome:
            items[item] += times
    found: dict[str, Matched] = {}
    every = Matched()
    for item, times in items.items():
        kind, label = read_item(item)
        if kind == WHOLE:
            for name, more in zip(KINDS, label.split(), strict=True):
                setattr(every, name, getattr(every, name) + times * int(more))
        else:
            for counts in (found.setdefault(label, Matched()), every):
                setattr(counts, kind, getattr(counts, kind) + times)
    return found, every


def read_item(item: str) -> tuple[str, str]:
    """(kind, label) of an outcome's item."""
    kind, _, label = item.partition(" ")
    return kind, label


class _Items(dict[str, str]):
    """Label → its item of one kind, always the same string."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def __missing__(self, label: str) -> str:
        self[label] = f"{self.kind} {label}"
        return self[label]


_ITEMS = tuple(_Items(kind) for kind in KINDS)
_CORRECT, _, _, _MISSED, _SPURIOUS = _ITEMS


def _equal(gold: set[Any], predicted: set[Any], nowhere: list[str], known: Collection[str]) -> Outcome:
    """The outcome of a protocol in which an item is right when it equals a gold item; an item begins with its label."""
    if gold == predicted and not nowhere:
        return tuple(sorted([_CORRECT[item[0]] for item in gold]))
    items = [_CORRECT[item[0]] if item in predicted else _MISSED[item[0]] for item in gold]
    items += [_SPURIOUS[item[0] if item[0] in known else NO_LABEL] for item in predicted if item not in gold]
    items += [_SPURIOUS[label if label in known else NO_LABEL] for label in nowhere]
    items.sort()
    return tuple(items)


# A matcher tells how many of the predicted spans are correct, incorrect and partial against the gold spans, both from the left.
Matcher = Callable[[list[Span], list[Span]], tuple[int, int, int]]


def _matched(row: Sides, match: Matcher) -> Outcome:
    """The outcome of a protocol that pairs overlapping spans: each label's spans alone, and how many there are in all where labels meet."""
    if row.base is None:
        row.base = _base(row)
    base, tangled = row.base
    if not tangled:
        return base
    items, more = list(base), [0] * 5
    for gold, predicted in tangled:
        together = _paired(gold, predicted, match)
        label = gold[0][0]
        if len(gold) == len(predicted) == 1:  # by far the most frequent
            if label == predicted[0][0]:
                items += [_ITEMS[kind][label] for kind, times in enumerate(together) if times]
                continue
            items += (_MISSED[label], _SPURIOUS[predicted[0][0]])
            more[3:] = more[3] - 1, more[4] - 1
        else:
            for label in {span[0] for span in gold + predicted}:
                for kind, times in enumerate(_paired(_of(label, gold), _of(label, predicted), match)):
                    items += [_ITEMS[kind][label]] * times
                    more[kind] -= times
        for kind, times in enumerate(together):
            more[kind] += times
    if any(more):
        items.append(" ".join([WHOLE, *map(str, more)]))
    items.sort()
    return tuple(items)


def _of(label: str, spans: list[Span]) -> list[Span]:
    return [span for span in spans if span[0] == label]


def _paired(gold: list[Span], predicted: list[Span], match: Matcher) -> tuple[int, ...]:
    correct, incorrect, partial = match(gold, predicted) if gold and predicted else (0, 0, 0)
    paired = correct + incorrect + partial
    return correct, incorrect, partial, len(gold) - paired, len(predicted) - paired


def _base(row: Sides) -> tuple[Outcome, list[Cluster]]:
    """The outcome of the spans that have no choice, since they take themselves or overlap nothing, and the clusters of the others.

    No protocol pairs spans of different clusters. A prediction with an unknown label is in none, and so spurious wherever it stands: were it paired, a made-up label
    would cost nothing.
    """
    clusters = [] if row.gold_spans == row.predicted_spans else _clusters(row)
    tangled = [(gold, predicted) for gold, predicted in clusters if gold and predicted and gold != predicted]
    if not tangled:
        return by_span(row), []
    items = [_SPURIOUS[label if label in row.known else NO_LABEL] for label in row.nowhere]
    items += [_SPURIOUS[NO_LABEL] for span in row.predicted_spans if span[0] not in row.known]
    for gold, predicted in clusters:
        if gold == predicted:
            items += [_CORRECT[span[0]] for span in gold]
        elif not predicted:
            items += [_MISSED[span[0]] for span in gold]
        elif not gold:
            items += [_SPURIOUS[span[0]] for span in predicted]
    return tuple(items), tangled


def _clusters(row: Sides) -> list[Cluster]:
    """The spans in clusters of those that overlap, all from the left, so that the outcome doesn't depend on the order in which a model names its entities."""
    spans = [(start, end, label, True) for label, start, end in row.gold_spans]
    spans += [(start, end, label, False) for label, start, end in row.predicted_spans if label in row.known]
    spans.sort()
    clusters: list[Cluster] = []
    reach = -1
    for start, end, label, is_gold in spans:
        if start >= reach:
            gold: list[Span] = []
            predicted: list[Span] = []
            clusters.append((gold, predicted))
            reach = end
        elif end > reach:
            reach = end
        (gold if is_gold else predicted).append((label, start, end))
    return clusters


def _match_boundaries(gold: list[Span], predicted: list[Span]) -> tuple[int, int, int]:
    free, correct, partial = list(gold), 0, 0
    for span in predicted:
        if touched := _touched(free, span):
            same = [one for one in touched if one[1:] == span[1:]]
            free.remove((same or touched)[0])
            correct, partial = correct + bool(same), partial + (not same)
    return correct, 0, partial


def _match_types(gold: list[Span], predicted: list[Span]) -> tuple[int, int, int]:
    free, correct, incorrect = list(gold), 0, 0
    for span in predicted:
        if touched := _touched(free, span):
            same = [one for one in touched if one[0] == span[0]]
            free.remove(min(same, key=lambda one: abs(one[1] - span[1]) + abs(one[2] - span[2])) if same else touched[0])
            correct, incorrect = correct + bool(same), incorrect + (not same)
    return correct, incorrect, 0


def _touched(gold: list[Span], span: Span) -> list[Span]:
    """The gold spans that a span overlaps; as in nervaluate, by one per cent of the gold span or more."""
    _, start, end = span
    return [one for one in gold if one[1] < end and start < one[2] and 100 * (min(end, one[2]) - max(start, one[1])) >= one[2] - one[1]]
