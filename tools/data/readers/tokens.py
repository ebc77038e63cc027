"""Joins a sentence's tokens to its text: the one rule for columns of tokens and for lists of tokens.

In: the tokens. Out: the text, and where each token begins in it (code points).

Chinese, Japanese and characters of any script are joined as they are. A space goes between two neighbours, one of them longer than a character, where both
sides are letters or digits of a script that is written with spaces (Apple Watch 2), and behind , ; : ! ? and ) before such a word.
Letters and digits that stand one by one (2 0 2 4 年) were taken apart, so they are joined again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Scripts written without spaces: Thai to Lao, Myanmar, Khmer, then CJK with its marks, kana and full-width forms. Hangul has spaces.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u312f\u3190-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_SPACED = re.compile(rf"[^\W_{_UNSPACED}]")
_CLOSING = re.compile(r"[,;:!?)]")
_LETTER = re.compile(rf"[^\W\d_{_UNSPACED}]")


def joined(tokens: Sequence[str]) -> tuple[str, Sequence[int]]:
    """Returns the text of the tokens, and each token's start in it.

    >>> joined(["用", "Apple", "Watch", "2", "看"])
    ('用Apple Watch 2看', [0, 1, 7, 13, 14])
    """
    plain = "".join(tokens)
    if len(plain) == len(tokens) and "" not in tokens:
        return plain, range(len(tokens))
    parts: list[str] = []
    starts: list[int] = []
    length, before = 0, ""
    for token in tokens:
        if before and token and is_apart(before, token):
            parts.append(" ")
            length += 1
        starts.append(length)
        parts.append(token)
        length += len(token)
        before = token or before
    return "".join(parts), starts


def is_apart(left: str, right: str) -> bool:
    """Returns whether a space stands between two tokens that aren't empty."""
    if len(left) == len(right) == 1:
        return False
    if _SPACED.match(left[-1]):
        return _SPACED.match(right) is not None
    return _CLOSING.match(left[-1]) is not None and _LETTER.match(right) is not None
