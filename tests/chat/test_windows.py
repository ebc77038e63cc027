"""Long texts, cut into windows."""

import random
from itertools import pairwise

import pytest

from tools.chat.windows import Reach, Window, halves, has_lines, reach_of, windows

HOSTILE = "甲乙丙丁abc12。，！? \r\n《》”e\u0301😀👩\u200d👩🏽.5\0\u2028"


def pieces(text: str, reach: Reach) -> list[str]:
    return [text[window.first : window.last] for window in windows(text, reach)]


def test_the_parts_of_any_text_make_up_the_text_and_no_window_is_longer_than_it_may_be() -> None:
    dice = random.Random(1)
    for _ in range(3000):
        text = "".join(dice.choices(HOSTILE, k=dice.randrange(1, 300)))
        size = dice.randrange(1, 60)
        reach = Reach(size + dice.randrange(5), size, lines=dice.random() < 0.5)
        found = windows(text, reach)
        assert "".join(text[window.first : window.last] for window in found) == text
        for start, end, first, last in found:
            assert 0 <= start < end <= len(text)
            assert not text[first : max(start, first)].strip() and not text[min(end, last) : last].strip()  # all but white space is shown
            assert len(found) == 1 or (end - start <= reach.longest and text[start:end] == text[start:end].strip())
            assert len(found) == 1 or reach.lines or not has_lines(text[start:end])


def test_a_text_as_long_as_one_of_the_training_is_asked_whole() -> None:
    assert windows("甲" * 50, Reach(50, 20)) == [Window(0, 50, 0, 50)]
    assert len(windows("甲" * 51, Reach(50, 20))) > 1
    assert windows("甲" * 5000, None) == [Window(0, 5000, 0, 5000)]
    assert windows("", Reach(5, 5)) == [Window(0, 0, 0, 0)]
    assert windows(" \n" * 5, Reach(5, 5)) == [Window(0, 10, 0, 10)]


def test_a_text_is_cut_at_the_ends_of_sentences() -> None:
    text = "他说：“去成都。”我们走了！何时回来？3.5天后。"
    assert pieces(text, Reach(9, 9)) == ["他说：“去成都。”", "我们走了！", "何时回来？", "3.5天后。"]
    assert pieces(text, Reach(15, 15)) == ["他说：“去成都。”我们走了！", "何时回来？3.5天后。"]
    assert pieces("甲乙\r\n丙丁\n\n戊己", Reach(5, 5)) == ["甲乙\r\n", "丙丁\n\n", "戊己"]


def test_where_training_showed_single_lines_each_line_is_a_text_of_its_own() -> None:
    text = "\n甲乙丙\n\n丁戊 \r\n己庚辛壬癸子。丑寅，卯辰"
    found = windows(text, Reach(7, 5, lines=False))
    assert [text[window.start : window.end] for window in found] == ["甲乙丙", "丁戊", "己庚辛壬癸", "壬癸子。", "丑寅，卯辰"]
    assert "".join(text[window.first : window.last] for window in found) == text
    assert [text[window.start : window.end] for window in windows(text, Reach(12, 12))] == ["甲乙丙\n\n丁戊", "己庚辛壬癸子。丑寅，卯辰"]


def test_a_window_within_a_sentence_begins_and_ends_with_a_clause_where_one_is_near() -> None:
    text = "甲乙丙丁，戊己庚，辛壬癸子丑，寅卯，辰巳午未申，酉戌亥，甲乙丙丁，戊己庚辛"
    for start, end, _, _ in windows(text, Reach(20, 20)):
        assert (start == 0 or text[start - 1] == "，") and (end == len(text) or text[end - 1] == "，")


def test_the_end_of_a_sentence_in_a_title_is_none() -> None:
    assert pieces("昨天看了《你好！李焕英》。今天又看。", Reach(14, 14)) == ["昨天看了《你好！李焕英》。", "今天又看。"]


def test_both_sides_of_a_seam_within_a_sentence_are_shown_around_it() -> None:
    text = "甲" * 100
    found = windows(text, Reach(50, 50))
    for left, right in pairwise(found):
        assert left.end - left.last == 10 and right.first - right.start == 10
    assert all(sum(window.owns(place) for window in found) == 1 for place in range(100))


def test_a_seam_divides_no_word_and_no_written_character_where_another_place_is_near() -> None:
    text = "甲乙丙丁戊己庚辛壬 Washington 癸子丑寅卯辰巳午未申酉戌亥"
    assert not any(part.startswith("ashington") or part.endswith("Washingto") for part in pieces(text, Reach(20, 20)))
    family = "👩\u200d👩\u200d👧"
    assert all(part.count("👩") == 2 * part.count("👧") for part in pieces(("甲乙丙" + family) * 20, Reach(23, 23)))
    assert all(not part.startswith("\u0301") for part in pieces("e\u0301" * 60, Reach(17, 17)))


def test_a_windows_length_is_that_of_nearly_all_training_texts() -> None:
    assert reach_of({10: 500, 20: 490, 9000: 10}, 10) == Reach(9000, 20, lines=False)
    assert reach_of({10: 500, 20: 490, 9000: 10}, 11) == Reach(9000, 20, lines=True)
    assert reach_of({10: 1}, 0) == Reach(10, 10, lines=False)
    assert reach_of({}, 0) is None and reach_of({0: 3}, 0) is None


def test_a_window_that_is_too_long_for_a_server_is_halved() -> None:
    text = "前文。" + "甲乙丙丁戊。己庚辛壬癸。" + "后文。"
    smaller = halves(text, Window(0, 18, 3, 15))
    assert [text[window.first : window.last] for window in smaller] == ["甲乙丙丁戊。", "己庚辛壬癸。"]
    with pytest.raises(ValueError):
        halves("甲", Window(0, 1, 0, 1))
