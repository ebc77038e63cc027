"""Reads and writes the canonical example, one JSON object a line. Every reader of raw files yields it, and every later step reads it.

{"id": "clue-dev-000001", "text": "…", "entities": [{"label": "name", "text": "叶老桂", "start": 9, "end": 12}]}
{"id": "fudan-dev-000001", "text": "…", "label": "Economy", "options": ["Economy", "Art"]}     (classification; options where they differ per row)

Offsets count code points and `end` is exclusive, whatever the raw file did; `text[start:end]` is the entity's text, or the line is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring as quoted
from pathlib import Path
from typing import Any

from tools.errors import WANTING, ToolError
from tools.files import read_jsonl
from tools.text import one_line
from tools.text import quoted as shown


@dataclass(slots=True, unsafe_hash=True)  # as if frozen, but four times as fast to make, and millions are made
class Entity:
    """A labelled span: `text` is `example.text[start:end]`."""

    label: str
    text: str
    start: int
    end: int


@dataclass(slots=True)  # as if frozen, as Entity
class Example:
    """A text with its entities in the raw file's order, or with its class. `id` depends on the task, the split and the raw row."""

    id: str
    text: str
    entities: list[Entity]
    label: str | None = None
    options: list[str] | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """Returns the unique (label, string) pairs in order of their first entity. A classification example has one, (label, "")."""
        if self.label is not None:
            return [(self.label, "")]
        return list(dict.fromkeys([(entity.label, entity.text) for entity in self.entities]))

    def to_json(self) -> str:
        """Returns the example as one line of an examples file, without the line's end."""
        if self.label is not None:
            options = {} if self.options is None else {"options": self.options}
            return json.dumps({"id": self.id, "text": self.text, "label": self.label, **options}, ensure_ascii=False)
        # The text that json.dumps writes, four times as fast: a million rows go through here.
        entities = [f'{{"label": {quoted(e.label)}, "text": {quoted(e.text)}, "start": {e.start}, "end": {e.end}}}' for e in self.entities]
        return f'{{"id": {quoted(self.id)}, "text": {quoted(self.text)}, "entities": [{", ".join(entities)}]}}'


def read_examples(path: Path) -> Iterator[Example]:
    """Yields the examples of a file in order. Raises ToolError for the first line that is no example or repeats an id."""
    seen: set[str] = set()
    for number, row in read_jsonl(path):
        example = as_example(row, f"{path}:{number}")
        if example.id in seen:
            raise stands_twice(example.id, f"{path}:{number}")
        seen.add(example.id)
        yield example


def stands_twice(id: str, where: str) -> ToolError:
    """Returns the error for an id that another example has."""
    return ToolError(f"{where}: the id '{id}' stands twice; every example needs its own.", WANTING)


def as_example(row: dict[str, Any], where: str) -> Example:
    """Returns the example of one line's object. Raises ToolError that begins with `where` for an object that is none."""
    try:
        if "label" in row:
            example = Example(row["id"], row["text"], [], row["label"], row.get("options"))
        else:
            entities = [Entity(e["label"], e["text"], e["start"], e["end"]) for e in row["entities"]]
            example = Example(row["id"], row["text"], entities)
    except (KeyError, TypeError) as error:
        if "labels" not in row:
            raise ToolError(f"{where}: not an example ({error!r}); `make data` writes them.", WANTING) from None
        raise several_labels(row["labels"], where) from None
    if type(example.label) is list:
        raise several_labels(example.label, where)
    if problem := _problem(example, "label" in row):
        raise ToolError(f"{where}: not an example: {problem}.", WANTING)
    return example


def several_labels(labels: Any, where: str) -> ToolError:
    """Returns the error for a classification example with several labels."""
    return ToolError(
        f"{where}: its labels are {one_line(repr(labels), 60)}; a classification example has one `label`, a string. Where rows have several, give each label a task of its own, "
        "with the classes yes and no, or leave these rows out.",
        WANTING,
    )


def _problem(example: Example, is_class: bool) -> str:
    """Returns the first fault of an example's types and offsets, or ''. Checks exact types: a million rows go through here."""
    if example.options is not None and type(example.options) is not list:
        return "options must be a list"
    strings = [example.id, example.text, *([example.label, *(example.options or [])] if is_class else [])]
    for entity in example.entities:
        strings += (entity.label, entity.text)
    if {*map(type, strings)} != {str}:
        return "id, text, and each label, option and entity text must be strings"
    text, length = example.text, len(example.text)
    for entity in example.entities:
        start, end = entity.start, entity.end
        if type(start) is not int or type(end) is not int:
            return "each entity's start and end must be whole numbers"
        if not 0 <= start < end <= length or text[start:end] != entity.text:
            return _misplaced(entity, text)
    return ""


def _misplaced(entity: Entity, text: str) -> str:
    """Returns how an entity disagrees with the text at its place, and where its string stands instead."""
    start, end, place = entity.start, entity.end, text.find(entity.text) if entity.text else -1
    there = text[start:end] if 0 <= start < end else ""
    stands = f"it stands at [{place}, {place + len(entity.text)})" if place >= 0 else "it stands nowhere in the text"
    return (
        f"text[{start}:{end}] is {shown(there)}, but the entity's text is {shown(entity.text)}; {stands}. Offsets count code points from 0, and `end` is exclusive: "
        "correct the file, or let `make data` write it anew from the raw file"
    )
