"""Raw annotation → examples and Alpaca files, with LLaMA-Factory's dataset_info.json.

In: task files and their raw files. Out: `<out>/examples/<task>_<split>.jsonl` and `<out>/alpaca/alpaca_<task>_<split>.json`.
All files of a task appear together or not at all; a second call writes the same bytes.

    python -m tools.data.convert conf/task/clue.yaml --out data/dataset
    python -m tools.data.convert conf/task/clue.yaml 'raw.train=all.jsonl[:-1000]' 'raw.dev=all.jsonl[-1000:]' --out data/dataset
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tools.conf import Task, load_task
from tools.data import prompt
from tools.data.readers import READERS
from tools.data.readers.row import BadRow, RawRow
from tools.errors import WANTING, ToolError, all_at_once, choices, run
from tools.example import Example
from tools.files import Transaction, need_file, read_json, write_json

SHOWN = 20
COLUMNS = {"prompt": "input", "system": "instruction", "response": "output"}


@dataclass
class Split:
    """What became of one split: counts, and the bad rows as 'file:line: reason'."""

    name: str
    rows: int = 0
    entities: int = 0
    empty: int = 0
    bad: list[str] = field(default_factory=list)


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


def convert(task: Task, out: Path) -> list[Split]:
    """Write one task's examples, Alpaca files and dataset_info entries below `out`.

    Raises ToolError for what is missing (exit code 2) and for rows that can't be used (1, all listed up to a limit); then nothing is written.
    """
    read, sources = _prepare(task)
    render = prompt.renderer(task)
    info = _dataset_info(out)
    with Transaction() as new:
        splits = [_write_split(task, name, source.rows(read), render, new, out) for name, source in sources.items()]
        bad = [problem for split in splits for problem in split.bad]
        if bad:
            more = [f"… and {len(bad) - SHOWN} more bad rows."] if len(bad) > SHOWN else []
            summary = f"{task.path}: {len(bad)} of {sum(s.rows for s in splits) + len(bad)} rows can't be used; nothing was written. Mend them and call it again."
            raise ToolError("\n".join([*bad[:SHOWN], *more, summary]), WANTING)
    entries = {f"alpaca_{task.name}_{s.name}": {"file_name": _alpaca_name(task, s.name), "columns": COLUMNS} for s in splits}
    write_json(out / "alpaca" / "dataset_info.json", {**info, **entries})  # last: LLaMA-Factory finds only what is whole
    return splits


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.data.convert", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("tasks", nargs="+", metavar="TASK.yaml [key=value …]", help="task files; key=value overrides the task's own")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the dataset folder, usually data/dataset")
    args = parser.parse_args()
    paths = [Path(word) for word in args.tasks if re.fullmatch(r"[^=]+\.ya?ml", word)]
    overrides = [word for word in args.tasks if Path(word) not in paths]
    if not paths:
        raise ToolError(f"no task file among: {' '.join(args.tasks)}.{choices('', map(str, Path('conf/task').glob('*.yaml')))}")
    if len(paths) > 1 and overrides:
        raise ToolError(f"{' '.join(overrides)}: for which task? Name one task (make: TASK=…).")
    for path in paths:
        task = load_task(path, overrides)
        absent = _absent(task)
        if len(paths) > 1 and len(absent) == len(task.raw):
            print(f"{task.name}: skipped, its raw files are not here: {', '.join(map(str, absent))}")
            continue
        for split in convert(task, args.out):
            print(
                f"{task.name} {split.name}: {split.rows:,} rows, {split.entities:,} unique (label, string) pairs, {split.empty:,} rows without an entity"
                f" → {args.out / 'alpaca' / _alpaca_name(task, split.name)}"
            )


def _prepare(task: Task) -> tuple[Callable[[Path], Iterator[RawRow | BadRow]], dict[str, Source]]:
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


def _absent(task: Task) -> list[Path]:
    paths = [Source.parse(value).path for value in task.raw.values()]
    return [path for path in paths if not path.exists()]


def _write_split(
    task: Task, name: str, rows: Iterator[tuple[int, RawRow | BadRow]], render: Callable[[str], str], new: Transaction, out: Path
) -> Split:
    from tqdm import tqdm

    split, labels = Split(name), set(task.labels)
    source = Source.parse(task.raw[name]).path
    examples = new.open(task.examples(name, out))
    alpaca = new.open(out / "alpaca" / _alpaca_name(task, name))
    alpaca.write("[")
    for number, row in tqdm(rows, desc=f"{task.name} {name}", unit=" rows", disable=None, leave=False):
        reason = row.reason if isinstance(row, BadRow) else _label_problem(row, labels, task)
        if isinstance(row, BadRow) or reason:
            split.bad.append(f"{source}:{row.line}: {reason}")
            continue
        example = Example(f"{task.name}-{name}-{number:06d}", row.text, row.entities)
        examples.write(example.to_json() + "\n")
        alpaca.write(("," if split.rows else "") + "\n" + json.dumps(prompt.alpaca(task, example, render), ensure_ascii=False))
        split.rows += 1
        split.entities += len(example.pairs())
        split.empty += not row.entities
    alpaca.write("\n]\n")
    if not split.rows and not split.bad:
        raise ToolError(f"{task.raw[name]}: no rows in it (raw.{name} of {task.path}).", WANTING)
    return split


def _label_problem(row: RawRow, labels: set[str], task: Task) -> str:
    unknown = sorted({entity.label for entity in row.entities} - labels)
    return "; ".join(f"label '{label}' is not among the labels of {task.path}.{choices(label, labels)}" for label in unknown)


def _alpaca_name(task: Task, split: str) -> str:
    return f"alpaca_{task.name}_{split}.json"


def _dataset_info(out: Path) -> dict:
    """The entries that are there already, a user's own among them."""
    path = out / "alpaca" / "dataset_info.json"
    info = read_json(path) if path.exists() else {}
    if not isinstance(info, dict):
        raise ToolError(f"{path}: must be a JSON object that maps dataset names to entries; mend or remove it.")
    return info


if __name__ == "__main__":
    run(main)
