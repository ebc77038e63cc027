"""Describes each raw format as a user knows it: its name, an example, and the field that holds the annotation.

In: a row's JSON object. Out: a sentence about it. `./ner new` prints the sentence as the reason for its choice of a reader.

    ./ner new contracts --from data/dataset/sample.train.jsonl
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tools.text import quoted

LONGEST = 80  # characters of a value in a sentence
FIELDS = 8  # names of fields in a sentence


class Form(NamedTuple):
    """A raw format. `fields` may hold the annotation, the first one that a row has; `note` says how."""

    name: str
    example: str
    fields: tuple[str, ...] = ()
    note: str = ""


# The first one is taken where several read the same rows from a file.
FORMS = {
    "cluener": Form(
        "CLUENER's format",
        '{"text": "叶老桂说", "label": {"name": {"叶老桂": [[0, 2]]}}}',
        ("label",),
        "label → entity → [[start, end]], ends inclusive",
    ),
    "ccfbdci": Form(
        "CCFBDCI's format",
        '{"text": "叶老桂说", "entities": [{"start_idx": 0, "end_idx": 3, "entity_text": "叶老桂", "entity_label": "PER"}]}',
        ("entities",),
        "offsets under start_idx and end_idx",
    ),
    "classification": Form(
        "a text and its class a line", '{"text": "比赛结束了", "label": "体育"}', ("output", "label"), "one string, the text's class"
    ),
    "doccano": Form(
        "doccano's JSONL export",
        '{"text": "叶老桂说", "label": [[0, 3, "PER"]]}',
        ("entities", "label", "labels"),
        "[start, end, label] or start_offset and end_offset for each entity, or a list of one class",
    ),
    "jsonl": Form(
        "this project's own examples",
        '{"text": "叶老桂说", "entities": [{"label": "name", "text": "叶老桂", "start": 0, "end": 3}]}',
        ("label", "entities"),
        "label, text, start and end for each entity, or the text's class",
    ),
    "label_studio": Form(
        "Label Studio's JSON export",
        '[{"data": {"text": "叶老桂说"}, "annotations": [{"result": [{"type": "labels", "value": {"start": 0, "end": 3, "labels": ["PER"]}}]}]}]',
        ("annotations", "completions"),
        "a task with its results",
    ),
    "bio": Form("columns of tokens and tags", "叶 B-PER   (one token and its tag a line, a blank line between sentences)"),
}


def about(reader: str, row: dict[str, Any]) -> str:
    """Returns a sentence about the annotation that a reader finds in a row: its field and its form, and the row's options."""
    form = FORMS[reader]
    field = next((field for field in form.fields if row.get(field) is not None), None)
    if field is None:
        return f"the fields {', '.join(map(quoted, list(row)[:FIELDS]))}"
    options = "".join(f"; the options are `{_shown(key, row)}`" for key in ("category", "options") if row.get(key) is not None)
    return f"`{_shown(field, row)}`: {form.note}{options}"


def _shown(field: str, row: dict[str, Any]) -> str:
    text = json.dumps(row[field], ensure_ascii=False)
    return f"{field}: {text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}"
