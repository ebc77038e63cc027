"""Reads a training row's written answer, strictly: what would have to be guessed is refused.

In: the answer, and the text it is about. Out: (label, string) pairs, or one word that may be a class.

[{"label": "人名", "text": "张三"}]      {"entities": […]}      under any of the names in tools.answers.field_names
{"人名": ["张三"], "地点": []}            [["人名", "张三"]]      {"张三": "人名"}
人名：张三（a line each, `张三：人名` too; several strings are separated by 、 or ，）      张三（人名）、北京（地点）      (张三, 人名)
[]   {}   无   没有实体                    nothing (tools.conf.spellings.NOTHING)

A pair's order is told by the text: the string stands in it, the label doesn't.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from tools.answers.field_names import LABEL_FIELDS, OTHER_FIELDS, TEXT_FIELDS, WRAPPERS
from tools.conf.spellings import NOTHING
from tools.data.raw.fields import Unusable
from tools.data.raw.lines import DECODER
from tools.data.raw.row import shown
from tools.example import Entity
from tools.text import fold

Pair = tuple[str, str]  # label, string
LONGEST_WORD = 30
_THOUGHT = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
_FENCED = re.compile(r"```[A-Za-z]*\s*\n(.*?)\n?\s*```", re.DOTALL)
_BULLET = re.compile(r"\s*(?:[-*•]\s+|\d{1,3}[.)、](?!\d)\s*)?")
_COLON = re.compile(r"\s*[:：]\s*")
_AND = re.compile(r"\s*[、,，;；]\s*")
# Where one pair ends and the next begins: at a line's end, or else at a separator before something with a colon.
_ENDS = (re.compile(r"\n|[;；](?=[^;；\n]*[:：])"), re.compile(r"\n|[;；,，、](?=[^;；,，、\n]*[:：])"))
# 张三（人名）、北京（地点） and (张三, 人名), (北京, 地点)
_ITEMS = (
    re.compile(r"([^()（）\n、,，;；:：]+)[(（]([^()（）]+)[)）]"),
    re.compile(r"[(（]\s*([^,，()（）]+)[,，]([^,，()（）]+)[)）]"),
)
_BETWEEN = " \n、,，;；。.-*•"
_NOTHING = frozenset(map(fold, (*NOTHING, "nan")))


class WrittenAnswer(NamedTuple):
    """What an answer holds: the pairs that it names, or else (`pairs` is None) a `word`."""

    pairs: list[Pair] | None
    word: str = ""


def read_written(answer: Any, text: str) -> WrittenAnswer:
    """Returns what an answer holds. Raises Unusable for an empty one, and for one that isn't written in a form above."""
    if isinstance(answer, list | dict):
        return _from_json(answer, text)
    if type(answer) is int:
        return WrittenAnswer(None, str(answer))
    if not isinstance(answer, str):
        raise Unusable(f"the answer must be a string or JSON, it is {shown(answer)}.")
    words = _THOUGHT.sub("", answer, count=1).strip() if answer.lstrip().startswith("<think>") else answer.strip()
    if fenced := _FENCED.fullmatch(words):
        words = fenced[1].strip()
    if not words:
        raise Unusable("the answer is empty.", "unannotated")
    if words[0] in "[{":
        return _from_json(_decoded(words), text)
    if _is_nothing(words):
        return WrittenAnswer([], words)
    if (written := _from_lines(words, text)) is not None:
        return written
    if is_word(words):
        return WrittenAnswer(None, words)
    raise Unusable(f"the answer names neither entities, in a form that needs no guessing, nor a class: {shown(words)}.")


def is_word(answer: Any) -> bool:
    """Returns whether an answer is one word, or a few on one line, that may be a class."""
    return isinstance(answer, str) and 0 < len(word := answer.strip()) <= LONGEST_WORD and "\n" not in word and word[0] not in "[{"


def placed(text: str, pairs: list[Pair]) -> list[Entity]:
    """Returns the entities of (label, string) pairs, each at the first place of its string; a pair that is named again is at the next place, if there is one.

    Raises Unusable for a string that isn't in the text.
    """
    entities: list[Entity] = []
    named: Counter[Pair] = Counter()
    for label, string in pairs:
        places = list(_places(text, string))
        if not places:
            raise Unusable(f"the string {shown(string)} ({shown(label)[1:-1]}) isn't in the text.")
        if named[label, string] < len(places):
            start = places[named[label, string]]
            entities.append(Entity(label, string, start, start + len(string)))
        named[label, string] += 1
    return entities


def _places(text: str, string: str) -> Iterator[int]:
    """Yields the places of a string; those where it is a whole word first, if its letters are Latin."""
    start = text.find(string) if string else -1
    found = []
    while start >= 0:
        found.append(start)
        start = text.find(string, start + len(string))
    yield from sorted(found, key=lambda place: _inside_a_word(text, place, place + len(string)))


def _inside_a_word(text: str, start: int, end: int) -> bool:
    return _joins(text[start - 1 : start] + text[start]) or _joins(text[end - 1 : end + 1])


def _joins(two: str) -> bool:
    return len(two) == 2 and two.isascii() and two.isalnum()


def _is_nothing(words: str) -> bool:
    return fold(words.strip(" 。.!！\"'")) in _NOTHING


def _decoded(words: str) -> Any:
    try:
        return DECODER.decode(words)
    except (ValueError, RecursionError):
        raise Unusable(f"the answer begins like JSON and isn't: {shown(words)}.") from None


def _from_json(value: Any, text: str) -> WrittenAnswer:
    if isinstance(value, list):
        return WrittenAnswer(_of_list(value, text))
    value = {
        key: part for key, part in value.items() if part != text or fold(key) not in OTHER_FIELDS | TEXT_FIELDS
    }  # without an echo of the question
    if wrapper := _wrapper(value):
        return WrittenAnswer(_of_list(value[wrapper], text))
    names = {*map(fold, value)}
    if names & LABEL_FIELDS and names & (TEXT_FIELDS - LABEL_FIELDS):
        return WrittenAnswer(list(_of_object(value)))
    labels = [key for key in value if fold(key) not in OTHER_FIELDS]
    if len(labels) == 1 and fold(labels[0]) in LABEL_FIELDS and isinstance(word := value[labels[0]], str | int):
        return WrittenAnswer(None, str(word).strip())
    if value and all(isinstance(part, str) and part.strip() and not _is_nothing(part) for part in value.values()):
        return WrittenAnswer(_sided(list(value.items()), text))
    return WrittenAnswer([(label, string) for label, found in value.items() for string in _strings(label, found, text)])


def _wrapper(value: dict[str, Any]) -> str:
    """Returns the field of an object that has the list of entities; empty for another object."""
    inner = [key for key in value if fold(key) not in OTHER_FIELDS]
    if (
        len(inner) == 1
        and fold(inner[0]) in WRAPPERS
        and isinstance(found := value[inner[0]], list)
        and not any(isinstance(one, str) for one in found)
    ):
        return inner[0]
    return ""


def _of_list(values: list[Any], text: str) -> list[Pair]:
    single = [pair for value in values if isinstance(value, dict) and len(value) == 1 for pair in value.items() if isinstance(pair[1], str)]
    if single and len(single) == len(values) and not {fold(key) for key, _ in single} <= TEXT_FIELDS | LABEL_FIELDS:
        return _sided(single, text)
    if all(isinstance(value, dict) for value in values):
        return [pair for value in values for pair in _of_object(value)]
    if all(isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value) for value in values):
        return _sided([(left, right) for left, right in values], text)
    raise Unusable(f"the answer is a list of something else than entities with labels: {shown(values)}.")


def _of_object(value: dict[str, Any]) -> Iterator[Pair]:
    """Yields the pairs of one entity's object: its label with its string, or with each of its strings."""
    labels = [key for key in value if fold(key) in LABEL_FIELDS]
    texts = [key for key in value if fold(key) in TEXT_FIELDS and key not in labels]
    if len(labels) != 1 or len(texts) != 1 or not isinstance(value[labels[0]], str):
        raise Unusable(f"one field with the label and one with the entity's string are needed, the answer has {shown(value)}.")
    strings = value[texts[0]]
    for string in strings if isinstance(strings, list) else [strings]:
        if not isinstance(string, str):
            raise Unusable(f"an entity's string must be a string, the answer has {shown(string)}.")
        yield value[labels[0]], string


def _strings(label: str, found: Any, text: str) -> list[str]:
    """Returns the strings that an answer lists under a label."""
    if found is None or (isinstance(found, str) and (not found.strip() or _is_nothing(found))):
        return []
    if isinstance(found, str):
        return _split(found, text)
    if isinstance(found, list) and all(isinstance(one, str) for one in found):
        return [one for one in found if one.strip() and (one in text or not _is_nothing(one))]
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        strings = [[one[key] for key in one if fold(key) in TEXT_FIELDS] for one in found]
        if all(len(one) == 1 and isinstance(one[0], str) for one in strings):
            return [one[0] for one in strings]
    raise Unusable(f"the answer's entities of {shown(label)} must be strings, they are {shown(found)}.")


def _split(words: str, text: str) -> list[str]:
    """Returns one string, or the strings that separators join, if they all stand in the text. Where the whole stands there too, it is one string if it has an ASCII
    comma (Foo, Inc.) or a part of one character (一、二期工程)."""
    parts = [part for part in _AND.split(words) if part]
    return (
        parts if all(part in text for part in parts) and (words not in text or (min(map(len, parts)) > 1 and not {",", ";"} & {*words})) else [words]
    )


def _from_lines(words: str, text: str) -> WrittenAnswer | None:
    """Returns what an answer in lines of two parts holds; None for other words."""
    fault = None
    for item in _ITEMS:
        if not item.sub("", words).strip(_BETWEEN):
            return WrittenAnswer(_sided([(_BULLET.sub("", left, count=1).strip(), right.strip()) for left, right in item.findall(words)], text))
    for ends in _ENDS:
        lines = [_BULLET.sub("", line, count=1).strip() for line in ends.split(words) if line.strip()]
        parts = [_COLON.split(line, maxsplit=1) for line in lines]
        if not all(len(part) == 2 and part[0] for part in parts):
            continue
        try:
            return _of_lines([(left, right) for left, right in parts], text)
        except Unusable as error:
            fault = fault or error
    if fault:
        raise fault
    return None


def _of_lines(pairs: list[Pair], text: str) -> WrittenAnswer:
    names = {fold(left) for left, _ in pairs}
    if not names <= LABEL_FIELDS | TEXT_FIELDS | WRAPPERS:
        return WrittenAnswer(_sided(pairs, text))
    if len(pairs) == 1 and names <= LABEL_FIELDS and not _stands(pairs[0][1], text):  # 类别：体育
        return WrittenAnswer(None, pairs[0][1])
    objects = [dict(pairs[place : place + 2]) for place in range(0, len(pairs), 2)]  # Text: 张三⏎Label: 人名
    return WrittenAnswer([pair for value in objects for pair in _of_object(value)])


def _sided(pairs: list[Pair], text: str) -> list[Pair]:
    """Returns pairs whose strings all stand on one side as (label, string). Raises Unusable where the text doesn't tell the sides apart."""
    right = all(_stands(second, text) for _, second in pairs)
    left = all(_stands(first, text) for first, _ in pairs)
    if pairs and right == left:
        which = "on both sides" if right else "on neither side"
        raise Unusable(f"which part is the label can't be told: parts of the text stand {which} of the answer's {shown(pairs[0])}.")
    found = pairs if right else [(second, first) for first, second in pairs]
    if wrong := next((label for label, _ in found if not label.strip() or _AND.search(label) or _COLON.search(label)), None):
        raise Unusable(f"which part is the label can't be told: {shown(wrong)} doesn't look like one.")
    return [(label, string) for label, strings in found for string in _strings(label, strings, text)]


def _stands(words: str, text: str) -> bool:
    return not words.strip() or _is_nothing(words) or all(part in text for part in _split(words, text))
