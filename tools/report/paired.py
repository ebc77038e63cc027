"""Compares two systems on the same rows: the counts of each, and a paired bootstrap of their F1.

In: a task, its examples, two predictions files. Out: both F1, their difference with its interval and p-value, by label and on average.

    ./ner compare tiny-qwen2-sample-ner-lora-sft:base tiny-qwen2-sample-ner-lora-sft
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from tools.answers import Pair
from tools.conf.task import Task
from tools.errors import WANTING, ToolError
from tools.example import Example
from tools.predict.predictions import read_predictions, thought_of
from tools.score.bootstrap import LEVEL, interval, resample
from tools.score.counts import NO_LABEL, Counts
from tools.score.rows import known_labels, rows

if TYPE_CHECKING:
    from numpy import ndarray

SAMPLES = 5000
SEED = 42
METHOD = "paired bootstrap over rows"


class Difference(TypedDict):
    """F1 of two systems, b - a with the ends of its 95 % interval, and the two-sided p-value."""

    a: float
    b: float
    delta: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Counted:
    """One system's answers, row by row: the counts of each label, and the pairs that it predicted."""

    counts: list[dict[str, Counts]]
    predicted: list[list[Pair]]
    classes: bool = False  # of a classification task

    def errors(self) -> list[int]:
        """Returns the false positives and false negatives of each row. A class counts once: it is right or wrong, and no answer is wrong."""
        return [sum(one.fn if self.classes else one.fp + one.fn for one in row.values()) for row in self.counts]

    def total(self) -> tuple[int, int, int]:
        """Returns tp, fp, fn of all rows and labels."""
        every = sum((one for row in self.counts for one in row.values()), Counts())
        return every.tp, every.fp, every.fn


def count(task: Task, examples: Sequence[Example], predictions: Path) -> Counted:
    """Counts a predictions file by the protocol 'set', row by row. Raises ToolError (1) for an id that no example has."""
    answers, known = read_predictions(predictions), {example.id for example in examples}
    if strange := next((id for id in answers if id not in known), None):
        raise ToolError(f"{predictions}: the id '{strange}' isn't among the examples: they don't belong together.", WANTING)
    counts, predicted = [], []
    for row in rows(task, examples, answers, thought_of(predictions)):
        by_label: dict[str, Counts] = defaultdict(Counts)
        gold, answer, names = set(row.gold), set(row.predicted), frozenset(known_labels(task, row.example))
        for pair in gold | answer:
            by_label[pair[0] if pair[0] in names else NO_LABEL].add(pair in answer, pair in gold)
        counts.append(by_label)
        predicted.append(row.predicted)
    return Counted(counts, predicted, task.kind == "classification")


def paired_bootstrap(
    first: Counted, second: Counted, labels: Sequence[str], samples: int = SAMPLES, seed: int = SEED
) -> tuple[Difference, Difference, dict[str, Difference]]:
    """Returns the differences of micro F1, of macro F1, and of each label's F1.

    Each sample draws the rows of the test set with replacement, the same rows for both systems, and counts both F1 anew (Koehn 2004, Statistical Significance
    Tests for Machine Translation Evaluation). The interval is the percentile interval of the difference. The p-value is two-sided (Berg-Kirkpatrick, Burkett and
    Klein 2012, An Empirical Investigation of Statistical Significance in NLP, algorithm 1): the share of samples whose difference is as far from the observed
    difference as the observed difference is from 0. It is (1 + number) / (1 + samples), which is never 0 (Davison and Hinkley 1997, section 4.2).
    """
    import numpy

    names = [*labels, NO_LABEL]
    table = numpy.concatenate([array_of(one, names).reshape(len(one.counts), -1) for one in (first, second)], axis=1)
    patterns, times = numpy.unique(table, axis=0, return_counts=True)
    shape = (-1, 2, len(names), 3)  # samples, systems, labels, (tp, fp, fn)
    whole = table.sum(axis=0).reshape(shape)
    observed = _f1(whole, whole)[0]
    drawn = _f1(resample(times, patterns, samples, seed).reshape(shape), whole)
    micro, macro, *each = (_difference(observed[:, k], drawn[:, :, k]) for k in range(len(labels) + 2))
    return micro, macro, dict(zip(labels, each, strict=True))


def array_of(counted: Counted, names: Sequence[str]) -> ndarray:
    """Returns integers of shape (rows, labels, 3): each label's tp, fp and fn. `names` are the labels, NO_LABEL among them."""
    import numpy

    column, array = {label: k for k, label in enumerate(names)}, numpy.zeros((len(counted.counts), len(names), 3), dtype=numpy.int64)
    for number, row in enumerate(counted.counts):
        for label, one in row.items():
            array[number, column[label]] = one.tp, one.fp, one.fn
    return array


def _f1(sums: ndarray, whole: ndarray) -> ndarray:
    """Returns F1 of shape (samples, systems, micro + macro + labels) from sums of shape (samples, systems, labels, 3); `whole` (1, …) are the sums of all rows.

    Macro is over the labels that occur in all rows. A label that a sample lacks counts with its F1 of all rows, as in tools/score/bootstrap.py.
    """
    import numpy

    def by_label(counts: ndarray) -> tuple[ndarray, ndarray]:
        right = 2 * counts[..., 0]
        return right, right + counts[..., 1] + counts[..., 2]

    right, items = by_label(sums)
    right_of_all, items_of_all = by_label(whole)
    micro = right.sum(-1) / numpy.maximum(items.sum(-1), 1)
    each = numpy.where(items > 0, right / numpy.maximum(items, 1), right_of_all / numpy.maximum(items_of_all, 1))[
        ..., :-1
    ]  # the last column is NO_LABEL
    macro = each.sum(-1) / numpy.maximum((items_of_all[..., :-1] > 0).sum(-1), 1)  # the F1 of a label that occurs nowhere is 0
    return numpy.concatenate([micro[..., None], macro[..., None], each], axis=-1)


def _difference(observed: ndarray, drawn: ndarray) -> Difference:
    import numpy

    delta, deltas = float(observed[1] - observed[0]), drawn[:, 1] - drawn[:, 0]
    low, high = interval(deltas, delta, LEVEL)
    as_far = int((numpy.abs(deltas - delta) >= abs(delta) - 1e-12).sum())
    return Difference(a=float(observed[0]), b=float(observed[1]), delta=delta, low=low, high=high, p=(1 + as_far) / (1 + len(deltas)))
