"""How a span lies among the words of its text."""

from hypothesis import given
from hypothesis import strategies as st

from tools.labelling.segmentation import NO_WORD, PARTS_OF_SPEECH, among_words, words_of

NAME, PLACE, SIGN = (float(PARTS_OF_SPEECH.index(name)) for name in ("nr", "ns", "x"))


@given(st.text(st.characters(categories=None), max_size=30))
def test_the_words_are_the_whole_text_whatever_it_holds(text: str) -> None:
    borders = [0, *(word.end for word in words_of(text))]
    assert borders == sorted(set(borders)) and borders[-1] == len(text)
    assert [word.start for word in words_of(text)] == borders[:-1]


def test_a_whole_word_cuts_none_and_has_its_part_of_speech() -> None:
    text = "方滨兴来到北京。"
    assert among_words(text, ("name", 0, 3))[:5] == [0, 0, 1, NAME, NAME]
    start = text.index("北京")
    assert among_words(text, ("address", start, start + 2)) == [0, 0, 1, PLACE, PLACE, among_words(text, ("", start - 2, start))[3], SIGN]


def test_a_border_within_a_word_says_how_long_that_word_is() -> None:
    text = "北京邮电大学很大"  # one word, and what follows
    assert among_words(text, ("organization", 0, 4))[:5] == [0, 6, 0, NO_WORD, NO_WORD]
    assert among_words(text, ("organization", 2, 6))[:2] == [6, 0]


def test_nothing_stands_before_and_behind_a_whole_text() -> None:
    assert among_words("北京", ("address", 0, 2))[-2:] == [NO_WORD, NO_WORD]
