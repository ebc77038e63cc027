"""Every false positive and every false negative is exactly one mistake, of the class that its definition says."""

import random

import pytest

from tools.example import Example
from tools.score.mistakes import KINDS, Mistake, counted, mistakes, overlap
from tools.score.rows import Row

TEXT = "凯尔特人在苏格兰赛场连胜7场，奥尔堡客场逼平凯尔特人。"
KNOWN = {"organization", "name", "scene"}


def row(gold: list[tuple[str, str]], predicted: list[tuple[str, str]], text: str = TEXT, *failures: str) -> Row:
    return Row(Example("1", text, []), None, gold, predicted, failures=failures)


def kinds(gold: list[tuple[str, str]], predicted: list[tuple[str, str]], *failures: str) -> list[str]:
    return [one.kind for one in mistakes(row(gold, predicted, TEXT, *failures), KNOWN)]


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ([("name", "苏格兰")], [("name", "苏格兰")], []),
        ([("name", "苏格兰")], [("scene", "苏格兰")], ["wrong_label"]),
        ([("name", "苏格兰")], [("地点", "苏格兰")], ["unknown_label"]),
        ([], [("地点", "苏格兰")], ["unknown_label"]),
        ([], [("name", "爱尔兰")], ["ungrounded"]),
        ([("scene", "苏格兰赛场")], [("scene", "苏格兰")], ["wrong_boundary"]),
        ([("scene", "苏格兰赛场")], [("name", "兰赛场连")], ["wrong_boundary_and_label"]),
        ([("scene", "苏格兰赛场")], [("name", "奥尔堡")], ["spurious", "missed"]),
        ([], [("name", "奥尔堡")], ["spurious"]),
        ([("name", "奥尔堡")], [], ["missed"]),
        # The same string twice in the prediction: its gold entity was found, so the other one is too much.
        ([("name", "苏格兰")], [("name", "苏格兰"), ("scene", "苏格兰")], ["spurious"]),
        # A found entity is no partner for a wrong boundary.
        ([("name", "苏格兰")], [("name", "苏格兰"), ("name", "苏格")], ["spurious"]),
        # A label that the task has goes before one that it hasn't.
        ([("name", "苏格兰")], [("地点", "苏格兰"), ("scene", "苏格兰")], ["wrong_label", "unknown_label"]),
        # The same label goes before the longer overlap.
        ([("scene", "苏格兰赛场"), ("name", "苏格")], [("name", "苏格兰")], ["wrong_boundary", "missed"]),
    ],
)
def test_a_mistake_is_of_the_first_class_that_fits(gold: list[tuple[str, str]], predicted: list[tuple[str, str]], expected: list[str]) -> None:
    assert kinds(gold, predicted) == expected


@pytest.mark.parametrize("failure", ["missing", "truncated", "unparsable"])
def test_what_a_failed_answer_lacks_goes_with_its_failure(failure: str) -> None:
    assert kinds([("name", "苏格兰"), ("name", "奥尔堡")], [], failure) == [failure, failure]
    assert kinds([("name", "苏格兰"), ("name", "奥尔堡")], [("scene", "苏格兰")], failure) == ["wrong_label", failure]


def test_a_class_that_is_wrong_is_a_wrong_label() -> None:
    assert mistakes(row([("name", "")], [("scene", "")]), KNOWN) == [Mistake("wrong_label", ("name", ""), ("scene", ""))]


def test_mistakes_add_up_to_false_positives_and_false_negatives_whatever_the_rows_are() -> None:
    rng, met = random.Random(5), set()
    for _ in range(2000):
        text = "".join(rng.choice("甲乙丙丁") for _ in range(12))

        def pairs(text: str = text) -> list[tuple[str, str]]:
            starts = [rng.randrange(11) for _ in range(rng.randrange(5))]
            inside = [(rng.choice([*sorted(KNOWN), "地点"]), text[start : start + rng.randint(1, 4)]) for start in starts]
            return list(dict.fromkeys([*inside, *([("name", "戊")] if rng.random() < 0.2 else [])]))

        gold = [pair for pair in pairs() if pair[0] in KNOWN and pair[1] in text]
        predicted, failures = pairs(), rng.choice([(), (), ("truncated",), ("unparsable",)])
        found = mistakes(row(gold, predicted, text, *failures), KNOWN)
        assert sorted(one.predicted for one in found if one.predicted) == sorted(set(predicted) - set(gold))
        assert sorted(one.gold for one in found if one.gold) == sorted(set(gold) - set(predicted))
        sums = counted(found)
        assert sum(fp for fp, _ in sums.values()) == len(set(predicted) - set(gold))
        met |= sums.keys()
    assert met == set(KINDS) - {"missing"}


def test_overlap_is_the_longest_that_any_two_spans_share() -> None:
    rng = random.Random(1)
    for _ in range(300):
        some, others = ([(s, s + rng.randint(1, 6)) for s in range(0, 40, 7) if rng.random() < 0.7] for _ in range(2))
        others = [(start + 3, end + 3) for start, end in others]
        expected = max((min(a[1], b[1]) - max(a[0], b[0]) for a in some for b in others), default=0)
        assert overlap(some, others) == max(0, expected)
