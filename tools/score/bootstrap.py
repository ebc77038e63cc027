"""Computes a bootstrap over the rows of an evaluation: resampled sums, and the percentile intervals of F1 and accuracy.

In: how often each outcome of a row occurs. Out: F1's interval at 95 % for the micro and macro average and for every label.

    .venv/train/bin/python -c "from tools.score.bootstrap import intervals; print(intervals({('correct a',): 90, ('missed a', 'spurious a'): 10}))"

A bootstrap sample draws as many rows as there are, with replacement (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13). Rows with equal outcomes
are exchangeable, so the number of times that a sample holds each outcome is multinomial. Drawing these numbers costs no more for a million rows than for a thousand.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import fsum
from typing import TYPE_CHECKING

from tools.score.counts import NO_LABEL, Outcome, read_item
from tools.score.score_file import Intervals

if TYPE_CHECKING:
    import numpy

SAMPLES, SEED, LEVEL = 1000, 42, 0.95
FEW_ROWS, FEW_GOLD = 30, 5  # with fewer rows, or gold items of a label, percentiles lie too close together
SELDOM = 12  # times
_CELLS = 1_000_000  # drawn numbers that are held at a time; with twice as many, the threads of the matrix product cost more than they save


def resample(times: numpy.ndarray, table: numpy.ndarray, samples: int, seed: int, seldom: int = 0) -> numpy.ndarray:
    """Returns the table's column sums over the rows that each bootstrap sample draws: a float array (samples, columns) of whole numbers.

    `table` (patterns, columns) holds the distinct rows of an evaluation, and `times` (patterns,) how many rows equal each. For a paired bootstrap, put the columns of
    both systems side by side: every sample then draws the same rows for both. The result depends on the order of the patterns and on the seed alone.

    Patterns that occur equally often, at most `seldom` times, share one draw, which is then spread over them evenly. The distribution is the same, and a large
    table with many rare patterns takes a fraction of the time.
    """
    import numpy

    if not len(times):
        return numpy.zeros((samples, table.shape[1]))
    generator = numpy.random.default_rng(seed)
    rows, singles = int(times.sum()), numpy.flatnonzero(times > seldom)
    groups = [group for number in range(seldom, 0, -1) if len(group := numpy.flatnonzero(times == number))]
    shares = [*(times[singles] / rows), *(times[group].sum() / rows for group in groups)]
    sums, step = [], max(1, _CELLS // len(times))
    for begun in range(0, samples, step):
        drawn = generator.multinomial(rows, shares, size=min(step, samples - begun))
        weights = numpy.empty((len(drawn), len(times)))
        weights[:, singles] = drawn[:, : len(singles)]
        for column, group in enumerate(groups, len(singles)):
            for sample, number in enumerate(drawn[:, column]):
                weights[sample, group] = numpy.bincount(generator.integers(len(group), size=number), minlength=len(group))
        sums.append(weights @ table)  # whole numbers below 2**53: exact
    return numpy.concatenate(sums)


def interval(values: numpy.ndarray, point: float, level: float = LEVEL) -> list[float]:
    """Returns the percentile interval [low, high] of resampled values, widened where it doesn't hold `point`, the figure of all rows. NaN is left out.

    Percentiles of few rows can lie on one side of the figure that they are an interval of.
    """
    import numpy

    values = values[~numpy.isnan(values)]
    low, high = numpy.quantile(values, [(1 - level) / 2, (1 + level) / 2]) if len(values) else (point, point)
    return [min(float(low), point), max(float(high), point)]


def intervals(outcomes: Mapping[Outcome, int], samples: int = SAMPLES, seed: int = SEED, level: float = LEVEL, classes: bool = False) -> Intervals:
    """Returns the intervals of F1 by the protocol set, from each outcome and the number of rows that have it; with `classes`, that of accuracy too.

    They depend on the outcomes and the seed alone, not on the order of rows. Macro is the mean over the labels that occur in all rows, in every sample: a label that a
    sample lacks, and whose F1 there would be 0/0, counts with its F1 of all rows. A label's own interval is of the samples that have it.
    """
    import numpy

    patterns = sorted(outcomes, key=lambda pattern: (-outcomes[pattern], pattern))
    labels = sorted({read_item(item)[1] for pattern in patterns for item in pattern})
    times = numpy.array([outcomes[pattern] for pattern in patterns], dtype=numpy.int64)
    table = _table(patterns, labels)
    drawn = numpy.concatenate([(times @ table)[None], resample(times, table, samples, seed, SELDOM)])  # all rows first
    right, items = drawn[:, : len(labels)], drawn[:, len(labels) :]
    named = numpy.array([label != NO_LABEL for label in labels], dtype=bool)
    with numpy.errstate(invalid="ignore"):
        by_label = right / items
        micro = right.sum(1) / items.sum(1)
    each = numpy.where(numpy.isnan(by_label), by_label[0], by_label)[:, named]

    def around(figures: numpy.ndarray, point: float | None = None) -> list[float]:
        return interval(figures[1:], float(numpy.nan_to_num(figures[0])) if point is None else point, level)

    found: Intervals = {
        "method": "percentile bootstrap over rows",
        "samples": samples,
        "seed": seed,
        "level": level,
        "micro": around(micro),
        "macro": around(each.mean(1), fsum(each[0]) / each.shape[1]) if each.size else [0.0, 0.0],
        "labels": {label: around(by_label[:, column]) for column, label in enumerate(labels) if named[column]},
    }
    if classes:
        found["accuracy"] = around(right.sum(1) / (2 * max(1, int(times.sum()))))
    return found


def _table(patterns: list[Outcome], labels: list[str]) -> numpy.ndarray:
    """Returns an array (patterns, 2 x labels): each label's 2 tp, then each label's 2 tp + fp + fn."""
    import numpy

    column = {label: number for number, label in enumerate(labels)}
    table = numpy.zeros((len(patterns), 2 * len(labels)))
    for row, pattern in enumerate(patterns):
        for kind, label in map(read_item, pattern):
            table[row, column[label]] += 2 * (kind == "correct")
            table[row, len(labels) + column[label]] += 1 + (kind == "correct")
    return table
