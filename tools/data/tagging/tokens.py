"""Makes a sentence's text of its tokens.

In: the tokens of a file's first sentences. Out: a Joint, which makes of a sentence's tokens its text, and the place of each token in it. One rule decides each thing:

- Tokens that all end in a number which counts a word's characters from 0 (`科0 技1 公0 司1`, as in Weibo NER) are taken without it.
- Tokens are joined without a space where the script has none. In a script with spaces (Latin, Cyrillic, Hangul, …) neighbouring tokens are words, with a space
  between them, if most neighbours have more than one letter; they are characters of words (`i P h o n e`) if most have one. Digits count as letters.
  Where the first lines have no such neighbours, two tokens have a space between them if one of them has more than one letter.
- Where most tokens are words of a script with spaces, a space also stands at punctuation, but not before `.,;:!?%)` or behind `(`.
- Where the file has its spaces as tokens, none is added.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from tools.data.raw.row import FileReading

# A letter or digit of a script that has spaces between words: not Thai, Lao, Burmese, Khmer, kana, bopomofo, Chinese characters or full-width forms.
_NO_SPACES = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
)
_LETTER = rf"(?:[^\W_{_NO_SPACES}]|[\u0900-\u0dff])"  # signs of Indic scripts aren't letters to Python
_FIRST = re.compile(_LETTER)
_LAST = re.compile(rf"{_LETTER}\Z")
_WORD = re.compile(rf"{_LETTER}{{2}}")
_UNSPACED = re.compile(rf"[\s{_NO_SPACES}]")
_BETWEEN = "\x1f"
_TOUCH = re.compile(rf"{_LETTER}{_BETWEEN}(?={_LETTER})")
_CLOSING = re.compile(r"[.,;:!?%)\]}…]+\Z|['’](?:s|S|t|re|ve|ll|d|m)\Z|n't\Z")
_OPENING = re.compile(r"[(\[{$#@]+\Z")

FEW = 10  # different tokens, which may all end in 0 by chance
NUMBERED = "each token ends in its character's place in the word (科0 技1), which is taken off"
WORDS = "neighbouring tokens of letters are words: a space stands between them"
SENTENCES = "tokens are words of a language with spaces: a space stands between them, but not before .,;:!?%) or behind ("


@dataclass(frozen=True)
class Joint:
    """How tokens are joined. `spaces` is 'words', 'sentences', 'none', or 'unknown' where the first lines don't tell."""

    numbered: bool = False
    spaces: str = "unknown"
    reading: FileReading = field(default_factory=FileReading, compare=False)

    def text(self, tokens: Sequence[str]) -> tuple[str, Sequence[int]]:
        """Returns the text of the tokens, and where each begins."""
        text = "".join(tokens)
        if self.spaces != "none" and (spaced := self._spaced(text, tokens)):
            starts = [*accumulate(map(len, spaced), initial=0)]
            return "".join(spaced), [start + len(piece) - len(token) for start, piece, token in zip(starts, spaced, tokens, strict=False)]
        return text, range(len(tokens)) if len(text) == len(tokens) else [*accumulate(map(len, tokens), initial=0)]

    def _spaced(self, text: str, tokens: Sequence[str]) -> list[str]:
        """Returns the tokens, some with a space before them; nothing where none needs one."""
        if not tokens or (self.spaces == "unknown" and len(text) == len(tokens)):
            return []
        if self.spaces == "sentences":
            needed = _needed
        elif not _TOUCH.search(_BETWEEN.join(tokens)):
            return []
        else:
            needed = _both_are_words if self.spaces == "words" else _one_is_long
        spaced = [tokens[0], *(f" {right}" if needed(left, right) else right for left, right in pairwise(tokens))]
        if self.spaces == "unknown" and spaced != list(tokens):
            self.reading.apply(WORDS)
        return spaced


def joint_of(sentences: Sequence[Sequence[str]], reading: FileReading) -> Joint:
    """Returns how the tokens of a file are joined, by those of its first sentences, and says so in `reading`."""
    if numbered := _are_numbered(sentences):
        reading.apply(NUMBERED)
        sentences = [unnumbered(sentence) or [] for sentence in sentences]
    spaces = _spaces(sentences, reading)
    if rule := {"words": WORDS, "sentences": SENTENCES}.get(spaces):
        reading.apply(rule)
    return Joint(numbered, spaces, reading)


def unnumbered(tokens: Iterable[str]) -> list[str] | None:
    """Returns the tokens without the number of their place in their word, or None where one has none."""
    place, characters = -1, []
    for token in tokens:
        for place in (place + 1, 0):  # noqa: B020 - the next in its word, or the first of another
            if len(token) > len(str(place)) and token.endswith(str(place)):
                break
        else:
            return None
        characters.append(token[: -len(str(place))])
    return characters


def _are_numbered(sentences: Sequence[Sequence[str]]) -> bool:
    """Returns whether the tokens of nearly every sentence end in their place in a word, and are more than a few, or numbers."""
    numbered = [sentence for sentence in sentences if "".join(sentence[:1]).endswith("0") and unnumbered(sentence)]
    tokens = {token for sentence in numbered for token in sentence}
    if len(numbered) < 0.95 * len(sentences) or (len(tokens) <= FEW and all(token.endswith("0") for token in tokens)):
        return False
    return not all(token.isdecimal() for token in tokens)


def _spaces(sentences: Sequence[Sequence[str]], reading: FileReading) -> str:
    """Returns the kind of space between tokens, a value of `Joint.spaces`."""
    words = characters = explicit = 0
    for sentence in sentences:
        for left, right in pairwise(sentence):
            if _both_are_words(left, right):
                is_word = bool(_WORD.search(left) or _WORD.search(right))
                words, characters = words + is_word, characters + (not is_word)
            explicit += right.isspace() and bool(_LAST.search(left))
    if not words + characters:
        return "unknown"
    if min(words, characters) * 10 > max(words, characters):
        reading.doubt("some tokens of letters are words and others single letters: look at the spaces between them")
    if characters >= words or explicit >= words:
        return "none"
    tokens = [token for sentence in sentences for token in sentence if any(map(str.isalnum, token))]
    return "sentences" if sum(bool(_FIRST.search(token)) for token in tokens) > 0.8 * len(tokens) else "words"


def _both_are_words(left: str, right: str) -> bool:
    return bool(_LAST.search(left) and _FIRST.match(right))


def _one_is_long(left: str, right: str) -> bool:
    return len(left) + len(right) > 2 and bool(_LAST.search(left) and _FIRST.match(right) and (_WORD.search(left) or _WORD.search(right)))


def _needed(left: str, right: str) -> bool:
    """Returns whether a space stands between two tokens of a language with spaces."""
    return bool(left and right) and not (_UNSPACED.match(left[-1]) or _UNSPACED.match(right) or _CLOSING.match(right) or _OPENING.match(left))
