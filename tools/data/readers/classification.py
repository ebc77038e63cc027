"""Reads texts and their classes, one JSON object each: {"text": "…", "category": ["Economy", "Art"], "output": "Economy"}, or {"text": "…", "label": "Economy"}.

`category` lists the options that the row's prompt offers, if they differ per row. Without `text`, or without `output` and `label`, the only field of another usual name
is taken (`sentence`, `content`, `class`, …), or the one that the task's `fields` name. Whole numbers are classes by the task's `numbers`, or by a field with their
names (`label_desc`). Out: one RawRow or BadRow an object, the class as the file writes it.
Source: zh_cls_fudan-news (modelscope.cn/datasets/swift/zh_cls_fudan-news), TNEWS (CLUE).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tools.data.raw.class_names import ask_for_names, class_of, separator_of
from tools.data.raw.fields import Unusable, in_string, is_offset, only_class, string, strings
from tools.data.raw.json_list import first_objects, json_rows
from tools.data.raw.roles import Column, are_numbers, described, named, need_one_text, text_of
from tools.data.raw.row import BadRow, FileReading, RawRow, shown

HEAD = 200
_GOLD = ("output", "label")
_OTHERS = ("instruction", "conversations", "messages")  # of formats whose texts are prompts


class _Keys(NamedTuple):
    """The field with the text, and those that may have the class: the first that isn't null has it. `numbers`: a class may be a whole number."""

    text: str = "text"
    label: tuple[str, ...] = _GOLD
    numbers: bool = False


def read_classification(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one RawRow or BadRow for each object of the file; a single BadRow with a question where its fields aren't clear."""
    try:
        keys = _keys(first_objects(path, HEAD), path, reading)
    except Unusable as fault:
        yield BadRow(1, *fault.args)
        return
    yield from json_rows(partial(_row, keys=keys))(path, reading)


def _row(line: int, row: dict[str, Any], reading: FileReading, keys: _Keys) -> RawRow:
    text = string(row, keys.text)
    options = strings(row, "category") if row.get("category") is not None and "category" not in keys.label else None
    gold = next((key for key in keys.label if row.get(key) not in (None, "")), None)
    if gold is None:
        fields = "neither 'output' nor 'label'" if keys.label == _GOLD else f"no {shown(keys.label[0])}"
        raise Unusable(f"{fields}: the row isn't annotated.", "unannotated")
    value = row[gold]
    if isinstance(value, list) and len(value) > 1 and all(isinstance(one, str) for one in value):
        only_class(value, gold)
    label = str(value) if keys.numbers and is_offset(value) else string(row, gold)
    if in_string(label) is not label:
        raise Unusable(f"{shown(gold)} holds JSON, {shown(label)}, and no class.")
    return RawRow(line, text, [], class_of(label, reading), options)


def _keys(rows: Sequence[dict[str, Any]], path: Path, reading: FileReading) -> _Keys:
    """Returns the fields of a file, by its first rows. Raises Unusable with a question where they aren't clear, or where classes are numbers without names."""
    if "label" not in reading.fields and any(key in row for row in rows for key in _OTHERS):
        return _Keys()
    columns = _columns(rows)
    text = _text(columns, reading)
    has_gold = any(row.get(key) is not None for row in rows for key in _GOLD)
    if has_gold and "label" not in reading.fields:
        label = next((column for key in _GOLD for column in columns if column.name == key and any(column.cells)), None)
    else:
        label = named("label", [column for column in columns if column.name != text], reading, tiers=2)
        if label and not reading.fields and any(_is_annotation(value) for row in rows for value in row.values()):
            raise Unusable(f"{shown(label.name)} may be the class, but a row has lists of objects too; if it is: fields.label={label.name}", "named")
    if label is None:
        return _Keys(text)
    label = described(label, columns, reading)
    if "category" not in {key for row in rows for key in row} and (separator := separator_of(label.cells)):
        some = next(cell for cell in label.cells if separator in cell)
        reading.doubt(f"classes such as {shown(some)} look like several in one; a row of this project has one class")
    has_numbers = are_numbers(label.cells) and any(is_offset(row.get(label.name)) for row in rows)
    if has_numbers:
        ask_for_names(label.cells, label.name, path, reading)
    if text != _Keys().text or label.name not in _GOLD:
        reading.apply(f"the text is the field {shown(text)}, the class the field {shown(label.name)}")
    return _Keys(text, _GOLD if label.name in _GOLD and "label" not in reading.fields else (label.name,), has_numbers)


def _text(columns: Sequence[Column], reading: FileReading) -> str:
    need_one_text(columns, reading)
    usual = _Keys().text
    if "text" not in reading.fields and any(column.name == usual for column in columns):
        return usual
    column = text_of(columns, reading)
    return column.name if column else usual


def _columns(rows: Sequence[dict[str, Any]]) -> list[Column]:
    """Returns the fields that hold nothing but strings and whole numbers, with their values as strings."""
    keys = dict.fromkeys(key for row in rows for key in row)
    plain = [key for key in keys if all(row.get(key) is None or type(row[key]) is str or is_offset(row[key]) for row in rows)]
    return [Column(place, key, ["" if row.get(key) is None else str(row[key]).strip() for row in rows]) for place, key in enumerate(plain)]


def _is_annotation(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict | list) for one in value)
