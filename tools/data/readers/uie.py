"""Reads UIE's training data (PaddleNLP), one row a text and label, span ends exclusive:

{"content": "张三在北京", "result_list": [{"text": "张三", "start": 0, "end": 2}], "prompt": "人名"}

The rows of one text are joined into one. A prompt X的Y, X being in the text, asks for a relation and is passed over. A prompt with options, 情感倾向[正向，负向], asks for a class,
which its offsets, below zero, find in the prompt. Out: one RawRow or BadRow a text. Source: github.com/PaddlePaddle/PaddleNLP, information_extraction/text.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.data.raw.fields import Unusable, entity, objects, string
from tools.data.raw.json_list import json_rows
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.data.readers.joined_rows import Texts, take

_OPTIONS = re.compile(r".*\[([^\[\]]+)\]")
_SEPARATOR = re.compile(r"\s*[,，;；、]\s*")
_RELATIONS = (re.compile(r"(?P<subject>.+)的(?P<name>.+)"), re.compile(r"(?P<name>.+) of (?P<subject>.+)"))


def read_uie(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one row for each text."""
    notes: list[str] = []
    parts: list[tuple[RawRow, str]] = []
    bad: list[BadRow] = []

    def parse(line: int, row: dict[str, Any], _: FileReading) -> RawRow:
        part = _part(line, row)
        notes.append(row["prompt"])
        return part

    yield from take(json_rows(parse)(path, reading), notes, parts, bad)
    texts, relations = Texts(), _relations(parts)
    for part, prompt in parts:
        if prompt in relations:
            reading.apply(f"prompts of the form X的Y, such as {shown(prompt)}, ask for relations and were passed over", part.line)
            texts.add(replace(part, entities=[]), [])
        else:
            texts.add(part, [prompt])
    if len(parts) > len(texts.texts):
        reading.apply("the rows of one text, one a label, are one row")
    yield from texts.rows(bad)


def _part(line: int, row: dict[str, Any]) -> RawRow:
    text, prompt, results = string(row, "content"), string(row, "prompt"), objects(row, "result_list")
    if (options := _OPTIONS.fullmatch(prompt)) and all(type(start := result.get("start")) is int and start < 0 for result in results):
        if len(results) != 1:
            raise Unusable(f"one class is needed, the row has {len(results)} of {shown(prompt)}.", "unannotated" if not results else "type")
        return RawRow(line, text, [], string(results[0], "text"), _SEPARATOR.split(options[1]))
    found = [entity({**result, "label": prompt}, "label", "text", "start", "end") for result in results]
    return RawRow(line, text, found)


def _relations(parts: list[tuple[RawRow, str]]) -> set[str]:
    """Returns the prompts that ask for a relation: each of their texts has the subject, which is an entity of the text or one of several of that relation."""
    entities: defaultdict[str, set[str]] = defaultdict(set)
    texts: defaultdict[str, set[str]] = defaultdict(set)
    for row, prompt in parts:
        texts[prompt].add(row.text)
        entities[row.text].update(one.text for one in row.entities)
    found: dict[str, tuple[str, str]] = {}  # prompt → subject, relation
    for prompt, own in texts.items():
        for form in _RELATIONS:
            if (match := form.fullmatch(prompt)) and all(match["subject"] in text for text in own):
                found[prompt] = match["subject"], match["name"]
    subjects: defaultdict[str, set[str]] = defaultdict(set)
    for subject, name in found.values():
        subjects[name].add(subject)
    return {
        prompt for prompt, (subject, name) in found.items() if len(subjects[name]) > 1 or all(subject in entities[text] for text in texts[prompt])
    }
