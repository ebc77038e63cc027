"""Reads CCFBDCI's format, one object a line, span ends exclusive:

{"text": "…", "entities": [{"start_idx": 0, "end_idx": 3, "entity_text": "菲律宾", "entity_label": "GPE", "entity_names": […]}], "data_source": "CCFBDCI"}

Out: one RawRow or BadRow a line. Source: ccfbdci.jsonl of huggingface.co/datasets/qgyd2021/chinese_ner_sft.
"""

from __future__ import annotations

from typing import Any

from tools.data.raw.fields import Unusable, entity, objects, string
from tools.data.raw.json_list import json_rows
from tools.data.raw.row import FileReading, RawRow


def _row(line: int, row: dict[str, Any], _: FileReading) -> RawRow:
    text = string(row, "text")
    if row.get("entities") is None:
        raise Unusable("no 'entities': the row isn't annotated.", "unannotated")
    return RawRow(line, text, [entity(item, "entity_label", "entity_text", "start_idx", "end_idx") for item in objects(row, "entities")])


read_ccfbdci = json_rows(_row)
