"""The law that a learning curve follows, and what it foretells."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest

from tools.evaluate.power_law import Forecast, fitted, forecast, redrawn, shown

ROWS = [200, 500, 1000, 2000]


def law(a: float, b: float, c: float) -> Callable[[int], float]:
    return lambda rows: 1 - a * rows**-b - c


def counts_of(f1: list[list[float]], items: int = 2000, rows: int = 100) -> Any:
    """Counts (rows, seeds, shares, 2) of models with these F1, [seed][share]: the same number of items in each row, right ones spread at random, the same for all models."""
    order = numpy.random.default_rng(1).permutation(items)
    table = numpy.zeros((rows, len(f1), len(f1[0]), 2), dtype=int)
    for seed, curve in enumerate(f1):
        for share, one in enumerate(curve):
            right = order < round(one * items)
            table[:, seed, share] = numpy.stack([2 * right.reshape(rows, -1).sum(1), numpy.full(rows, 2 * items // rows)], axis=1)
    return table


def foretold(f1: list[list[float]], rows: list[int], samples: int = 300) -> Forecast:
    return forecast(rows, redrawn(counts_of(f1), samples))


@pytest.mark.parametrize(("a", "b", "c"), [(2.0, 0.35, 0.0), (5.0, 0.5, 0.1), (1.5, 0.3, 0.05), (30.0, 0.9, 0.2)])
def test_the_law_of_exact_points_is_found_again(a: float, b: float, c: float) -> None:
    true = law(a, b, c)
    found = fitted(ROWS, numpy.array([[true(rows) for rows in ROWS]]))
    assert found.a[0] * found.whole ** found.b[0] == pytest.approx(a, rel=0.1)
    assert found.b[0] == pytest.approx(b, rel=0.02)
    assert found.c[0] == pytest.approx(c, abs=0.005)
    assert found.f1(4000)[0] == pytest.approx(true(4000), abs=2e-4)


def test_the_law_is_the_one_that_scipy_finds() -> None:
    from scipy.optimize import curve_fit

    noise = numpy.random.default_rng(3).normal(0, 0.004, (8, 4))
    f1 = numpy.array([law(4.0, 0.5, 0.08)(rows) for rows in ROWS]) + noise
    ours = fitted(ROWS, f1).f1(4000)
    for number, error in enumerate(1 - f1):
        x = numpy.array(ROWS) / 2000
        (a, b, c), _ = curve_fit(lambda x, a, b, c: a * x**-b + c, x, error, (0.1, 0.5, 0.05), bounds=([0, 0.01, 0], [9, 4, 1]))
        squares = ((a * x**-b + c - error) ** 2).sum()
        own = fitted(ROWS, f1[number : number + 1])
        assert sum((1 - own.f1(rows)[0] - one) ** 2 for rows, one in zip(ROWS, error, strict=True)) <= squares + 1e-7
        assert ours[number] == pytest.approx(1 - a * 2**-b - c, abs=1e-3)


def test_three_points_are_too_few_for_a_constant() -> None:
    found = fitted(ROWS[1:], numpy.array([[law(5.0, 0.5, 0.1)(rows) for rows in ROWS[1:]]]))
    assert found.c[0] == 0
    assert found.f1(10**9)[0] > 0.99


def test_a_law_runs_through_two_points() -> None:
    true = law(2.0, 0.35, 0.0)
    found = fitted([1000, 2000], numpy.array([[true(1000), true(2000)]]))
    assert found.f1(4000)[0] == pytest.approx(true(4000), abs=2e-4)


def test_scores_that_fall_give_a_flat_law_and_never_a_falling_one() -> None:
    found = fitted(ROWS, numpy.array([[0.9, 0.88, 0.86, 0.84]]))
    assert found.f1(4000)[0] == pytest.approx(0.87, abs=1e-6)
    assert found.c[0] >= 0 and found.a[0] >= 0


def test_twice_the_data_is_foretold_with_an_interval_that_holds_the_truth() -> None:
    true = law(4.0, 0.5, 0.08)
    noise = numpy.random.default_rng(5).normal(0, 0.004, (3, 4))
    found = foretold([[true(rows) + noise[seed, share] for share, rows in enumerate(ROWS)] for seed in range(3)], ROWS)
    assert found["refusal"] == ""
    assert found["rows"] == 4000
    assert found["f1"]["low"] < true(4000) < found["f1"]["high"]
    assert found["gain"]["low"] < true(4000) - true(2000) < found["gain"]["high"]
    assert 0.01 < found["f1"]["high"] - found["f1"]["low"] < 0.1
    assert found["band"][0][0] == 200 and found["band"][-1][0] == 4000
    assert all(low <= f1 <= high for _, f1, low, high in found["band"])


def test_a_curve_that_does_not_rise_beyond_noise_foretells_nothing() -> None:
    found = foretold([[0.80, 0.81, 0.79, 0.803], [0.79, 0.80, 0.81, 0.796]], ROWS)
    assert found["refusal"] == "flat"
    assert found["rise"]["low"] <= 0 < found["rise"]["value"] == pytest.approx(0.0045)
    assert foretold([[0.85, 0.84, 0.83, 0.82]], ROWS)["refusal"] == "flat"


def test_a_curve_that_follows_no_power_law_foretells_nothing() -> None:
    found = foretold([[0.02, 0.4, 0.7, 0.85]], ROWS)
    assert found["refusal"] == "misfit"
    assert min(found["misses"], key=lambda miss: miss["value"]) == found["misses"][1]
    assert found["misses"][1]["high"] < -0.05


def test_a_curve_that_has_levelled_off_is_told_as_such_and_not_refused() -> None:
    found = foretold([[0.5, 0.78, 0.80, 0.802], [0.5, 0.78, 0.801, 0.80], [0.5, 0.78, 0.80, 0.80]], ROWS)
    assert found["refusal"] == ""
    assert found["c"] > 0.1
    assert abs(found["gain"]["value"]) < 0.005


def test_the_first_row_of_what_is_redrawn_is_the_mean_of_the_seeds() -> None:
    f1 = redrawn(counts_of([[0.5, 0.7], [0.6, 0.72]]), samples=50)
    assert f1.shape == (51, 2)
    assert f1[0] == pytest.approx([0.55, 0.71])
    assert (redrawn(counts_of([[0.5, 0.7], [0.6, 0.72]]), samples=50) == f1).all()


def test_seeds_that_differ_widen_the_interval_by_as_much_as_their_mean_varies() -> None:
    same, other = counts_of([[0.5, 0.7]] * 2), counts_of([[0.4, 0.7], [0.6, 0.7]])
    rows_alone, with_seeds = (redrawn(counts, samples=4000).std(axis=0) for counts in (same, other))
    assert with_seeds[1] == pytest.approx(rows_alone[1], rel=0.1)
    standard_error = numpy.std([0.4, 0.6], ddof=1) / 2**0.5
    assert with_seeds[0] == pytest.approx((rows_alone[0] ** 2 + standard_error**2) ** 0.5, rel=0.1)


def test_one_seed_varies_by_its_rows_alone() -> None:
    one, twice = (redrawn(counts_of([[0.5, 0.7]] * seeds), samples=200) for seeds in (1, 2))
    assert numpy.allclose(one, twice)


def test_an_answer_without_anything_right_or_wrong_counts_nothing() -> None:
    assert redrawn(numpy.zeros((5, 1, 2, 2), dtype=int), samples=10).tolist() == [[0, 0]] * 11


def test_an_estimate_is_shown_with_its_interval() -> None:
    assert shown({"value": 0.871, "low": 0.858, "high": 0.884}) == "0.871 (0.858–0.884)"
    assert shown({"value": 0.023, "low": -0.011, "high": 0.035}, "+") == "+0.023 (-0.011 to +0.035)"
