"""Reads rows of instruction tuning, of entities or of classes: Alpaca, ShareGPT, OpenAI's messages, Firefly and the like.

{"instruction": "找出人名和地点", "input": "张三在北京", "output": "[{\\"label\\": \\"人名\\", \\"text\\": \\"张三\\"}]"}
{"instruction": "这条新闻属于哪一类？", "input": "比赛结束了", "output": "体育"}

What a row asks and answers is told by `turns`, where the text stands by `frame`, what the answer holds by `written`. The answer has no offsets, so each string is placed
where it stands first in the text. Answers that are one word out of few are classes; `fields.label=output` says that they are, `fields.text=input` which field is the
text. Out: one RawRow or BadRow a row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tools.data.raw.class_names import class_of, separator_of
from tools.data.raw.fields import Unusable
from tools.data.raw.json_list import first_objects, json_rows
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.data.readers.instruction_frame import Frame, find_frame
from tools.data.readers.instruction_turns import Turns, canonical, turns_of
from tools.data.readers.written_answers import WrittenAnswer, is_word, placed, read_written

# What answers of one line may be that are neither entities with labels nor classes.
_NO_CLASSES = (
    (re.compile(r"<[^<>]+>.*</|\[@|\{\{"), "texts with marked entities"),
    (re.compile(r"(?:\S+[ ,，])*[BIESMO](?:-\S+)?(?:[ ,，]+(?:O|[BIESM]-\S+))+"), "tags, one a token"),
    (re.compile(r"[(（].+[,，;；].+[,，;；].+[)）]"), "triples, relations between entities"),
    (re.compile(r"[。！？；]|[，,：:].*[，,]"), "sentences"),
)
_PARTS = re.compile(r"[、,，;；\s]+")
HEAD = 200  # rows that are looked at first
MOST_CLASSES = 100


def read_instruction(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one row for each question with its answer."""
    file = _File(path, reading)
    return json_rows(file.row)(path, reading)


class _File:
    """One file: where its rows have their text, and whether their answers are classes. `refusal` says why no row can be read, if so."""

    def __init__(self, path: Path, reading: FileReading) -> None:
        rows = _first_rows(path)
        asked = canonical(reading.fields.get("text", ""))
        self.refusal, self.frame, self.has_classes = "", Frame(asked), "label" in reading.fields
        try:
            if rows and not asked:
                self.frame = find_frame([row.asked for row in rows])
            if rows and not self.has_classes:
                self.has_classes = _are_classes(rows, self.frame, reading)
        except Unusable as fault:
            self.refusal = fault.args[0]
        self._reading = reading

    def row(self, line: int, row: dict[str, Any], _: FileReading) -> RawRow:
        turns = _turns(row)
        if self.refusal:
            raise Unusable(self.refusal, "named")
        text = self.frame.text_of(turns.asked)
        written = WrittenAnswer(None, turns.answer.strip()) if self.has_classes and is_word(turns.answer) else read_written(turns.answer, text)
        if written.pairs is None and not self.has_classes:
            raise Unusable(f"the answer {shown(written.word)} is no entity with its label; fields.label=output says that answers are classes.")
        if written.pairs is None:
            return self._said(
                RawRow(line, text, [], class_of(written.word, self._reading)), "each answer is one word out of few, so it is the text's class"
            )
        return self._said(
            RawRow(line, text, placed(text, written.pairs)),
            "each string of an answer, which has no offsets, is placed where it stands first in the text",
        )

    def _said(self, row: RawRow, rule: str) -> RawRow:
        self._reading.apply(str(self.frame), row.line)
        if self.frame.is_doubtful:
            self._reading.doubt(f"Every row has {shown(self.frame.before[-20:])} before the text, which may be a part of it.", row.line)
        self._reading.apply(rule, row.line)
        return row


def _turns(row: dict[str, Any]) -> Turns:
    turns = turns_of(row)
    if any('"schema"' in words and words.lstrip().startswith("{") for words in turns.asked.values()):
        raise Unusable("the question is JSON with a schema, as IEPile writes it: --reader iepile reads it.")
    return turns


def _first_rows(path: Path) -> list[Turns]:
    rows: list[Turns] = []
    for row in first_objects(path, HEAD):
        with suppress(Unusable):
            rows.append(_turns(row))
    return rows


def _are_classes(rows: list[Turns], frame: Frame, reading: FileReading) -> bool:
    """Returns whether the answers are classes. Raises Unusable where they are neither entities nor one word out of few."""
    read, faults = [], []
    for row in rows:
        try:
            text = frame.text_of(row.asked)
            read.append((read_written(row.answer, text), text))
        except Unusable as fault:
            faults.append(fault.args[0])
    if not read:
        raise Unusable(faults[0])
    bare = [(written.word, text) for written, text in read if written.pairs is None]
    if not bare or any(written.pairs for written, _ in read):
        _doubt_labels_in_texts(read, reading)
        return False
    words = Counter(written.word for written, _ in read if written.word)
    some = ", ".join(map(shown, [*words][:3]))
    if what := _no_classes(bare):
        raise Unusable(f"the answers ({some}, …) are {what}; answers that name entities with their labels are read, and classes.")
    if separator := separator_of([*words]):
        raise Unusable(f"several classes in an answer, parted by {shown(separator)} ({some}, …): a row of this project has one class.")
    if 2 <= len(words) <= MOST_CLASSES and 2 * len(words) <= words.total():
        return True
    raise Unusable(
        f"the answers ({some}, …) are no entities with labels, and {len(words)} different ones in {words.total()} rows: fields.label=output says that they are classes."
    )


def _doubt_labels_in_texts(read: list[tuple[WrittenAnswer, str]], reading: FileReading) -> None:
    """Doubts texts that name the labels of their own entities: the list of labels, which differs from row to row, may be a part of them."""
    labels = [({label for label, _ in written.pairs or ()}, text) for written, text in read]
    named = [all(label in text for label in own) for own, text in labels if len(own) > 1]
    if len(named) > 1 and 2 * sum(named) > len(named):
        reading.doubt("Most texts hold the labels of their entities: a part of the prompt may be in the texts.")


def _no_classes(bare: list[tuple[str, str]]) -> str:
    """Returns what bare answers are that are no classes, by themselves and by their texts; empty if they may be."""
    if 2 * sum(all(part in text for part in _PARTS.split(words)) for words, text in bare) > len(bare):
        return "strings of the text, without labels"
    return next((what for form, what in _NO_CLASSES if form.search(bare[0][0])), "")
