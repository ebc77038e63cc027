"""Reads CLUENER2020's format: {"text": "…", "label": {"name": {"叶老桂": [[9, 11]]}}}, one object a line, span ends INCLUSIVE.

Out: one RawRow or BadRow a line, ends exclusive. Source: the README of CLUENER2020 (github.com/CLUEbenchmark/CLUENER2020).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tools.data.raw.fields import Unusable, is_offset, string
from tools.data.raw.json_list import json_rows
from tools.data.raw.row import FileReading, RawRow, shown
from tools.example import Entity


def _row(line: int, row: dict[str, Any], _: FileReading) -> RawRow:
    text = string(row, "text")
    if row.get("label") is None:
        raise Unusable("no 'label': the row isn't annotated (CLUENER's test split has none).", "unannotated")
    return RawRow(line, text, list(_entities(row["label"])))


def _entities(labels: Any) -> Iterator[Entity]:
    if not isinstance(labels, dict) or not all(isinstance(found, dict) for found in labels.values()):
        raise Unusable(f"'label' must map label → entity → [[start, end], …], it is {shown(labels)}.")
    for label, found in labels.items():
        for text, spans in found.items():
            for span in spans if isinstance(spans, list) and spans else (None,):
                if not (isinstance(span, list) and len(span) == 2 and is_offset(span[0]) and is_offset(span[1])):
                    raise Unusable(f"the spans of {shown(text)} ({shown(label)[1:-1]}) must be [[start, end], …], they are {shown(spans)}.")
                yield Entity(label, text, span[0], span[1] + 1)


read_cluener = json_rows(_row)
