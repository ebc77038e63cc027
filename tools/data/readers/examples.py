"""The project's own examples as raw files, one object a line:

{"text": "…", "entities": [{"label": "name", "text": "叶老桂", "start": 9, "end": 12}]}
{"text": "…", "label": "Economy", "options": ["Economy", "Art"]}     (classification; `options` where they differ per row)

Out: one RawRow or BadRow a line. An `id` may be there; it is not read, since ids come from the task and the row. Source: tools/example.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.data.readers.fields import Unusable, entity, objects, string, strings
from tools.data.readers.lines import json_rows
from tools.data.readers.row import BadRow, RawRow


def read_canonical(path: Path) -> Iterator[RawRow | BadRow]:
    """One RawRow or BadRow for each non-blank line of a file of examples."""
    return json_rows(path, _row)


def _row(line: int, row: dict[str, Any]) -> RawRow:
    text = string(row, "text")
    if row.get("label") is not None:
        return RawRow(line, text, [], string(row, "label"), strings(row, "options") if row.get("options") is not None else None)
    if row.get("entities") is None:
        raise Unusable("neither 'entities' nor 'label': the row isn't annotated.", "unannotated")
    return RawRow(line, text, [entity(item, "label", "text", "start", "end") for item in objects(row, "entities")])
