"""Describes each raw format as a user knows it: its name, an example, and the field that tells it from the others.

In: a row's JSON object. Out: a sentence about it. `./ner new` prints the sentence as the reason for its choice of a reader.

    ./ner new contracts --from data/dataset/sample.train.jsonl
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from tools.text import quoted

LONGEST = 80  # characters of a value in a sentence


class Form(NamedTuple):
    """A raw format. `tells` returns a sentence about a row's object; 'bio' has no objects."""

    name: str
    example: str
    tells: Callable[[dict[str, Any]], str] = lambda row: ""


def _field(row: dict[str, Any], key: str) -> str:
    text = json.dumps(row.get(key), ensure_ascii=False)
    return f"`{key}: {text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}`"


def _canonical(row: dict[str, Any]) -> str:
    if row.get("label") is None:
        return f"{_field(row, 'entities')}: label, text, start and end"
    return f"{_field(row, 'label')}{', with `options`' if row.get('options') is not None else ''}: the text's class"


def _spans(row: dict[str, Any]) -> str:
    if row.get("entities") is not None:
        return f"{_field(row, 'entities')}: offsets under start_offset and end_offset"
    data = "" if "text" in row else " (and the text under `data`)"
    return f"{_field(row, 'label' if 'label' in row else 'labels')}{data}: a list of [start, end, label], or of one class"


def _studio(row: dict[str, Any]) -> str:
    if isinstance(row.get("data"), dict):
        return f"{_field(row, 'data')} and `{'annotations' if 'annotations' in row else 'completions'}`: a task with its results"
    return f"the fields {', '.join(map(quoted, list(row)[:8]))}: JSON-MIN, the results beside the text"


def _class(row: dict[str, Any]) -> str:
    gold = next((key for key in ("output", "label") if row.get(key) is not None), "label")
    options = f", with {_field(row, 'category')} as its options" if row.get("category") is not None else ""
    return f"{_field(row, gold)}: one string, the text's class{options}"


# The first one is taken where several read the same rows from a file.
FORMS = {
    "cluener": Form(
        "CLUENER's format",
        '{"text": "叶老桂说", "label": {"name": {"叶老桂": [[0, 2]]}}}',
        lambda row: f"{_field(row, 'label')}: label → entity → [[start, end]], ends inclusive",
    ),
    "ccfbdci": Form(
        "CCFBDCI's format",
        '{"text": "叶老桂说", "entities": [{"start_idx": 0, "end_idx": 3, "entity_text": "叶老桂", "entity_label": "PER"}]}',
        lambda row: f"{_field(row, 'entities')}: offsets under start_idx and end_idx",
    ),
    "classification": Form("a text and its class a line", '{"text": "比赛结束了", "label": "体育"}', _class),
    "doccano": Form("doccano's JSONL export", '{"text": "叶老桂说", "label": [[0, 3, "PER"]]}', _spans),
    "jsonl": Form(
        "this project's own examples", '{"text": "叶老桂说", "entities": [{"label": "name", "text": "叶老桂", "start": 0, "end": 3}]}', _canonical
    ),
    "label_studio": Form(
        "Label Studio's JSON export",
        '[{"data": {"text": "叶老桂说"}, "annotations": [{"result": [{"type": "labels", "value": {"start": 0, "end": 3, "labels": ["PER"]}}]}]}]',
        _studio,
    ),
    "bio": Form("columns of tokens and tags", "叶 B-PER   (one token and its tag a line, a blank line between sentences)"),
}
