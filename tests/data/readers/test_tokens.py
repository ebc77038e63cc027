import pytest

from tools.data.readers.tokens import joined


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("用 Apple Watch Ultra 2 看", "用Apple Watch Ultra 2看"),
        ("2 0 2 4 年 A B C", "2024年ABC"),
        ("Vitamin C 片", "Vitamin C片"),
        ("去 了 北京 大学", "去了北京大学"),
        ("买 iPhone ， 很 好", "买iPhone，很好"),
        ("Bern rejects the call , and waits .", "Bern rejects the call, and waits."),
        ("10 , 000 元", "10,000元"),
        ("한국 정부", "한국 정부"),
        ("ＡＢ ＣＤ", "ＡＢＣＤ"),
        ("東京 タワー へ", "東京タワーへ"),
    ],
)
def test_words_of_spaced_scripts_get_spaces_and_everything_else_none(tokens: str, text: str) -> None:
    words = tokens.split()
    found, starts = joined(words)
    assert found == text
    assert [found[start : start + len(word)] for start, word in zip(starts, words, strict=True)] == words


@pytest.mark.parametrize(
    ("tokens", "text"),
    [([], ""), ([""], ""), (["", "ab", "", "cd", " ", "ef"], "ab cd ef"), (["\u3000", "甲"], "\u3000甲"), (["ab", "", "乙"], "ab乙")],
)
def test_empty_tokens_and_spaces_keep_their_places(tokens: list[str], text: str) -> None:
    found, starts = joined(tokens)
    assert found == text
    assert [found[start : start + len(token)] for start, token in zip(starts, tokens, strict=True)] == tokens
