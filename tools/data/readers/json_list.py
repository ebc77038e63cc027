"""Reads a file that is one JSON list, and a file of either form: a list, or one object a line.

In: a path. Out: one RawRow or BadRow an element. A list is read into memory whole, then element by element: the elements before a fault in its JSON are kept, and the
fault ends it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.data.readers.fields import Unusable
from tools.data.readers.lines import CUT, DECODER, Parse, json_lines, named, not_utf8, open_raw, row_of
from tools.data.readers.row import BadRow, RawRow, Reader, Reading, shown
from tools.files import json_problem

_NO_COMMA = "',' or ']' is needed"
_SPACE = re.compile(r"[ \t\n\r]*")
_LINE_END = re.compile(r"[ \t]*[,\]]?[ \t]*\]?[ \t\r]*(?:\n|$)")  # behind an element that is the last one of its line
_BOM = b"\xef\xbb\xbf"
_ANY = json.JSONDecoder()


def json_rows(parse: Parse) -> Reader:
    """Returns the reader of a JSON list or of JSON Lines: `parse(line, object, reading)` makes a row of each object, or raises Unusable with the reason why it can't."""

    def read(path: Path, reading: Reading) -> Iterator[RawRow | BadRow]:
        return _list_rows(path, parse, reading) if is_list(path) else json_lines(parse)(path, reading)

    return read


def is_list(path: Path) -> bool:
    """Returns whether a file is one JSON list: it begins like one, and its first line alone isn't a whole value with more lines behind it."""
    with open_raw(path) as file:
        head = file.read(1 << 16).removeprefix(_BOM).lstrip()
    first, _, more = head.partition(b"\n")
    if not head.startswith(b"[") or not more.strip():
        return head.startswith(b"[")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return True
    return False


def _list_rows(path: Path, parse: Parse, reading: Reading) -> Iterator[RawRow | BadRow]:
    with open_raw(path) as file:
        data, fault = file.read().removeprefix(_BOM), None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:  # the elements before it are read
        text = data[: error.start].decode("utf-8")
        fault = not_utf8(1 + data.count(b"\n", 0, error.start), error, ended=False)
    for element in _elements(text, fault):
        if isinstance(element, BadRow):
            yield element
        else:
            line, value, name = element
            yield named(row_of(line, value, parse, reading), name)


def _elements(text: str, fault: BadRow | None) -> Iterator[tuple[int, Any, str] | BadRow]:
    """Yields (line, value, name) of each element of the list in `text`, and a BadRow at the first fault. `fault` is the reason why `text` ends early, if it does.

    The name is 'row 3' for an element that shares a line with another, else empty.
    """
    position = _skip(text, text.index("[") + 1)
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
                end = _ANY.raw_decode(text, position)[1]
                yield BadRow(line, *fault_of_one.args, item="" if begins_line and _LINE_END.match(text, end) else f"row {number}")
            position = _skip(text, end)
            if not text.startswith((",", "]"), position):
                raise json.JSONDecodeError(_NO_COMMA, text, position)
            more = text[position] == ","
            position = _skip(text, position + 1) if more else position
    except (ValueError, RecursionError) as error:
        yield _broken(line, text, error, fault)
        return
    rest = _skip(text, position + 1)
    if fault or rest < len(text):
        yield fault or BadRow(1 + text.count("\n", 0, rest), f"not JSON: more text after the list's end: {shown(text[rest : rest + 20])}.", "json")


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _broken(line: int, text: str, error: ValueError | RecursionError, fault: BadRow | None) -> BadRow:
    """Returns the BadRow of an element at `line` that isn't JSON, or is followed by something else: the file was cut off there, or the JSON is wrong."""
    problem = f"not JSON: {json_problem(error)}"
    if not isinstance(error, json.JSONDecodeError):
        return BadRow(line, f"{problem}.", "json")
    problem += f" at line {error.lineno}, column {error.colno}"
    if not _at_end(text.rstrip(), error):
        return BadRow(error.lineno if error.msg == _NO_COMMA else line, f"{problem}.", "json")
    return BadRow(line, fault.reason, fault.kind) if fault else BadRow(line, f"{CUT} ({problem}).", "truncated")


def _at_end(text: str, error: json.JSONDecodeError) -> bool:
    """Returns whether the decoder failed because the text ends. It names the beginning of an incomplete string or word; a complete list ends in ']'."""
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return True
    return error.msg != _NO_COMMA and not text.endswith("]")
