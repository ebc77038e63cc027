"""Which reader reads a raw file, and why: every reader is tried on it, and what each makes of all its rows decides. No name of a file is looked at.

In: a file in UTF-8. Out: a Guess: the reader, the reason in words, and what stands in the file: rows, labels, options. `python -m tools.data.scaffold.new` asks; by hand:

    .venv/train/bin/python -c "from pathlib import Path; from tools.data.scaffold.guess import guess; print(guess(Path('data/dataset/sample.train.jsonl')).why)"
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from tools.data.readers import READERS
from tools.data.readers.bio import notation_of
from tools.data.readers.row import BadRow, RawRow
from tools.errors import WANTING, ToolError, choices
from tools.text import one_line, quoted

HEAD = 200  # rows after which a reader that read none is given up


class Form(NamedTuple):
    """A raw format as a user knows it: its name, a line of it, and what tells it from the others, in a sentence about the object `row`."""

    name: str
    example: str
    tells: Callable[[dict[str, Any]], str]


def _spans(row: dict[str, Any]) -> str:
    if row.get("entities") is not None:
        return f"`entities: {_short(row['entities'])}`: offsets under start_offset and end_offset"
    key, text = "label" if "label" in row else "labels", "" if "text" in row else " (and the text under `data`)"
    return f"`{key}: {_short(row.get(key))}`{text}: a list of [start, end, label], or of one class"


def _tasks(row: dict[str, Any]) -> str:
    if isinstance(row.get("data"), dict):
        return f"`data: {_short(row['data'])}` and `{'annotations' if 'annotations' in row else 'completions'}`: a task with its results"
    return f"the fields {', '.join(map(quoted, list(row)[:8]))}: JSON-MIN, the results beside the text"


def _class(row: dict[str, Any]) -> str:
    gold = next((key for key in ("output", "label") if row.get(key) is not None), "label")
    options = f", with `category: {_short(row['category'])}` as its options" if row.get("category") is not None else ""
    return f"`{gold}: {_short(row.get(gold))}`: one string, the text's class{options}"


# In this order where several read the same rows out of a file: then nothing depends on the choice.
FORMS = {
    "cluener": Form(
        "CLUENER's format",
        '{"text": "叶老桂说", "label": {"name": {"叶老桂": [[0, 2]]}}}',
        lambda row: f"`label: {_short(row['label'])}`: label → entity → [[start, end]], ends inclusive",
    ),
    "ccfbdci": Form(
        "CCFBDCI's format",
        '{"text": "叶老桂说", "entities": [{"start_idx": 0, "end_idx": 3, "entity_text": "叶老桂", "entity_label": "PER"}]}',
        lambda row: f"`entities: {_short(row['entities'])}`: offsets under start_idx and end_idx",
    ),
    "classification": Form("a text and its class a line", '{"text": "比赛结束了", "label": "体育"}', _class),
    "doccano": Form("doccano's JSONL export", '{"text": "叶老桂说", "label": [[0, 3, "PER"]]}', _spans),
    "jsonl": Form(
        "this project's own examples",
        '{"text": "叶老桂说", "entities": [{"label": "name", "text": "叶老桂", "start": 0, "end": 3}]}',
        lambda row: (
            f"`entities: {_short(row['entities'])}`: label, text, start and end"
            if row.get("label") is None
            else f"`label: {_short(row['label'])}`{', with `options`' if row.get('options') is not None else ''}: the text's class"
        ),
    ),
    "label_studio": Form(
        "Label Studio's JSON export",
        '[{"data": {"text": "叶老桂说"}, "annotations": [{"result": [{"type": "labels", "value": {"start": 0, "end": 3, "labels": ["PER"]}}]}]}]',
        _tasks,
    ),
    "bio": Form("columns of tokens and tags", "叶 B-PER   (one token and its tag a line, a blank line between sentences)", lambda row: ""),
}


@dataclass
class Reading:
    """What one reader makes of a file: how many rows it can use, and what is annotated in them. Counters keep the order of first appearance."""

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
        """How many rows can't be used."""
        return self.refused.total()

    @property
    def fits(self) -> bool:
        """Whether the file is of this reader's format, with some rows that are damaged or not annotated yet."""
        return self.rows > 0 and self.rows >= self.refusals - self.refused["unannotated"]

    def add(self, row: RawRow | BadRow) -> None:
        """Count a row."""
        if isinstance(row, BadRow):
            self.refused[row.kind] += 1
            self.first_bad = self.first_bad or row
            return
        self.rows += 1
        self.annotated += _annotated(row)
        self.entities.update(entity.label for entity in row.entities)
        if row.label is not None:
            self.classes[row.label] += 1
        if row.options is not None:
            self.with_options += 1
            self.options.update(set(row.options))
        if self.first is None or not (_annotated(self.first) or not _annotated(row)):
            self.first = row


class Guess(NamedTuple):
    """The reader of a file; `why` in words; `same` are the other readers that would give the very same rows."""

    reading: Reading
    why: str
    same: list[str]

    @property
    def reader(self) -> str:
        """The reader's key in READERS."""
        return self.reading.reader


class NoReader(ToolError):
    """No reader reads the file; `readings` is what each made of its first rows."""

    def __init__(self, path: Path, readings: list[Reading]) -> None:
        super().__init__(f"{path}: no reader reads it.", WANTING)
        self.readings = readings


def guess(path: Path, reader: str | None = None, name: str = "") -> Guess:
    """The one reader for a file, or what `reader`, which was asked for, makes of it. `name` is how messages call the file.

    Raises NoReader where none reads it, and ToolError (exit code 2) where several read it, each its own way.
    """
    name = name or str(path)
    if reader is not None:
        if reader not in READERS:
            raise ToolError(f"unknown reader '{reader}'.{choices(reader, READERS)}")
        reading = read(path, reader)
        if not reading.rows:
            raise NoReader(Path(name), [reading])
        return Guess(reading, f"it was asked for; {_why(path, reading)}", [])
    heads = _heads(path)
    hopeful = [head for head in heads if head.rows] or [head for head in heads if head.refusals == HEAD]
    found = [reading for head in hopeful if (reading := read(path, head.reader)).fits]
    if not found:
        raise NoReader(Path(name), heads)
    # A reader that takes the class or the options of a row sees more in the file than one that passes over them.
    best = max(_seen(reading) for reading in found)
    found = [reading for reading in found if _seen(reading) == best]
    if len({reading.digest for reading in found}) > 1:
        raise ToolError(_ambiguous(path, name, found))
    return Guess(found[0], _why(path, found[0]), [reading.reader for reading in found[1:]])


def read(path: Path, reader: str, limit: int | None = None) -> Reading:
    """What a reader makes of a file, or of its first `limit` rows."""
    from tqdm import tqdm

    reading, digest = Reading(reader), hashlib.sha256()
    rows: Iterator[RawRow | BadRow] = islice(READERS[reader](path), limit)
    for row in tqdm(rows, desc=f"{path.name} as {reader}", unit=" rows", disable=True if limit else None, leave=False):
        reading.add(row)
        if isinstance(row, RawRow):
            digest.update(repr((row.text, row.entities, row.label, row.options)).encode("utf-8", "surrogatepass"))
    reading.digest = digest.digest()
    return reading


def first_object(path: Path, line: int = 1) -> dict[str, Any] | None:
    """The JSON object that stands at a line, or that a JSON list begins with; None for what is neither."""
    with open(path, "rb") as file:
        head = next((text for text in file if text.strip()), b"").removeprefix(b"\xef\xbb\xbf").lstrip()
    try:
        if head.startswith(b"["):
            text = path.read_text(encoding="utf-8-sig", errors="replace").lstrip()
            value, _ = json.JSONDecoder().raw_decode(text, len(text) - len(text[1:].lstrip()))
        else:
            with open(path, encoding="utf-8-sig", errors="replace", newline="\n") as lines:
                value = json.loads(next(islice(lines, line - 1, None), ""))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _heads(path: Path) -> list[Reading]:
    """What each reader that can be meant makes of the first rows."""
    # A line that is a list of its own, perhaps the whole file, can only be Label Studio's. Tags come last: all lines without a blank one are one row.
    heads = [read(path, known, HEAD) for known in (["label_studio"] if is_list(path) else [known for known in FORMS if known != "bio"])]
    return heads if any(head.rows for head in heads) or first_object(path) else [*heads, read(path, "bio", HEAD)]


def _why(path: Path, reading: Reading) -> str:
    """What in the file tells that it is of this reader's format."""
    line = reading.first.line if reading.first else 1
    if reading.reader == "bio":
        return _tagged(path, line)
    row = first_object(path, line)
    where = f"line {line}" if not is_list(path) else "the first task"
    return f"{where} holds {one_line(FORMS[reading.reader].tells(row))}" if row else f"{where} is read so"


def _tagged(path: Path, line: int) -> str:
    notation = notation_of(path)
    with open(path, encoding="utf-8-sig", errors="replace", newline="\n") as lines:
        text = next(islice(lines, line - 1, None), "").rstrip("\r\n")
    separator = {" ": "a space", "\t": "a tab"}.get(notation.separator, quoted(notation.separator))
    marks = "with marks for an entity's end (BMES, BIOES)" if notation.ends else "without marks for an entity's end (BIO)"
    columns = f", the first and the last of {notation.columns} columns" if notation.columns > 2 else ""
    return f"line {line} is {one_line(quoted(text))}: a token, {separator} and a tag{columns}; the tags are {marks}"


def is_list(path: Path) -> bool:
    """Whether a file begins like a JSON list."""
    with open(path, "rb") as file:
        return file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _seen(reading: Reading) -> tuple[int, int, int]:
    return reading.rows, reading.annotated, reading.with_options


def _ambiguous(path: Path, name: str, found: list[Reading]) -> str:
    alike: dict[bytes, list[Reading]] = {}
    for reading in found:
        alike.setdefault(reading.digest, []).append(reading)
    lines = [f"{name}: it can be read in {len(alike)} ways, all {found[0].rows:,} rows of it; which one is meant?"]
    for first, *others in alike.values():
        what = f"{first.entities.total():,} entities, {first.classes.total():,} rows with a class"
        also = f"; so would {', '.join(other.reader for other in others)}" if others else ""
        lines.append(f"  {first.reader}: {_why(path, first)} ({what}{also})")
    return "\n".join([*lines, f"Say READER={found[0].reader}, for example (without make: --reader {found[0].reader})."])


def _annotated(row: RawRow) -> bool:
    return bool(row.entities) or row.label is not None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
