"""The order in which texts are worth an annotator's time."""

from __future__ import annotations

import random

import pytest

from tools.labelling import order
from tools.labelling.order import Candidate, Grams, ordered

OTHERS = ["王五去了成都", "今天天气很好", "银行宣布新规", "球队赢了比赛"]


def test_a_text_with_more_expected_errors_comes_first() -> None:
    assert ordered([Candidate(text, errors) for text, errors in zip(OTHERS, (0.2, 1.7, 0.0, 0.9), strict=True)]) == [1, 3, 0, 2]


def test_a_text_that_repeats_a_chosen_one_waits_for_a_new_one_of_which_the_model_is_surer() -> None:
    copies = [Candidate("合同编号一二三号", 0.9), Candidate("合同编号一二三号", 0.9), Candidate("海淀区的球队赢了", 0.6)]
    assert ordered(copies) == [0, 2, 1]
    sure = [*copies[:2], Candidate("海淀区的球队赢了", 0.3)]
    assert ordered(sure) == [0, 1, 2], "half of 0.9 is more than 0.3"


def test_a_text_whose_answer_cannot_be_read_comes_before_all_others() -> None:
    some = [
        Candidate("王五去了成都", 5.0),
        Candidate("今天天气很好", None),
        Candidate("今天天气很好", None),
        Candidate("银行宣布新规", None),
    ]
    assert ordered(some) == [1, 3, 2, 0], "variety counts among them too"


def test_equals_stay_in_the_order_of_the_file_and_equal_calls_give_equal_orders() -> None:
    texts = ["".join(random.Random(number).choices("甲乙丙丁戊己庚辛", k=8)) for number in range(200)]
    some = [Candidate(text, round(random.Random(text).random(), 1)) for text in texts]
    assert ordered(some) == ordered(some)
    assert ordered([Candidate("甲", 0.5), Candidate("乙", 0.5), Candidate("丙", 0.5)]) == [0, 1, 2]


def test_the_order_is_that_of_weighing_every_text_anew_at_each_step() -> None:
    rng = random.Random(7)
    some = [Candidate("".join(rng.choices("甲乙丙丁戊己", k=rng.randint(2, 9))), rng.choice([None, rng.random() * 3])) for _ in range(120)]
    grams, left, expected = Grams([one.text for one in some]), list(range(len(some))), []
    while left:
        best = min(left, key=lambda number: (some[number].errors is not None, -(some[number].errors or 0) * grams.novelty(number), number))
        if some[best].errors is None:
            best = min((number for number in left if some[number].errors is None), key=lambda number: (-grams.novelty(number), number))
        expected.append(best)
        grams.choose(best)
        left.remove(best)
    assert ordered(some) == expected


@pytest.mark.parametrize("most", [0, 1, 3, 4, 9])
def test_a_limit_gives_the_beginning_of_the_whole_order(most: int) -> None:
    some = [Candidate(text, errors) for text, errors in zip(OTHERS, (0.2, 1.7, 0.0, 0.9), strict=True)]
    assert ordered(some, most) == ordered(some)[:most]


def test_a_text_is_new_as_far_as_chosen_texts_do_not_hold_its_characters() -> None:
    grams = Grams(["甲乙", "甲乙", "丙丁", "甲丁"])
    assert [grams.novelty(number) for number in range(4)] == pytest.approx([1, 1, 1, 1])
    grams.choose(0)
    assert grams.novelty(1) == pytest.approx(order.DECAY)
    assert grams.novelty(2) == pytest.approx(1)
    assert order.DECAY < grams.novelty(3) < 1


def test_texts_of_one_character_or_with_half_a_character_are_ordered_too() -> None:
    assert ordered([Candidate("甲", 0.1), Candidate("\ud800乙", 0.2), Candidate("A", 0.3)]) == [2, 1, 0]


def test_no_text_gives_no_order() -> None:
    assert ordered([]) == []
