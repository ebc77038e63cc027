import pytest

from tools.data.raw.row import FileReading
from tools.data.tagging.tokens import NUMBERED, SENTENCES, WORDS, joint_of, unnumbered


def joined(*sentences: list[str]) -> tuple[str, list[str], list[str]]:
    """The first sentence's text, its tokens at their places in it, and the rules that were applied."""
    reading = FileReading()
    text, starts = joint_of(sentences, reading).text(sentences[0])
    return text, [text[start : start + len(token)] for start, token in zip(starts, sentences[0], strict=False)], list(reading.applied)


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("用 Apple Watch Ultra 2 看", "用Apple Watch Ultra 2看"),
        ("2 0 2 4 年 A B C", "2024年ABC"),
        ("用 i P h o n e 看", "用iPhone看"),
        ("Vitamin C 片", "Vitamin C片"),
        ("去 了 北京 大学", "去了北京大学"),
        ("买 iPhone ， 很 好", "买iPhone，很好"),
        ("Bern rejects the call , and waits ( now ) .", "Bern rejects the call, and waits (now)."),
        ("10 , 000 元", "10,000元"),
        ("한국 정부", "한국 정부"),
        ("ＡＢ ＣＤ", "ＡＢＣＤ"),
        ("東京 タワー へ", "東京タワーへ"),
        ("в городе Минске", "в городе Минске"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
    ],
)
def test_words_of_scripts_with_spaces_get_spaces_and_everything_else_none(tokens: str, text: str) -> None:
    words = tokens.split()
    found, at_places, _ = joined(words)
    assert found == text
    assert at_places == words


@pytest.mark.parametrize(
    ("tokens", "text"),
    [([], ""), ([""], ""), (["\u3000", "甲"], "\u3000甲"), (["ab", "", "乙"], "ab乙"), (["用", "ab", " ", "cd", " ", "ef"], "用ab cd ef")],
)
def test_empty_tokens_and_spaces_keep_their_places(tokens: list[str], text: str) -> None:
    found, at_places, _ = joined(tokens)
    assert found == text
    assert at_places == tokens


def test_one_rule_holds_for_a_file_words_or_characters() -> None:
    words = ["看", "Apple", "Watch", "吧"]
    assert joined(["选", "A", "B"], words, words) == ("选A B", ["选", "A", "B"], [WORDS])
    assert joined(["选", "A", "B"], ["i", "P", "a", "d", "16", "GB"]) == ("选AB", ["选", "A", "B"], [])
    assert joined(["选", "A", "B"]) == ("选AB", ["选", "A", "B"], [])


def test_words_that_come_late_are_spaced_and_said() -> None:
    reading = FileReading()
    joint = joint_of([["看", "书"]], reading)
    assert joint.text(["看", "A", "B"])[0] == "看AB"
    assert reading.applied == {}
    assert joint.text(["看", "Apple", "Watch"])[0] == "看Apple Watch"
    assert [*reading.applied] == [WORDS]


def test_a_file_with_words_and_single_letters_is_doubted() -> None:
    reading = FileReading()
    joint_of([["Apple", "Watch", "i", "P"], ["Apple", "Watch"]], reading)
    assert len(reading.doubts) == 1


def test_a_file_of_words_says_that_punctuation_is_joined_too() -> None:
    assert joined(["We", "met", "."])[2] == [SENTENCES]


def test_numbers_of_places_in_words_are_taken_off() -> None:
    reading = FileReading()
    joint = joint_of([["科0", "技1", "园0", "i0", "P1"], ["在0"]], reading)
    assert (joint.numbered, joint.spaces, list(reading.applied)) == (True, "none", [NUMBERED])
    assert unnumbered(["科0", "技1", "园0", "i0", "P1"]) == ["科", "技", "园", "i", "P"]
    alone = [f"{character}0" for character in "李四昨天去了广州找王五。"]
    assert joint_of([alone], FileReading()).numbered  # each character is a word
    long = [f"长{place}" for place in range(12)]
    assert unnumbered(long) == ["长"] * 12
    assert unnumbered(["10", "21"]) == ["1", "2"]
    assert unnumbered(["科0", "技2"]) is None
    assert unnumbered(["科0", "技"]) is None


@pytest.mark.parametrize("tokens", [["第0", "第0"], ["10", "21"], ["科0", "技1", "园"], ["用", "iPhone15", "看"]])
def test_numbers_that_are_text_stay(tokens: list[str]) -> None:
    assert not joint_of([tokens], FileReading()).numbered


@pytest.mark.parametrize("sentences", [[["a"], []], [["We", "met"], []], [["科0", "技1"], []], [[]]])
def test_a_sentence_without_a_token_has_an_empty_text(sentences: list[list[str]]) -> None:
    assert joint_of(sentences, FileReading()).text([]) == ("", range(0))
