"""Finds a command's tasks and a task's raw files: the reader, the file or slice of each split, and the split of each row.

In: a command's words, or a task. Out: the tasks; a task's reader and its sources, whose rows are streamed. Conversion and the doctor both read through this
module, so they see the same rows.

    ./ner data conf/task/clue.yaml 'raw.train=all.jsonl[:-1000]' 'raw.dev=all.jsonl[-1000:]'
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from tools.conf.run import Run
from tools.conf.task import TASKS, Shares, Task, load_task
from tools.data.offsets.units import OWN, read_as
from tools.data.raw.lines import files_of
from tools.data.raw.row import BadRow, FileReading, RawRow, Reader
from tools.data.readers import READERS
from tools.data.repeats import digest
from tools.errors import ToolError, all_at_once, choices, disk_problem
from tools.files import need_file
from tools.text import one_line, quoted

_SLICE = re.compile(r"(?P<path>.+)\[(?P<start>-?\d{1,100})?:(?P<stop>-?\d{1,100})?\]")
_LIKE_A_SLICE = re.compile(r".+(?P<slice>\[[^\[\]]*\])")


@dataclass(frozen=True)
class Source:
    """A raw file, the slice of its rows that a split takes, and what the task says about it. The bounds are Python's: a negative one counts from the end.

    `offsets` is the task's reading of offsets that have no string beside them.
    """

    path: Path
    start: int | None = None
    stop: int | None = None
    offsets: str | None = None
    reading: FileReading = field(default_factory=FileReading)

    @classmethod
    def parse(cls, value: str) -> Source:
        """Reads 'train.jsonl' or 'train.jsonl[:-1000]'. A file that really has such a name is taken whole. Raises ToolError for brackets that are no slice."""
        match = _SLICE.fullmatch(value)
        if os.path.exists(value) or not (like := match or _LIKE_A_SLICE.fullmatch(value)):  # noqa: PTH110 - False for a name that is too long
            return cls(Path(value))
        if not match:
            raise ToolError(
                f"{one_line(value)}: {quoted(like['slice'])} is no slice of rows. Write [START:STOP], whole numbers that count rows from 0, either of them left"
                " out or negative, which counts from the end: [:1000], [-1000:]."
            )
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
        if self.offsets:
            rows = ((number, self._reread(row)) for number, row in rows)  # type: ignore[assignment]
        return iter(tqdm(rows, desc=title, unit=" rows", disable=None, leave=False))

    def _reread(self, row: RawRow | BadRow) -> RawRow | BadRow:
        if isinstance(row, BadRow) or not row.entities:
            return row
        if not row.sliced:
            self.reading.doubt(f"offsets: {self.offsets} does nothing here: the file has strings beside its offsets, and these tell", row.line)
            return row
        return read_as(row, self.offsets or OWN)


def in_turn(words: Sequence[str], work: Callable[[Task, list[str]], int]) -> int:
    """Calls `work(task, overrides)` with each task whose file is among a command's words; `overrides` are the other words. Returns the highest exit code.

    Of several tasks, those whose raw files aren't here are passed over, which is printed. A task that fails doesn't stop the others. Raises one ToolError with
    everything that failed, at the end.
    """
    paths, overrides = named_tasks(words)
    codes, faults = [], []
    for path in paths:
        try:
            task = load_task(path, overrides)
            if len(paths) == 1 or _is_here(task):
                codes.append(work(task, overrides))
        except (ToolError, OSError) as fault:
            faults.append(fault if isinstance(fault, ToolError) else ToolError(f"{path}: {disk_problem(fault)}"))
    if faults:
        raise ToolError("\n".join(map(str, faults)), max(fault.exit_code for fault in faults))
    if not codes:
        raise ToolError("no raw file of any task is here. Put one where its task names it, or name another: ./ner data TASK.yaml raw.train=FILE")
    return max(codes)


def named_tasks(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Returns the task files among a command's words, and the other words, which are laid over the only task.

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
    return paths, overrides


def _is_here(task: Task) -> bool:
    """Returns whether one of the task's raw files is here, and prints the task where none is."""
    paths = [Source.parse(value).path for value in task.raw.values()]
    if any(path.exists() for path in paths):
        return True
    print(f"{task.name}: skipped, its raw files are not here: {', '.join(map(str, paths)) or 'it names none'}")
    return False


def sources_of(task: Task) -> tuple[Reader, dict[str, Source]]:
    """Returns the task's reader and each split's source. Raises one ToolError with everything that is missing or wrong."""
    sources = {
        split: replace(Source.parse(value), offsets=task.offsets, reading=FileReading(task.fields, task.numbers)) for split, value in task.raw.items()
    }
    problems = []
    if task.reader not in READERS:
        problems.append(f"{task.path}: unknown reader '{task.reader}'.{choices(task.reader, READERS)}")
    for split, source in sources.items():
        try:
            need_raw(source.path, f"{task.path} names it as raw.{split}; put it there, or say where it is: raw.{split}=PATH")
        except ToolError as error:
            problems.append(str(error))
    all_at_once(problems)
    return READERS[task.reader], sources


def need_raw(path: Path, next_command: str) -> Path:
    """Returns `path` if it is a file, or a folder of brat's pairs. Raises ToolError with the next command otherwise."""
    return path if path.is_dir() and files_of(path) else need_file(path, next_command)


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
