"""Converts raw annotation to examples and Alpaca files, with LLaMA-Factory's dataset_info.json.

In: task files and their raw files. Out: `<out>/examples/<task>_<split>.jsonl` and `<out>/alpaca/alpaca_<task>_<split>.json`.
All files of a task appear together or not at all, and a second call writes the same bytes. Every row of a raw file becomes a row of each, or is refused with a
reason. Then nothing is written; with on_error=skip the refused rows are listed in `<out>/examples/<task>_<split>.skipped.jsonl` instead.

    ./ner data conf/task/sample.yaml
    ./ner data conf/task/clue.yaml 'raw.train=all.jsonl[:-1000]' 'raw.dev=all.jsonl[-1000:]'
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from tools.chat import prompt
from tools.conf.task import DATASET, Task
from tools.data.excerpts import Excerpts
from tools.data.faults import errors
from tools.data.offsets.evidence import Evidence
from tools.data.offsets.verdict import ONE_EACH, disagree
from tools.data.raw.encodings import encoding_of, other_than_utf8
from tools.data.raw.row import TURNED_DOWN, BadRow, RawRow, Reader, place_of
from tools.data.readers import DECODING
from tools.data.repeats import annotation, digest
from tools.data.sources import Source, command, in_turn, keep_raw, of_kind, sources_of, split_of
from tools.data.stamp import INFO, left_over, stamp
from tools.errors import WANTING, ToolError
from tools.example import Example
from tools.files import Transaction, read_json

SHOWN = 20  # bad rows in a message
SHOWN_OF_A_ROW = 3  # faults
COLUMNS = {"prompt": "input", "system": "instruction", "response": "output"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the words of `./ner data`."""
    parser.add_argument("words", nargs="*", metavar="TASK.yaml|key=value", help="task files; key=value overrides the task's own (make: TASK=…)")
    parser.add_argument("--out", type=Path, default=DATASET, metavar="DIR", help=f"the dataset folder (default: {DATASET})")


def main(args: argparse.Namespace) -> int:
    """Converts the tasks, and prints what became of each split's rows and how they were read."""
    return in_turn(args.words, lambda task, _: _convert_and_show(task, args.out))


def _convert_and_show(task: Task, out: Path) -> int:
    splits = convert(task, out)
    for split in splits:
        print(f"{split} → {split.alpaca}")
        if split.refused or split.repeated or split.turned_down:
            print(f"  rows left out, with reasons: {split.skipped}")
    for gone, paths in left_over(task, out).items():
        print(
            f"look: {paths[0]}: the task no longer has the split '{gone}', whose texts may be trained on now. To remove it: rm {' '.join(map(str, paths))}"
        )
    excerpts = splits[0].excerpts
    print(*excerpts.lines(), *(f"look: {doubt}" for doubt in excerpts.doubts()), sep="\n", flush=True)
    return 0


class SplitWriter:
    """Writes one split's files row by row, and counts what became of its rows. A task's splits share their `excerpts`."""

    def __init__(self, task: Task, name: str, line: Callable[[Example], str], new: Transaction, out: Path, excerpts: Excerpts) -> None:
        self.task, self.name, self.excerpts = task, name, excerpts
        self.rows = self.pairs = self.empty = self.repairs = self.refused = self.repeated = self.turned_down = 0
        self.examples = task.examples(name, out)
        self.alpaca = out / "alpaca" / alpaca_name(task, name)
        self.skipped = out / "examples" / f"{task.name}_{name}.skipped.jsonl"
        self._prefix, self._line, self._new = f"{task.name}-{name}-", line, new
        self._examples, self._alpaca = new.open(self.examples), new.open(self.alpaca)
        self._alpaca.write("[")
        new.remove(self.skipped)

    def write(self, number: int, row: RawRow) -> None:
        """Adds a good row; `number` is its place in the raw file, from 1."""
        example = Example(f"{self._prefix}{number:06d}", row.text, row.entities, row.label, row.options)
        self._examples.write(example.to_json() + "\n")
        self._alpaca.write((",\n" if self.rows else "\n") + self._line(example))
        pairs = len({(entity.label, entity.text) for entity in row.entities}) if row.label is None else 1
        self.excerpts.add(row)
        self.rows += 1
        self.pairs += pairs
        self.empty += not pairs
        self.repairs += len(row.repairs)

    def leave_out(self, path: Path, row: RawRow | BadRow, reason: str) -> None:
        """Lists a row among the skipped ones."""
        place = {"file": str(path), "line": row.line, **({"item": row.item} if row.item else {})}
        self._new.open(self.skipped).write(json.dumps({**place, "reason": reason}, ensure_ascii=False) + "\n")

    def finish(self) -> dict[str, Any]:
        """Ends the files, and returns the split's entry of dataset_info.json. Raises ToolError if no row was written."""
        if not self.rows:
            where = self.task.raw.get(self.name) or f"split.{self.name} of {self.task.path}"
            raise ToolError(f"{where}: no rows in it{f', {self.refused:,} were refused' if self.refused else ''}.", WANTING)
        self._alpaca.write("\n]\n")
        for file in (self._examples, self._alpaca):
            file.flush()
        return {"file_name": self.alpaca.name, "columns": COLUMNS, "stamp": stamp(Path(self._examples.name), Path(self._alpaca.name))}

    def __str__(self) -> str:
        parts = [f"{self.task.name} {self.name}: {self.rows:,} rows"]
        if self.task.kind == "ner":
            parts += [f"{self.pairs:,} unique (label, string) pairs", f"{self.empty:,} rows without an entity"]
        counts = {
            "tags repaired": self.repairs,
            "repeated texts left out": self.repeated,
            "taken out by their annotator": self.turned_down,
            "bad rows skipped": self.refused,
        }
        return ", ".join([*parts, *(f"{count:,} {what}" for what, count in counts.items() if count)])


def convert(task: Task, out: Path) -> list[SplitWriter]:
    """Writes one task's examples, Alpaca files and dataset_info entries in the folder `out`. Returns each split's writer, which holds its counts.

    Raises ToolError for what is missing (exit code 2) and, unless the task has `on_error: skip`, for rows that can't be used (exit code 1; up to SHOWN are
    listed). Then nothing is written.
    """
    read, sources = sources_of(task)
    line = prompt.alpaca_line(task)
    info = out / "alpaca" / INFO
    with _held(info.parent), Transaction() as new:
        known = _dataset_info(info)
        excerpts = Excerpts(task, [source.reading for source in sources.values()])
        writers = {name: SplitWriter(task, name, line, new, out, excerpts) for name in [*sources, *(task.split.of if task.split else ())]}
        keep_raw(
            [source.path for source in sources.values()],
            [path for writer in writers.values() for path in (writer.examples, writer.alpaca, writer.skipped)],
        )
        _need_utf8(task, sources)
        bad: list[str] = []
        evidence: dict[Path, Evidence] = {}
        for name, source in sources.items():
            bad += _pour(task, name, source, read, writers, evidence.setdefault(source.path, Evidence()))
        _heed(evidence, task, sources)
        if bad and task.on_error == "stop":
            raise _refusal(bad, task, [*writers.values()])
        entries = {f"alpaca_{task.name}_{name}": writer.finish() for name, writer in writers.items()}
        # Opened last, so it is moved into place last: its stamps mark a complete conversion.
        new.open(info).write(json.dumps({**known, **entries}, ensure_ascii=False, indent=2) + "\n")
    return list(writers.values())


def row_problem(row: RawRow, task: Task) -> str:
    """Returns why a readable row can't become an example; empty if it can."""
    found = [*errors(row, task)]
    return " ".join(islice(dict.fromkeys(message for _, message in found), SHOWN_OF_A_ROW)) if found else ""


def alpaca_name(task: Task, split: str) -> str:
    """Returns the file name of a split's Alpaca rows."""
    return f"alpaca_{task.name}_{split}.json"


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Waits until no other conversion writes to the folder, and holds it: two at once would lose each other's entries. Its lock ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _need_utf8(task: Task, sources: dict[str, Source]) -> None:
    """Raises ToolError (1) for raw files that are in another encoding as a whole: their rows would only say so one by one."""
    encodings = {source.path: encoding_of(source.path) for source in sources.values() if task.reader not in DECODING}
    found = [f"{path}: {other_than_utf8(encoding)}" for path, encoding in encodings.items() if not encoding.startswith("utf-8")]
    if found:
        raise ToolError("\n".join([*found, f"Nothing was written. For a copy in UTF-8: {command('check', task, ['--fix'])}."]), WANTING)


def _pour(task: Task, name: str, source: Source, read: Reader, writers: dict[str, SplitWriter], evidence: Evidence) -> list[str]:
    """Writes every row of a raw file into its split. Returns 'file:line: reason' for the first SHOWN refused rows. `evidence` weighs the file's offsets."""
    bad: list[str] = []
    seen: dict[int, tuple[int, str, int]] = {}
    for number, row in source.rows(read, f"{task.name} {name}"):
        if isinstance(row, RawRow):
            row = of_kind(row, task)
            if not task.offsets:
                evidence.add(row)
            if reason := row_problem(row, task):
                row = BadRow(row.line, reason, item=row.item)
        if isinstance(row, BadRow):
            writers[name].leave_out(source.path, row, row.reason)
            if row.kind == TURNED_DOWN:
                writers[name].turned_down += 1
                continue
            writers[name].refused += 1
            if len(bad) < SHOWN:
                bad.append(f"{place_of(source.path, row.line, row.item)}: {row.reason}")
            continue
        writer = writers[split_of(row, name, task)]
        if reason := _repeat(number, row, seen) if task.split else "":
            writer.repeated += 1
            writer.leave_out(source.path, row, reason)
        else:
            writer.write(number, row)
    return bad


def _heed(evidence: dict[Path, Evidence], task: Task, sources: dict[str, Source]) -> None:
    """Raises ToolError (1) where a file speaks against the reading of its offsets, with the reasons. A mere doubt goes to the file's reading."""
    verdicts = {path: found.verdict() for path, found in evidence.items()}
    for source in sources.values():
        if doubt := verdicts[source.path].doubt:
            source.reading.doubt(f"{source.path}: {doubt}")
    if speaking := {path: verdict for path, verdict in verdicts.items() if verdict.stops}:
        lines = [line for path, verdict in speaking.items() for line in verdict.lines(path)]
        if disagree(verdicts.values()):
            raise ToolError("\n".join([*lines, f"Nothing was written. {ONE_EACH}."]), WANTING)
        first = next(iter(speaking.values()))
        copy = f" For a copy that is read so: {command('check', task, ['--fix'])}." if first.take else ""
        raise ToolError("\n".join([*lines, f"Nothing was written. {first.advice(task.path)}.{copy}"]), WANTING)


def _repeat(number: int, row: RawRow, seen: dict[int, tuple[int, str, int]]) -> str:
    """Returns the reason to leave out a row whose text stands in an earlier one; empty for a new text, which is remembered in `seen`."""
    own = (number, row.item or f"line {row.line}", annotation(row))
    first = seen.setdefault(digest(row.text), own)
    if first == own:
        return ""
    return f"the text stands in {first[1]} already" + ("." if first[2] == own[2] else ", annotated otherwise; that one is kept.")


def _refusal(bad: list[str], task: Task, writers: list[SplitWriter]) -> ToolError:
    rows, refused = sum(writer.rows for writer in writers), sum(writer.refused for writer in writers)
    more = [f"… and {refused - SHOWN} more bad rows."] if refused > SHOWN else []
    summary = (
        f"{task.path}: {refused} of {rows + refused} rows can't be used; nothing was written. To see all faults: {command('check', task)}."
        f" To mend what can be mended: {command('check', task, ['--fix'])}. To leave these rows out: on_error=skip (make: ARGS=on_error=skip)."
    )
    return ToolError("\n".join([*bad[:SHOWN], *more, summary]), WANTING)


def _dataset_info(path: Path) -> dict[str, Any]:
    """Reads the entries that are already there, a user's own among them."""
    info = read_json(path) if path.exists() else {}
    if not isinstance(info, dict):
        raise ToolError(f"{path}: must be a JSON object that maps dataset names to entries. Correct or remove it.")
    return info
