"""How sure an F1 is: percentile bootstrap intervals over the rows of an evaluation.

In: how often each outcome of a row was met. Out: for the micro and macro average and for every label, F1's interval at 95 %.

    python -c "from tools.score.bootstrap import intervals; print(intervals({('correct a',): 90, ('missed a', 'spurious a'): 10}))"

A bootstrap sample draws as many rows as there are, with replacement (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13). Rows with equal outcomes
are exchangeable, so how many of each outcome a sample holds is multinomial: drawing these numbers is the same and costs no more for a million rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tools.score.protocols import NO_LABEL, Outcome, read_item

if TYPE_CHECKING:
    import numpy

SAMPLES, SEED, LEVEL = 1000, 42, 0.95
SELDOM = 12  # times
_CELLS = 1_000_000  # how many drawn numbers are held at a time; with twice as many, the threads of the matrix product cost more than they save


def intervals(outcomes: Mapping[Outcome, int], samples: int = SAMPLES, seed: int = SEED, level: float = LEVEL) -> dict[str, Any]:
    """{"method", "samples", "seed", "level", "micro": [low, high], "macro": [low, high], "labels": {label: [low, high]}} of F1 by the protocols set and span.

    Depends on the outcomes and the seed alone, not on the order of rows. A sample in which a label (or anything at all) doesn't occur says nothing about its
    F1 and is left out of its interval; a label that occurs nowhere has none. Macro is the mean over the labels that occur in the sample.
    """
    import numpy

    patterns = sorted(outcomes)
    labels = sorted({read_item(item)[1] for pattern in patterns for item in pattern})
    drawn = _draw(numpy.array([outcomes[pattern] for pattern in patterns], dtype=numpy.int64), _matrix(patterns, labels), samples, seed)
    right, items = drawn[:, 0], drawn[:, 1]  # samples x labels: 2 tp, and 2 tp + fp + fn
    with numpy.errstate(invalid="ignore"):
        by_label = right / items
        micro = right.sum(1) / items.sum(1)
    named = numpy.array([label != NO_LABEL for label in labels], dtype=bool)
    occurs = (items > 0) & named
    macro = numpy.where(occurs, by_label, 0.0).sum(1) / numpy.maximum(occurs.sum(1), 1)
    macro = macro[occurs.any(1)]
    return {
        **{"method": "percentile bootstrap over rows", "samples": samples, "seed": seed, "level": level},
        "micro": _interval(micro, level),
        "macro": _interval(macro, level),
        "labels": {label: _interval(by_label[:, column], level) for column, label in enumerate(labels) if named[column]},
    }


def _matrix(patterns: list[Outcome], labels: list[str]) -> numpy.ndarray:
    """Patterns x (2 tp, 2 tp + fp + fn) x labels."""
    import numpy

    column = {label: number for number, label in enumerate(labels)}
    cells = [
        (row, part, column[label], 2 if kind == "correct" else part)
        for row, pattern in enumerate(patterns)
        for kind, label in map(read_item, pattern)
        for part in (0, 1)
    ]
    matrix = numpy.zeros((len(patterns), 2, len(labels)))
    if cells:
        rows, parts, columns, values = numpy.array(cells).T
        numpy.add.at(matrix, (rows, parts, columns), values)
    return matrix


def _draw(times: numpy.ndarray, matrix: numpy.ndarray, samples: int, seed: int) -> numpy.ndarray:
    """Samples x (2 tp, 2 tp + fp + fn) x labels: the sums over the rows that each sample drew."""
    import numpy

    if not len(times):
        return numpy.zeros((samples, *matrix.shape[1:]))
    generator = numpy.random.default_rng(seed)
    # Patterns that were met equally seldom share one draw, and what they get is spread over them evenly: the same distribution, many times as fast.
    order = numpy.argsort(-times, kind="stable")
    times, flat = times[order], matrix.reshape(len(times), -1)[order]
    often, rows = int((times > SELDOM).sum()), int(times.sum())
    bounds = [often, *(often + int((times[often:] >= number).sum()) for number in range(SELDOM, 0, -1))]
    groups = [(first, last) for first, last in pairwise(bounds) if first < last]
    shares = [*(times[:often] / rows), *(times[first:last].sum() / rows for first, last in groups)]
    sums, step = [], max(1, _CELLS // len(times))
    for begun in range(0, samples, step):
        drawn = generator.multinomial(rows, shares, size=min(step, samples - begun))
        weights = numpy.empty((len(drawn), len(times)))
        weights[:, :often] = drawn[:, :often]
        for column, (first, last) in enumerate(groups, often):
            for sample, number in enumerate(drawn[:, column]):
                weights[sample, first:last] = numpy.bincount(generator.integers(last - first, size=number), minlength=last - first)
        sums.append(weights @ flat)  # integers below 2**53: exact
    return numpy.concatenate(sums).reshape(samples, *matrix.shape[1:])


def _interval(values: numpy.ndarray, level: float) -> list[float]:
    import numpy

    values = values[~numpy.isnan(values)]
    if not len(values):
        return [0.0, 0.0]  # as F1 itself, where nothing stands below the line
    low, high = numpy.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return [float(low), float(high)]
