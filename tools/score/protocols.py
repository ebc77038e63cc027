"""What counts as right: one small function a protocol, from gold and prediction side by side to an outcome of integers.

In: one row's gold and predicted pairs and spans. Out: its outcome; equal outcomes are counted together, and every ratio is derived from the sums, once.

    python -c "from tools.score.protocols import PROTOCOLS; help(PROTOCOLS['partial'])"

set      the set of (label, string) a sentence, as CLUENER's official script counts: offsets and repeats don't matter
span     the set of (label, start, end), as seqeval counts
partial  boundaries may differ, and the label: an exact place is right, an overlap is half right (nervaluate's 'partial')
type     some overlap with the same label is right, an overlap with another label is wrong (nervaluate's 'ent_type')
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tools.answers import Pair
from tools.score.rows import Row
from tools.score.score_file import Figures, PartialFigures
from tools.text import neutralise

Span = tuple[str, int, int]  # (label, start, end), end exclusive
# One row's items, sorted, each as "correct name": what became of it, and its label; where labels meet, "whole …" says what all together have more than the labels'
# sum. Flat and of few strings, for a million are made, compared and sent to another process.
Outcome = tuple[str, ...]
_Pair = tuple[Span, Span, bool]  # a gold span, a wrong one that overlaps it, and whether the gold span isn't predicted besides
Cluster = tuple[list[Span], list[Span]]  # gold and predicted spans that overlap, directly or through others, from the left

NO_LABEL = "(unknown label)"
OCCURRENCES = ("all", "first")
KINDS = ("correct", "incorrect", "partial", "missed", "spurious")
WHOLE = "whole"
_FEW = 64  # pairs of spans that are looked at one by one


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

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    def to_dict(self) -> Figures:
        """The integers, then precision tp/(tp+fp), recall tp/(tp+fn), F1 2tp/(2tp+fp+fn) (0.0 where nothing stands below the line), and support tp+fn."""
        return {
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
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

    def to_dict(self) -> PartialFigures:
        """The integers, then precision and recall with a partial item as half a correct one, F1, their harmonic mean, and support, the gold items.

        With R = 2 correct + partial, A the predicted items and P the gold items: R/2A, R/2P, and F1 = R/(A+P); 0.0 where nothing stands below the line.
        """
        right, paired = 2 * self.correct + self.partial, self.correct + self.incorrect + self.partial
        actual, possible = paired + self.spurious, paired + self.missed
        return {
            "correct": self.correct,
            "incorrect": self.incorrect,
            "partial": self.partial,
            "missed": self.missed,
            "spurious": self.spurious,
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

    `known` are the labels that the answer may use. `predicted_spans` are where the predicted strings stand, and `nowhere` holds the labels of predicted strings that don't stand in the text: they have no place, and count
    as one spurious item each wherever places count.
    """

    known: Collection[str]
    gold: set[Pair]
    predicted: set[Pair]
    gold_spans: set[Span]
    predicted_spans: set[Span]
    nowhere: list[str]


def sides(row: Row, known: Collection[str], first: bool = False) -> Sides:
    """A row as the protocols see it; each predicted string stands at all its occurrences in the text, or only at the `first`."""
    example, predicted = row.example, set(row.predicted)
    spans, nowhere = place(predicted, neutralise(example.text), first) if example.label is None else (set(), [])
    return Sides(known, set(row.gold), predicted, {(entity.label, entity.start, entity.end) for entity in example.entities}, spans, nowhere)


def place(pairs: Iterable[Pair], text: str, first: bool = False) -> tuple[set[Span], list[str]]:
    """The pairs' spans in the text, at all occurrences of their strings or at the `first`, and the labels of those that have none."""
    spans: set[Span] = set()
    nowhere: list[str] = []
    for label, string in pairs:
        start = text.find(string) if string else -1
        if start < 0:
            nowhere.append(label)
            continue
        end = start + len(string)
        spans.add((label, start, end))
        if not first and text.find(string, end) >= 0:
            spans.update([(label, *both) for both in occurrences(string, text)])
    return spans, nowhere


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
    return _equal(row.gold_spans, row.predicted_spans, row.nowhere, row.known)


def by_partial(row: Sides) -> Outcome:
    """nervaluate's 'partial': each prediction, from the left, takes the gold span at its very place (correct), else the first that it overlaps (partial).

    Labels don't matter for the whole; a label's own figures compare that label's spans alone.
    """
    return _overlapping(row, by_span(row))[0]


def by_type(row: Sides) -> Outcome:
    """nervaluate's 'ent_type': each prediction, from the left, takes the nearest overlapping gold span of its label (correct), else the first (incorrect).

    A label's own figures compare that label's spans alone, so what is incorrect in the whole is there missed under one label and spurious under the other.
    """
    return _overlapping(row, by_span(row))[1]


# Protocol → the function that counts one row by it.
PROTOCOLS: dict[str, Callable[[Sides], Outcome]] = {"set": by_set, "span": by_span, "partial": by_partial, "type": by_type}
PRIMARY = "set"
FIVEFOLD = ("partial", "type")  # these know more than right and wrong


def outcomes(row: Sides) -> tuple[Outcome, ...]:
    """A row's outcome by each protocol, in PROTOCOLS' order: what they have in common is done once."""
    gold, spans = row.gold, row.gold_spans
    exact = _equal(spans, row.predicted_spans, row.nowhere, row.known)
    if gold == row.predicted and spans == row.predicted_spans and len(gold) == len(spans) and not row.nowhere:
        return exact, exact, exact, exact  # each string stands at one place, so its pair and its span are one item
    partial, by_type = _overlapping(row, exact)
    return _equal(gold, row.predicted, [], row.known), exact, partial, by_type


def totals(outcomes: Mapping[Outcome, int]) -> tuple[dict[str, Matched], Matched]:
    """The integers by label, NO_LABEL among them where it occurs, and those behind the micro average, from outcomes and how often each was met."""
    items: dict[str, int] = {}
    for outcome, times in outcomes.items():
        for item in outcome:
            items[item] = items.get(item, 0) + times
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
_CORRECT, _, _PARTIAL, _MISSED, _SPURIOUS = _ITEMS


def _equal(gold: set[Any], predicted: set[Any], nowhere: list[str], known: Collection[str]) -> Outcome:
    """The outcome of a protocol in which an item is right when it equals a gold item; an item begins with its label."""
    items = []
    if gold == predicted:
        for item in gold:
            items.append(_CORRECT[item[0]])
    else:
        for item in gold:
            items.append(_CORRECT[item[0]] if item in predicted else _MISSED[item[0]])
        for item in predicted:
            if item not in gold:
                items.append(_SPURIOUS[item[0] if item[0] in known else NO_LABEL])
    for label in nowhere:
        items.append(_SPURIOUS[label if label in known else NO_LABEL])
    items.sort()
    return tuple(items)


# A matcher tells how many of the predicted spans are correct, incorrect and partial against the gold spans, both from the left.
Matcher = Callable[[list[Span], list[Span]], tuple[int, int, int]]


def _overlapping(row: Sides, exact: Outcome) -> tuple[Outcome, Outcome]:
    """The outcomes by partial and by type, from the one by span: each label's spans alone, and how many there are in all where labels meet."""
    if row.gold_spans == row.predicted_spans:
        return exact, exact
    pairs = _pairs(row)
    if pairs is None:
        base, tangled = _base(row, exact)
        return _matched(base, tangled, _match_boundaries), _matched(base, tangled, _match_types)
    return _paired_off(exact, pairs) if pairs else (exact, exact)


def _pairs(row: Sides) -> list[_Pair] | None:
    """The gold spans that a wrong one takes, where each such pair can be seen alone; None for the few rows where it can't."""
    gold_spans, predicted, known = row.gold_spans, row.predicted_spans, row.known
    wrong = predicted - gold_spans
    if len(wrong) * len(gold_spans) > _FEW:
        return None
    pairs = []
    for span in wrong:
        label, start, end = span
        for gold in gold_spans:
            if gold[1] < end and start < gold[2] and label in known:
                pairs.append((gold, span, gold not in predicted))
    if not pairs:
        return pairs
    if len(pairs) > 1 and not len({pair[0] for pair in pairs}) == len({pair[1] for pair in pairs}) == len(pairs):
        return None
    for gold, _, is_missed in pairs:
        for other in gold_spans:
            # Either's own prediction might take the other.
            if other is not gold and other[1] < gold[2] and gold[1] < other[2] and (not is_missed or other in predicted):
                return None
    return [pair for pair in pairs if _is_taken(*pair)]


def _is_taken(gold: Span, wrong: Span, is_missed: bool) -> bool:
    if not is_missed and (gold[1], gold[2], gold[0]) < (wrong[1], wrong[2], wrong[0]):
        return False  # its own prediction comes first
    return gold[2] - gold[1] <= 100 or bool(_touched([gold], wrong))


def _paired_off(exact: Outcome, pairs: list[_Pair]) -> tuple[Outcome, Outcome]:
    """The outcomes by partial and by type where these pairs are all there is beside the outcome by span."""
    partial, by_type, more, others = list(exact), list(exact), None, None
    for gold, wrong, is_missed in pairs:
        label = gold[0]
        if label == wrong[0]:
            if is_missed:
                partial.remove(_MISSED[label])
                partial.remove(_SPURIOUS[label])
                by_type.remove(_MISSED[label])
                by_type.remove(_SPURIOUS[label])
                by_type.append(_CORRECT[label])
            else:
                partial.remove(_CORRECT[label])
            partial.append(_PARTIAL[label])
        else:
            more, others = more or [0] * 5, others or [0] * 5
            more[0 if gold[1:] == wrong[1:] else 2] += 1
            others[1] += 1
            for gone in (3, 4) if is_missed else (0,):
                more[gone] -= 1
                others[gone] -= 1
    return _closed(partial, more), _closed(by_type, others)


def _closed(items: list[str], more: list[int] | None) -> Outcome:
    """The outcome of a row's items, and of what all together have more of each kind."""
    if more and any(more):
        items.append(_whole(tuple(more)))
    items.sort()
    return tuple(items)


@lru_cache(maxsize=1024)
def _whole(more: tuple[int, ...]) -> str:
    return " ".join([WHOLE, *map(str, more)])


def _matched(base: Outcome, tangled: list[Cluster], match: Matcher) -> Outcome:
    """One protocol's outcome of spans that have no choice and clusters of such as have."""
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
    return _closed(items, more)


def _of(label: str, spans: list[Span]) -> list[Span]:
    return [span for span in spans if span[0] == label]


def _paired(gold: list[Span], predicted: list[Span], match: Matcher) -> tuple[int, ...]:
    correct, incorrect, partial = match(gold, predicted) if gold and predicted else (0, 0, 0)
    paired = correct + incorrect + partial
    return correct, incorrect, partial, len(gold) - paired, len(predicted) - paired


def _base(row: Sides, exact: Outcome) -> tuple[Outcome, list[Cluster]]:
    """The outcome of the spans that have no choice, since they take themselves or overlap nothing, and the clusters of the others.

    No protocol pairs spans of different clusters. A prediction with an unknown label is in none, and so spurious wherever it stands: were it paired, a made-up label
    would cost nothing.
    """
    clusters = [] if row.gold_spans == row.predicted_spans else _clusters(row)
    tangled = [(gold, predicted) for gold, predicted in clusters if gold and predicted and gold != predicted]
    if not tangled:
        return exact, []
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
