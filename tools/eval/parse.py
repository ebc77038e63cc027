"""From a model's raw answer to (label, string) pairs, or to a class.

In: the answer's text. Out: the pairs or the class, or None when there is none in it. Text is never run as code.
"""

from __future__ import annotations

import json
from typing import Any

from tools.conf import Answer


def parse(output: str, answer: Answer) -> list[tuple[str, str]] | None:
    """The unique (label, string) pairs of an answer, in its order; None when it is unparsable.

    The answer is a JSON list of objects with the task's two fields, alone or inside a ```json fence; one object without a list counts as a
    list of one. Anything else in the list makes the whole answer unparsable: a half-understood answer isn't a prediction.
    """
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


def parse_class(output: str) -> str | None:
    """The class that an answer names: its text without white space, quotes and a full stop around it; None when nothing is left."""
    return output.strip().strip("\"'“”‘’「」`。.").strip() or None


def _pair(item: Any, answer: Answer) -> tuple[str, str] | None:
    if not isinstance(item, dict):
        return None
    label, text = item.get(answer.label), item.get(answer.text)
    return (label, text) if isinstance(label, str) and isinstance(text, str) else None
