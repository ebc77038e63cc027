"""Describes a file that no reader reads: what it looks like, the known formats, and a command that converts it to one of them.

In: the file. Out: a message.

    ./ner new contracts --from README.md
"""

from __future__ import annotations

import csv
import json
import shlex
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.data.readers.json_list import is_list
from tools.data.readers.lines import text_lines
from tools.data.readers.row import BadRow, shown
from tools.data.scaffold.trials import FORMS, HEAD, Trial, heads
from tools.text import one_line

PAGE = "docs/own-data.md"
PYTHON = ".venv/train/bin/python -c"
# The first bytes of files that aren't text.
MAGIC = {
    b"PK\x03\x04": "a zip archive, as .xlsx files are too: unpack it, or save the sheet as CSV",
    b"\x1f\x8b": "compressed with gzip: unpack it with `gunzip`",
    b"PAR1": "Parquet: pandas' read_parquet and to_json(orient='records', lines=True, force_ascii=False) make JSON Lines of it",
}


def explain(path: Path, name: str, reader: str | None) -> str:
    """Returns why `reader`, or else every reader, reads nothing of a file that messages call `name`.

    The message has a command that converts the file, or each known format with its reader's first complaint.
    """
    tried = heads(path)
    title = f"{name}: {f'the reader {reader} reads no row of it' if reader else 'no reader reads it'}."
    if remedy := _remedy(path, name, is_json=tried[-1].reader != "bio"):
        return f"{title}\n{remedy}\nThe known formats: {PAGE}"
    if named := [trial.first_bad.reason for trial in tried if trial.first_bad and trial.first_bad.kind == "named"]:
        return "\n".join([title, *dict.fromkeys(named), f"The known formats: {PAGE}"])
    bare = [trial for trial in tried if trial.refused["unannotated"] > trial.refusals / 2]
    if len(bare) == 1 and bare[0].first_bad:
        form = FORMS[bare[0].reader].name
        return "\n".join([title, f"It looks like {form}, and has nothing to learn from: {bare[0].first_bad.reason}", f"The known formats: {PAGE}"])
    line = next(text_lines(path), None)
    lines = [f"Its line {line.line}: {one_line(line.reason if isinstance(line, BadRow) else shown(line.text))}"] if line else []
    if bare:
        lines.append("It has no annotation to learn from: annotate it first, or rename the field that holds the annotation.")
    complaints = {trial.reader: _complaints(trial) for trial in tried}
    for known, form in FORMS.items():
        lines += [f"  {known:14}  {form.example}", *(" " * 18 + complaint for complaint in complaints.get(known, []))]
    return "\n".join([title, *lines, f"More on each format: {PAGE}"])


def _remedy(path: Path, name: str, is_json: bool) -> str:
    """Returns what a file is that has none of the formats, and how to convert it; an empty string where it is nothing known."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    if not head.strip():
        return "It is empty."
    if what := next((what for mark, what in MAGIC.items() if head.startswith(mark)), ""):
        return f"It is {what}."
    if is_list(path):
        return _list_of_rows(path, name)
    return "" if is_json else _table(path, name)


def _list_of_rows(path: Path, name: str) -> str:
    """Returns the command for a JSON list whose elements a reader of JSON Lines takes; an empty string for another list."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        return ""
    with TemporaryDirectory(prefix="ner-new-") as folder:
        lines = Path(folder) / "rows.jsonl"
        lines.write_text("".join(json.dumps(row) + "\n" for row in rows[:HEAD]), encoding="utf-8")
        found = [trial.reader for trial in heads(lines) if trial.fits]
    if not found:
        return ""
    program = "import json, sys; [print(json.dumps(row, ensure_ascii=False)) for row in json.load(open(sys.argv[1], encoding='utf-8-sig'))]"
    command = f'{PYTHON} "{program}" {shlex.quote(name)} > {_converted(name)}'
    return f"It is one JSON list; with one row a line the reader {' or '.join(found)} reads it: {command}"


def _table(path: Path, name: str) -> str:
    """Returns the command for a table with a header, as a spreadsheet saves it; an empty string for anything else."""
    head = [line.text for line in islice(text_lines(path), 5) if not isinstance(line, BadRow)]
    for separator, kind in ((",", "CSV"), ("\t", "tab-separated columns")):
        try:
            rows = list(csv.reader(head, delimiter=separator, strict=True))
        except csv.Error:
            continue
        if len(rows) > 1 and len(rows[0]) > 1 and {*map(len, rows)} == {len(rows[0])}:
            program = (
                f"import pandas, sys; pandas.read_csv(sys.argv[1], sep={separator!r}, dtype=str).rename(columns={{'TEXT': 'text', 'CLASS': 'label'}})"
                ".to_json(sys.argv[2], orient='records', lines=True, force_ascii=False)"
            )
            return (
                f"It looks like {kind} with the header {one_line(', '.join(map(shown, rows[0])))}. This command writes a text and its class a line; put your"
                f' columns\' names in place of TEXT and CLASS: {PYTHON} "{program}" {shlex.quote(name)} {_converted(name)}'
            )
    return ""


def _converted(name: str) -> str:
    return shlex.quote(str(Path(name).with_suffix(".jsonl")))


def _complaints(trial: Trial) -> list[str]:
    """Returns what a reader has against a file: nothing where the file isn't its kind of text at all."""
    bad, found = trial.first_bad, []
    if bad and bad.kind not in ("json", "encoding"):
        found.append(f"line {bad.line} here: {one_line(bad.reason)}")
    if trial.rows:
        found.append(f"it reads {trial.rows:,} of the first {trial.rows + trial.refusals:,} rows: --reader {trial.reader} takes them")
    return found
