"""Reads texts and their classes, one object a line: {"text": "…", "category": ["Economy", "Art"], "output": "Economy"}, or {"text": "…", "label": "Economy"}.

`category` lists the options that the row's prompt offers, if they differ per row. Out: one RawRow or BadRow a line, the class as the file writes it.
Source: zh_cls_fudan-news (modelscope.cn/datasets/swift/zh_cls_fudan-news).
"""

from __future__ import annotations

from typing import Any

from tools.data.readers.fields import Unusable, string, strings
from tools.data.readers.json_list import json_rows
from tools.data.readers.row import RawRow, Reading


def _row(line: int, row: dict[str, Any], _: Reading) -> RawRow:
    text = string(row, "text")
    options = strings(row, "category") if row.get("category") is not None else None
    gold = next((key for key in ("output", "label") if row.get(key) is not None), None)
    if gold is None:
        raise Unusable("neither 'output' nor 'label': the row isn't annotated.", "unannotated")
    return RawRow(line, text, [], string(row, gold), options)


read_classification = json_rows(_row)
