"""Counts right and wrong items: a row's outcome, the sums over rows, and the ratios that follow from them.

In: outcomes, and the number of rows that have each. Out: integers by label, and precision, recall and F1.

    .venv/train/bin/python -c "from tools.score.counts import totals; print(totals({('correct a',): 90, ('missed a', 'spurious b'): 10}))"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from tools.score.score_file import Figures, PartialFigures

NO_LABEL = "(unknown label)"
KINDS = ("correct", "incorrect", "partial", "missed", "spurious")
WHOLE = "whole"
# One row's items, sorted, each as "<kind> <label>". Where spans of several labels meet, "whole …" holds, by kind, the difference between all labels together and the
# sum of the labels. It is flat and has few different strings, because a million are made, compared and sent to another process.
Outcome = tuple[str, ...]


@dataclass(slots=True)
class Counts:
    """True positives, false positives and false negatives."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def add(self, predicted: bool, gold: bool) -> None:
        """Counts one item that is in the prediction, in the gold, or in both."""
        self.tp += predicted and gold
        self.fp += predicted and not gold
        self.fn += gold and not predicted

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    def to_dict(self) -> Figures:
        """Returns the integers, then precision tp/(tp+fp), recall tp/(tp+fn), F1 2tp/(2tp+fp+fn) (each 0.0 if its denominator is 0), and support tp+fn."""
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
        """Returns the counts of a protocol in which an item is right or wrong."""
        return Counts(self.correct, self.spurious, self.missed)

    def to_dict(self) -> PartialFigures:
        """Returns the integers, then precision and recall with a partial item as half a correct one, F1, their harmonic mean, and support, the gold items.

        With R = 2 correct + partial, A predicted items and P gold items, these are R/2A, R/2P and R/(A+P); each is 0.0 if its denominator is 0.
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
    """Returns part / whole, 0.0 if whole is 0."""
    return part / whole if whole else 0.0


def totals(outcomes: Mapping[Outcome, int]) -> tuple[dict[str, Matched], Matched]:
    """Returns the integers by label (NO_LABEL is one where it occurs) and those of the micro average, from each outcome and the number of rows that have it."""
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
    """Returns (kind, label) of an outcome's item."""
    kind, _, label = item.partition(" ")
    return kind, label


class _Items(dict[str, str]):
    """Label → its item of one kind. Equal items are one string, which is quick to compare and to send."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def __missing__(self, label: str) -> str:
        self[label] = f"{self.kind} {label}"
        return self[label]


ITEMS = tuple(_Items(kind) for kind in KINDS)
CORRECT, _, PARTIAL, MISSED, SPURIOUS = ITEMS


@lru_cache(maxsize=1024)
def whole(more: tuple[int, ...]) -> str:
    """Returns the item that adds so many of each kind to all labels together."""
    return " ".join([WHOLE, *map(str, more)])
