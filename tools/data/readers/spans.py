"""Reads a text and its spans, one object a row, in any common spelling:

{"text": "…", "entities": [[0, 3, "PER"]]}                                                     [start, end, label] under any name of a list
["…", {"entities": [[0, 3, "PER"]]}]                                                           spaCy's training data
{"text": "…", "spans": [{"start": 0, "end": 3, "label": "PER"}], "answer": "accept"}           Prodigy; rejected and ignored rows have no annotation
{"text": "…", "entities": [{"start_idx": 0, "end_idx": 2, "type": "bod", "entity": "…"}]}      CMeEE, ends inclusive
{"originalText": "…", "entities": [{"start_pos": 2, "end_pos": 4, "label_type": "…"}]}         CCKS
{"text": "…", "entities": [{"type": "PER", "value": "…"}]}                                     strings without places
{"text": "…", "label": {"PER": ["…"], "LOC": [[4, 6]]}}                                        strings or places by label

Ends are exclusive, unless the spans have strings of their own and these say otherwise for the whole file. A string without a place is looked for in the text.
The task's `fields` names what has another name: text, entities, and a span's start, end, length, span and label. Out: one RawRow or BadRow a row.

Sources: spacy.io/api/data-formats, prodi.gy/docs/api-interfaces, CBLUE's CMeEE (tianchi.aliyun.com/dataset/95414), CCKS 2019 task 1 (Yidu-S4K).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from tools.data.raw.fields import Unusable, in_string, is_offset, slice_of
from tools.data.raw.json_list import first_objects, json_rows
from tools.data.raw.roles import NAMES, OF_JSON, key_of, need_no_other
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.data.readers.span_mentions import Mention, mentions, spelling
from tools.data.readers.written_answers import placed
from tools.example import Entity

HEAD = 1000
_LISTS = (
    "entities",
    "entity",
    "spans",
    "label",
    "labels",
    "annotations",
    "annotation",
    "ner",
    "entity_list",
    "entity_mentions",
    "mentions",
    "ents",
    "named_entities",
)


def read_spans(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one RawRow or BadRow for each row of a file of texts and spans."""
    ends: Counter[int] = Counter()
    # The roles of a row's fields aren't those of a span's.
    parts = FileReading({part: name for part, name in reading.fields.items() if part not in ("text", "entities")}, reading.numbers)
    for row in first_objects(path, HEAD):
        with suppress(Unusable):
            ends.update(_ends(*_annotation(row, FileReading(reading.fields), parts)))
    to_end = int(ends[1] > 0 and ends[1] >= 20 * ends[0])
    if to_end:
        reading.apply(f"ends are inclusive: {ends[1]:,} of the first {ends.total():,} strings stand at their places so")
    return json_rows(partial(_row, to_end, parts))(path, reading)


def _ends(text: str, found: list[Mention]) -> Iterator[int]:
    """Yields 0 for each span whose string says that its end is exclusive, 1 for an inclusive one."""
    for one in found:
        if one.start is not None and one.end is not None and one.string and one.start >= 0:
            yield from (more for more in (0, 1) if text[one.start : one.end + more] == one.string)


def _row(to_end: int, parts: FileReading, line: int, row: dict[str, Any], reading: FileReading) -> RawRow:
    text, found = _annotation(row, reading, parts)
    entities = [_entity(text, one, to_end) for one in found if one.start is not None]
    lost = [one for one in found if one.start is None]
    return RawRow(line, text, [*entities, *_located(text, lost, reading, line)], sliced=any(one.string is None for one in found))


def _entity(text: str, one: Mention, to_end: int) -> Entity:
    start, end = one.start or 0, (one.end or 0) + to_end
    return Entity(one.label, slice_of(text, start, end) if one.string is None else one.string, start, end)


def _annotation(row: dict[str, Any], reading: FileReading, parts: FileReading) -> tuple[str, list[Mention]]:
    """Returns a row's text and its mentions. Raises Unusable for a row that isn't a text with spans."""
    if "annotation_id" in row:
        raise Unusable("the row is Label Studio's (JSON-MIN), where a text has a row for each annotator: --reader label_studio reads it.")
    text = _text(row, reading)
    key = _list_of(row, reading)
    value = in_string(row[key])
    if isinstance(value, dict) and (columns := spelling(tuple(value))).label and columns.end and len({_length(one) for one in value.values()}) == 1:
        value = [dict(zip(value, one, strict=True)) for one in zip(*value.values(), strict=True)]  # as Hugging Face's datasets write lists of objects
    if isinstance(value, dict) and value and all(isinstance(one, dict) and spelling(tuple(one)).label for one in value.values()):
        value = list(value.values())  # each under its id
    if isinstance(value, dict):
        value = [member for label, found in value.items() for member in _under(label, found, key)]
    if not isinstance(value, list):
        raise Unusable(f"'{key}' must be a list of spans, it is {shown(value)}.")
    return text, [mention for one in value for mention in mentions(one, text, parts)]


def _text(row: dict[str, Any], reading: FileReading) -> str:
    """Returns the row's text: of the field that the task names, else of the only one with a usual name."""
    told = reading.fields.get("text")
    for keys in [(told,)] if told else _text_keys(tuple(row)):
        found = [key for key in keys if isinstance(row.get(key), str)]
        if len(found) == 1:
            text: str = row[found[0]]
            if not told:
                need_no_other(row, found[0])
            return text
        if found:
            raise Unusable(f"'{found[0]}' or '{found[1]}' may be the text; choose one: fields.text={found[0]} or fields.text={found[1]}", "named")
        if other := next((key for key in keys if row.get(key) is not None), None):
            raise Unusable(f"'{other}' must be a string, it is {shown(row[other])}.")
    if not told and (maybe := _may_be(row)):
        raise Unusable(
            f"which field has the text, and which its spans? If it is so, say it: fields.text={maybe[0]} fields.entities={maybe[1]}", "named"
        )
    raise Unusable(f"no '{told or 'text'}' in {shown(row)}; if another field has the text, name it: fields.text=NAME")


def _may_be(row: dict[str, Any]) -> tuple[str, str] | None:
    """Returns the keys of the longest string and of a list whose members have two numbers each; None for a row that hasn't both."""
    texts = [key for key, value in row.items() if isinstance(value, str)]
    lists = _with_places(row)
    return (max(texts, key=lambda key: len(row[key])), lists[0]) if texts and len(lists) == 1 else None


def _with_places(row: dict[str, Any]) -> list[str]:
    """Returns the keys of lists whose members have two numbers each."""
    return [key for key, value in row.items() if isinstance(value, list) and value and all(map(_has_place, value))]


def _has_place(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(is_offset, parts)) >= 2


@lru_cache(maxsize=256)
def _text_keys(keys: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Returns the keys of a row that can be its text's, the likeliest first."""
    tiers = ({"text"}, NAMES["text"][0], NAMES["text"][1] | OF_JSON)
    return [tuple(key for key in keys if (key_of(key) if tier is not tiers[0] else key) in tier) for tier in tiers]


def _list_of(row: dict[str, Any], reading: FileReading) -> str:
    """Returns the key of the row's spans."""
    if key := reading.fields.get("entities"):
        if row.get(key) is None:
            raise Unusable(f"no '{key}' in {shown(row)}: the row isn't annotated.", "unannotated")
        return key
    there = [key for key in _LISTS if isinstance(in_string(row.get(key)), list | dict) and not _are_names(row[key])]
    full = [key for key in there if row[key]] or there[:1]
    if len(full) > 1:
        raise Unusable(
            f"both '{full[0]}' and '{full[1]}' hold annotation; choose one: fields.entities={full[0]} or fields.entities={full[1]}", "named"
        )
    if full:
        return full[0]
    if row.get("answer") == "accept" and "label" not in row and "accept" not in row:  # Prodigy leaves `spans` out where there are none
        row["spans"] = []
        return "spans"
    named = next((key for key in _LISTS if row.get(key) is not None), None)
    if named:
        raise Unusable(f"'{named}' must be a list of spans, it is {shown(row[named])}.")
    if places := _with_places(row):
        raise Unusable(f"which field has the spans? If it is so, say it: {' or '.join(f'fields.entities={key}' for key in places)}", "named")
    raise Unusable(
        f"none of {', '.join(_LISTS[:6])} in the row: it isn't annotated, or another field has its spans: fields.entities=NAME", "unannotated"
    )


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None


def _are_names(value: Any) -> bool:
    """Returns whether a list holds names of labels, not spans."""
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def _under(label: str, found: Any, key: str) -> Iterator[Any]:
    """Yields the spans that stand under a label: strings, or [start, end]."""
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, str) and one is found:
            yield [label, one]
        elif isinstance(one, str):
            yield {"label": label, "text": one}
        elif isinstance(one, list) and len(one) == 2:
            yield [*one, label]
        else:
            raise Unusable(f"'{key}' must map label → [string, …] or label → [[start, end], …], {shown(label)} has {shown(found)}.")


def _located(text: str, found: list[Mention], reading: FileReading, line: int) -> list[Entity]:
    """Returns the entities of strings without a place, each at the string's first places in the text. Raises Unusable for a string that isn't there."""
    if not found:
        return []
    reading.apply("strings without a place were looked for in their text", line)
    entities = placed(text, [(one.label, one.string or "") for one in found])
    listed = Counter(entity.text for entity in entities)
    if any(text.count(string) > count for string, count in listed.items()):
        reading.doubt("a string without a place stands more often in its text than it is listed; its first place was taken", line)
    return entities
