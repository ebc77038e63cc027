"""Collects the pairs of one answer, from whatever shape, and settles which of two words is the label.

In: pairs, or two words of which one is a label; a task, and the sentence if it is known. Out: the answer's pairs, and the rules beyond the trained format that were needed.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from tools.answers import Pair
from tools.answers.assertion import is_denied, is_nothing, is_rejected
from tools.answers.label_names import names_of
from tools.conf.task import Task
from tools.text import fold

SEPARATORS = re.compile(r"[、,，;；|]|<br ?/?>|/")
_ENCLOSED = re.compile(r"《[^《》]*》|“[^“”]*”|「[^「」]*」|\"[^\"]*\"|[(（][^()（）]{1,100}[)）]")  # no mark within separates
_DENIED = re.compile(r"(.{1,100}?)\s*[(（]([^()（）]{1,40})[)）]")  # 长春（排除）
_JOINS = re.compile(r"(?:and |以及|[和及与])(?=..)")
_DRESS = " \t\r`*_，,；;"
_CLOSERS = {'"': '"', "'": "'", "“": "”", "‘": "’", "「": "」", "『": "』"}
_OPENERS = {closer: opener for opener, closer in _CLOSERS.items()}
_PREFIXED = re.compile(r"([BIESMLU])[-_](.+)", re.DOTALL)
_NAME = re.compile(r"[\w /&.-]{1,30}(?:[(（][\w /-]{1,30}[)）])?")  # how a label that the task hasn't may look where it stands in no field of its own
_BRACKET = re.compile("[(（]")
_OUTSIDE = ("O", "o", "==NONE==")  # the label of what is no entity


class Either(NamedTuple):
    """Two words, one of which is a label. Which one it is, the labels on the same side in the answer's items of the same shape decide, or else the sentence."""

    one: str
    other: str
    shape: str


class Collected:
    """The pairs of one answer: `add` pairs, or `either` of two words, then call `pairs()`."""

    def __init__(self, task: Task, sentence: str | None) -> None:
        self.task = task
        self.sentence = sentence
        self._look_up = names_of(task).look_up  # (label, rule) of a word that is a label
        self.rules: set[str] = set()
        self.items: list[Pair | Either] = []
        self.silent = False  # the answer says somewhere that there is nothing
        self.unread = 0  # items that could not be read
        self.sides: Counter[tuple[str, bool]] = Counter()  # (shape, whether the label is the first of the two) → items

    def pairs(self) -> list[Pair] | None:
        """Returns the unique pairs in the answer's order; None where no pair was found and the answer doesn't say that there is nothing."""
        items = self._joined([pair for item in self.items if (pair := self.decided(item))])
        if self.unread and (items or self.silent):
            self.rules.add("partial_items")
        return list(dict.fromkeys(items)) if items or self.silent else None

    def decided(self, item: Pair | Either) -> Pair | None:
        """Returns an item's pair. Where no label is known on either side, the other items of its shape decide, then the sentence."""
        if not isinstance(item, Either):
            return item
        one, other, shape = item
        first, second = self.known(one), self.known(other)
        if first == second:
            first, second = self.sides[shape, True] > self.sides[shape, False], self.sides[shape, False] > self.sides[shape, True]
        if first == second or shape == "words":  # words are prose until the sentence has one of them
            first, second = self.in_sentence(other), self.in_sentence(one)
            if shape == "words" and not (self.sides[shape, True] or self.sides[shape, False]):
                second = first  # nothing in the answer shows that it speaks of labels
        if first == second:
            self.unread += 1
            return None
        label, text = (one, other) if first else (other, one)
        if not self.known(label) and (is_denied(label) or not _NAME.fullmatch(label)):
            self.unread += 1
            return None
        return self.canonical(label), text

    def _joined(self, items: list[Pair]) -> list[Pair]:
        """Returns the items without what is outside (O), and with the tokens of BIO tags joined."""
        joined: list[tuple[str, list[str], str]] = []  # label, strings, the last tag
        for label, text in items:
            prefixed = _PREFIXED.fullmatch(label) if not self.known(label) else None
            if label in _OUTSIDE and not self.known(label):
                joined.append(("", [], ""))
            elif not prefixed:
                joined.append((label, [text], ""))
            else:
                kind, name = prefixed[1], self.canonical(prefixed[2])
                if kind in "IMEL" and joined and joined[-1][2] and joined[-1][0] == name and joined[-1][2] not in "ES":
                    joined[-1] = (name, [*joined[-1][1], text], kind)
                else:
                    joined.append((name, [text], kind))
        return [(label, self._together(texts)) for label, texts, _ in joined if texts]

    def _together(self, texts: list[str]) -> str:
        whole = "".join(texts)
        return whole if len(texts) == 1 or self.may_stand(whole) else " ".join(texts)

    def count(self, shape: str, first: bool) -> None:
        """Counts an item of a shape whose label is the first of its two words, or the other."""
        self.sides[shape, first] += 1

    def either(self, one: str, other: str, shape: str) -> None:
        """Adds two words of which one should be a label. `shape` names the form in which they stand: one side has the labels in all items of a shape."""
        first, second = self.known(one), self.known(other)
        if first != second:
            self.sides[shape, first] += 1
            self.add(*(one, other) if first else (other, one))
        elif self.says_nothing(one) or self.says_nothing(other):
            self.silent = True
            self.rules.add("nothing")
        else:
            self.items.append(Either(one, other, shape))

    def may_stand(self, word: str) -> bool:
        """Returns whether a word stands in the sentence, or may, where the sentence isn't known."""
        return bool(word) and (self.sentence is None or word in self.sentence)

    def known(self, word: str) -> bool:
        """Returns whether the task has a label of that name, in any spelling."""
        return self._look_up(word) is not None

    def is_tag(self, word: str) -> bool:
        """Returns whether a word is a label that the task knows, or a BIO tag with one."""
        return self.known(word) or ((tag := _PREFIXED.fullmatch(word)) is not None and self.known(tag[2]))

    def is_nothing(self, word: str) -> bool:
        """Returns whether a word says that there is no entity."""
        return is_nothing(word, self.task.sentinels)

    def in_sentence(self, word: str) -> bool:
        """Returns whether a word stands in the sentence; False where the sentence isn't known."""
        return self.sentence is not None and bool(word) and word in self.sentence

    def stands_alone(self, word: str) -> bool:
        """Returns whether the sentence has a word that is no part of a longer one: 无 in “无” may be a name, in 无锡 it is none."""
        if not self.in_sentence(word):
            return False
        letter = "[A-Za-z0-9]" if word.isascii() else r"\w"
        around = [f"(?<!{letter})" * word[0].isalnum(), re.escape(word), f"(?!{letter})" * word[-1].isalnum()]
        return re.search("".join(around), self.sentence or "") is not None

    def says_nothing(self, word: str) -> bool:
        """Returns whether a word in an entity's place says that there is none: it is a word for it, and no name that the sentence has."""
        return self.is_nothing(word) and not self.stands_alone(word)

    def string(self, text: str) -> str:
        """Returns a string that stood among words: as it is written where the sentence has it so, or else without quotes around it and "and" before it."""
        dressed = _unstopped(text)
        if self.in_sentence(dressed):
            return dressed
        bare = trimmed(text)
        return trimmed(bare[join.end() :]) if (join := _JOINS.match(bare)) and self.in_sentence(trimmed(bare[join.end() :])) else bare

    def add(self, label: str, text: str) -> None:
        """Adds one pair. A known label becomes the task's own. A label or string that says "nothing" is no entity, unless the string stands in the sentence."""
        hit = self._look_up(label)
        if self.says_nothing(text) or (not hit and (not label.strip() or fold(label) in self.task.sentinels)):
            self.silent = True
            self.rules.add("nothing")
            return
        if (not hit and is_rejected(_BRACKET.split(label)[0])) or (
            (denied := _DENIED.fullmatch(text)) and is_denied(denied[2]) and self.in_sentence(denied[1])
        ):
            self.rules.add("rejected")
            return
        if hit and hit[1]:
            self.rules.add("label_name")
        self.items.append((hit[0] if hit else label.strip(), text))

    def add_all(self, label: str, text: str) -> None:
        """Adds a label's string, or its parts where only these stand in the sentence."""
        whole = self.sentence is None or self.in_sentence(text)
        words = text.split()
        splits = [] if whole else [split(SEPARATORS, text), words if min(map(len, words), default=0) > 1 else []]
        parts = next((parts for some in splits if len(parts := [word.strip() for word in some]) > 1 and all(map(self.in_sentence, parts))), None)
        if parts:
            self.rules.add("joined_texts")
            for part in parts:
                self.add(label, part)
        else:
            self.add(label, text)

    def canonical(self, label: str) -> str:
        hit = self._look_up(label)
        return hit[0] if hit else label.strip()


def places(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """Returns the places of a pattern outside of titles, quotes and brackets: 、 in 《人、岁月、生活》 separates nothing."""
    found = list(pattern.finditer(text))
    inside = [enclosed.span() for enclosed in _ENCLOSED.finditer(text)] if found else []
    return [one for one in found if not any(start < one.start() < end for start, end in inside[:50])] if inside else found


def split(pattern: re.Pattern[str], text: str) -> list[str]:
    """Returns the parts of a text between the places of a pattern."""
    parts, position = [], 0
    for found in places(pattern, text):
        parts.append(text[position : found.start()])
        position = found.end()
    return [*parts, text[position:]]


def _unstopped(text: str) -> str:
    """Returns a string without Markdown, commas and the full stop around it, unless the full stop belongs to a Latin word ("et al.")."""
    text = text.strip(_DRESS)
    if text.endswith(("。", "！", "!")) or (text.endswith(".") and not text[:-1].isascii()):
        text = text[:-1].strip(_DRESS)
    return text


def trimmed(text: str) -> str:
    """Returns a string without Markdown, a full stop, and quotes that enclose it or have no partner in it."""
    text = _unstopped(text)
    while text:
        closer, opener = _CLOSERS.get(text[0]), _OPENERS.get(text[-1])
        if closer and text.find(closer, 1) in (-1, len(text) - 1):
            text = text[1:-1] if len(text) > 1 and text[-1] == closer else text[1:]
        elif opener and opener not in text[:-1]:
            text = text[:-1]
        else:
            break
        text = text.strip(_DRESS)
    return text
