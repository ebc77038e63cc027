"""Tests whether a second system is worse than a first: micro F1 and every label's F1, one-sided, all of them together at one level.

In: the counts of both on the same rows; or each system's sums and intervals, where the rows of one aren't kept. Out: a finding for micro F1 and for each label.

    ./ner gate conf/tiny-qwen2-sample-ner-lora-sft.yaml --baseline tiny-qwen2-sample-ner-lora-sft:base

If neither micro F1 nor any label is worse, something is called worse in at most `alpha` of all tests: p-values are corrected by Holm's weighted procedure (Holm 1979, A
Simple Sequentially Rejective Multiple Test Procedure; Benjamini and Hochberg 1997, Multiple Hypotheses Testing with Weights). Micro F1 has MICRO_SHARE of the level, the
labels share the rest, and whatever has been found worse leaves its share to the others. `.venv/train/bin/python -m bench.gate` measures the false alarms and what is found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, TypedDict

from tools.report.paired import SAMPLES, SEED
from tools.score.bootstrap import LEVEL, interval, resample
from tools.score.counts import ratio

if TYPE_CHECKING:
    from numpy import ndarray

ALPHA = 0.05
MICRO = "Micro Avg."
MICRO_SHARE = 0.8  # of the level
FOUND = 0.95  # the share of tests in which the loss `findable` is found
FIRST_DRAWS = 1000  # of a randomisation test; most labels need no more
HOPELESS = 2  # no p-value of so many times alpha is looked at closely
FINE = 20  # draws of a randomisation test below the level that a label has for itself
_CELLS = 1_000_000  # drawn numbers that are held at a time
_NORMAL = NormalDist()

Verdict = Literal["worse", "no loss found", "too few to tell"]


class Tested(TypedDict):
    """F1 of both systems, the second's less the first's with its 95 % interval, and the one-sided p-value, corrected.

    "too few to tell": even if the second had lost everything that the first has right, it couldn't be told from chance.
    """

    label: str
    baseline: float
    run: float
    difference: float
    low: float
    high: float
    p: float
    verdict: Verdict


@dataclass(frozen=True)
class Figure:
    """One F1 of both systems before the correction: `error` is the standard error of their difference, `least` the p-value if the second had nothing right."""

    baseline: float
    run: float
    low: float
    high: float
    p: float
    error: float
    least: float


@dataclass(frozen=True)
class TestedTogether:
    """The findings, and the loss of micro F1 that such a test finds in FOUND of all cases."""

    micro: Tested
    labels: list[Tested]
    findable: float

    @property
    def worse(self) -> list[Tested]:
        """What is worse, micro F1 first, then the largest loss."""
        labels = sorted(self.labels, key=lambda one: one["difference"])
        return [one for one in (self.micro, *labels) if one["verdict"] == "worse"]


@dataclass(frozen=True)
class Sums:
    """One system's integers of a figure, and the ends of the interval of its F1 at `level`."""

    tp: int
    fp: int
    fn: int
    low: float
    high: float
    level: float = LEVEL

    @property
    def f1(self) -> float:
        """2 tp / (2 tp + fp + fn)."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def error(self) -> float:
        """The standard error of F1 as its interval has it, or that of independent items where this is larger.

        Percentiles of few items lie too close together: three right ones of three would have no error at all. F1 is 2j / (1 + j), j = tp / (tp + fp + fn) being a
        proportion; one item is added to either side of it (Agresti and Caffo 2000, Simple and Effective Confidence Intervals for Proportions).
        """
        items = self.tp + self.fp + self.fn + 2
        j = (self.tp + 1) / items
        of_items = 2 / (1 + j) ** 2 * (j * (1 - j) / items) ** 0.5
        return max(of_items, (self.high - self.low) / 2 / _NORMAL.inv_cdf((1 + self.level) / 2))


def paired(first: ndarray, second: ndarray, labels: Sequence[str], alpha: float = ALPHA, samples: int = SAMPLES, seed: int = SEED) -> TestedTogether:
    """Tests the second system against the first on the same rows. Both are integers of shape (rows, labels + 1, 3), as `paired.array_of` makes them.

    Micro F1 has the bootstrap's one-sided p-value (Berg-Kirkpatrick, Burkett and Klein 2012, algorithm 1): how often a resampled difference lies as far below the
    observed one as that lies below 0. A label has too few items for that, and has an approximate randomisation test, which holds its level with any number of
    rows (Yeh 2000, More Accurate Tests for the Statistical Significance of Result Differences).
    """
    all_labels = first.sum(axis=1)
    figures = {MICRO: _micro(_columns(all_labels, second.sum(axis=1)), _rows_right(all_labels), samples, seed)}
    draws = max(samples, round(FINE / (alpha * _weights(labels)[1])))
    for k, label in enumerate(labels):
        columns = _columns(first[:, k], second[:, k])
        figures[label] = _label(columns, _rows_right(first[:, k]), samples, (draws, seed + k, HOPELESS * alpha))
    return _corrected(figures, alpha)


def unpaired(first: Mapping[str, Sums], second: Mapping[str, Sums], alpha: float = ALPHA) -> TestedTogether:
    """Tests the second system against the first where the first's rows aren't kept; both have the same keys, MICRO first.

    The difference is held against a normal distribution whose variance is the sum of both systems' own. Two models find the same rows hard, so the true variance is
    smaller: false alarms are rarer than `alpha`, and losses are missed that the paired test finds.
    """
    return _corrected({name: _apart(first[name], second[name]) for name in first}, alpha)


def holm(p: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Returns the p-values corrected by Holm's weighted procedure. The weights are positive and sum to 1; equal ones give the plain procedure."""
    order = sorted(range(len(p)), key=lambda k: p[k] / weights[k])
    corrected, left, highest = [1.0] * len(p), 1.0, 0.0
    for k in order:
        highest = max(highest, min(1.0, p[k] / weights[k] * left))
        corrected[k], left = highest, left - weights[k]
    return corrected


def _weights(labels: Sequence[str]) -> tuple[float, float]:
    """Returns the share of the level that micro F1 has, and that of each label."""
    return (MICRO_SHARE, (1 - MICRO_SHARE) / len(labels)) if labels else (1.0, 1.0)


def _corrected(figures: Mapping[str, Figure], alpha: float) -> TestedTogether:
    names, (of_micro, of_label) = list(figures), _weights(list(figures)[1:])
    weights = [of_micro, *[of_label] * (len(names) - 1)]
    corrected = holm([one.p for one in figures.values()], weights)
    found = [_tested(name, figures[name], p, alpha, weight) for name, p, weight in zip(names, corrected, weights, strict=True)]
    findable = (_NORMAL.inv_cdf(1 - alpha * of_micro) + _NORMAL.inv_cdf(FOUND)) * figures[MICRO].error
    return TestedTogether(found[0], found[1:], findable)


def _tested(name: str, one: Figure, p: float, alpha: float, weight: float) -> Tested:
    verdict: Verdict = "worse" if p <= alpha else "too few to tell" if one.least > alpha * weight else "no loss found"
    return Tested(label=name, baseline=one.baseline, run=one.run, difference=one.run - one.baseline, low=one.low, high=one.high, p=p, verdict=verdict)


def _columns(first: ndarray, second: ndarray) -> ndarray:
    """Returns integers of shape (rows, 4): 2 tp and 2 tp + fp + fn of the first, then of the second."""
    import numpy

    return numpy.stack([part for one in (first, second) for part in (2 * one[:, 0], 2 * one[:, 0] + one[:, 1] + one[:, 2])], axis=1)


def _rows_right(counts: ndarray) -> int:
    return int((counts[:, 0] > 0).sum())


def _micro(columns: ndarray, right: int, samples: int, seed: int) -> Figure:
    before, after, deltas = _bootstrap(columns, samples, seed)
    delta = after - before
    as_low = int((deltas - delta <= delta + 1e-12).sum()) if delta < 0 else samples
    return _figure(before, after, deltas, (1 + as_low) / (1 + samples), 2.0**-right)


def _label(columns: ndarray, right: int, samples: int, drawing: tuple[int, int, float]) -> Figure:
    before, after, deltas = _bootstrap(columns, samples, drawing[1])
    return _figure(before, after, deltas, randomisation(columns, *drawing), 2.0**-right)


def _figure(before: float, after: float, deltas: ndarray, p: float, least: float) -> Figure:
    low, high = interval(deltas, after - before)
    return Figure(before, after, low, high, p, float(deltas.std()), least)


def _bootstrap(columns: ndarray, samples: int, seed: int) -> tuple[float, float, ndarray]:
    """Returns F1 of both systems, and the difference of each sample of rows, the same rows for both."""
    before, after = _f1(columns.sum(axis=0))
    patterns, times = _patterns(columns)
    drawn = _f1(resample(times, patterns, samples, seed))
    return float(before), float(after), drawn[:, 1] - drawn[:, 0]


def _f1(sums: ndarray) -> ndarray:
    """Returns F1 of both systems, shape (…, 2), from sums of `_columns`; 0 where nothing is there."""
    import numpy

    return sums[..., 0::2] / numpy.maximum(sums[..., 1::2], 1)


def _patterns(table: ndarray) -> tuple[ndarray, ndarray]:
    """Returns the distinct rows of a table of integers, in order, and how often each occurs.

    A row is one number whose digits are its columns: sorting a million of them takes a fraction of numpy.unique(axis=0)'s time. Where they don't fit into 62
    bits, that is called.
    """
    import numpy

    if not len(table):
        return table, numpy.zeros(0, dtype=numpy.int64)
    lowest, sizes = table.min(axis=0), [int(size) + 1 for size in numpy.ptp(table, axis=0)]
    if math.prod(sizes) >= 2**62:
        return numpy.unique(table, axis=0, return_counts=True)
    codes, times = numpy.unique(numpy.ravel_multi_index(tuple((table - lowest).T), sizes), return_counts=True)
    return numpy.stack(numpy.unravel_index(codes, sizes), axis=1) + lowest, times


def randomisation(columns: ndarray, draws: int, seed: int, hopeless: float = 1.0) -> float:
    """Returns the one-sided p-value of the second system's loss, from sums of `_columns` by row.

    If the systems are equally good, a row's two answers might as well have been given the other way round: each draw swaps them in every row with probability 1/2.
    p is (1 + draws with a loss as large) / (1 + draws). After FIRST_DRAWS it ends where p is `hopeless` or more.
    """
    import numpy

    swings, times = _swings(columns)
    if not len(times):
        return 1.0
    generator, whole = numpy.random.default_rng(seed), columns.reshape(-1, 2, 2).sum(axis=(0, 1))
    observed = _f1(columns.sum(axis=0))
    loss, as_large, done, step = observed[1] - observed[0], 0, 0, max(1, _CELLS // len(times))
    while done < draws:
        size = min(step, draws - done, FIRST_DRAWS if done == 0 else draws)
        swung = (2 * generator.binomial(times, 0.5, size=(size, len(times))) - times) @ swings
        f1 = _f1(numpy.concatenate([whole - swung, whole + swung], axis=1) / 2)
        as_large += int((f1[:, 1] - f1[:, 0] <= loss + 1e-12).sum())
        done += size
        if as_large >= hopeless * done:
            break
    return (1 + as_large) / (1 + done)


def _swings(columns: ndarray) -> tuple[ndarray, ndarray]:
    """Returns the distinct differences between the systems in a row, up to their sign, and how often each occurs; rows without a difference are left out."""
    import numpy

    differences = columns[:, 2:] - columns[:, :2]
    differences = differences[differences.any(axis=1)]
    sign = numpy.where(differences[:, 0] != 0, numpy.sign(differences[:, 0]), numpy.sign(differences[:, 1]))
    return _patterns(differences * sign[:, None])


def _apart(first: Sums, second: Sums) -> Figure:
    """Returns a figure of two systems that are taken for independent."""
    error = (first.error**2 + second.error**2) ** 0.5
    delta, reach = second.f1 - first.f1, _NORMAL.inv_cdf((1 + LEVEL) / 2) * error
    lost = Sums(0, second.fp, second.fn + second.tp, 0.0, 0.0)
    least = _NORMAL.cdf(-first.f1 / (first.error**2 + lost.error**2) ** 0.5)
    return Figure(first.f1, second.f1, delta - reach, delta + reach, _NORMAL.cdf(delta / error), error, least)
