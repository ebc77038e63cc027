"""Reads the entities of IEPile (and of OneKE's training data), whose question is JSON with the labels and the text:

{"task": "NER", "source": "…", "instruction": "{\\"instruction\\": \\"…\\", \\"schema\\": [\\"人物\\"], \\"input\\": \\"张三在北京\\"}", "output": "{\\"人物\\": [\\"张三\\"]}"}

A text has several rows, each with a few of the labels; they are joined into one. The answer has no offsets, so each string is placed where it stands first in the
text. `NAN` and an empty list are no entity. Out: one RawRow or BadRow a text. Source: github.com/zjunlp/IEPile, README.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.data.raw.fields import Unusable, string, strings
from tools.data.raw.json_list import json_rows
from tools.data.raw.lines import DECODER
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.data.readers.instruction_turns import turns_of
from tools.data.readers.joined_rows import Texts, take
from tools.data.readers.written_answers import placed, read_written

JOINED = "the rows of one text, each with some of the labels, are one row"
PLACED = "each string of an answer, which has no offsets, is placed where it stands first in the text"


def read_iepile(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one row for each text."""
    notes: list[tuple[list[str], str]] = []
    parts: list[tuple[RawRow, tuple[list[str], str]]] = []
    bad: list[BadRow] = []

    def parse(line: int, row: dict[str, Any], _: FileReading) -> RawRow:
        schema, text, answer = _question(row)
        part, fault = RawRow(line, text, []), ""
        try:
            part.entities = placed(text, _pairs(answer, text, schema))
        except Unusable as error:
            fault = error.args[0]
        notes.append((schema, fault))
        return part

    yield from take(json_rows(parse)(path, reading), notes, parts, bad)
    texts = Texts()
    for part, (schema, fault) in parts:
        texts.add(part, schema, fault)
    _say(texts, len(parts), reading)
    yield from texts.rows(bad)


def _say(texts: Texts, parts: int, reading: FileReading) -> None:
    if parts:
        reading.apply(PLACED)
    if parts > len(texts.texts):
        reading.apply(JOINED)
    sets = len({frozenset(text.labels) for text in texts.texts.values()})
    if sets > 1:
        reading.doubt(f"The texts are asked for different labels ({sets} sets): a label that a text isn't asked for counts as absent from it.")


def _question(row: dict[str, Any]) -> tuple[list[str], str, Any]:
    """Returns a row's labels, its text and its answer."""
    if isinstance(row.get("task"), str) and row["task"] != "NER":
        raise Unusable(f"the row's task is {shown(row['task'])}; only NER's rows are read. They alone: grep '\"task\": *\"NER\"' FILE > NEW", "named")
    turns = turns_of({"output": row["label"], **row} if "label" in row else row)  # the test files' name of the answer
    asked = next((words for words in turns.asked.values() if words.lstrip().startswith("{")), "")
    try:
        question = DECODER.decode(asked)
    except (ValueError, RecursionError):
        question = None
    if not isinstance(question, dict) or "schema" not in question:
        raise Unusable(f"no question in JSON with 'schema' and 'input': {shown(turns.asked)}.")
    return strings(question, "schema"), string(question, "input"), turns.answer


def _pairs(answer: Any, text: str, schema: list[str]) -> list[tuple[str, str]]:
    pairs = read_written(answer, text).pairs
    if pairs is None or any(label not in schema for label, _ in pairs):
        raise Unusable(f"the answer must name entities of {', '.join(schema)}, it is {shown(answer)}.")
    return pairs
