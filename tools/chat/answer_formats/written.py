"""Defines a pair as it stands in an answer, and lists the pairs that an answer has to hold.

In: a task and an example. Out: its pairs as answers name them; and the type that each format's reader returns.

    .venv/train/bin/python -c "from tools.chat.answer_formats.written import Written; help(Written)"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tools.conf.task import Task
from tools.example import Entity, Example
from tools.text import neutralise


class Written(NamedTuple):
    """A pair of an answer: the label's name and the string, with the place of each in the answer as (start, end), end exclusive.

    `start` is the string's place in the text, where the format tells it.
    """

    label: str
    text: str
    label_at: tuple[int, int]
    text_at: tuple[int, int]
    start: int | None = None


def pairs_of(task: Task, example: Example) -> list[tuple[str, str]]:
    """Returns the unique pairs of an example, (the label's name, the string as the model sees it), in the task's order.

    The order 'source' keeps the raw file's, 'text' sorts by place in the text.
    """
    entities: Sequence[Entity] = example.entities
    if task.answer.order == "text":
        entities = sorted(entities, key=lambda entity: (entity.start, entity.end))
    names = task.names
    return [(names.get(label, label), neutralise(text)) for label, text in dict.fromkeys([(entity.label, entity.text) for entity in entities])]
