"""Reads what the user says about a new task's files beyond their reader: the words behind --set, keys of the task file that change what a reader reads.

In: `fields.ROLE=NAME`, `numbers=[…]`, `offsets=…`. Out: a Said, or a ToolError with every problem.

    ./ner new contracts --from table.csv --set fields.text=正文 fields.label=类别
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tools.conf.task import load_task
from tools.data.raw.row import FileReading
from tools.errors import ToolError

KEYS = ("fields", "numbers", "offsets")
# A task that has nothing but what every task needs, so that the task file's own rules judge the words.
_LEAST = "kind: ner\nraw: {train: x}\nreader: x\nsystem: x\nprompt: x\nlabels: [x]\n"

_NUMBER = re.compile(r"(?<=[\[,])\s*(-?\d+)\s*(?=[,\]])")  # a name that is a number, as in numbers=[0,1]


class Said(NamedTuple):
    """A task's `fields`, `numbers` and `offsets`."""

    fields: dict[str, str] = {}  # noqa: RUF012 - never changed
    numbers: tuple[str, ...] = ()
    offsets: str | None = None

    def reading(self) -> FileReading:
        """Returns a new reading with it."""
        return FileReading(self.fields, self.numbers)


NOTHING = Said()


def said(words: Sequence[str]) -> Said:
    """Returns what the words of --set say. Raises ToolError for another key, and for a value that no task file may have."""
    for word in words:
        key = word.partition("=")[0].partition(".")[0]
        if key not in KEYS or "=" not in word:
            raise ToolError(
                f"--set {word}: only fields.ROLE=NAME, numbers=[…] and offsets=… change how the file is read. The task file's other keys are yours to change in it."
            )
    with TemporaryDirectory(prefix="ner-new-") as folder:
        path = Path(folder) / "task.yaml"
        path.write_text(_LEAST, encoding="utf-8")
        try:
            task = load_task(path, [_NUMBER.sub(r"'\1'", word) if word.startswith("numbers=") else word for word in words])
        except ToolError as error:
            raise ToolError(str(error).replace(f"{path}: ", "--set: ")) from None
    return Said(task.fields, tuple(task.numbers), task.offsets)


def option(name: str, *values: str) -> str:
    """Returns an option that a message asks for, as ./ner and as make take it, with one value or several to choose from.

    >>> option("--kind", "ner", "classification")
    '--kind ner or --kind classification (make: ARGS="--kind ner")'
    """
    ways = [f"{name} {shlex.quote(value)}" for value in values]
    return f'{" or ".join(ways)} (make: ARGS="{ways[0]}")'
