"""Tries the readers on a raw file, and counts the rows that each makes of it. The file's name plays no part.

In: a file in UTF-8. Out: a Trial a reader. FORMS describes each reader's format as a user knows it.

    ./ner new contracts --from data/dataset/sample.train.jsonl
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tools.data.readers import READERS
from tools.data.readers.row import BadRow, RawRow
from tools.data.sources import Source
from tools.text import one_line, quoted

HEAD = 200  # a reader that reads none of so many rows is given up
SHOWN = 3  # entities or options of a row in a message


class Form(NamedTuple):
    """A raw format: its name, with the fields that hold the annotation, an example, and whether its rows are JSON objects (else lines of text)."""

    name: str
    example: str
    is_json: bool = True


# The first one is taken where several read the same rows from a file.
FORMS = {
    "cluener": Form(
        "CLUENER's format (`label`: label → entity → [[start, end]], ends inclusive)",
        '{"text": "叶老桂说", "label": {"name": {"叶老桂": [[0, 2]]}}}',
    ),
    "ccfbdci": Form(
        "CCFBDCI's format (`entities` with start_idx and end_idx)",
        '{"text": "叶老桂说", "entities": [{"start_idx": 0, "end_idx": 3, "entity_text": "叶老桂", "entity_label": "PER"}]}',
    ),
    "classification": Form("a text and its class a line (`output` or `label`)", '{"text": "比赛结束了", "label": "体育"}'),
    "doccano": Form("doccano's JSONL export (`label`, `labels` or `entities`)", '{"text": "叶老桂说", "label": [[0, 3, "PER"]]}'),
    "jsonl": Form(
        "this project's own examples (`entities` with label, text, start and end, or `label`)",
        '{"text": "叶老桂说", "entities": [{"label": "name", "text": "叶老桂", "start": 0, "end": 3}]}',
    ),
    "label_studio": Form(
        "Label Studio's JSON export",
        '[{"data": {"text": "叶老桂说"}, "annotations": [{"result": [{"type": "labels", "value": {"start": 0, "end": 3, "labels": ["PER"]}}]}]}]',
    ),
    "bio": Form("columns of tokens and tags", "叶 B-PER   (one token and its tag a line, a blank line between sentences)", is_json=False),
}


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
    digest: bytes = b""  # of the readable rows

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

    @property
    def sample(self) -> str:
        """The annotation of `first` as the reader understood it, for a message."""
        if self.first is None:
            return "no row"
        found = _begin([f"{quoted(entity.text)} ({entity.label})" for entity in self.first.entities])
        if self.first.label is not None:
            found += f"the class {quoted(self.first.label)}"
        if self.first.options is not None:
            found += f" of the options {_begin([*map(quoted, self.first.options)])}"
        return one_line(f"line {self.first.line} holds {found or 'no annotation'}")

    def add(self, row: RawRow | BadRow) -> None:
        """Counts a row."""
        if isinstance(row, BadRow):
            self.refused[row.kind] += 1
            self.first_bad = self.first_bad or row
            return
        is_annotated = bool(row.entities) or row.label is not None
        if self.first is None or (is_annotated and not self.annotated):
            self.first = row
        self.rows += 1
        self.annotated += is_annotated
        self.entities.update(entity.label for entity in row.entities)
        if row.label is not None:
            self.classes[row.label] += 1
        if row.options is not None:
            self.with_options += 1
            self.options.update(set(row.options))


def read(path: Path, reader: str, limit: int | None = None) -> Trial:
    """Returns the rows that a reader makes of a file, or of its first `limit` rows."""
    trial, digest = Trial(reader), hashlib.sha256()
    for _, row in islice(Source(path).rows(READERS[reader], f"{path.name} as {reader}"), limit):
        trial.add(row)
        if isinstance(row, RawRow):
            digest.update(repr((row.text, row.entities, row.label, row.options)).encode("utf-8", "surrogatepass"))
    trial.digest = digest.digest()
    return trial


def heads(path: Path) -> list[Trial]:
    """Returns the first rows as each possible reader reads them: the readers of JSON, and those of lines only where no line is JSON."""
    found = [read(path, reader, HEAD) for reader, form in FORMS.items() if form.is_json]
    is_json = any(head.rows or head.refused.keys() <= {"type", "unannotated"} for head in found)
    return found if is_json else [*found, *(read(path, reader, HEAD) for reader, form in FORMS.items() if not form.is_json)]


def _begin(words: list[str]) -> str:
    return ", ".join(words[:SHOWN]) + ", …" * (len(words) > SHOWN)
