"""The canonical example, one JSON object a line: what every reader yields and everything after it reads.

{"id": "clue-dev-000001", "text": "…", "entities": [{"label": "name", "text": "叶老桂", "start": 9, "end": 12}]}

Offsets count code points and `end` is exclusive, whatever the raw file did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.errors import WANTING, ToolError
from tools.files import read_jsonl


@dataclass(frozen=True, slots=True)
class Entity:
    """A labelled span: `text == example.text[start:end]`."""

    label: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its entities, in the raw file's order; `id` depends on the task, the split and the raw row."""

    id: str
    text: str
    entities: list[Entity]

    def pairs(self) -> list[tuple[str, str]]:
        """The unique (label, string) pairs, in order of first appearance in `entities`."""
        return list(dict.fromkeys((entity.label, entity.text) for entity in self.entities))

    def to_json(self) -> str:
        """One line of an examples file, without its end."""
        entities = [{"label": e.label, "text": e.text, "start": e.start, "end": e.end} for e in self.entities]
        return json.dumps({"id": self.id, "text": self.text, "entities": entities}, ensure_ascii=False)


def read_examples(path: Path) -> Iterator[Example]:
    """The examples of a file, in order; a ToolError names the first line that isn't one, or that repeats an id."""
    seen: set[str] = set()
    for number, row in read_jsonl(path):
        example = _parse(row, f"{path}:{number}")
        if example.id in seen:
            raise ToolError(f"{path}:{number}: the id '{example.id}' stands twice; every example needs its own.", WANTING)
        seen.add(example.id)
        yield example


def _parse(row: dict[str, Any], where: str) -> Example:
    try:
        entities = [Entity(e["label"], e["text"], e["start"], e["end"]) for e in row["entities"]]
        example = Example(row["id"], row["text"], entities)
    except (KeyError, TypeError) as error:
        raise ToolError(f"{where}: not an example ({error!r}); `make data` writes them.", WANTING) from None
    strings = [example.id, example.text, *(s for e in entities for s in (e.label, e.text))]
    if not all(isinstance(s, str) for s in strings):
        raise ToolError(f"{where}: not an example: id, text, and each entity's label and text must be strings.", WANTING)
    if not all(type(offset) is int for e in entities for offset in (e.start, e.end)):
        raise ToolError(f"{where}: not an example: each entity's start and end must be whole numbers.", WANTING)
    return example
