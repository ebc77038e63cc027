"""From a model's raw answer to (label, string) pairs, or to a class.

In: the answer's text. Out: what it says, and which rules beyond the trained format were needed to see it. Text is never run as code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tools.conf import Answer, Task

Pair = tuple[str, str]  # (label, string); a class is (label, "")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an answer says: its unique pairs in its order, or None when it is unparsable, and the names of the rules that were needed, () for the trained format.

    A label that the task knows is the task's own, whatever name the answer used; another label is as it was written.
    """

    pairs: list[Pair] | None
    rules: tuple[str, ...] = ()


def parse(output: str, task: Task) -> Parsed:
    """The pairs of an answer to a NER task.

    The answer is a JSON list of objects with the task's two fields, alone or inside a ```json fence; one object without a list counts as a
    list of one. Anything else in the list makes the whole answer unparsable: a half-understood answer isn't a prediction.
    """
    canonical = {name: label for label, name in task.names.items()}
    pairs = _pairs(output, task.answer)
    return Parsed(None if pairs is None else list(dict.fromkeys((canonical.get(label, label), text) for label, text in pairs)))


def parse_class(output: str, task: Task, options: Sequence[str]) -> Parsed:
    """The class that an answer names: its text without white space, quotes and a full stop around it; unparsable when nothing is left."""
    canonical = {name: label for label, name in task.names.items()}
    found = output.strip().strip("\"'“”‘’「」`。.").strip()
    return Parsed([(canonical.get(found, found), "")] if found else None)


def _pairs(output: str, answer: Answer) -> list[Pair] | None:
    text = output.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].removeprefix("json").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    items = value if isinstance(value, list) else [value]
    pairs = [_pair(item, answer) for item in items]
    known = [pair for pair in pairs if pair is not None]
    return list(dict.fromkeys(known)) if len(known) == len(pairs) else None


def _pair(item: Any, answer: Answer) -> tuple[str, str] | None:
    if not isinstance(item, dict):
        return None
    label, text = item.get(answer.label), item.get(answer.text)
    return (label, text) if isinstance(label, str) and isinstance(text, str) else None
