"""Reads one annotated span of a JSON row, whatever its fields are called.

[0, 3, "PER"]   ["PER", 0, 3]   [0, 3, "PER", "王小明"]   [[0, 3], "PER"]
{"start": 0, "end": 3, "label": "PER"}   {"start_idx": 0, "end_idx": 2, "type": "PER", "entity": "王小明"}   {"offset": 0, "length": 3, "type": "PER"}
{"span": [0, 3], "type": "PER"}   {"label": ["PER"], "points": [{"start": 0, "end": 2, "text": "王小明"}]}   {"type": "PER", "value": "王小明"}   ["王小明", "PER"]

In: the value, the row's text, and the task's `fields` and `numbers`. Out: Mentions. One table has the spellings of each part; the case of letters, '_' and '-' don't count.
"""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache
from typing import Any, NamedTuple

from tools.data.raw.fields import Unusable, is_offset
from tools.data.raw.row import FileReading, shown

# Each part's names, the likeliest first. Sources: doccano, Prodigy, spaCy, CMeEE (CBLUE), CCKS, Label Studio, LabelBox, brat's converters, Hugging Face's pipelines.
PARTS = {
    "start": "start answerstart startoffset startidx startpos startposition startindex startchar begin beginoffset beginidx beginpos beginindex charstart from offset pos loc position",
    "end": "end endoffset endidx endpos endposition endindex endchar stop endoff finish charend to",
    "length": "length len",
    "span": "span spans offsets offset indices index positions position pos interval loc range entityindex points",
    "label": "label type entitylabel labeltype entitytype entitygroup category class tag labelname entityclass nertype labels 类型 标签 实体类型 类别",
    "text": "text entitytext value mention word string surface spantext entityname content entity name 实体 文本 实体名称",
}
_DIGITS = re.compile(r"[0-9]{1,15}")
_NAMES = {part: tuple(names.split()) for part, names in PARTS.items()}


class Mention(NamedTuple):
    """A label, and its place and string as the file has them: no place is None, no string is None."""

    label: str
    start: int | None
    end: int | None
    string: str | None


class Spelling(NamedTuple):
    """The keys of a span's parts; an empty string for a part that it hasn't."""

    start: str
    end: str
    length: str
    span: str
    label: str
    text: str


def mentions(value: Any, text: str, reading: FileReading) -> list[Mention]:
    """Returns the mentions of one span: one, or one for each of its labels. Raises Unusable for a span that isn't understood."""
    if isinstance(value, dict):
        return _of_object(value, text, reading)
    if isinstance(value, list):
        return [_of_list(value, text, reading)]
    raise Unusable(f"a span must be a list or an object, it is {shown(value)}.")


@lru_cache(maxsize=1024)
def spelling(keys: tuple[str, ...], fields: tuple[tuple[str, str], ...] = ()) -> Spelling:
    """Returns the keys of each part of a span with these keys. `fields` are the task's own words for some."""
    named = {re.sub(r"[_\W]", "", key).casefold(): key for key in reversed(keys)}
    told = {part: key for part, key in fields if part in _NAMES and key in keys}

    def first(part: str, taken: Set[str] = frozenset()) -> str:
        return told.get(part) or next((named[name] for name in _NAMES[part] if name in named and named[name] not in taken), "")

    end, length = first("end"), first("length")
    start = first("start") if end or length else ""
    span = "" if start else first("span") or first("start")
    taken = {start, end, length, span}
    text = first("text", taken)
    label = first("label", taken) or ("" if text == named.get("entity") else named.get("entity", ""))
    return Spelling(start, end, length, span, label, "" if text == label else text)


def _of_object(value: dict[str, Any], text: str, reading: FileReading) -> list[Mention]:
    keys = spelling(tuple(value), tuple(reading.fields.items()))
    if keys.span and (place := _only_object(value[keys.span])):
        value = {**{key: part for key, part in value.items() if key != keys.span}, **place}
        keys = spelling(tuple(value), tuple(reading.fields.items()))
    if not keys.label:
        others = [key for key, part in value.items() if isinstance(part, str) and part not in text]
        raise Unusable(
            f"no label in the span {shown(value)}; if one of its fields has it, name that: fields.label={others[0] if len(others) == 1 else 'NAME'}",
            "named",
        )
    string = value[keys.text] if keys.text else None
    if string is not None and not isinstance(string, str):
        raise Unusable(f"'{keys.text}' must be a string, it is {shown(string)}.")
    labels = value[keys.label] if isinstance(value[keys.label], list) else [value[keys.label]]
    if keys.span and string and (places := _places_of(string, value[keys.span], text)):
        return [Mention(_label(label, reading), *place, string) for place in places for label in labels]
    start, end = _place(value, keys)
    if start is None and string is None:
        raise Unusable(
            f"the span {shown(value)} has neither a whole place nor a string. If other fields have its place, name them: fields.start=… fields.end=…",
            "named",
        )
    return [Mention(_label(label, reading), start, end, string) for label in labels]


def _only_object(value: Any) -> dict[str, Any] | None:
    """Returns the object that has a span's place, by itself or as the only one of a list (Dataturks' `points`)."""
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    return one if isinstance(one, dict) else None


def _places_of(string: str, span: Any, text: str) -> list[tuple[int, int]]:
    """Returns the places of a string: of a single number, where it begins; of several [start, end], at each of which it stands. None for any other span."""
    if is_offset(span):
        return [(span, span + len(string))]
    if not (isinstance(span, list) and len(span) > 1 and all(isinstance(one, list) and len(one) == 2 and all(map(is_offset, one)) for one in span)):
        return []
    ends = [more for more in (0, 1) if all(text[max(start, 0) : end + more] == string for start, end in span)]
    return [(start, end) for start, end in span] if ends else []


def _place(value: dict[str, Any], keys: Spelling) -> tuple[int | None, int | None]:
    """Returns the start and end that an object states; None twice if it states none."""
    if keys.start:
        start, end = _offsets(value, value[keys.start], value[keys.end or keys.length])
        return start, end if keys.end else start + end
    span = value[keys.span] if keys.span else None
    if span is None or is_offset(span):
        return None, None
    if isinstance(span, list) and len(span) == 1 and isinstance(span[0], list):
        span = span[0]
    if isinstance(span, list) and span and all(isinstance(part, list | dict) for part in span):
        raise Unusable(
            f"the span {shown(value)} has {len(span)} parts: an entity here is one piece of the text. Annotate it as one, or leave it out.", "named"
        )
    if not (isinstance(span, list) and len(span) == 2):
        raise Unusable(f"'{keys.span}' must be [start, end], it is {shown(span)}.")
    return _offsets(value, *span)


def _offsets(value: Any, *written: Any) -> tuple[int, int]:
    """Returns the two numbers of a place; digits in quotes are numbers too, and so is 3.0."""
    start, end = (
        int(one) if (isinstance(one, str) and _DIGITS.fullmatch(one)) or (isinstance(one, float) and one.is_integer()) else one for one in written
    )
    if not (is_offset(start) and is_offset(end)):
        raise Unusable(f"start and end must be whole numbers in {shown(value)}.")
    return start, end


def _of_list(value: list[Any], text: str, reading: FileReading) -> Mention:
    """Returns the mention of a list: two neighbouring numbers, its label, and perhaps its string, which is the one that stands there."""
    flat = [part for one in value for part in (one if isinstance(one, list) and len(one) == 2 else [one])]
    numbers = [index for index, part in enumerate(flat) if is_offset(part)]
    strings = [part for part in flat if isinstance(part, str)]
    if len(numbers) == len(flat) == 3 and reading.numbers:
        return Mention(_label(flat[2], reading), flat[0], flat[1], None)
    if not numbers and len(strings) == len(flat) == 2:
        string, label = _told_apart(strings, [one for one in strings if one and one in text], value)
        return Mention(label, None, None, string)
    if not (len(numbers) == 2 and numbers[1] == numbers[0] + 1 and len(strings) == len(flat) - 2 and 1 <= len(strings) <= 2):
        raise Unusable(f"a span must be [start, end, label], it is {shown(value)}.")
    start, end = flat[numbers[0]], flat[numbers[1]]
    if len(strings) == 1:
        return Mention(strings[0], start, end, None)
    there = [one for one in strings if 0 <= start < len(text) and one and one in (text[start:end], text[start : end + 1])]
    string, label = _told_apart(strings, there, value)
    return Mention(label, start, end, string)


def _told_apart(strings: list[str], there: list[str], value: Any) -> tuple[str, str]:
    """Returns (string, label) of two strings: the only one that is in the text, and the other."""
    if len(there) != 1:
        raise Unusable(
            f"which of {shown(strings[0])} and {shown(strings[1])} is the label isn't clear in {shown(value)}: the text has neither there, or both."
        )
    return there[0], strings[strings[0] == there[0]]


def _label(value: Any, reading: FileReading) -> str:
    if isinstance(value, str):
        return value
    if type(value) is int:
        if 0 <= value < len(reading.numbers):
            return reading.numbers[value]
        raise Unusable(f"the label is the number {shown(value)}: say what 0, 1, 2, … stand for, in order: numbers=[NAME,NAME,…]", "named")
    raise Unusable(f"a label must be a string, it is {shown(value)}.")
