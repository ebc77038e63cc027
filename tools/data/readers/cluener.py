"""CLUENER2020's format: {"text": "…", "label": {"name": {"叶老桂": [[9, 11]]}}}, one object a line, span ends INCLUSIVE.

Source: the README of CLUENER2020 (github.com/CLUEbenchmark/CLUENER2020).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.data.readers.row import BadRow, RawRow
from tools.errors import ToolError
from tools.example import Entity
from tools.files import parse_object, read_lines


def read_cluener(path: Path) -> Iterator[RawRow | BadRow]:
    """One RawRow or BadRow for each non-blank line of a CLUENER file."""
    for number, line in read_lines(path):
        try:
            row = parse_object(line, "")
        except ToolError as error:
            yield BadRow(number, str(error).removeprefix(": "))
            continue
        reason = _shape_problem(row)
        if not reason:
            text = row["text"]
            entities = [
                Entity(label, string, start, end + 1)
                for label, strings in row["label"].items()
                for string, spans in strings.items()
                for start, end in spans
            ]
            reason = _offset_problem(text, entities)
        yield BadRow(number, reason) if reason else RawRow(number, text, entities)


def _shape_problem(row: dict[str, Any]) -> str:
    if not isinstance(row.get("text"), str):
        return "no 'text' string."
    if "label" not in row:
        return "no 'label': the row isn't annotated (CLUENER's test split has none)."
    label = row["label"]
    if not isinstance(label, dict) or not all(isinstance(strings, dict) for strings in label.values()):
        return "'label' must map label → entity → [[start, end], …]."
    for name, strings in label.items():
        for string, spans in strings.items():
            if not string:
                return f"label '{name}' has an entity without text."
            if not isinstance(spans, list) or not spans or not all(_is_span(span) for span in spans):
                return f"the spans of '{string}' ({name}) must be [[start, end], …], they are {spans!r}."
    return ""


def _is_span(span: Any) -> bool:
    return isinstance(span, list) and len(span) == 2 and all(type(offset) is int for offset in span)


def _offset_problem(text: str, entities: list[Entity]) -> str:
    for entity in entities:
        if not 0 <= entity.start < entity.end <= len(text) or text[entity.start : entity.end] != entity.text:
            there = text[max(entity.start, 0) : max(entity.end, 0)]
            return f"'{entity.text}' ({entity.label}) isn't at [{entity.start}, {entity.end - 1}]; the text there is '{there}'."
    return ""
