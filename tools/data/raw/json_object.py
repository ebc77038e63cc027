"""Reads a file of JSON objects that aren't one a line: each over several lines, or a single one that has the rows under a key.

{"version": "1.0", "data": [{"text": "…", …}, …]}        {"row-1": {"text": "…", …}, "row-2": …}

In: a path. Out: one RawRow or BadRow a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.data.raw.fields import Unusable
from tools.data.raw.json_text import ANY, BOM, Member, Whole, cut_off, elements, line_of, members, skip, whole
from tools.data.raw.lines import DECODER, Parse, named, open_raw, row_of
from tools.data.raw.roles import NAMES, OF_JSON, key_of
from tools.data.raw.row import BadRow, FileReading, RawRow, shown

# Behind a first line that ends so, the rest of an object stands in the next line.
_OPEN = re.compile(rb'(?:[{,]\s*\n\s*["}]|[\[:]\s*\n)')
_OF_ROWS = OF_JSON.union(*NAMES["text"][:2], *NAMES["tokens"], ("tokenizedtext", "conversations", "input", "messages"))
_NOT_ROWS = {"entities", "label", "labels", "ner", "spans", "relations", "messages", "conversations", "dialogue"}


def is_object(path: Path) -> bool:
    """Returns whether a file begins with an object that doesn't end in its line, or is one object in one line."""
    with open_raw(path) as file:
        if not file.read(1 << 12).removeprefix(BOM).lstrip().startswith(b"{"):
            return False
        file.seek(0)
        first = next((line for line in file if line.removeprefix(BOM).strip()), b"")
        rest = next((line for line in file if line.strip()), b"")
    if not rest:
        return b"\r" not in first.strip() and first.rstrip().endswith(b"}")
    return _OPEN.fullmatch(first.rstrip()[-1:] + b"\n" + (rest.lstrip()[:1] if first.rstrip().endswith((b"{", b",")) else b"")) is not None


def object_rows(path: Path, parse: Parse, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields the rows of the only object's list, or one row an object."""
    file = whole(path)
    position = skip(file.text, 0)
    try:
        found, end = members(file.text, position)
    except (ValueError, RecursionError):
        found, end = [], 0
    if found and skip(file.text, end) == len(file.text) and not file.fault:
        wrapped = _wrapped(found)
        if wrapped is not None:
            reading.apply(f"the rows stand under {', '.join(shown(one.key) for one in wrapped[:3])}")
            yield from _rows_under(file, wrapped, parse, reading)
            return
    yield from _objects(file, position, parse, reading)


def _objects(file: Whole, position: int, parse: Parse, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one row an object; a comma between two is passed over. A fault ends them."""
    text = file.text
    line, counted = 1, 0
    while position < len(text):
        line, counted = line + text.count("\n", counted, position), position
        try:
            row, position = _object_at(text, position, line, parse, reading)
        except (ValueError, RecursionError) as error:
            yield cut_off(line, file, error)
            return
        yield row
        position = skip(text, position)
        position = skip(text, position + 1) if text.startswith(",", position) else position
    if file.fault:
        yield file.fault


def _wrapped(found: list[Member]) -> list[Member] | None:
    """Returns the members that have the rows: a list of rows, or every member where each is a row; None where the object is itself a row."""
    if any(key_of(one.key) in _OF_ROWS and isinstance(one.value, str) for one in found) or any(
        one.key == "data" and isinstance(one.value, dict) for one in found
    ):
        return None
    lists = [one for one in found if one.key not in _NOT_ROWS and isinstance(one.value, list) and any(map(_is_row, one.value))]
    if lists or len(found) < 2:
        return lists or None
    return found if all(isinstance(one.value, dict) and _is_row(one.value) for one in found) or _is_table(found) else None


def _is_row(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)
    return isinstance(value, dict) and (any(key_of(key) in _OF_ROWS for key in value) or isinstance(value.get("data"), dict))


def _is_table(found: list[Member]) -> bool:
    """Returns whether the members are a table's columns, as pandas writes them: each an object with the rows' numbers as keys."""
    return all(isinstance(one.value, dict) and one.value and one.value.keys() == found[0].value.keys() and "0" in one.value for one in found)


def _rows_under(file: Whole, wrapped: list[Member], parse: Parse, reading: FileReading) -> Iterator[RawRow | BadRow]:
    line = line_of(file.text, wrapped[0].start)
    keys = ", ".join(shown(one.key) for one in wrapped[:5])
    if _is_table(wrapped):
        way = "df.to_json(FILE, orient='records', lines=True, force_ascii=False)"
        yield BadRow(line, f"the object has a table's columns, {keys}, as pandas writes them. Write its rows: {way}.", "named")
    elif isinstance(wrapped[0].value, list) and len(wrapped) > 1:
        yield BadRow(line, f"the object has several lists of rows, {keys}. Write each into a file of its own.", "named")
    elif isinstance(wrapped[0].value, list):
        for element in elements(file, wrapped[0].start, alone=False):
            yield element if isinstance(element, BadRow) else named(row_of(*element[:2], parse, reading), element[2])
    else:
        for one in wrapped:
            row, _ = _object_at(file.text, one.start, line_of(file.text, one.start), parse, reading)
            yield named(row, f"row {shown(one.key)}")


def _object_at(text: str, start: int, line: int, parse: Parse, reading: FileReading) -> tuple[RawRow | BadRow, int]:
    """Returns the row of the object at `start`, and where it ends. Raises ValueError or RecursionError for what isn't JSON."""
    try:
        value, end = DECODER.raw_decode(text, start)
    except Unusable as fault:
        return BadRow(line, *fault.args), ANY.raw_decode(text, start)[1]
    return row_of(line, value, parse, reading), end
