"""What is worse beyond chance: the correction, the exact test of a label, and findings that don't depend on the order of rows."""

from itertools import product

import numpy
import pytest

from tools.report.worse import MICRO, Sums, holm, paired, randomisation, unpaired

RIGHT, WRONG = (1, 0, 0), (0, 1, 1)


def system(*rows: tuple[int, int, int]) -> numpy.ndarray:
    """Counts of rows with one label, and nothing of unknown labels."""
    return numpy.array([[row, (0, 0, 0)] for row in rows], dtype=numpy.int64).reshape(-1, 2, 3)


def columns(first: numpy.ndarray, second: numpy.ndarray) -> numpy.ndarray:
    return numpy.array([(2 * a[0], 2 * a[0] + a[1] + a[2], 2 * b[0], 2 * b[0] + b[1] + b[2]) for a, b in zip(first[:, 0], second[:, 0], strict=True)])


def f1(rows: list[tuple[int, int, int]]) -> float:
    tp, fp, fn = numpy.array(rows).sum(axis=0)
    return float(2 * tp / (2 * tp + fp + fn))


def test_equal_weights_give_holms_plain_procedure() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005], [0.25] * 4) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_larger_weight_costs_less_and_what_is_found_leaves_its_weight_to_the_others() -> None:
    assert holm([0.04, 0.5, 0.5], [0.8, 0.1, 0.1]) == pytest.approx([0.05, 1, 1])
    assert holm([0.0, 0.02, 0.5], [0.8, 0.1, 0.1]) == pytest.approx([0, 0.04, 0.5])
    assert holm([0.5, 0.02, 0.5], [0.8, 0.1, 0.1]) == pytest.approx([0.5625, 0.2, 0.5625])


def test_the_randomisation_test_agrees_with_all_swaps_counted() -> None:
    first = [RIGHT, RIGHT, RIGHT, (1, 1, 0), RIGHT, WRONG, (2, 0, 1), RIGHT]
    second = [WRONG, (0, 0, 1), WRONG, RIGHT, (0, 1, 1), RIGHT, (1, 1, 2), RIGHT]
    observed = f1(second) - f1(first)
    losses = []
    for swaps in product((False, True), repeat=len(first)):
        pairs = [(b, a) if swap else (a, b) for a, b, swap in zip(first, second, swaps, strict=True)]
        losses.append(f1([b for _, b in pairs]) - f1([a for a, _ in pairs]))
    exact = float(numpy.mean(numpy.array(losses) <= observed + 1e-12))
    assert 0.02 < exact < 0.3
    assert randomisation(columns(system(*first), system(*second)), 40_000, 1) == pytest.approx(exact, abs=0.01)


def test_systems_that_differ_in_no_row_are_not_worse() -> None:
    first = system(*[RIGHT] * 30, *[WRONG] * 10)
    found = paired(first, first, ["a"], samples=200)
    assert (found.micro["p"], found.labels[0]["p"], found.micro["difference"], found.findable, found.worse) == (1, 1, 0, 0, [])


def test_a_clear_loss_is_found_and_a_gain_as_large_is_not() -> None:
    good, bad = system(*[RIGHT] * 200), system(*[RIGHT] * 150, *[WRONG] * 50)
    lost, won = paired(good, bad, ["a"], samples=500), paired(bad, good, ["a"], samples=500)
    assert [one["label"] for one in lost.worse] == [MICRO, "a"]
    assert lost.micro["difference"] == pytest.approx(-0.25) and lost.micro["high"] < 0
    assert won.worse == [] and won.micro["p"] == 1


def test_a_label_that_could_not_be_found_worse_is_called_too_few_to_tell() -> None:
    few, many = system(*[RIGHT] * 5, *[WRONG] * 300), system(*[RIGHT] * 40, *[WRONG] * 300)
    for first, verdict in ((few, "too few to tell"), (many, "worse")):
        lost = first.copy()
        lost[first[:, 0, 0] > 0, 0] = WRONG
        whole = numpy.concatenate([numpy.zeros_like(first), first], axis=1)[:, [0, 2, 3]]  # a label without items, this one, unknown labels
        after = numpy.concatenate([numpy.zeros_like(lost), lost], axis=1)[:, [0, 2, 3]]
        again = numpy.tile(numpy.array([[RIGHT, (0, 0, 0), (0, 0, 0)]]), (4000, 1, 1))  # so that micro F1 hardly changes for the few
        found = paired(numpy.concatenate([whole, again]), numpy.concatenate([after, again]), ["common", "rare"], samples=200)
        assert found.labels[1]["verdict"] == verdict
        assert found.labels[1]["run"] == 0


def test_the_order_of_rows_changes_nothing_and_the_seed_does() -> None:
    random = numpy.random.default_rng(3)
    first, second = (random.integers(0, 3, size=(300, 3, 3)) for _ in range(2))
    mixed = random.permutation(300)
    found = paired(first, second, ["a", "b"], samples=300)
    assert paired(first[mixed], second[mixed], ["a", "b"], samples=300) == found
    assert paired(first, second, ["a", "b"], samples=300, seed=7) != found


def test_rows_with_counts_too_large_for_one_number_are_counted_too() -> None:
    first = system(*[(10**6, 0, 0)] * 20, (3, 2 * 10**9, 5), (2 * 10**9, 1, 1))
    second = system(*[(10**6 - 7, 5, 7)] * 20, (5, 9, 10**9), (7, 10**9, 3))
    found = paired(first, second, ["a"], samples=100)
    assert found.micro["baseline"] == pytest.approx(f1([tuple(row[0]) for row in first.tolist()]))
    assert found.micro["run"] < found.micro["baseline"]


def test_equal_systems_are_called_worse_in_no_more_than_a_few_of_many_tests() -> None:
    """The level is 5%; 300 tests exceed 28 false alarms once in a thousand times."""
    random, alarms = numpy.random.default_rng(5), 0
    for trial in range(300):
        first, second = (numpy.zeros((60, 4, 3), dtype=numpy.int64) for _ in range(2))
        label, rows = random.integers(0, 3, 60), numpy.arange(60)
        for counts in (first, second):
            right = random.random(60) < 0.7
            counts[rows, label, 0], counts[rows, label, 1], counts[rows, label, 2] = right, ~right, ~right
        alarms += bool(paired(first, second, ["a", "b", "c"], samples=200, seed=trial).worse)
    assert 1 <= alarms <= 28


def test_without_the_baselines_rows_both_intervals_count() -> None:
    narrow, wide = (Sums(800, 200, 200, 0.8 - reach, 0.8 + reach) for reach in (0.02, 0.2))
    lost = Sums(750, 250, 250, 0.73, 0.77)
    assert unpaired({MICRO: narrow}, {MICRO: lost}).micro["verdict"] == "worse"
    assert unpaired({MICRO: wide}, {MICRO: lost}).micro["verdict"] == "no loss found"
    assert unpaired({MICRO: lost}, {MICRO: narrow}).micro["p"] > 0.99


def test_a_few_items_without_a_mistake_still_have_an_error() -> None:
    perfect, one_wrong = Sums(3, 0, 0, 1.0, 1.0), Sums(2, 1, 1, 0.5, 1.0)
    assert perfect.error > 0.1
    assert unpaired({MICRO: perfect}, {MICRO: one_wrong}).worse == []
