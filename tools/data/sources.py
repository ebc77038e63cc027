"""Tasks by name, and a task's raw files: which reader, which file or slice of one for each split, and into which split a row falls.

In: a command's words, or a task. Out: the tasks; a task's reader and its sources, whose rows are streamed. The converter and the doctor read through this, so they see the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from tools.conf.task import TASKS, Shares, Task, load_task
from tools.data.readers import READERS
from tools.data.readers.row import BadRow, RawRow
from tools.data.repeats import digest
from tools.errors import ToolError, all_at_once, choices
from tools.files import need_file


@dataclass(frozen=True)
class Source:
    """A raw file and the slice of its rows that a split takes (Python's own: negative counts from the end)."""

    path: Path
    start: int | None = None
    stop: int | None = None

    @classmethod
    def parse(cls, value: str) -> Source:
        """From 'train.jsonl' or 'train.jsonl[:-1000]'; a file that is really called so is taken as it is."""
        match = re.fullmatch(r"(?P<path>.+)\[(?P<start>-?\d*):(?P<stop>-?\d*)\]", value)
        if not match or Path(value).exists():
            return cls(Path(value))
        bounds = [int(match[name]) if match[name] not in ("", "-") else None for name in ("start", "stop")]
        return cls(Path(match["path"]), *bounds)

    def rows(self, read: Callable[[Path], Iterator[RawRow | BadRow]]) -> Iterator[tuple[int, RawRow | BadRow]]:
        """(row number in the whole file from 1, row) of the slice, streamed; a negative bound costs one pass more, to count."""
        start, stop = self.start or 0, self.stop
        if start < 0 or (stop or 0) < 0:
            total = sum(1 for _ in read(self.path))
            start, stop, _ = slice(self.start, self.stop).indices(total)
        return islice(enumerate(read(self.path), 1), start, max(start, stop) if stop is not None else None)


def named_tasks(words: Sequence[str]) -> tuple[list[Task], list[str]]:
    """The tasks whose files are among a command's words, and the other words, key=value, which lie over the one task; without a file that's an error."""
    paths = [Path(word) for word in words if re.fullmatch(r"[^=]+\.ya?ml", word)]
    overrides = [word for word in words if Path(word) not in paths]
    if not paths:
        raise ToolError(f"no task file among: {' '.join(words)}.{choices('', map(str, TASKS.glob('*.yaml')))}")
    if len(paths) > 1 and overrides:
        raise ToolError(f"{' '.join(overrides)}: for which task? Name one task (make: TASK=…).")
    return [load_task(path, overrides) for path in paths], overrides


def present(tasks: Sequence[Task]) -> Iterator[Task]:
    """The tasks, less those of several that have no raw file here, which are said; a task that is alone is never left out."""
    for task in tasks:
        paths = [Source.parse(value).path for value in task.raw.values()]
        if len(tasks) > 1 and not any(path.exists() for path in paths):
            print(f"{task.name}: skipped, its raw files are not here: {', '.join(map(str, paths))}")
        else:
            yield task


def sources_of(task: Task) -> tuple[Callable[[Path], Iterator[RawRow | BadRow]], dict[str, Source]]:
    """The task's reader and the raw file, or the slice of one, of each split; every one that can't be read is told of in one ToolError."""
    sources = {split: Source.parse(value) for split, value in task.raw.items()}
    problems = []
    if task.reader not in READERS:
        problems.append(f"{task.path}: unknown reader '{task.reader}'.{choices(task.reader, READERS)}")
    for split, source in sources.items():
        if not re.fullmatch(r"[A-Za-z0-9-]+", split):
            problems.append(f"{task.path}: raw.{split}: a split's name is letters, digits and '-'; it becomes part of file names.")
        try:
            need_file(source.path, f"{task.path} names it as raw.{split}; put it there, or say where it is: raw.{split}=PATH")
        except ToolError as error:
            problems.append(str(error))
    all_at_once(problems)
    return READERS[task.reader], sources


def of_kind(row: RawRow, task: Task) -> RawRow:
    """The row with that of its annotation which the task is about: Label Studio's projects and examples may have both entities and a class.

    A class alone stays with a task of kind ner, so that the row is seen to be of the wrong kind; only Label Studio's may be a row without an entity.
    """
    if task.kind == "classification":
        return replace(row, entities=[]) if row.entities else row
    both = row.label is not None and (bool(row.entities) or task.reader == "label_studio")
    return replace(row, label=None, options=None) if both else row


def share_of(text: str, shares: Shares) -> str | None:
    """The split that a text falls into, by a hash of seed and text, or None for what is left: the same text, the same split, whatever else is in the file."""
    point = int.from_bytes(digest(str(shares.seed), text)[:8], "big") / 2**64
    for name, share in shares.of.items():
        if point < share:
            return name
        point -= share
    return None
