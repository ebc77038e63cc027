"""Defines the protocols: one small function each, from gold and prediction side by side to an outcome of integers.

In: one row's Sides. Out: its outcome. Equal outcomes are counted together, and every ratio is derived from the sums, once.

    .venv/train/bin/python -c "from tools.score.protocols import PROTOCOLS; help(PROTOCOLS['partial'])"
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from tools.answers import Span
from tools.score.counts import CORRECT, ITEMS, MISSED, NO_LABEL, PARTIAL, SPURIOUS, Outcome, whole
from tools.score.places import Sides

OCCURRENCES = ("all", "first")
_FEW = 64  # pairs of spans that are looked at one by one

_Pair = tuple[Span, Span, bool]  # a gold span, a wrong one that overlaps it, and whether the gold span itself is not predicted
_Cluster = tuple[list[Span], list[Span]]  # gold and predicted spans that overlap, directly or through others, from the left
# Returns how many of the predicted spans are correct, incorrect and partial; both lists are ordered from the left.
_Matcher = Callable[[list[Span], list[Span]], tuple[int, int, int]]


def by_set(row: Sides) -> Outcome:
    """Compares the sets of (label, string), as CLUENER's official script does: offsets and repeats don't matter. A classification row has its class there."""
    return _equal(row.gold, row.predicted, [], row.known)


def by_span(row: Sides) -> Outcome:
    """Compares the sets of (label, start, end), as seqeval does."""
    return _equal(row.gold_spans, row.predicted_spans, row.nowhere, row.known)


def by_partial(row: Sides) -> Outcome:
    """Counts as nervaluate's 'partial': each prediction, from the left, takes the gold span at its own place (correct), else the first that it overlaps (partial).

    The overall figures ignore labels; a label's own figures compare that label's spans alone.
    """
    return _overlapping(row, by_span(row))[0]


def by_type(row: Sides) -> Outcome:
    """Counts as nervaluate's 'ent_type': each prediction, from the left, takes the nearest overlapping gold span of its label (correct), else the first (incorrect).

    A label's own figures compare that label's spans alone: a pair that is incorrect overall is missed under one label and spurious under the other.
    """
    return _overlapping(row, by_span(row))[1]


# Protocol → the function that counts one row by it.
PROTOCOLS: dict[str, Callable[[Sides], Outcome]] = {"set": by_set, "span": by_span, "partial": by_partial, "type": by_type}
PRIMARY = "set"
FIVEFOLD = ("partial", "type")  # these count by all five KINDS


def outcomes(row: Sides) -> tuple[Outcome, ...]:
    """Returns a row's outcome by each protocol, in PROTOCOLS' order. Their common parts are computed once."""
    gold, spans = row.gold, row.gold_spans
    exact = _equal(spans, row.predicted_spans, row.nowhere, row.known)
    if gold == row.predicted and spans == row.predicted_spans and len(gold) == len(spans) and not row.nowhere:
        return exact, exact, exact, exact  # each string stands at one place, so its pair and its span are one item
    partial, by_type = _overlapping(row, exact)
    return _equal(gold, row.predicted, [], row.known), exact, partial, by_type


def _equal(gold: set[Any], predicted: set[Any], nowhere: list[str], known: Collection[str]) -> Outcome:
    """Returns the outcome of a protocol in which an item is right if it equals a gold item; an item begins with its label."""
    items = []
    if gold == predicted:
        for item in gold:
            items.append(CORRECT[item[0]])
    else:
        for item in gold:
            items.append(CORRECT[item[0]] if item in predicted else MISSED[item[0]])
        for item in predicted:
            if item not in gold:
                items.append(SPURIOUS[item[0] if item[0] in known else NO_LABEL])
    for label in nowhere:
        items.append(SPURIOUS[label if label in known else NO_LABEL])
    items.sort()
    return tuple(items)


def _overlapping(row: Sides, exact: Outcome) -> tuple[Outcome, Outcome]:
    """Returns the outcomes by partial and by type, from the one by span.

    Most rows have no overlap, or pairs that can be seen one by one; only the others are matched cluster by cluster.
    """
    if row.gold_spans == row.predicted_spans:
        return exact, exact
    pairs = _pairs(row)
    if pairs is None:
        base, tangled = _base(row, exact)
        return _matched(base, tangled, _match_boundaries), _matched(base, tangled, _match_types)
    return _paired_off(exact, pairs) if pairs else (exact, exact)


def _pairs(row: Sides) -> list[_Pair] | None:
    """Returns the pairs of a gold span and the wrong span that takes it. Returns None for the few rows in which the pairs depend on each other."""
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
            # A prediction that equals one of the two gold spans might be paired with the other one.
            if other is not gold and other[1] < gold[2] and gold[1] < other[2] and (not is_missed or other in predicted):
                return None
    return [pair for pair in pairs if _is_taken(*pair)]


def _is_taken(gold: Span, wrong: Span, is_missed: bool) -> bool:
    if not is_missed and (gold[1], gold[2], gold[0]) < (wrong[1], wrong[2], wrong[0]):
        return False  # its own prediction comes first
    return gold[2] - gold[1] <= 100 or bool(_touched([gold], wrong))


def _paired_off(exact: Outcome, pairs: list[_Pair]) -> tuple[Outcome, Outcome]:
    """Returns the outcomes by partial and by type of a row in which only these pairs change its outcome by span, `exact`."""
    partial, by_type, more, others = list(exact), list(exact), None, None
    for gold, wrong, is_missed in pairs:
        label = gold[0]
        if label == wrong[0]:
            if is_missed:
                partial.remove(MISSED[label])
                partial.remove(SPURIOUS[label])
                by_type.remove(MISSED[label])
                by_type.remove(SPURIOUS[label])
                by_type.append(CORRECT[label])
            else:
                partial.remove(CORRECT[label])
            partial.append(PARTIAL[label])
        else:
            more, others = more or [0] * 5, others or [0] * 5
            more[0 if gold[1:] == wrong[1:] else 2] += 1
            others[1] += 1
            for gone in (3, 4) if is_missed else (0,):
                more[gone] -= 1
                others[gone] -= 1
    return _closed(partial, more), _closed(by_type, others)


def _closed(items: list[str], more: list[int] | None) -> Outcome:
    """Returns a row's items as its outcome. `more` has, for each of KINDS, the count of all labels together less the sum of the labels' counts."""
    if more and any(more):
        items.append(whole(tuple(more)))
    items.sort()
    return tuple(items)


def _matched(base: Outcome, tangled: list[_Cluster], match: _Matcher) -> Outcome:
    """Returns one protocol's outcome, from what `_base` returns."""
    items, more = list(base), [0] * 5
    for gold, predicted in tangled:
        together = _paired(gold, predicted, match)
        label = gold[0][0]
        if len(gold) == len(predicted) == 1:  # by far the most frequent
            if label == predicted[0][0]:
                items += [ITEMS[kind][label] for kind, times in enumerate(together) if times]
                continue
            items += (MISSED[label], SPURIOUS[predicted[0][0]])
            more[3:] = more[3] - 1, more[4] - 1
        else:
            for label in {span[0] for span in gold + predicted}:
                for kind, times in enumerate(_paired(_of(label, gold), _of(label, predicted), match)):
                    items += [ITEMS[kind][label]] * times
                    more[kind] -= times
        for kind, times in enumerate(together):
            more[kind] += times
    return _closed(items, more)


def _of(label: str, spans: list[Span]) -> list[Span]:
    return [span for span in spans if span[0] == label]


def _paired(gold: list[Span], predicted: list[Span], match: _Matcher) -> tuple[int, ...]:
    correct, incorrect, partial = match(gold, predicted) if gold and predicted else (0, 0, 0)
    paired = correct + incorrect + partial
    return correct, incorrect, partial, len(gold) - paired, len(predicted) - paired


def _base(row: Sides, exact: Outcome) -> tuple[Outcome, list[_Cluster]]:
    """Returns the outcome of the spans that equal another or overlap none, and the clusters of all others.

    No protocol pairs spans of different clusters. A prediction with an unknown label is in no cluster, and so spurious wherever it stands: if it were paired, a made-up
    label would cost nothing.
    """
    clusters = _clusters(row)
    tangled = [(gold, predicted) for gold, predicted in clusters if gold and predicted and gold != predicted]
    if not tangled:
        return exact, []
    items = [SPURIOUS[label if label in row.known else NO_LABEL] for label in row.nowhere]
    items += [SPURIOUS[NO_LABEL] for span in row.predicted_spans if span[0] not in row.known]
    for gold, predicted in clusters:
        if gold == predicted:
            items += [CORRECT[span[0]] for span in gold]
        elif not predicted:
            items += [MISSED[span[0]] for span in gold]
        elif not gold:
            items += [SPURIOUS[span[0]] for span in predicted]
    return tuple(items), tangled


def _clusters(row: Sides) -> list[_Cluster]:
    """Returns the spans in clusters of overlapping ones, ordered from the left: the order in which a model names its entities changes nothing."""
    spans = [(start, end, label, True) for label, start, end in row.gold_spans]
    spans += [(start, end, label, False) for label, start, end in row.predicted_spans if label in row.known]
    spans.sort()
    clusters: list[_Cluster] = []
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
    """Returns the gold spans that a span overlaps by at least one per cent of the gold span, as in nervaluate."""
    _, start, end = span
    return [one for one in gold if one[1] < end and start < one[2] and 100 * (min(end, one[2]) - max(start, one[1])) >= one[2] - one[1]]
