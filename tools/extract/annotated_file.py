"""Reads a file of texts (txt, csv or jsonl), and writes it annotated: as jsonl, as Parquet, and for a csv also as csv.

In: a file. Out: an Upload, whose rows are asked elsewhere; then one object a row, in the file's order: the row's own fields, and {"text", "entities" or "label", "output",
"error"}, offsets in code points and `end` exclusive. A spreadsheet finds no formula in the CSV.

    ./ner extract texts.jsonl --run conf/tiny-qwen2-sample-ner-lora-sft.yaml --out annotated.jsonl
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any, TypedDict

from tools.errors import ToolError
from tools.extract.annotate import Annotation
from tools.files import parse_object, replacing_file, write_text

KINDS = (".txt", ".csv", ".jsonl")
MEGABYTES = 10
MAX_BYTES = MEGABYTES * 1024 * 1024
MAX_ROWS = 20_000
ADDED = ("label", "entities", "nowhere", "output", "error")  # fields of an annotated row
_NUMBER = re.compile(r"[-+]?[0-9]+(?:[.,][0-9]+)*%?")
# What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection), in both widths.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


# Key of a Fault → its words in English and in Chinese.
FAULTS: dict[str, tuple[str, str]] = {
    "wrong_kind": ("{name}: a .txt, .csv or .jsonl file is needed.", "{name}：需要 .txt、.csv 或 .jsonl 文件。"),
    "too_big": ("{name}: {megabytes:.1f} MB; at most {limit} MB can be annotated here.", "{name}：{megabytes:.1f} MB；这里最多可标注 {limit} MB。"),
    "too_many": ("{name}: more than {limit:,} rows; divide the file.", "{name}：超过 {limit:,} 行，请拆分文件。"),
    "no_rows": ("{name}: there is no text in it.", "{name}：文件中没有文本。"),
    "not_utf8": ("{name}, line {line}: not UTF-8. Save the file as UTF-8.", "{name} 第 {line} 行：不是 UTF-8 编码。请将文件另存为 UTF-8。"),
    "no_text_column": (
        "{name}: no column is clearly the text. Name it `text`. Columns: {columns}",
        "{name}：无法确定哪一列是文本，请将其命名为 `text`。现有列：{columns}",
    ),
    "bad_csv": ("{name}, line {line}: not a CSV row: {reason}", "{name} 第 {line} 行：不是有效的 CSV 行：{reason}"),
    "bad_cells": (
        "{name}, line {line}: {cells} cells, the header has {columns}. A comma within a text needs quotes around it.",
        "{name} 第 {line} 行：有 {cells} 个单元格，表头有 {columns} 列。文本中有逗号时需加引号。",
    ),
    "no_column": (
        "{name}: a field has values of several types, and Parquet takes one: {reason}",
        "{name}：某个字段的值有多种类型，而 Parquet 每列只能有一种：{reason}",
    ),
    "bad_json": ("{name}, line {line}: not a JSON object with a string in `text`.", "{name} 第 {line} 行：不是 `text` 为字符串的 JSON 对象。"),
}


class Fault(Exception):
    """A fault that a user can mend, as a key and values, for a caller with words of its own for it."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key, values)
        self.key, self.values = key, values


class Record(TypedDict, total=False):
    """A row's result. `entities` of a task that looks for entities, `label` of a classification; `nowhere` are pairs whose string isn't in the text."""

    text: str
    entities: list[dict[str, Any]]
    label: str | None
    nowhere: list[dict[str, str]]
    output: str | None
    error: str | None


@dataclass(frozen=True)
class Upload:
    """The rows of a file. `header` and `cells` are a CSV's own, `fields` are jsonl's; `options` are a jsonl row's own options, where it names them."""

    name: str
    texts: list[str]
    header: list[str] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)
    fields: list[dict[str, Any]] = field(default_factory=list)
    options: list[list[str] | None] = field(default_factory=list)


def read(path: Path, limited: bool = True) -> Upload:
    """Reads the texts of a file, blank rows among them. `limited`: no more than a page takes, MAX_BYTES and MAX_ROWS.

    Raises Fault with the file and the line of what can't be read.
    """
    name, kind = path.name, path.suffix.lower()
    if kind not in KINDS:
        raise Fault("wrong_kind", name=name)
    if limited and (size := path.stat().st_size) > MAX_BYTES:
        raise Fault("too_big", name=name, megabytes=size / 1024**2, limit=MEGABYTES)
    data = path.read_bytes()
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Fault("not_utf8", name=name, line=data.count(b"\n", 0, error.start) + 1) from None
    lines = [line.rstrip("\r\n") for line in io.StringIO(text, newline="")]  # not splitlines(): U+2028 is text
    upload = Upload(name, lines) if kind == ".txt" else _read_csv(text, name) if kind == ".csv" else _read_jsonl(lines, name)
    if limited and len(upload.texts) > MAX_ROWS:
        raise Fault("too_many", name=name, limit=MAX_ROWS)
    if not any(map(str.strip, upload.texts)):
        raise Fault("no_rows", name=name)
    return upload


def _read_jsonl(lines: list[str], name: str) -> Upload:
    rows = [_object(line, name, number) for number, line in enumerate(lines, 1)]
    return Upload(name, [row["text"] for row in rows], fields=rows, options=[_own_options(row) for row in rows])


def _object(line: str, name: str, number: int) -> dict[str, Any]:
    if not line.strip():
        return {"text": ""}
    try:
        row = parse_object(line.encode("utf-8", "surrogatepass"), "")
    except ToolError:
        row = {}
    if not isinstance(row.get("text"), str):
        raise Fault("bad_json", name=name, line=number)
    return row


def _own_options(row: dict[str, Any]) -> list[str] | None:
    found = row.get("options", row.get("category"))
    return found if isinstance(found, list) and found and all(isinstance(one, str) for one in found) else None


def _read_csv(text: str, name: str) -> Upload:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    line = 1  # the first one of a row
    try:
        for row in reader:
            if line == 1:
                header = row
            elif len(row) > len(header):
                raise Fault("bad_cells", name=name, line=line, cells=len(row), columns=len(header))
            else:
                rows.append(row + [""] * (len(header) - len(row)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise Fault("bad_csv", name=name, line=line, reason=error) from None
    column = _text_column(header, rows, name)
    return Upload(name, [row[column] for row in rows], header, rows)


def _text_column(header: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> int:
    """Returns the place of the column `text`, or of the only one that holds anything but numbers."""
    folded = [word.strip().casefold() for word in header]
    if "text" in folded:
        return folded.index("text")
    worded = [number for number in range(len(header)) if any(row[number].strip() and not _NUMBER.fullmatch(row[number].strip()) for row in rows)]
    if len(worded) != 1:
        raise Fault("no_text_column", name=name, columns=", ".join(header) or "–")
    return worded[0]


def record(text: str, found: Annotation | None, kind: str, problem: str | None = None) -> Record:
    """Returns a row's result. A blank row and one that wasn't asked have no `found`; `problem` says why a row wasn't asked."""
    output = found.prediction.output if found else None
    error = problem or (found.prediction.error if found else None) or (", ".join(found.failures) if found else "") or None
    made: Record = {"text": text}
    if kind == "classification":
        made["label"] = found.label if found else None
    else:
        made["entities"] = [asdict(entity) for entity in found.entities] if found else []
    if found and found.nowhere:
        made["nowhere"] = [{"label": label, "text": string} for label, string in found.nowhere]
    made["output"], made["error"] = output, error
    return made


def whole_rows(upload: Upload, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Returns each row with its own fields, and the record's behind them; one that the row has already gets a number."""
    own = upload.fields or [dict(zip(upload.header, row, strict=True)) for row in upload.cells] or [{"text": text} for text in upload.texts]
    keys = [key for key in ("text", *ADDED) if any(key in one for one in records) and (key != "text" or not all("text" in row for row in own))]
    names = dict(zip(keys, _new_names(list(dict.fromkeys(name for row in own for name in row)), keys), strict=True))
    return [{**row, **{names[key]: value for key, value in one.items() if key in names}} for row, one in zip(own, records, strict=True)]


def write_jsonl(path: Path, upload: Upload, records: Sequence[Record]) -> Path:
    """Writes one JSON object a row, and returns the path."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in whole_rows(upload, records)))
    return path


def write_parquet(path: Path, upload: Upload, records: Sequence[Record]) -> Path:
    """Writes the rows as a Parquet file with one column a field, and returns the path. Raises Fault where a field has values of several types."""
    from pandas import DataFrame
    from pyarrow import ArrowException

    try:
        with replacing_file(path) as new:
            DataFrame(whole_rows(upload, records)).to_parquet(new, engine="pyarrow", index=False)
    except ArrowException as error:
        raise Fault("no_column", name=upload.name, reason=str(error).splitlines()[0]) from None
    return path


def write_csv(path: Path, upload: Upload, records: Sequence[Record]) -> Path:
    """Writes the uploaded CSV with columns behind its own, in UTF-8 with the byte-order mark that spreadsheets look for, and returns the path."""
    added = [key for key in ADDED if key != "nowhere" and any(key in one for one in records)]
    rows = [[*row, *(_cell(one.get(key)) for key in added)] for row, one in zip(upload.cells, records, strict=True)]
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([harmless(cell) for cell in row] for row in [[*upload.header, *_new_names(upload.header, added)], *rows])
    return path


def _new_names(header: Sequence[str], added: Sequence[str]) -> list[str]:
    """Returns the names of the added columns; one that the file has already gets a number."""
    return [next(name for name in chain([word], (f"{word}_{number}" for number in count(2))) if name not in header) for word in added]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def harmless(cell: str) -> str:
    """Returns a cell that no spreadsheet takes for a formula: with an apostrophe before it where it begins like one, unless it is a number.

    >>> harmless("=1+1"), harmless("-5")
    ("'=1+1", '-5')
    """
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(cell) else cell
