"""Reads doccano's JSONL exports, one object a line, span ends exclusive:

{"id": 1, "text": "…", "label": [[0, 3, "GPE"]]}                                                            sequence labelling
{"id": 1, "text": "…", "entities": [{"id": 7, "label": "GPE", "start_offset": 0, "end_offset": 3}], "relations": []}    … with relations
{"id": 1, "text": "…", "label": ["Economy"]}                                                                one class

Older exports call the text `data`, or the labels `labels`. Other fields (Comments, relations) are passed over. Out: one RawRow or BadRow a line; an
entity's string is taken from the text, since the export has none. Source: doccano's export (github.com/doccano/doccano).
"""

from __future__ import annotations

from typing import Any

from tools.data.raw.fields import Unusable, in_string, is_offset, objects, offset, only_class, slice_of, string
from tools.data.raw.json_list import json_rows
from tools.data.raw.roles import need_no_other
from tools.data.raw.row import FileReading, RawRow, shown
from tools.data.raw.ticket import ticket_in
from tools.example import Entity


def _row(line: int, row: dict[str, Any], _: FileReading) -> RawRow:
    key = "data" if "text" not in row and "data" in row else "text"
    text = string(row, key)
    need_no_other(row, key)
    labels = next((row[key] for key in ("label", "labels") if row.get(key) is not None), None)
    if len(full := [key for key in ("entities", "label", "labels") if row.get(key)]) > 1:
        raise Unusable(f"both '{full[0]}' and '{full[1]}' hold annotation; only one of them can be read.")
    if row.get("entities") is not None and not labels:
        found = [(offset(item, "start_offset"), offset(item, "end_offset"), string(item, "label")) for item in objects(row, "entities")]
        return RawRow(line, text, _entities(text, found), sliced=True, ticket=ticket_in(row))
    if labels is None:
        raise Unusable("neither 'label' nor 'entities': the row isn't annotated.", "unannotated")
    if isinstance(labels, list) and all(_is_span(span) for span in labels):
        return RawRow(line, text, _entities(text, labels), sliced=True, ticket=ticket_in(row))
    return RawRow(line, text, [], _class(labels), ticket=ticket_in(row))


def _entities(text: str, spans: list[Any]) -> list[Entity]:
    return [Entity(label, slice_of(text, start, end), start, end) for start, end, label in spans]


def _is_span(span: Any) -> bool:
    return isinstance(span, list) and len(span) == 3 and is_offset(span[0]) and is_offset(span[1]) and isinstance(span[2], str)


def _class(labels: Any) -> str:
    names = [labels] if isinstance(labels, str) else labels
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Unusable(f"'label' must be [[start, end, label], …] or [label], it is {shown(labels)}.")
    name = only_class(names, "label")
    if in_string(name) is not name:
        raise Unusable(f"'label' is a list in a string, no class: {shown(name)}. The reader spans reads it.")
    return name


read_doccano = json_rows(_row)
