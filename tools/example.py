"""The canonical example, one JSON object a line: what every reader yields and everything after it reads.

{"id": "clue-dev-000001", "text": "…", "entities": [{"label": "name", "text": "叶老桂", "start": 9, "end": 12}]}
{"id": "fudan-dev-000001", "text": "…", "label": "Economy", "options": ["Economy", "Art"]}     (classification; options where they differ per row)

Offsets count code points and `end` is exclusive, whatever the raw file did.
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


@dataclass(slots=True, unsafe_hash=True)  # as if frozen, but four times as fast to make, and millions are made
class Entity:
    """A labelled span: `text == example.text[start:end]`."""

    label: str
    text: str
    start: int
    end: int


@dataclass(slots=True)  # as if frozen, as Entity
class Example:
    """A text and its entities, in the raw file's order, or its class; `id` depends on the task, the split and the raw row."""

    id: str
    text: str
    entities: list[Entity]
    label: str | None = None
    options: list[str] | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """The unique (label, string) pairs, in order of first appearance in `entities`; a classification example's is (label, "")."""
        if self.label is not None:
            return [(self.label, "")]
        return list(dict.fromkeys([(entity.label, entity.text) for entity in self.entities]))

    def to_json(self) -> str:
        """One line of an examples file, without its end."""
        if self.label is not None:
            options = {} if self.options is None else {"options": self.options}
            return json.dumps({"id": self.id, "text": self.text, "label": self.label, **options}, ensure_ascii=False)
        # What json.dumps would write, four times as fast: a million rows go through here.
        entities = [f'{{"label": {quoted(e.label)}, "text": {quoted(e.text)}, "start": {e.start}, "end": {e.end}}}' for e in self.entities]
        return f'{{"id": {quoted(self.id)}, "text": {quoted(self.text)}, "entities": [{", ".join(entities)}]}}'


def read_examples(path: Path) -> Iterator[Example]:
    """The examples of a file, in order; a ToolError names the first line that isn't one, or that repeats an id."""
    seen: set[str] = set()
    for number, row in read_jsonl(path):
        example = as_example(row, f"{path}:{number}")
        if example.id in seen:
            raise stands_twice(example.id, f"{path}:{number}")
        seen.add(example.id)
        yield example


def stands_twice(id: str, where: str) -> ToolError:
    """The error for an id that another example has."""
    return ToolError(f"{where}: the id '{id}' stands twice; every example needs its own.", WANTING)


def as_example(row: dict[str, Any], where: str) -> Example:
    """The example that one line's object is; a ToolError that begins with `where` when it is none."""
    try:
        if "label" in row:
            example, entities = Example(row["id"], row["text"], [], row["label"], row.get("options")), []
        else:
            entities = [Entity(e["label"], e["text"], e["start"], e["end"]) for e in row["entities"]]
            example = Example(row["id"], row["text"], entities)
    except (KeyError, TypeError) as error:
        raise ToolError(f"{where}: not an example ({error!r}); `make data` writes them.", WANTING) from None
    strings = [example.id, example.text, *([example.label, *(example.options or [])] if "label" in row else [])]
    for entity in entities:
        strings += (entity.label, entity.text)
    if {*map(type, strings)} != {str}:
        raise ToolError(f"{where}: not an example: id, text, and each label, option and entity text must be strings.", WANTING)
    for entity in entities:
        if type(entity.start) is not int or type(entity.end) is not int:
            raise ToolError(f"{where}: not an example: each entity's start and end must be whole numbers.", WANTING)
    return example
