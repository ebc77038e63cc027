"""Guesses the reader of a raw file: it tries every reader and compares the rows that they return. The file's name plays no part.

In: a file in UTF-8. Out: a Guess: the reader, the reason, and the rows, labels and options that the reader found.

    ./ner new contracts --from data/dataset/sample.train.jsonl
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from tools.data.readers import READERS
from tools.data.readers.bio import notation_of
from tools.data.readers.row import BadRow, RawRow
from tools.data.scaffold.forms import FORMS, about
from tools.errors import WANTING, ToolError, choices
from tools.text import one_line, quoted

HEAD = 200  # a reader that reads none of so many rows is given up


@dataclass
class Trial:
    """The rows that one reader makes of a file, counted. Counters keep the order of first appearance."""

    reader: str
    rows: int = 0  # readable
    refused: Counter[str] = field(default_factory=Counter)  # by a BadRow's kind
    first: RawRow | None = None  # the first annotated row, else the first
    first_bad: BadRow | None = None
    entities: Counter[str] = field(default_factory=Counter)  # label → how many entities
    classes: Counter[str] = field(default_factory=Counter)  # class → how many rows
    options: Counter[str] = field(default_factory=Counter)  # option → how many rows offer it
    annotated: int = 0  # rows with an entity or a class
    with_options: int = 0
    digest: bytes = b""

    @property
    def refusals(self) -> int:
        """The number of rows that can't be used."""
        return self.refused.total()

    @property
    def fits(self) -> bool:
        """Whether the file is of this reader's format. Some rows may be damaged, any number not annotated yet."""
        return self.rows > 0 and self.rows >= self.refusals - self.refused["unannotated"]

    @property
    def seen(self) -> tuple[int, int, int]:
        """How much the reader finds in the file: rows, annotated rows, rows with options."""
        return self.rows, self.annotated, self.with_options

    def add(self, row: RawRow | BadRow) -> None:
        """Counts a row."""
        if isinstance(row, BadRow):
            self.refused[row.kind] += 1
            self.first_bad = self.first_bad or row
            return
        self.rows += 1
        self.annotated += _is_annotated(row)
        self.entities.update(entity.label for entity in row.entities)
        if row.label is not None:
            self.classes[row.label] += 1
        if row.options is not None:
            self.with_options += 1
            self.options.update(set(row.options))
        if self.first is None or not (_is_annotated(self.first) or not _is_annotated(row)):
            self.first = row


class Guess(NamedTuple):
    """A file's reader. `why` is the reason; `same` are the other readers that return the very same rows."""

    trial: Trial
    why: str
    same: list[str]

    @property
    def reader(self) -> str:
        """The reader's key in READERS."""
        return self.trial.reader


class NoReader(ToolError):
    """No reader reads the file. `trials` has each reader's first rows."""

    def __init__(self, path: Path, trials: list[Trial]) -> None:
        super().__init__(f"{path}: no reader reads it.", WANTING)
        self.trials = trials


def guess(path: Path, reader: str | None = None, name: str = "") -> Guess:
    """Returns the only reader that fits a file, or `reader` where it is given. Messages call the file `name`.

    Raises NoReader where none reads it, and ToolError (2) where several read it, each in its own way.
    """
    name = name or str(path)
    if reader is not None:
        return _asked_for(path, reader, name)
    heads = _heads(path)
    hopeful = [head for head in heads if head.rows] or [head for head in heads if head.refusals == HEAD]
    found = [trial for head in hopeful if (trial := read(path, head.reader)).fits]
    if not found:
        raise NoReader(Path(name), heads)
    # A reader that takes a row's class or options finds more than one that ignores them.
    best = max(trial.seen for trial in found)
    found = [trial for trial in found if trial.seen == best]
    if len({trial.digest for trial in found}) > 1:
        raise ToolError(_ambiguous(path, name, found))
    return Guess(found[0], _why(path, found[0]), [trial.reader for trial in found[1:]])


def read(path: Path, reader: str, limit: int | None = None) -> Trial:
    """Returns the rows that a reader makes of a file, or of its first `limit` rows."""
    from tqdm import tqdm

    trial, digest = Trial(reader), hashlib.sha256()
    rows: Iterator[RawRow | BadRow] = islice(READERS[reader](path), limit)
    for row in tqdm(rows, desc=f"{path.name} as {reader}", unit=" rows", disable=True if limit else None, leave=False):
        trial.add(row)
        if isinstance(row, RawRow):
            digest.update(repr((row.text, row.entities, row.label, row.options)).encode("utf-8", "surrogatepass"))
    trial.digest = digest.digest()
    return trial


def first_object(path: Path, line: int = 1) -> dict[str, Any] | None:
    """Returns the JSON object at a line, or the first one of a JSON list; None for anything else."""
    try:
        if is_list(path):
            text = path.read_text(encoding="utf-8-sig", errors="replace").lstrip()
            value, _ = json.JSONDecoder().raw_decode(text, len(text) - len(text[1:].lstrip()))
        else:
            with open(path, encoding="utf-8-sig", errors="replace", newline="\n") as lines:
                value = json.loads(next(islice(lines, line - 1, None), ""))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_list(path: Path) -> bool:
    """Returns whether a file begins like a JSON list."""
    with open(path, "rb") as file:
        return file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _asked_for(path: Path, reader: str, name: str) -> Guess:
    if reader not in READERS:
        raise ToolError(f"unknown reader '{reader}'.{choices(reader, READERS)}")
    trial = read(path, reader)
    if not trial.rows:
        raise NoReader(Path(name), [trial])
    return Guess(trial, f"it was asked for; {_why(path, trial)}", [])


def _heads(path: Path) -> list[Trial]:
    """Returns the first rows as each possible reader reads them."""
    # A line that is a JSON list, perhaps the whole file, can only be Label Studio's. Tags come last: lines without a blank one between them are one row.
    heads = [read(path, reader, HEAD) for reader in (["label_studio"] if is_list(path) else [reader for reader in FORMS if reader != "bio"])]
    return heads if any(head.rows for head in heads) or first_object(path) else [*heads, read(path, "bio", HEAD)]


def _why(path: Path, trial: Trial) -> str:
    """Returns the reason for a reader: the line or field of the file that shows its format."""
    line = trial.first.line if trial.first else 1
    if trial.reader == "bio":
        return _tagged(path, line)
    row = first_object(path, line)
    where = "the first task" if is_list(path) else f"line {line}"
    return f"{where} holds {one_line(about(trial.reader, row))}" if row else f"{where} is read so"


def _tagged(path: Path, line: int) -> str:
    notation = notation_of(path)
    with open(path, encoding="utf-8-sig", errors="replace", newline="\n") as lines:
        text = next(islice(lines, line - 1, None), "").rstrip("\r\n")
    separator = {" ": "a space", "\t": "a tab"}.get(notation.separator, quoted(notation.separator))
    marks = "with marks for an entity's end (BMES, BIOES)" if notation.ends else "without marks for an entity's end (BIO)"
    columns = f", the first and the last of {notation.columns} columns" if notation.columns > 2 else ""
    return f"line {line} is {one_line(quoted(text))}: a token, {separator} and a tag{columns}; the tags are {marks}"


def _ambiguous(path: Path, name: str, found: list[Trial]) -> str:
    alike: dict[bytes, list[Trial]] = {}
    for trial in found:
        alike.setdefault(trial.digest, []).append(trial)
    lines = [f"{name}: its {found[0].rows:,} rows can be read in {len(alike)} ways:"]
    for first, *others in alike.values():
        counts = f"{first.entities.total():,} entities, {first.classes.total():,} rows with a class"
        also = f"; {', '.join(other.reader for other in others)} would read the same" if others else ""
        lines.append(f"  {first.reader}: {_why(path, first)} ({counts}{also})")
    return "\n".join([*lines, f'Choose one, such as --reader {found[0].reader} (make: ARGS="--reader {found[0].reader}").'])


def _is_annotated(row: RawRow) -> bool:
    return bool(row.entities) or row.label is not None
