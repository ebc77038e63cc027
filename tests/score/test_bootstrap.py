import random
from collections import Counter

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.score.bootstrap import SELDOM, interval, intervals, resample
from tools.score.counts import NO_LABEL

ITEMS = st.sampled_from(["correct a", "missed a", "spurious a", "correct b", "missed b", f"spurious {NO_LABEL}"])
OUTCOMES = st.lists(st.lists(ITEMS, max_size=3).map(lambda items: tuple(sorted(items))), min_size=1, max_size=30)


def micro(outcomes: list[tuple[str, ...]]) -> float:
    items = Counter(item.split(" ")[0] for outcome in outcomes for item in outcome)
    return 2 * items["correct"] / (2 * items["correct"] + items["missed"] + items["spurious"])


def test_the_interval_is_what_resampling_rows_one_by_one_gives() -> None:
    rng = random.Random(1)
    kinds = [("correct a",), ("correct a", "correct b"), ("missed a", "spurious b"), ("spurious a",), (), ("missed b",), ("correct b", "missed a")]
    rows = [rng.choice(kinds) for _ in range(300)] + [("correct a",) * n for n in range(3, 60)]  # the latter are met once each
    found = intervals(Counter(rows), samples=4000)["micro"]
    naive = [micro(rng.choices(rows, k=len(rows))) for _ in range(4000)]
    assert found == pytest.approx(list(numpy.quantile(naive, [0.025, 0.975])), abs=0.006)


def test_every_row_is_drawn_as_often_as_every_other_whether_its_outcome_is_rare_or_not() -> None:
    outcomes = Counter({("correct a",): 400, **{("missed a", *["correct b"] * n): 1 + n % (SELDOM + 3) for n in range(60)}})
    found = intervals(outcomes, samples=3000)
    rows = [outcome for outcome, times in outcomes.items() for _ in range(times)]
    low, high = found["labels"]["a"]
    share = 2 * 400 / (2 * 400 + len(rows) - 400)
    assert low < share < high
    deviation = numpy.sqrt(400 / len(rows) * (1 - 400 / len(rows)) / len(rows))  # of the share of correct rows
    assert (high - low) == pytest.approx(2 * 1.96 * deviation * 2 / (1 + 400 / len(rows)) ** 2, rel=0.1)


@settings(max_examples=40, deadline=None)
@given(OUTCOMES, st.randoms(use_true_random=False))
def test_the_same_seed_gives_the_same_interval_whatever_the_order_of_rows(outcomes: list[tuple[str, ...]], rng: random.Random) -> None:
    shuffled = outcomes[:]
    rng.shuffle(shuffled)
    assert intervals(Counter(outcomes), samples=50) == intervals(Counter(shuffled), samples=50)


@settings(max_examples=40, deadline=None)
@given(OUTCOMES)
def test_bounds_lie_between_0_and_1_and_in_order(outcomes: list[tuple[str, ...]]) -> None:
    found = intervals(Counter(outcomes), samples=50)
    for low, high in (found["micro"], found["macro"], *found["labels"].values()):
        assert 0 <= low <= high <= 1
    assert NO_LABEL not in found["labels"]


def test_perfect_predictions_are_surely_1_though_some_samples_may_hold_no_entity() -> None:
    found = intervals({("correct a",): 2, (): 9})
    assert found["micro"] == found["macro"] == found["labels"]["a"] == [1.0, 1.0]


def test_nothing_to_count_has_the_interval_of_the_f1_that_is_shown() -> None:
    assert intervals({(): 5})["micro"] == intervals({})["macro"] == [0.0, 0.0]


def test_macro_keeps_the_labels_of_all_rows_in_every_sample() -> None:
    """A label in one of many rows is absent from a third of the samples; macro would jump to the other label's F1 there."""
    outcomes = {("correct a",): 99, ("missed b",): 1}
    found = intervals(outcomes)
    assert found["macro"] == [0.5, 0.5]  # (1 + 0) / 2 whether b was drawn or not
    assert intervals({("missed a",): 99, ("correct b",): 1})["macro"] == [0.5, 0.5]


def test_an_interval_is_widened_to_hold_its_figure() -> None:
    assert interval(numpy.array([0.4, 0.5, numpy.nan]), 0.9) == [pytest.approx(0.4025), 0.9]
    assert interval(numpy.array([numpy.nan]), 0.0) == [0.0, 0.0]


def test_accuracy_has_an_interval_where_rows_are_classes() -> None:
    outcomes = {("correct a",): 80, ("missed a", "spurious b"): 15, ("missed b",): 5}
    low, high = intervals(outcomes, classes=True)["accuracy"]
    assert 0.7 < low < 0.8 < high < 0.9
    assert "accuracy" not in intervals(outcomes)


def test_seed_level_and_samples_are_said_and_have_their_effect() -> None:
    outcomes = {("correct a",): 70, ("missed a",): 30}
    wide, narrow, other = intervals(outcomes), intervals(outcomes, level=0.5), intervals(outcomes, seed=7, samples=333)
    assert (wide["samples"], wide["seed"], wide["level"]) == (1000, 42, 0.95)
    assert wide["micro"][0] < narrow["micro"][0] < narrow["micro"][1] < wide["micro"][1]
    assert (other["seed"], other["samples"]) == (7, 333)
    assert other["micro"] != wide["micro"]


def test_a_million_rows_have_a_narrow_interval() -> None:
    low, high = intervals({("correct a",): 800_000, ("missed a", "spurious a"): 200_000}, samples=200)["micro"]
    assert 0.797 < low < 0.8 < high < 0.803


def test_a_paired_bootstrap_draws_the_same_rows_for_both_systems() -> None:
    times, both = numpy.array([5, 3, 1]), numpy.array([[1, 0, 2, 0], [0, 1, 0, 2], [4, 4, 8, 8]])
    drawn = resample(times, both, samples=50, seed=1)
    assert (drawn.shape, (drawn[:, 2:] == 2 * drawn[:, :2]).all()) == ((50, 4), True)
    assert len({*map(tuple, drawn)}) > 10
    assert (drawn == resample(times, both, samples=50, seed=1)).all() and (drawn != resample(times, both, samples=50, seed=2)).any()


@pytest.mark.parametrize("seldom", [0, SELDOM])
def test_every_sample_draws_as_many_rows_as_there_are(seldom: int) -> None:
    times = numpy.array([500, 1, 1, 2, 12, 13, 1])
    drawn = resample(times, numpy.ones((7, 1)), samples=40, seed=3, seldom=seldom)
    assert (drawn == times.sum()).all()
    assert resample(numpy.array([], dtype=int), numpy.ones((0, 2)), samples=3, seed=1).tolist() == [[0, 0]] * 3


def test_the_figures_of_a_seed_stay_what_they_were() -> None:
    found = intervals({("correct a",): 90, ("missed a", "spurious b"): 10, ("correct b", "spurious a"): 1}, samples=100)
    assert (found["micro"], found["macro"]) == ([0.8507568149210903, 0.9411764705882353], [0.4656084656084656, 0.7042735042735042])
