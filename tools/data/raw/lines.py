"""Reads the lines of a raw file, whatever bytes it holds, and the rows of a JSON Lines file. In: bytes. Out: numbered text, or a BadRow.

A line ends at LF, and a CR before it belongs to the end; in a file without LF it ends at CR, as on old Macs. U+2028 and similar characters are text. A UTF-8
byte-order mark before a line is dropped. Blank lines (nothing but ASCII whitespace) are passed over, and count in the numbers of the others.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

from tools.data.raw.binary import what_binary
from tools.data.raw.explosion import unpacked
from tools.data.raw.fields import Unusable
from tools.data.raw.json_faults import CUT, broken
from tools.data.raw.row import BadRow, FileReading, RawRow, Reader, shown
from tools.errors import WANTING, ToolError
from tools.files import encoding_problem, need_file

# UTF-32's little-endian mark begins with UTF-16's, so it stands first.
_WIDE = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
Parse = Callable[[int, dict[str, Any], FileReading], RawRow]


PAIR = (".ann", ".txt")  # brat's files of one text


class Line(NamedTuple):
    """A line's number (from 1) and its text without its end. `ended` is False for a last line without LF, where the file may have been cut off."""

    line: int
    text: str
    ended: bool


class _Unpacked(io.RawIOBase):
    """What a file that is compressed with gzip holds. FileReading raises ToolError where it is damaged or incomplete."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, gzip.open(path, "rb")  # noqa: SIM115 - closed by close

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ToolError(f"{self._path}: the compressed file is damaged or incomplete ({error}). Get it again.", WANTING) from None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def files_of(path: Path) -> list[Path]:
    """Returns the files that a raw path stands for: brat's files in a folder, both files of a pair, or else the file itself."""
    if path.is_dir():
        return sorted(file for ann in path.rglob("*.ann") for file in (ann, ann.with_suffix(".txt")) if file.is_file())
    pair = [path.with_suffix(suffix) for suffix in PAIR] if path.suffix in PAIR else []
    return pair if pair and all(file.is_file() for file in pair) else [path]


def open_raw(path: Path) -> IO[bytes]:
    """Opens a raw file; one that is compressed with gzip is read as what it holds. Raises ToolError for a missing one, and at the damaged place of a compressed one."""
    with open(need_file(path), "rb") as handle:
        is_gzip = handle.read(2) == b"\x1f\x8b"
    return io.BufferedReader(_Unpacked(path), 1 << 20) if is_gzip else open(path, "rb")


def text_lines(path: Path) -> Iterator[Line | BadRow]:
    """Yields each line of the file that isn't blank; a BadRow for a line that can't be read, and a single one for a file that isn't text, or in UTF-16."""
    need_file(path)
    if what := what_binary(path):
        yield BadRow(1, f"the file is {what}.", "encoding")
        return
    with open_raw(path) as handle:
        for number, raw in enumerate(_ended(handle), 1):
            if number == 1 and (wide := wide_encoding(raw)):
                yield BadRow(1, f"the whole file is {wide}; convert it with `iconv -f {wide} -t UTF-8`.", "encoding")
                return
            if number == 1 or not raw[3:4].isspace():  # a mark stands where files were joined, too; but it may be a token
                raw = raw.removeprefix(codecs.BOM_UTF8)
            if raw.strip():
                yield _decode(number, raw.rstrip(b"\r\n"), raw.endswith((b"\n", b"\r")))


def _ended(handle: IO[bytes]) -> Iterator[bytes]:
    """Yields the lines of a file with their ends."""
    first = handle.readline()
    lone = first.count(b"\r") if not first.endswith(b"\n") else 0
    yield from first.splitlines(keepends=True) if lone else [first] if first else []
    yield from handle


def wide_encoding(head: bytes) -> str:
    """Returns 'UTF-16' or 'UTF-32' for a file that begins with its mark; empty for any other."""
    return next((name for mark, name in _WIDE.items() if head.startswith(mark)), "")


def json_lines(parse: Parse) -> Reader:
    """Returns the reader of a JSON Lines file: `parse(line, object, reading)` makes a row of each line that isn't blank, or raises Unusable with the reason why it can't."""
    return lambda path, reading: (line if isinstance(line, BadRow) else _json_row(line, parse, reading) for line in text_lines(path))


def row_of(line: int, value: Any, parse: Parse, reading: FileReading) -> RawRow | BadRow:
    """Returns the row that `parse(line, value, reading)` makes of a decoded value, or a BadRow with the reason why it can't."""
    try:
        value = unpacked(value)
        if isinstance(value, dict):
            return parse(line, value, reading)
    except Unusable as fault:
        return BadRow(line, *fault.args)
    return BadRow(line, f"a JSON object is needed, this is {shown(value)}.")


def named(row: RawRow | BadRow, item: str) -> RawRow | BadRow:
    """Returns the row with the name `item`, if it has none of its own."""
    return replace(row, item=item) if item and not row.item else row


def not_utf8(line: int, error: UnicodeDecodeError, ended: bool) -> BadRow:
    """Returns the BadRow of bytes that aren't UTF-8. At the end of a file they may be the beginning of a character: the file was cut off there."""
    if not ended and error.reason == "unexpected end of data":
        return BadRow(line, f"{CUT}, and of a character.", "truncated")
    return BadRow(line, f"{encoding_problem(error)}.", "encoding")


def _decode(number: int, raw: bytes, ended: bool) -> Line | BadRow:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return not_utf8(number, error, ended)
    if "\0" in text:
        return BadRow(number, f"a NUL character at column {text.index(chr(0)) + 1}: not text, or UTF-16 without its mark.", "encoding")
    return Line(number, text, ended)


def _json_row(line: Line, parse: Parse, reading: FileReading) -> RawRow | BadRow:
    try:
        value = DECODER.decode(line.text)
    except Unusable as fault:
        return BadRow(line.line, *fault.args)
    except (ValueError, RecursionError) as error:
        if not (isinstance(error, json.JSONDecodeError) and line.text[error.pos :].strip() == ","):
            where = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            return broken(line.line, line.text, error, where, line.ended)
        reading.apply("the comma behind an object was passed over", line.line)
        return _json_row(line._replace(text=line.text[: error.pos]), parse, reading)
    return row_of(line.line, value, parse, reading)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object. Raises Unusable if a key stands twice with different values: json would keep the last and lose the others."""
    values = dict(pairs)
    if len(values) < len(pairs) and (lost := [key for key, value in pairs if value is not values[key] and value != values[key]]):
        raise Unusable(f"the key {shown(lost[0])} stands twice in one object, with different values.", "json")
    return values


DECODER = json.JSONDecoder(object_pairs_hook=_object)
