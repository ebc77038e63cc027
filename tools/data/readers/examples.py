"""Reads the project's own examples as raw files, one object a line:

{"text": "…", "entities": [{"label": "name", "text": "叶老桂", "start": 9, "end": 12}]}
{"text": "…", "label": "Economy", "options": ["Economy", "Art"]}     (classification; `options` if they differ per row)

Out: one RawRow or BadRow a line. An `id` is passed over: ids come from the task and the row. A row may have both entities and a class; the task's kind decides. Source: tools/example.py.
"""

from __future__ import annotations

from typing import Any

from tools.data.raw.fields import Unusable, entity, in_string, objects, string, strings
from tools.data.raw.json_list import json_rows
from tools.data.raw.row import FileReading, RawRow, shown


def _row(line: int, row: dict[str, Any], _: FileReading) -> RawRow:
    text, label, options = string(row, "text"), None, None
    if row.get("label") is None and row.get("entities") is None:
        raise Unusable("neither 'entities' nor 'label': the row isn't annotated.", "unannotated")
    if row.get("label") is not None:
        label, options = string(row, "label"), strings(row, "options") if row.get("options") is not None else None
    if label is not None and in_string(label) is not label:
        raise Unusable(f"'label' is a list in a string, no class: {shown(label)}. The reader spans reads it.")
    found = objects(row, "entities") if row.get("entities") is not None else []
    return RawRow(line, text, [entity(item, "label", "text", "start", "end") for item in found], label, options)


read_canonical = json_rows(_row)
