"""The paired bootstrap of two systems that are in memory."""

import pytest

from tools.report.paired import Counted, paired_bootstrap
from tools.score.counts import Counts


def system(*rows: dict[str, Counts]) -> Counted:
    return Counted(list(rows), [[] for _ in rows])


RIGHT, WRONG = Counts(tp=1), Counts(fn=1)


def test_macro_keeps_the_labels_of_all_rows_in_every_sample() -> None:
    """The label of a single row is absent from a third of the samples, and counts there with its F1 of all rows."""
    first = system(*[{"a": RIGHT}] * 50, {"b": WRONG})
    second = system(*[{"a": WRONG}] * 50, {"b": RIGHT})
    _, macro, labels = paired_bootstrap(first, second, ["a", "b", "nowhere"], samples=400)
    assert (macro["a"], macro["b"], macro["low"], macro["high"]) == (0.5, 0.5, 0.0, 0.0)
    assert [(labels[label]["a"], labels[label]["b"]) for label in ("a", "b", "nowhere")] == [(1, 0), (0, 1), (0, 0)]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_interval_of_a_difference_holds_it_however_few_the_rows(rows: int) -> None:
    first = system(*[{"a": WRONG, "b": RIGHT}] * rows, {"b": WRONG})
    second = system(*[{"a": RIGHT, "b": WRONG}] * rows, {"b": RIGHT})
    for found in paired_bootstrap(first, second, ["a", "b"], samples=50)[:2]:
        assert found["low"] <= found["delta"] <= found["high"]
