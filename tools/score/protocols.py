"""Defines the protocols: one small function each, from gold and prediction side by side to an outcome of integers.

In: one row's Sides. Out: its outcome. Equal outcomes are counted together, and every ratio is derived from the sums, once.

    .venv/train/bin/python -c "from tools.score.protocols import PROTOCOLS; help(PROTOCOLS['partial'])"

set      the set of (label, string) a sentence, as CLUENER's official script counts: offsets and repeats don't matter
span     the set of (label, start, end), as seqeval counts
partial  boundaries may differ, and the label: an exact place is right, an overlap is half right (nervaluate's 'partial')
type     some overlap with the same label is right, an overlap with another label is wrong (nervaluate's 'ent_type')
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from tools.score.counts import CORRECT, MISSED, NO_LABEL, SPURIOUS, Outcome
from tools.score.overlaps import overlapping
from tools.score.places import Sides

OCCURRENCES = ("all", "first")


def by_set(row: Sides) -> Outcome:
    """Compares the sets of (label, string), as CLUENER's official script does. A classification row has its class there."""
    return _equal(row.gold, row.predicted, [], row.known)


def by_span(row: Sides) -> Outcome:
    """Compares the sets of (label, start, end)."""
    return _equal(row.gold_spans, row.predicted_spans, row.nowhere, row.known)


def by_partial(row: Sides) -> Outcome:
    """Counts as nervaluate's 'partial': each prediction, from the left, takes the gold span at its own place (correct), else the first that it overlaps (partial).

    The overall figures ignore labels; a label's own figures compare that label's spans alone.
    """
    return overlapping(row, by_span(row))[0]


def by_type(row: Sides) -> Outcome:
    """Counts as nervaluate's 'ent_type': each prediction, from the left, takes the nearest overlapping gold span of its label (correct), else the first (incorrect).

    A label's own figures compare that label's spans alone: a pair that is incorrect overall is missed under one label and spurious under the other.
    """
    return overlapping(row, by_span(row))[1]


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
    partial, by_type = overlapping(row, exact)
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
