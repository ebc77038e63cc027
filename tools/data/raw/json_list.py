"""Reads the rows of a JSON file of any form: one object a line, one list, objects over several lines, or one object that has the list under a key.

In: a path. Out: one RawRow or BadRow a row. JSON Lines are streamed; a file of another form is read into memory whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tools.data.raw.json_object import is_object, object_rows
from tools.data.raw.json_text import BOM, elements, whole
from tools.data.raw.lines import Parse, json_lines, named, open_raw, row_of
from tools.data.raw.row import BadRow, FileReading, RawRow, Reader


def json_rows(parse: Parse) -> Reader:
    """Returns the reader of a JSON file: `parse(line, object, reading)` makes a row of each object, or raises Unusable with the reason why it can't."""

    def read(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
        if is_list(path):
            return _list_rows(path, parse, reading)
        return object_rows(path, parse, reading) if is_object(path) else json_lines(parse)(path, reading)

    return read


def first_objects(path: Path, number: int) -> list[dict[str, Any]]:
    """Returns the first JSON objects of a file of either form; none for a file of neither."""
    found: list[dict[str, Any]] = []

    def keep(line: int, row: dict[str, Any], _: FileReading) -> RawRow:
        found.append(row)
        return RawRow(line, "", [])

    for _ in islice(json_rows(keep)(path, FileReading()), number):
        pass
    return found


def is_list(path: Path) -> bool:
    """Returns whether a file is one JSON list of rows: it begins like one, and its first line alone isn't a row, as spaCy's ["…", {…}] is."""
    with open_raw(path) as file:
        head = file.read(1 << 16).removeprefix(BOM).lstrip()
    first, _, more = head.partition(b"\n")
    if not head.startswith(b"[") or not more.strip():
        return head.startswith(b"[") and not head[1:].lstrip().startswith(b'"')
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return True
    return False


def _list_rows(path: Path, parse: Parse, reading: FileReading) -> Iterator[RawRow | BadRow]:
    file = whole(path)
    for element in elements(file, file.text.index("[")):
        if isinstance(element, BadRow):
            yield element
        else:
            line, value, name = element
            yield named(row_of(line, value, parse, reading), name)
