"""Takes a JSON text apart: a list's elements or an object's members one by one, so that what stands before a fault is kept.

In: a file, read into memory whole. Out: its text; then elements with their lines, members with their places, or a BadRow at the first fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tools.data.raw.fields import Unusable
from tools.data.raw.json_faults import NO_COMMA, broken
from tools.data.raw.lines import DECODER, not_utf8, open_raw
from tools.data.raw.row import BadRow, shown

_SPACE = re.compile(r"[ \t\n\r]*")
_LINE_END = re.compile(r"[ \t]*[,\]]?[ \t]*[\]}]?[ \t\r]*(?:\n|$)")  # behind an element that is the last one of its line
BOM = b"\xef\xbb\xbf"
ANY = json.JSONDecoder()


class Whole(NamedTuple):
    """A file's text as far as it can be read. `fault` is the reason why it ends early, if it does."""

    text: str
    fault: BadRow | None


class Member(NamedTuple):
    """An object's key, its value, and where the value begins in the text."""

    key: str
    value: Any
    start: int


def whole(path: Path) -> Whole:
    """Returns the text of a file before the first byte that isn't UTF-8, without its byte-order mark."""
    with open_raw(path) as file:
        data = file.read().removeprefix(BOM)
    try:
        return Whole(data.decode("utf-8"), None)
    except UnicodeDecodeError as error:
        fault = not_utf8(1 + data.count(b"\n", 0, error.start), error, ended=False)
        return Whole(data[: error.start].decode("utf-8"), fault)


def elements(file: Whole, start: int, *, alone: bool = True) -> Iterator[tuple[int, Any, str] | BadRow]:
    """Yields (line, value, name) of each element of the list that begins at `start`, and a BadRow at the first fault.

    The name is 'row 3' for an element that shares a line with another, else empty. Nothing may follow a list that is `alone` in its file.
    """
    text, fault = file
    position = skip(text, start + 1)
    line, counted, end, number = 1, 0, 0, 0
    more = not text.startswith("]", position)
    try:
        while more:
            line, counted, number = line + text.count("\n", counted, position), position, number + 1
            begins_line = number == 1 or "\n" in text[end:position]
            try:
                value, end = DECODER.raw_decode(text, position)
                yield line, value, "" if begins_line and _LINE_END.match(text, end) else f"row {number}"
            except Unusable as fault_of_one:  # a key stands twice; the element's end is where it would be without that
                end = ANY.raw_decode(text, position)[1]
                yield replace(BadRow(line, *fault_of_one.args), item="" if begins_line and _LINE_END.match(text, end) else f"row {number}")
            position = skip(text, end)
            if not text.startswith((",", "]"), position):
                raise json.JSONDecodeError(NO_COMMA, text, position)
            more = text[position] == ","
            position = skip(text, position + 1) if more else position
    except (ValueError, RecursionError) as error:
        yield cut_off(line, file, error)
        return
    rest = skip(text, position + 1)
    if alone and (fault or rest < len(text)):
        yield fault or BadRow(line_of(text, rest), f"not JSON: more text after the list's end: {shown(text[rest : rest + 20])}.", "json")


def members(text: str, start: int) -> tuple[list[Member], int]:
    """Returns the members of the object that begins at `start`, and where it ends. Raises ValueError or RecursionError for what isn't JSON."""
    found: list[Member] = []
    position = skip(text, start + 1)
    while not text.startswith("}", position):
        key, position = ANY.raw_decode(text, position)
        position = skip(text, position)
        if not isinstance(key, str) or not text.startswith(":", position):
            raise json.JSONDecodeError("Expecting ':' delimiter", text, position)
        begin = skip(text, position + 1)
        value, position = ANY.raw_decode(text, begin)
        found.append(Member(key, value, begin))
        position = skip(text, position)
        if not text.startswith((",", "}"), position):
            raise json.JSONDecodeError("Expecting ',' delimiter", text, position)
        position = skip(text, position + 1) if text[position] == "," else position
    return found, position + 1


def skip(text: str, position: int) -> int:
    """Returns the place of the first character from `position` on that isn't JSON's whitespace."""
    found = _SPACE.match(text, position)
    return found.end() if found else position


def line_of(text: str, position: int) -> int:
    """Returns the line of a place in a text, from 1."""
    return 1 + text.count("\n", 0, position)


def cut_off(line: int, file: Whole, error: ValueError | RecursionError) -> BadRow:
    """Returns the BadRow of a value at `line` that isn't JSON, or is followed by something else: the file was cut off there, or the JSON is wrong."""
    if not isinstance(error, json.JSONDecodeError):
        return broken(line, file.text, error, "", ended=True)
    found = broken(line, file.text, error, f" at line {error.lineno}, column {error.colno}", ended=False)
    if found.kind == "truncated":
        return BadRow(line, file.fault.reason, file.fault.kind) if file.fault else found
    return BadRow(error.lineno if error.msg == NO_COMMA else line, f"{found.reason} No row behind it is read.", found.kind)
