"""Fits a power law to the scores of a learning curve, and foretells the score that twice the rows would bring.

In: the counts of each row under models that were trained on ever more rows, with several seeds. Out: a Forecast, whose intervals come from a bootstrap over rows and seeds.

The error 1 - F1 falls as a · rows^-b + c: Figueroa et al. 2012, Predicting sample size required for classification performance; Hestness et al. 2017, Deep Learning
Scaling is Predictable, Empirically; for the extrapolation of a learning curve, Mukherjee et al. 2003, Estimating dataset size requirements for classifying DNA microarray data.

    ./ner curve conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from tools.score.bootstrap import SAMPLES, SEED, interval, resample

if TYPE_CHECKING:
    import numpy

LEAST_POINTS = 4  # for three parameters; with fewer, c is 0
MISS = 0.02  # of F1: the law may miss a point by so much, whatever the noise
EXPONENTS = (0.01, 4.0, 600)  # of b: the lowest, the highest, and how many are tried


@dataclass(frozen=True)
class PowerLaw:
    """1 - F1 = a · (rows / whole)^-b + c, for one curve or, as arrays (curves,), for several."""

    whole: int
    a: numpy.ndarray
    b: numpy.ndarray
    c: numpy.ndarray

    def f1(self, rows: float) -> numpy.ndarray:
        """Returns the F1 at so many rows, of each curve."""
        return 1 - self.a * (rows / self.whole) ** -self.b - self.c


class Bounded(TypedDict):
    """A figure with the bounds of its interval at 95 %."""

    value: float
    low: float
    high: float


class Forecast(TypedDict):
    """What a curve foretells: the law `1 - f1 = a · rows^-b + c`, and F1 at `rows` rows with its gain over the last point.

    `rise` is the last point less the first. `refusal` is 'flat' where that isn't above noise, 'misfit' where the law misses a point by more than noise, or empty.
    """

    a: float
    b: float
    c: float
    rise: Bounded
    misses: list[Bounded]  # F1 of each point less the law's
    rows: int
    f1: Bounded
    gain: Bounded
    band: list[list[float]]  # rows, F1, low, high: the law from the first point to `rows`
    refusal: Literal["", "flat", "misfit"]


def redrawn(counts: numpy.ndarray, samples: int = SAMPLES, seed: int = SEED) -> numpy.ndarray:
    """Returns the mean F1 over the seeds, (1 + samples, shares): first as it is, then in bootstrap samples of the rows and, for each share, of the seeds.

    `counts` (rows, seeds, shares, 2) holds 2 tp and 2 tp + fp + fn. The rows of a sample are the same for all models. A mean of n drawn seeds varies too little by the factor
    (n - 1) / n (Davison and Hinkley 1997, Bootstrap Methods and their Application, section 2.7), so it is stretched. One seed can't vary.
    """
    import numpy

    rows, seeds, shares, _ = counts.shape
    patterns, times = numpy.unique(counts.reshape(rows, -1), axis=0, return_counts=True)
    sums = numpy.concatenate([(times @ patterns)[None], resample(times, patterns, samples, seed)]).reshape(-1, seeds, shares, 2)
    f1 = sums[..., 0] / numpy.maximum(sums[..., 1], 1)
    mean = f1.mean(axis=1)
    if seeds == 1:
        return mean
    drawn = numpy.random.default_rng(seed).integers(seeds, size=f1.shape)
    drawn[0] = numpy.arange(seeds)[:, None]
    return mean + (seeds / (seeds - 1)) ** 0.5 * (numpy.take_along_axis(f1, drawn, axis=1).mean(axis=1) - mean)


def fitted(rows: Sequence[int], f1: numpy.ndarray) -> PowerLaw:
    """Returns the law of each curve: the least squares over a, c >= 0 and b > 0. `f1` is (curves, points), `rows` (points,).

    For a given b, a and c follow from a linear regression; the best b is looked for among EXPONENTS (variable projection: Golub and Pereyra 1973).
    """
    import numpy

    error, x = 1 - f1, numpy.array(rows) / rows[-1]
    best = numpy.full((4, len(f1)), numpy.inf)  # squares, a, b, c
    for b in numpy.geomspace(*EXPONENTS):
        a, c = _line(x**-b, error, with_constant=len(rows) >= LEAST_POINTS)
        squares = ((a[:, None] * x**-b + c[:, None] - error) ** 2).sum(axis=1)
        better = squares < best[0]
        best[:, better] = numpy.stack([squares, a, numpy.full_like(a, b), c])[:, better]
    return PowerLaw(rows[-1], *best[1:])


def _line(power: numpy.ndarray, error: numpy.ndarray, with_constant: bool) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Returns (a, c) of each curve, both at least 0, for which a · power + c is nearest to the error."""
    import numpy

    alone = error @ power / (power @ power)
    if not with_constant:
        return alone, numpy.zeros_like(alone)
    centred = power - power.mean()
    a = numpy.maximum(error @ centred / (centred @ centred), 0)
    c = error.mean(axis=1) - a * power.mean()
    return numpy.where(c < 0, alone, a), numpy.maximum(c, 0)


def forecast(rows: Sequence[int], f1: numpy.ndarray) -> Forecast:
    """Returns what the curve foretells at twice its last rows. `f1` (1 + samples, points) is what `redrawn` returns."""
    law, doubled = fitted(rows, f1), 2 * rows[-1]
    at = [rows[0] + (doubled - rows[0]) * step / 60 for step in range(61)]
    ahead, rise = law.f1(doubled), estimate(f1[:, -1] - f1[:, 0])
    misses = [estimate(f1[:, point] - law.f1(number)) for point, number in enumerate(rows)]
    return Forecast(
        a=float(law.a[0] * law.whole ** law.b[0]),
        b=float(law.b[0]),
        c=float(law.c[0]),
        rise=rise,
        misses=misses,
        rows=doubled,
        f1=estimate(ahead),
        gain=estimate(ahead - f1[:, -1]),
        band=[[one, *estimate(law.f1(one)).values()] for one in at],  # type: ignore[list-item]
        refusal="flat" if rise["low"] <= 0 else "misfit" if any(map(_is_off, misses)) else "",
    )


def _is_off(miss: Bounded) -> bool:
    """Returns whether the law misses a point by more than MISS, and by more than noise."""
    return abs(miss["value"]) > MISS and not miss["low"] <= 0 <= miss["high"]


def estimate(values: numpy.ndarray) -> Bounded:
    """Returns the first value with the percentile interval of the others."""
    low, high = interval(values[1:], float(values[0]))
    return Bounded(value=float(values[0]), low=low, high=high)


def shown(one: Bounded, sign: str = "") -> str:
    """Returns an estimate as text: '0.871 (0.858–0.884)', with a sign '+0.023 (+0.011 to +0.035)'."""
    between = " to " if sign else "–"
    return f"{one['value']:{sign}.3f} ({one['low']:{sign}.3f}{between}{one['high']:{sign}.3f})"
