"""Raw annotation → examples and Alpaca files, with LLaMA-Factory's dataset_info.json.

In: task files and their raw files. Out: `<out>/examples/<task>_<split>.jsonl` and `<out>/alpaca/alpaca_<task>_<split>.json`.
All files of a task appear together or not at all; a second call writes the same bytes. Every row of a raw file becomes a row of each or is refused with a
reason: then nothing is written, or with on_error=skip the refused rows are listed in `<out>/examples/<task>_<split>.skipped.jsonl`.

    python -m tools.data.convert conf/task/clue.yaml --out data/dataset
    python -m tools.data.convert conf/task/clue.yaml 'raw.train=all.jsonl[:-1000]' 'raw.dev=all.jsonl[-1000:]' --out data/dataset
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.chat import prompt
from tools.conf.task import Task
from tools.data.readers.row import LONE_SURROGATE, BadRow, RawRow, offset_problem
from tools.data.repeats import Seen
from tools.data.sources import Source, named_tasks, of_kind, present, share_of, sources_of
from tools.errors import WANTING, ToolError, all_at_once, choices, run
from tools.example import Example
from tools.files import Transaction, read_json, write_json

SHOWN = 20
COLUMNS = {"prompt": "input", "system": "instruction", "response": "output"}


class SplitWriter:
    """One split's files, row by row, and the account of what became of its rows."""

    def __init__(self, task: Task, name: str, line: Callable[[Example], str], new: Transaction, out: Path) -> None:
        self.name, self.task, self.line, self.new = name, task, line, new
        self.rows = self.pairs = self.empty = self.repairs = self.refused = self.repeated = 0
        self.skipped = out / "examples" / f"{task.name}_{name}.skipped.jsonl"
        new.remove(self.skipped)
        self.prefix = f"{task.name}-{name}-"
        self._examples = new.open(task.examples(name, out))
        self._alpaca = new.open(out / "alpaca" / alpaca_name(task, name))
        self._alpaca.write("[")

    def write(self, number: int, row: RawRow) -> None:
        """Add a good row; `number` is its place in the raw file, from 1."""
        example = Example(f"{self.prefix}{number:06d}", row.text, row.entities, row.label, row.options)
        self._examples.write(example.to_json() + "\n")
        self._alpaca.write((",\n" if self.rows else "\n") + self.line(example))
        pairs = len({(entity.label, entity.text) for entity in row.entities}) if row.label is None else 1
        self.rows += 1
        self.pairs += pairs
        self.empty += not pairs
        self.repairs += len(row.repairs)

    def refuse(self, path: Path, line: int, reason: str) -> None:
        """Leave a row out, and say so in the list of skipped rows."""
        self.new.open(self.skipped).write(json.dumps({"file": str(path), "line": line, "reason": reason}, ensure_ascii=False) + "\n")

    def finish(self) -> None:
        """End the files after the last row."""
        self._alpaca.write("\n]\n")

    def __str__(self) -> str:
        parts = [f"{self.task.name} {self.name}: {self.rows:,} rows"]
        if self.task.kind == "ner":
            parts += [f"{self.pairs:,} unique (label, string) pairs", f"{self.empty:,} rows without an entity"]
        parts += [f"{count:,} {what}" for count, what in ((self.repairs, "tags repaired"), (self.repeated, "repeated texts left out")) if count]
        if self.refused:
            parts.append(f"{self.refused:,} bad rows skipped")
        return ", ".join(parts)


def convert(task: Task, out: Path) -> list[SplitWriter]:
    """Write one task's examples, Alpaca files and dataset_info entries below `out`; the account of each split.

    Raises ToolError for what is missing (exit code 2) and, unless the task says `on_error: skip`, for rows that can't be used (1, all listed up to a limit);
    then nothing is written.
    """
    read, sources = sources_of(task)
    info = _dataset_info(out)
    with Transaction() as new:
        line = prompt.alpaca_line(task)
        names = [*sources, *(task.split.of if task.split else ())]
        writers = {name: SplitWriter(task, name, line, new, out) for name in names}
        bad: list[str] = []
        for name, source in sources.items():
            bad += _pour(task, name, source, read, writers)
        if task.on_error == "stop":
            _stop_at(bad, task, sum(writer.rows for writer in writers.values()))
        for writer in writers.values():
            if not writer.rows:
                where = task.raw.get(writer.name) or f"split.{writer.name} of {task.path}"
                raise ToolError(f"{where}: no rows in it{f', {writer.refused:,} were refused' if writer.refused else ''}.", WANTING)
            writer.finish()
    entries = {f"alpaca_{task.name}_{name}": {"file_name": alpaca_name(task, name), "columns": COLUMNS} for name in writers}
    write_json(out / "alpaca" / "dataset_info.json", {**info, **entries})  # last: LLaMA-Factory finds only what is whole
    return list(writers.values())


def row_problem(row: RawRow, task: Task) -> str:
    """Why a readable row can't become an example; empty when it can."""
    if not row.text.strip():
        return "the text is empty."
    if surrogate := LONE_SURROGATE.search(row.text):
        return f"the text has half a character (\\u{ord(surrogate[0]):x}, a lone surrogate) at {surrogate.start()}; no tokenizer takes it."
    if task.kind == "classification":
        return _class_problem(row, task)
    if row.label is not None:
        return f"the row has a class ('{row.label}') and no entities; {task.path} says kind: ner."
    return offset_problem(row) or _label_problem({entity.label for entity in row.entities}, task)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.data.convert", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("tasks", nargs="+", metavar="TASK.yaml [key=value …]", help="task files; key=value overrides the task's own")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the dataset folder, usually data/dataset")
    args = parser.parse_args()
    for task in present(named_tasks(args.tasks)[0]):
        for split in convert(task, args.out):
            print(f"{split} → {args.out / 'alpaca' / alpaca_name(task, split.name)}")
            if split.refused or split.repeated:
                print(f"  what was left out, and why: {split.skipped}")


def _pour(task: Task, name: str, source: Source, read: Callable[[Path], Iterator[RawRow | BadRow]], writers: dict[str, SplitWriter]) -> list[str]:
    """Every row of a raw file into the split where it belongs. Returns the refused ones, as 'file:line: reason', those past the limit empty."""
    from tqdm import tqdm

    bad: list[str] = []
    seen = Seen() if task.split else None
    for number, row in tqdm(source.rows(read), desc=f"{task.name} {name}", unit=" rows", disable=None, leave=False):
        row = row if isinstance(row, BadRow) else of_kind(row, task)
        if reason := row.reason if isinstance(row, BadRow) else row_problem(row, task):
            bad.append(f"{source.path}:{row.line}: {reason}" if len(bad) < SHOWN else "")
            writers[name].refused += 1
            writers[name].refuse(source.path, row.line, reason)
            continue
        assert isinstance(row, RawRow)
        writer = writers[(task.split and share_of(row.text, task.split)) or name]
        if seen and (before := seen.before(row)):
            line, same = before
            writer.repeated += 1
            writer.refuse(
                source.path, row.line, f"the text stands in line {line} already" + ("." if same else ", annotated otherwise; that one is kept.")
            )
            continue
        writer.write(number, row)
    if seen:
        seen.close()
    return bad


def _stop_at(bad: list[str], task: Task, good: int) -> None:
    if bad:
        more = [f"… and {len(bad) - SHOWN} more bad rows."] if len(bad) > SHOWN else []
        summary = (
            f"{task.path}: {len(bad)} of {good + len(bad)} rows can't be used; nothing was written. Mend them (`make check TASK={task.name}` shows all that"
            " is wrong, FIX=1 mends what can be), or leave them out: on_error=skip (make: ARGS=…)."
        )
        raise ToolError("\n".join([*bad[:SHOWN], *more, summary]), WANTING)


def _label_problem(found: set[str], task: Task) -> str:
    if found <= task.names.keys():
        return ""
    unknown = sorted(found - task.names.keys())
    return "; ".join(f"label '{label}' is not among the labels of {task.path}.{choices(label, task.labels)}" for label in unknown)


def _class_problem(row: RawRow, task: Task) -> str:
    if row.label is None:
        return f"the row has no class; {task.path} says kind: classification."
    if any(map(LONE_SURROGATE.search, [row.label, *(row.options or [])])):
        return "the class or an option has half a character (a lone surrogate); no tokenizer takes it."
    if row.options is None and not task.labels:
        return f"the row has no options, and {task.path} no labels: what could the model choose from?"
    if row.options is not None and row.label not in row.options:
        return f"the class '{row.label}' is not among the row's options.{choices(row.label, row.options)}"
    return _label_problem({row.label, *(row.options or [])}, task) if task.labels else ""


def alpaca_name(task: Task, split: str) -> str:
    """The file name of a split's Alpaca rows."""
    return f"alpaca_{task.name}_{split}.json"


def _dataset_info(out: Path) -> dict:
    """The entries that are there already, a user's own among them; one that points outside the folder is refused."""
    path = out / "alpaca" / "dataset_info.json"
    info = read_json(path) if path.exists() else {}
    if not isinstance(info, dict):
        raise ToolError(f"{path}: must be a JSON object that maps dataset names to entries; mend or remove it.")
    leaving = [
        f"{path}: '{name}' names {entry['file_name']}, which is outside {path.parent}; put the file there, or remove the entry."
        for name, entry in info.items()
        if isinstance(entry, dict) and isinstance(entry.get("file_name"), str) and _leaves_folder(entry["file_name"])
    ]
    all_at_once(leaving)
    return info


def _leaves_folder(name: str) -> bool:
    path = Path(os.path.normpath(name))  # by its words alone: a name that no file can have must not fail here
    return path.is_absolute() or path.parts[:1] == ("..",)


if __name__ == "__main__":
    run(main)
