"""A file of texts, and the same file annotated: txt, csv or jsonl in, jsonl (and for csv also csv) out.

In: an uploaded file. Out: an Upload, whose rows are asked elsewhere; then one JSON object a row, in the file's order: {"text", "entities" or "label", "output",
"error"}, offsets in code points and `end` exclusive. A spreadsheet runs none of what the CSV holds.

    python -c "from pathlib import Path; from tools.extract.annotated_file import read; print(read(Path('texts.csv')).texts)"
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.errors import ToolError
from tools.extract.annotate import Annotation
from tools.files import parse_object, write_text
from tools.web.words import Said

KINDS = (".txt", ".csv", ".jsonl")
MEGABYTES = 10
MAX_BYTES = MEGABYTES * 1024 * 1024
MAX_ROWS = 20_000
_NUMBER = re.compile(r"[-+]?[0-9]+(?:[.,][0-9]+)*%?")
# What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection), in both widths.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True)
class Upload:
    """The rows of a file. `header` and `cells` are a CSV's own; `options` are a jsonl row's own options, where it names them."""

    name: str
    texts: list[str]
    header: list[str] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)
    options: list[list[str] | None] = field(default_factory=list)


def read(path: Path, name: str | None = None) -> Upload:
    """The texts of a file, a blank row among them. Raises Said (1) that names file and line for what can't be read; `name` is what the user calls the file."""
    name = name or path.name
    kind = Path(name).suffix.lower()
    if kind not in KINDS:
        raise Said("wrong_kind", name=name)
    if (size := path.stat().st_size) > MAX_BYTES:
        raise Said("too_big", name=name, megabytes=size / 1024**2, limit=MEGABYTES)
    data = path.read_bytes()
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Said("not_utf8", name=name, line=data.count(b"\n", 0, error.start) + 1) from None
    upload = {".txt": _read_txt, ".csv": _read_csv, ".jsonl": _read_jsonl}[kind](text, name)
    if not any(map(str.strip, upload.texts)):
        raise Said("no_rows", name=name)
    return upload


def _lines(text: str, name: str) -> list[str]:
    """The lines, split at LF, CRLF or CR only: U+2028 is text."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    if len(lines) > MAX_ROWS:
        raise Said("too_many", name=name, limit=MAX_ROWS)
    return lines


def _read_txt(text: str, name: str) -> Upload:
    return Upload(name, _lines(text, name))


def _read_jsonl(text: str, name: str) -> Upload:
    texts: list[str] = []
    options: list[list[str] | None] = []
    for number, line in enumerate(_lines(text, name), 1):
        row = {"text": ""} if not line.strip() else _object(line, name, number)
        choice = row.get("options", row.get("category"))
        texts.append(row["text"])
        options.append(choice if isinstance(choice, list) and choice and all(isinstance(one, str) for one in choice) else None)
    return Upload(name, texts, options=options)


def _object(line: str, name: str, number: int) -> dict[str, Any]:
    try:
        row = parse_object(line.encode("utf-8", "surrogatepass"), "")
    except ToolError:
        row = {}
    if not isinstance(row.get("text"), str):
        raise Said("bad_json", name=name, line=number)
    return row


def _read_csv(text: str, name: str) -> Upload:
    csv.field_size_limit(MAX_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    header: list[str] | None = None
    start = 1
    try:
        for row in reader:
            if header is None:
                header = row
            elif len(row) > len(header):
                raise Said("bad_cells", name=name, line=start, cells=len(row), columns=len(header))
            else:
                rows.append(row + [""] * (len(header) - len(row)))
            if len(rows) > MAX_ROWS:
                raise Said("too_many", name=name, limit=MAX_ROWS)
            start = reader.line_num + 1
    except csv.Error as error:
        raise Said("bad_csv", name=name, line=start, reason=error) from None
    column = _text_column(header or [], rows, name)
    return Upload(name, [row[column] for row in rows], header or [], rows)


def _text_column(header: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> int:
    """The column `text`, or the only one with anything but numbers in it."""
    folded = [word.strip().casefold() for word in header]
    if "text" in folded:
        return folded.index("text")
    worded = [number for number in range(len(header)) if any(row[number].strip() and not _NUMBER.fullmatch(row[number].strip()) for row in rows)]
    if len(worded) != 1:
        raise Said("no_text_column", name=name, columns=", ".join(header) or "–")
    return worded[0]


def record(text: str, found: Annotation | None, kind: str, problem: str | None = None) -> dict[str, Any]:
    """A row's result: what is canonical of it, the model's own words, and what went wrong; a blank row has neither."""
    output = found.prediction.output if found else None
    error = problem or (found.prediction.error if found else None)
    said: dict[str, Any] = {"label": found.label if found else None} if kind == "classification" else {"entities": found.entities() if found else []}
    if found and (nowhere := found.nowhere):
        said["nowhere"] = [{"label": label, "text": string} for label, string in nowhere]
    if error is None and found and found.failures:
        error = ", ".join(found.failures)
    return {"text": text, **said, "output": output, "error": error}


def write_jsonl(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    """One JSON object a row."""
    write_text(path, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records))
    return path


def write_csv(path: Path, upload: Upload, records: Sequence[dict[str, Any]]) -> Path:
    """The CSV that was uploaded with columns behind its own, in UTF-8 with the byte-order mark that spreadsheets look for."""
    added = [key for key in ("label", "entities", "output", "error") if any(key in one for one in records)]
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([harmless(word) for word in [*upload.header, *_new_names(upload.header, added)]])
    for row, one in zip(upload.cells, records, strict=True):
        writer.writerow([harmless(cell) for cell in [*row, *(_cell(one.get(key)) for key in added)]])
    write_text(path, out.getvalue())
    return path


def _new_names(header: Sequence[str], added: Sequence[str]) -> list[str]:
    """Names for columns that the file doesn't have."""
    names: list[str] = []
    for word in added:
        name, number = word, 2
        while name in header:
            name, number = f"{word}_{number}", number + 1
        names.append(name)
    return names


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe before what begins like one, unless it is a number.

    >>> harmless("=1+1"), harmless("-5")
    ("'=1+1", '-5')
    """
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(cell) else cell
