"""Describes a file that no reader reads: what it looks like, the known formats, and a command that converts it to one of them.

In: the file, and the first rows as each reader reads them. Out: a message.

    ./ner new contracts --from README.md
"""

from __future__ import annotations

import csv
import json
import shlex
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.data.readers.lines import text_lines
from tools.data.readers.row import BadRow, shown
from tools.data.scaffold.forms import FORMS
from tools.data.scaffold.guess import HEAD, Trial, first_object, is_list, read
from tools.text import one_line

PAGE = "docs/own-data.md"
PYTHON = ".venv/train/bin/python -c"
# The first bytes of files that aren't text.
MAGIC = {
    b"PK\x03\x04": "a zip archive, as .xlsx files are too: unpack it, or save the sheet as CSV",
    b"\x1f\x8b": "compressed with gzip: unpack it with `gunzip`",
    b"PAR1": "Parquet: pandas' read_parquet and to_json(orient='records', lines=True, force_ascii=False) make JSON Lines of it",
    b"%PDF": "a PDF",
    b"SQLite format 3": "an SQLite database",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}


def explain(path: Path, trials: list[Trial], name: str) -> str:
    """Returns why nothing reads the file, which messages call `name`: its look, and each known format with its reader's first complaint."""
    looks = looks_like(path, name)
    lines = [f"{name}: no reader reads it.", looks or _first_line(path)]
    if not looks and _is_unannotated(trials):
        return "\n".join([*lines, _missing_annotation(path, trials)])
    faults = {} if looks else {trial.reader: trial for trial in trials}
    return "\n".join([*lines, "The known formats:", *_known(faults), f"More on each: {PAGE}"])


def looks_like(path: Path, name: str = "") -> str:
    """Returns what a file looks like that has none of the formats, and how to convert it; an empty string where it looks like nothing known."""
    name = name or str(path)
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    if not head.strip():
        return "It is empty."
    if what := next((what for mark, what in MAGIC.items() if head.startswith(mark)), ""):
        return f"It is {what}."
    if is_list(path):
        return _list_of_rows(path, name)
    return "" if first_object(path) else _table(path, name)


def _list_of_rows(path: Path, name: str) -> str:
    """Returns the command for a JSON list whose elements a reader of JSON Lines takes; an empty string for another list."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        return ""
    with TemporaryDirectory(prefix="ner-new-") as folder:
        lines = Path(folder) / "rows.jsonl"
        lines.write_text("".join(json.dumps(row) + "\n" for row in rows[:HEAD]), encoding="utf-8")
        found = [reader for reader in FORMS if reader not in ("bio", "label_studio") and read(lines, reader).fits]
    if not found:
        return ""
    program = "import json, sys; [print(json.dumps(row, ensure_ascii=False)) for row in json.load(open(sys.argv[1], encoding='utf-8-sig'))]"
    lines_name = str(Path(name).with_suffix(".jsonl"))
    command = f'{PYTHON} "{program}" {shlex.quote(name)} > {shlex.quote(lines_name)}'
    return f"It is one JSON list; with one row a line the reader {' or '.join(found)} reads it: {command}"


def _table(path: Path, name: str) -> str:
    """Returns the command for a table with a header, as a spreadsheet saves it; an empty string for anything else."""
    head = [line.text for line in islice(text_lines(path), 5) if not isinstance(line, BadRow)]
    for separator, kind in ((",", "CSV"), ("\t", "tab-separated columns")):
        try:
            rows = list(csv.reader(head, delimiter=separator, strict=True))
        except csv.Error:
            continue
        if len(rows) > 1 and len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows):
            rename = "{'TEXT': 'text', 'CLASS': 'label'}"
            program = (
                f"import pandas, sys; pandas.read_csv(sys.argv[1], sep={separator!r}, dtype=str).rename(columns={rename})"
                ".to_json(sys.argv[2], orient='records', lines=True, force_ascii=False)"
            )
            command = f'{PYTHON} "{program}" {shlex.quote(name)} {shlex.quote(str(Path(name).with_suffix(".jsonl")))}'
            columns = one_line(", ".join(map(shown, rows[0])))
            return (
                f"It looks like {kind} with the header {columns}. This command writes a text and its class a line; put your columns' names in place of"
                f" TEXT and CLASS: {command}"
            )
    return ""


def _first_line(path: Path) -> str:
    line = next(text_lines(path), None)
    if line is None:
        return "It has no line."
    if is_list(path) and (row := first_object(path)):
        return f"It is a JSON list, and its first row has the fields {one_line(', '.join(map(shown, row)))}."
    content = line.reason if isinstance(line, BadRow) else shown(line.text)
    return f"Its line {line.line}: {one_line(content)}"


def _is_unannotated(trials: list[Trial]) -> bool:
    """Returns whether every reader misses nothing but the annotation."""
    return all(trial.refused["unannotated"] > trial.refusals / 2 for trial in trials)


def _missing_annotation(path: Path, trials: list[Trial]) -> str:
    row = first_object(path) or {}
    wanting = trials
    if isinstance(row.get("category"), list):  # options in each row: nothing else has them
        wanting = [trial for trial in wanting if trial.reader == "classification"]
    lines = [f"Its rows have the fields {', '.join(map(shown, row))} and no annotation to learn from:"] if row else ["Its rows have no annotation:"]
    lines += [f"  {trial.reader}: {one_line(trial.first_bad.reason)}" for trial in wanting if trial.first_bad]
    return "\n".join([*lines, f"Annotate them first, or rename the field that holds the annotation: {PAGE} shows each format."])


def _known(faults: dict[str, Trial]) -> list[str]:
    lines = []
    for reader, form in FORMS.items():
        lines.append(f"  {reader:14}  {form.example}")
        fault = faults.get(reader)
        if fault and fault.first_bad and fault.first_bad.kind not in ("json", "encoding"):
            lines.append(" " * 18 + f"line {fault.first_bad.line} here: {one_line(fault.first_bad.reason)}")
        if fault and fault.rows:
            lines.append(" " * 18 + f"it reads {fault.rows:,} of the first {fault.rows + fault.refusals:,} rows: --reader {reader} takes them")
    return lines
