"""Tries the readers on a raw file, and counts the rows that each makes of it. The file's name plays no part.

In: a file in UTF-8, and what the user says about it. Out: a Trial a reader. FORMS describes each reader's format as a user knows it.

    ./ner new contracts --from data/dataset/sample.train.jsonl
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tools.data.offsets.evidence import Evidence
from tools.data.raw.json_list import first_objects
from tools.data.raw.row import SEVERAL, TURNED_DOWN, BadRow, FileReading, RawRow, misplaced
from tools.data.readers import READERS
from tools.data.scaffold.said import NOTHING, Said
from tools.data.sources import Source
from tools.text import LONGEST_LABEL, one_line, quoted

HEAD = 200  # a reader that reads none of so many rows is given up
SHOWN = 3  # entities or options of a row in a message
OF_LABEL_STUDIO = "annotation_id"  # of JSON-MIN's rows, which other readers take for rows of their own: one for each annotator
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z.'-]{0,20}|[.,!?;:'\"-]")

_BETWEEN_PARTS = re.compile(r"[\s:：=/|,，;；()（）\[\]]+")


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
    "spans": Form(
        "a text and its spans (spaCy's, Prodigy's, CMeEE's, CCKS's, or any list of start, end and label)",
        '{"text": "叶老桂说", "entities": [{"start_idx": 0, "end_idx": 2, "type": "PER", "entity": "叶老桂"}]}',
    ),
    "tokens": Form(
        "lists of tokens and their tags (Hugging Face's ner_tags), or spans that count tokens (GLiNER, W2NER, SpERT)",
        '{"tokens": ["叶", "老", "桂", "说"], "ner_tags": ["B-PER", "I-PER", "I-PER", "O"]}',
    ),
    "instruction": Form(
        "rows of instruction tuning, of entities or classes (Alpaca, ShareGPT, OpenAI's messages)",
        '{"instruction": "找出人名", "input": "叶老桂说", "output": "[{\\"label\\": \\"人名\\", \\"text\\": \\"叶老桂\\"}]"}',
    ),
    "iepile": Form(
        "IEPile's rows (a question in JSON with `schema` and `input`)",
        '{"task": "NER", "instruction": "{\\"schema\\": [\\"人物\\"], \\"input\\": \\"叶老桂说\\"}", "output": "{\\"人物\\": [\\"叶老桂\\"]}"}',
    ),
    "uie": Form(
        "UIE's rows (`content`, `result_list`, `prompt`)",
        '{"content": "叶老桂说", "result_list": [{"text": "叶老桂", "start": 0, "end": 3}], "prompt": "人名"}',
    ),
    "bio": Form("columns of tokens and tags", "叶 B-PER   (one token and its tag a line, a blank line between sentences)", is_json=False),
    "slash_tags": Form("words with a tag behind each, a sentence a line", "叶老桂/PER 说/O", is_json=False),
    "marked": Form("texts with marked entities (YEDDA, Boson, XML), a text a line", "[@叶老桂#PER*]说", is_json=False),
    "brat": Form("brat's standoff annotation (.ann beside .txt, or a folder of them)", "T1⇥PER 0 3⇥叶老桂   (in a.ann, beside a.txt)", is_json=False),
    "table": Form(
        "a table (CSV, TSV, Excel)",
        "text,label   (a header; below it: 比赛结束了,体育)",
        is_json=False,
    ),
    "fasttext": Form("fastText's lines", "__label__体育 比赛结束了", is_json=False),
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
    misplaced: int = 0  # rows with a string that isn't at its offsets
    digest: bytes = b""  # of the readable rows
    tokens: int = 0  # rows with a class whose text is one character or one Latin word
    quoting: int = 0  # rows with a class, of several parts, that repeats a string of the text: 'PER:张三'
    quoted: int = 0  # rows with a class that is a string of the text
    reading: FileReading = field(default_factory=FileReading)
    evidence: Evidence = field(default_factory=Evidence)  # what the offsets say of themselves

    @property
    def refusals(self) -> int:
        """The number of rows that can't be used."""
        return self.refused.total()

    @property
    def bare(self) -> int:
        """The number of rows without annotation, or whose annotator took them out."""
        return self.refused["unannotated"] + self.refused[TURNED_DOWN]

    @property
    def fits(self) -> bool:
        """Whether the file is of this reader's format. Some rows may be damaged, any number not annotated yet."""
        return self.rows > 0 and self.rows >= self.refusals - self.bare

    @property
    def seen(self) -> tuple[int, ...]:
        """How much the reader finds in the file: annotated rows, rows, rows with options, entities and classes; then how few strings aren't at their offsets."""
        return self.annotated, self.rows, self.with_options, self.entities.total() + self.classes.total(), -self.misplaced

    @property
    def reason(self) -> str:
        """Why this reader is taken, a clause."""
        return f"{self.rows:,} of {self.rows + self.refusals:,} rows read as {FORMS[self.reader].name}"

    @property
    def sample(self) -> str:
        """The annotation of `first` as the reader understood it, for a message."""
        return f"{place(self.first)} holds {held(self.first)}" if self.first else "no row"

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
        self.misplaced += bool(misplaced(row))
        if row.label is not None:
            self.classes[row.label] += 1
            self.tokens += len(row.text) == 1 or bool(_LATIN_WORD.fullmatch(row.text))
            self.quoted += len(row.label) > 1 and row.label in row.text
            parts = _BETWEEN_PARTS.split(row.label) if len(row.label) <= LONGEST_LABEL else []
            self.quoting += len(parts) > 1 and any(len(part) > 1 and part in row.text for part in parts)
        if row.options is not None:
            self.with_options += 1
            self.options.update(set(row.options))


def read(path: Path, reader: str, limit: int | None = None, said: Said = NOTHING) -> Trial:
    """Returns the rows that a reader makes of a file, or of its first `limit` rows."""
    trial, digest = Trial(reader, reading=said.reading()), hashlib.sha256()
    source = Source(path, offsets=said.offsets, reading=trial.reading)
    for _, row in islice(source.rows(READERS[reader], f"{path.name} as {reader}"), limit):
        trial.add(row)
        if isinstance(row, RawRow):
            digest.update(repr((row.text, row.entities, row.label, row.options)).encode("utf-8", "surrogatepass"))
            if limit is None and not said.offsets:
                trial.evidence.add(row)
    trial.digest = digest.digest()
    return trial


def heads(path: Path, said: Said = NOTHING) -> list[Trial]:
    """Returns the first rows as each possible reader reads them: the readers of JSON, and those of lines only where no line is JSON.

    A folder, and one of two files that belong together, are brat's; rows with Label Studio's own field are Label Studio's.
    """
    brat = read(path, "brat", HEAD, said)
    if path.is_dir() or brat.entities:
        return [brat]
    if any(OF_LABEL_STUDIO in row for row in first_objects(path, 1)):
        return [read(path, "label_studio", HEAD, said)]
    found = [read(path, reader, HEAD, said) for reader, form in FORMS.items() if form.is_json]
    is_json = any(head.rows or head.refused.keys() <= {"type", "unannotated", TURNED_DOWN, SEVERAL} for head in found)
    return found if is_json else [*found, *(read(path, reader, HEAD, said) for reader, form in FORMS.items() if not form.is_json)]


def place(row: RawRow) -> str:
    """Returns a row's name in a message."""
    return row.item or f"line {row.line}"


def held(row: RawRow) -> str:
    """Returns a row's annotation, for a message."""
    found = _begin([f"{quoted(entity.text)} ({entity.label})" for entity in row.entities])
    if row.label is not None:
        found += f"{' and ' * bool(found)}the class {quoted(row.label)}"
    if row.options is not None:
        found += f" of the options {_begin([*map(quoted, row.options)])}"
    return one_line(found or "no annotation")


def _begin(words: list[str]) -> str:
    return ", ".join(words[:SHOWN]) + ", …" * (len(words) > SHOWN)
