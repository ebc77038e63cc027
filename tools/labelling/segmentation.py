"""Cuts a text into words and says how a span lies among them: annotators mark whole words, and names more often than verbs.

In: a text and a span. Out: numbers for the evidence about a place. The words and their parts of speech are those of jieba's dictionary and hidden Markov model (rjieba); they
know nothing of the task.

    ./ner suspects conf/task/sample.yaml
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from tools.answers import Span

# jieba's parts of speech that are told apart, by how their names begin: persons, places, organisations, other names and nouns, verbs, Latin words, signs and numbers.
PARTS_OF_SPEECH = ("nr", "ns", "nt", "nz", "n", "v", "eng", "x", "m")
OTHER, NO_WORD = float(len(PARTS_OF_SPEECH)), -1.0


class Word(NamedTuple):
    """A word of a text from `start` to `end`, and jieba's name of its part of speech."""

    start: int
    end: int
    part_of_speech: str


def among_words(text: str, span: Span) -> list[float]:
    """Returns how a span lies among the words of its text.

    These are the lengths of the words that its start and its end cut through (0 where none is cut), the number of whole words in it, and the parts of speech of the first and
    last of these and of the words right before and behind it, as numbers.
    """
    _, start, end = span
    words = words_of(text)
    # The words that end at the span's start and end, or are the first to end behind them.
    left, right = (bisect_left(words, border, key=attrgetter("end")) for border in (start, end))
    cut = [words[at].end - words[at].start if words[at].start < border < words[at].end else 0 for at, border in ((left, start), (right, end))]
    own = words[left + (words[left].start < start) : right + (words[right].end == end)]
    before = words[left] if words[left].end == start else None
    behind = words[right + 1] if words[right].end == end < len(text) else None
    sides = (own[0] if own else None, own[-1] if own else None, before, behind)
    return [*map(float, cut), float(len(own)), *map(_number, sides)]


@lru_cache(1)  # the places of one text are judged one after the other
def words_of(text: str) -> list[Word]:
    """Returns the words of a text in order; together they are the whole text."""
    import rjieba

    words, at = list[Word](), 0
    for string, part_of_speech in rjieba.tag(text.encode("utf-8", "replace").decode()):  # half a character of UTF-16 becomes one question mark
        words.append(Word(at, at + len(string), part_of_speech))
        at += len(string)
    return words


def _number(word: Word | None) -> float:
    if word is None:
        return NO_WORD
    return next((float(number) for number, name in enumerate(PARTS_OF_SPEECH) if word.part_of_speech.startswith(name)), OTHER)
