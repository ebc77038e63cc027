"""Computes a bootstrap over the rows of an evaluation: resampled sums, and the percentile intervals of F1.

In: how often each outcome of a row occurs. Out: F1's interval at 95 % for the micro and macro average and for every label.

    .venv/train/bin/python -c "from tools.score.bootstrap import intervals; print(intervals({('correct a',): 90, ('missed a', 'spurious a'): 10}))"

A bootstrap sample draws as many rows as there are, with replacement (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13). Rows with equal outcomes
are exchangeable, so the number of times that a sample holds each outcome is multinomial. Drawing these numbers costs no more for a million rows than for a thousand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tools.score.counts import NO_LABEL, Outcome, read_item
from tools.score.score_file import Intervals

if TYPE_CHECKING:
    import numpy

SAMPLES, SEED, LEVEL = 1000, 42, 0.95
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


def interval(values: numpy.ndarray, level: float = LEVEL) -> list[float]:
    """Returns the percentile interval [low, high] of resampled values; NaN is left out, and no value at all gives [0.0, 0.0], as F1 of nothing is 0."""
    import numpy

    values = values[~numpy.isnan(values)]
    if not len(values):
        return [0.0, 0.0]
    low, high = numpy.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return [float(low), float(high)]


def intervals(outcomes: Mapping[Outcome, int], samples: int = SAMPLES, seed: int = SEED, level: float = LEVEL) -> Intervals:
    """Returns the intervals of F1 by the protocols set and span, from each outcome and the number of rows that have it.

    They depend on the outcomes and the seed alone, not on the order of rows. A sample without any item of a label is left out of the label's interval; a label that
    occurs nowhere has none. Macro is the mean over the labels that occur in the sample.
    """
    import numpy

    patterns = sorted(outcomes, key=lambda pattern: (-outcomes[pattern], pattern))
    labels = sorted({read_item(item)[1] for pattern in patterns for item in pattern})
    times = numpy.array([outcomes[pattern] for pattern in patterns], dtype=numpy.int64)
    drawn = resample(times, _table(patterns, labels), samples, seed, SELDOM)
    right, items = drawn[:, : len(labels)], drawn[:, len(labels) :]
    with numpy.errstate(invalid="ignore"):
        by_label = right / items
        micro = right.sum(1) / items.sum(1)
    named = numpy.array([label != NO_LABEL for label in labels], dtype=bool)
    occurs = (items > 0) & named
    macro = numpy.where(occurs, by_label, 0.0).sum(1) / numpy.maximum(occurs.sum(1), 1)
    return {
        "method": "percentile bootstrap over rows",
        "samples": samples,
        "seed": seed,
        "level": level,
        "micro": interval(micro, level),
        "macro": interval(macro[occurs.any(1)], level),
        "labels": {label: interval(by_label[:, column], level) for column, label in enumerate(labels) if named[column]},
    }


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
