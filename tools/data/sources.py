"""Finds a command's tasks and a task's raw files: the reader, the file or slice of each split, and the split of each row.

In: a command's words, or a task. Out: the tasks; a task's reader and its sources, whose rows are streamed. Conversion and the doctor both read through this
module, so they see the same rows.

    ./ner data conf/task/clue.yaml 'raw.train=all.jsonl[:-1000]' 'raw.dev=all.jsonl[-1000:]'
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from tools.conf.run import Run
from tools.conf.task import TASKS, Shares, Task, load_task
from tools.data.readers import READERS
from tools.data.readers.row import BadRow, RawRow, Reader, Reading
from tools.data.repeats import digest
from tools.errors import ToolError, all_at_once, choices
from tools.files import need_file

_SLICE = re.compile(r"(?P<path>.+)\[(?P<start>-?\d{1,100})?:(?P<stop>-?\d{1,100})?\]")


@dataclass(frozen=True)
class Source:
    """A raw file, the slice of its rows that a split takes, and what the task says about it. The bounds are Python's: a negative one counts from the end."""

    path: Path
    start: int | None = None
    stop: int | None = None
    reading: Reading = field(default_factory=Reading)

    @classmethod
    def parse(cls, value: str) -> Source:
        """Reads 'train.jsonl' or 'train.jsonl[:-1000]'. A file that really has such a name is taken whole."""
        match = _SLICE.fullmatch(value)
        if not match or Path(value).exists():
            return cls(Path(value))
        # No file has more rows than `islice` takes.
        start, stop = (max(-sys.maxsize, min(int(digits), sys.maxsize)) if digits else None for digits in match.group("start", "stop"))
        return cls(Path(match["path"]), start, stop)

    def rows(self, read: Reader, title: str) -> Iterator[tuple[int, RawRow | BadRow]]:
        """Yields (row number in the whole file from 1, row) of the slice, with a progress bar. A negative bound costs one more pass, to count the rows."""
        from tqdm import tqdm

        start, stop = self.start or 0, self.stop
        if start < 0 or (stop or 0) < 0:
            total = sum(1 for _ in read(self.path, self.reading))
            start, stop, _ = slice(self.start, self.stop).indices(total)
        rows = islice(enumerate(read(self.path, self.reading), 1), start, max(start, stop) if stop is not None else None)
        return iter(tqdm(rows, desc=title, unit=" rows", disable=None, leave=False))


def named_tasks(words: Sequence[str]) -> tuple[list[Task], list[str]]:
    """Returns the tasks whose files are among a command's words, and the other words, which are laid over the only task.

    Raises ToolError if no task is named, if words could belong to several tasks, or if two tasks of one name would write the same files.
    """
    paths = list(dict.fromkeys(Path(word) for word in words if re.fullmatch(r"[^=]+\.ya?ml", word)))
    overrides = [word for word in words if Path(word) not in paths]
    if not paths:
        raise ToolError(f"no task file among: {' '.join(words) or '(no words)'}.{choices('', map(str, TASKS.glob('*.yaml')))}")
    if len(paths) > 1 and overrides:
        raise ToolError(f"{' '.join(overrides)}: this belongs to one task, and {len(paths)} are named. Name one task (make: TASK=…).")
    if twice := [path for path in paths if [other.stem for other in paths].count(path.stem) > 1]:
        raise ToolError(
            f"{', '.join(map(str, twice))}: tasks of one name write the same files. Rename one, or convert them to different folders (--out)."
        )
    return [load_task(path, overrides) for path in paths], overrides


def present(tasks: Sequence[Task]) -> list[Task]:
    """Returns the tasks whose raw files are here, and prints the others. A single task is always returned. Raises ToolError if none is left."""
    kept = []
    for task in tasks:
        paths = [Source.parse(value).path for value in task.raw.values()]
        if len(tasks) == 1 or any(path.exists() for path in paths):
            kept.append(task)
        else:
            print(f"{task.name}: skipped, its raw files are not here: {', '.join(map(str, paths)) or 'it names none'}")
    if not kept:
        raise ToolError("no raw file of any task is here. Put one where its task names it, or name another: ./ner data TASK.yaml raw.train=FILE")
    return kept


def sources_of(task: Task) -> tuple[Reader, dict[str, Source]]:
    """Returns the task's reader and each split's source. Raises one ToolError with everything that is missing or wrong."""
    sources = {split: replace(Source.parse(value), reading=Reading(task.fields, task.numbers)) for split, value in task.raw.items()}
    problems = []
    if task.reader not in READERS:
        problems.append(f"{task.path}: unknown reader '{task.reader}'.{choices(task.reader, READERS)}")
    for split, source in sources.items():
        try:
            need_file(source.path, f"{task.path} names it as raw.{split}; put it there, or say where it is: raw.{split}=PATH")
        except ToolError as error:
            problems.append(str(error))
    all_at_once(problems)
    return READERS[task.reader], sources


def keep_raw(raw: Iterable[Path], written: Iterable[Path]) -> None:
    """Raises ToolError if a file that will be written is one of the raw files."""
    kept = {path.resolve() for path in raw}
    found = [path for path in written if path.resolve() in kept]
    all_at_once(
        [f"{path}: is a raw file of the task and would be overwritten. Copy it elsewhere, or choose another folder with --out." for path in found]
    )


def command(verb: str, task: Task, words: Sequence[str] = (), run: Run | None = None) -> str:
    """Returns the command that calls a verb for a task, a make command if make can name it: `make check TASK=clue CONF=conf/<run>.yaml ARGS="--fix"`."""
    words = [*words, *(["--args", *run.overrides] if run and run.overrides else [])]
    if task.path == TASKS / task.path.name:
        conf = f" CONF={run.path}" if run else ""
        return f"make {verb} TASK={task.name}{conf}" + (f' ARGS="{shlex.join(words)}"' if words else "")
    return shlex.join(["./ner", verb, str(task.path), *(["--conf", str(run.path)] if run else []), *words])


def of_kind(row: RawRow, task: Task) -> RawRow:
    """Returns the row with the annotation of the task's kind only: a Label Studio project or an example may have both entities and a class.

    In a task of kind ner, a row that has only a class keeps it, so that it is reported as a row of the wrong kind. In a Label Studio project such a row is
    one without an entity.
    """
    if task.kind == "classification":
        return replace(row, entities=[]) if row.entities else row
    both = row.label is not None and (bool(row.entities) or task.reader == "label_studio")
    return replace(row, label=None, options=None) if both else row


def share_of(text: str, shares: Shares) -> str | None:
    """Returns the split that a text falls into by a hash of seed and text, or None for the rest. Other texts have no influence."""
    point = digest(str(shares.seed), text) / 2**64
    for name, share in shares.of.items():
        if point < share:
            return name
        point -= share
    return None


def split_of(row: RawRow, split: str, task: Task) -> str:
    """Returns the split of a row of the raw file of `split`, which a task with `split:` divides."""
    return (task.split and share_of(row.text, task.split)) or split
