"""Rows that are in memory, and their score."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from tools.conf.task import Task, load_task
from tools.example import Entity, Example
from tools.predict.predictions import Prediction
from tools.score.rows import rows
from tools.score.score import score
from tools.score.tally import Setting, Tally

# The CLUENER document's table as integers: true positives, predicted, gold.
DOCUMENT = {
    "scene": (113, 163, 199),
    "position": (331, 411, 425),
    "organization": (269, 332, 344),
    "name": (412, 462, 451),
    "movie": (121, 139, 150),
    "government": (209, 257, 244),
    "game": (264, 316, 287),
    "company": (299, 377, 366),
    "book": (126, 154, 152),
    "address": (243, 408, 364),
}


def answer(pairs: Iterable[tuple[str, str]]) -> str:
    return json.dumps([{"label": label, "text": text} for label, text in pairs], ensure_ascii=False)


def example(id: str, text: str, *entities: tuple[str, str, int]) -> Example:
    return Example(id, text, [Entity(label, string, start, start + len(string)) for label, string, start in entities])


def toy(write_task: Callable[..., Path], labels: list[str]) -> Task:
    return load_task(write_task(labels=labels))


def counted(examples: Iterable[Example], predictions: dict[str, Prediction], setting: Setting) -> Tally:
    """Counts rows that are in memory, one by one."""
    counts = Tally()
    for row in rows(setting.task, examples, predictions):
        counts.add(row, setting)
    return counts


def result(task: Task, examples: list[Example], outputs: list[str | None], seen: frozenset[str] | None = None, first: bool = False) -> dict[str, Any]:
    predictions = {e.id: Prediction(e.id, output) for e, output in zip(examples, outputs, strict=True)}
    setting = Setting(task, seen, first=first)
    return cast(dict[str, Any], score(counted(examples, predictions, setting), setting, "dev"))


def document_rows() -> tuple[list[Example], list[str | None]]:
    """One example an entity: hits, then false alarms, then misses, so that the document's integers come out."""
    examples, outputs = [], list[str | None]()
    for label, (hits, predicted, gold) in DOCUMENT.items():
        for kind, count in (("hit", hits), ("alarm", predicted - hits), ("miss", gold - hits)):
            for number in range(count):
                text = f"{label}{kind}{number}"
                entities = [] if kind == "alarm" else [(label, text, 0)]
                examples.append(example(text, text, *entities))
                outputs.append("[]" if kind == "miss" else answer([(label, text)]))
    return examples, outputs
