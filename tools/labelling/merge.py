"""Takes annotators' corrections back: shows each change, refuses conflicts, writes new raw files, and raises the task's version.

In: a task, and the export of a tool that `./ner suspects --to` or `./ner annotate` wrote rows for. Out: `<task>.<split>.v<version>.jsonl` beside the raw file of each split (reader
`jsonl`), and the task file that names them; nothing where nothing was changed. The old raw files stay as they are.

    ./ner merge conf/task/sample.yaml export.json
    ./ner merge conf/task/sample.yaml export.json --add-to train
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools.conf.task import Task, load_task
from tools.data.convert import convert, row_problem
from tools.data.raw.json_list import first_objects
from tools.data.raw.row import TURNED_DOWN, BadRow, FileReading, RawRow, place_of
from tools.data.raw.ticket import id_of, is_as_sent, meaning, ticket
from tools.data.readers import READERS
from tools.data.readers.label_studio_annotators import SEVERAL
from tools.data.sources import of_kind, sources_of
from tools.errors import WANTING, ToolError, all_at_once
from tools.example import Example, read_examples
from tools.files import Transaction, need_file, read_text
from tools.labelling.task_file import with_raw_files
from tools.text import one_line

SHOWN = 50  # changes that are printed
READER = "jsonl"  # of the new raw files


@dataclass
class Returned:
    """What came back: the corrected examples by id, the new ones by split, and how many rows came back as they went out or without an annotation."""

    changed: dict[str, Example] = field(default_factory=dict)
    new: list[Example] = field(default_factory=list)
    same: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """The task's present examples, by id and by text."""

    by_id: Mapping[str, Example]
    by_text: Mapping[str, list[Example]]

    @classmethod
    def of(cls, splits: Mapping[str, list[Example]]) -> Known:
        """Returns the examples of all splits."""
        every = [example for rows in splits.values() for example in rows]
        by_text: dict[str, list[Example]] = {}
        for example in every:
            by_text.setdefault(example.text, []).append(example)
        return cls({example.id: example for example in every}, by_text)


def present(task: Task) -> dict[str, list[Example]]:
    """Returns split → examples, as `make data` would write them from today's raw files. Raises ToolError as it does."""
    with tempfile.TemporaryDirectory(prefix="ner-merge-") as folder:
        for split in convert(task, Path(folder)):
            if split.refused:
                print(
                    f"look: {split.task.name} {split.name}: {split.refused:,} rows can't be used (on_error: skip); they won't be in the new raw file"
                )
        splits = [*sources_of(task)[1], *(task.split.of if task.split else ())]
        return {split: list(read_examples(task.examples(split, Path(folder)))) for split in splits}


def returned(task: Task, path: Path, known: Known, annotator: str = "") -> Returned:
    """Reads what came back, and compares it with what is there. Everything that can't be taken is among its `problems`."""
    found, reading = Returned(), FileReading({"annotator": annotator} if annotator else {})
    came: dict[str, RawRow] = {}
    for row in READERS[_reader(path)](path, reading):
        if isinstance(row, BadRow):
            _unread(row, path, found)
            continue
        row = of_kind(row, task)
        place = place_of(path, row.line, row.item)
        own = _own(row, known, place, found.problems)
        if own and (reason := row_problem(row, task)):
            found.problems.append(f"{place}: {reason}")
        elif own:
            _take(row, own, place, came, found)
    if not (came or found.problems or found.unread):
        found.problems.append(f"{path}: no rows in it. Export the annotated rows, or all of them.")
    found.problems += [f"{path}: {doubt}" for doubt in reading.doubts if doubt.startswith(SEVERAL) and "disagree" in doubt]
    return found


def _reader(path: Path) -> str:
    """Returns the reader of an export: Label Studio's tasks have their text in `data`, or an annotation's id beside it; doccano's rows don't."""
    first = next(iter(first_objects(path, 1)), {})
    return "label_studio" if isinstance(first.get("data"), dict) or "annotation_id" in first else "doccano"


def _unread(row: BadRow, path: Path, found: Returned) -> None:
    """Counts a row that its annotator skipped or hasn't annotated; any other that can't be read is a problem."""
    if row.kind in (TURNED_DOWN, "unannotated") or "has no annotation" in row.reason:
        found.unread["skipped by their annotator" if row.kind == TURNED_DOWN else "without an annotation"] += 1
    else:
        found.problems.append(f"{place_of(path, row.line, row.item)}: {row.reason}")


def _own(row: RawRow, known: Known, place: str, problems: list[str]) -> Example | None:
    """Returns the example that a row is about, or a new one without an id. None, and a problem, where that isn't clear."""
    if (id := id_of(row.ticket)) in known.by_id:
        own = known.by_id[id]
        if own.text == row.text:
            return own
        problems.append(f"{place}: its text isn't that of {id} any more: {one_line(row.text, 40)!r}, and not {one_line(own.text, 40)!r}.")
        return None
    same = known.by_text.get(row.text, [])
    if len(same) > 1:
        problems.append(
            f"{place}: {len(same)} examples have this text ({same[0].id}, {same[1].id}), and the row doesn't say which it is: it came back without its field `example`."
        )
        return None
    return same[0] if same else Example("", row.text, [])


def _take(row: RawRow, own: Example, place: str, came: dict[str, RawRow], found: Returned) -> None:
    """Adds what a row changes. A row that comes twice must say the same, and an example that has changed since it went out must not be changed otherwise."""
    wanted, now = meaning(row.entities, row.label), meaning(own.entities, own.label)
    key = own.id or f"text {row.text}"
    if key in came and meaning(came[key].entities, came[key].label) != wanted:
        found.problems.append(
            f"{place}: {own.id or 'this text'} stands in {came[key].item or f'line {came[key].line}'} too, annotated otherwise. Keep one of the two."
        )
        return
    is_first, came[key] = key not in came, row
    if not is_first:
        return
    if not own.id:
        found.new.append(_corrected(own, row))
    elif wanted == now or is_as_sent(row.ticket, row.text, row.entities, row.label):
        found.same += 1
    elif row.ticket and ticket(own.id, own.text, own.entities, own.label) != row.ticket:
        found.problems.append(
            f"{place}: {own.id} was changed here after it went out: {_shown(own)} now, {_shown(_corrected(own, row))} in the export. Change one by hand, so that they agree."
        )
    else:
        found.changed[own.id] = _corrected(own, row)


def _corrected(own: Example, row: RawRow) -> Example:
    """Returns the example with a row's annotation. Entities that stay keep their order; new ones stand behind, from the left."""
    kept = [entity for entity in own.entities if entity in row.entities]
    more = sorted({entity for entity in row.entities if entity not in kept}, key=lambda one: (one.start, -one.end, one.label))
    ordered = kept + more if own.entities else more
    return replace(own, entities=ordered, label=row.label, options=own.options if own.id else row.options)


def _shown(example: Example) -> str:
    return one_line(", ".join(f"{one.text} [{one.label}]" for one in example.entities) or (example.label or "nothing"), 80)


def changes(splits: Mapping[str, list[Example]], found: Returned, add_to: str | None) -> Iterator[str]:
    """Yields a line for each changed and each new example: what goes (−), what comes (+)."""
    for rows in splits.values():
        for own in rows:
            if after := found.changed.get(own.id):
                gone = [f"− {one.text} [{one.label}]" for one in own.entities if one not in after.entities]
                come = [f"+ {one.text} [{one.label}]" for one in after.entities if one not in own.entities]
                classes = [f"− [{own.label}]", f"+ [{after.label}]"] if own.label != after.label else []
                yield f"{own.id}  {one_line('  '.join([*gone, *come, *classes]), 200)}"
    for one in found.new:
        yield f"new in {add_to}  {one_line(one.text, 40)}  {_shown(one)}"


def merged(splits: Mapping[str, list[Example]], found: Returned, add_to: str | None) -> dict[str, list[Example]]:
    """Returns split → examples with the corrections, the new ones last in the split `add_to`."""
    after = {split: [found.changed.get(own.id, own) for own in rows] for split, rows in splits.items()}
    if add_to and found.new:
        after[add_to] = [*after[add_to], *found.new]
    return after


def write(task: Task, splits: Mapping[str, list[Example]], after: Mapping[str, list[Example]]) -> list[Path]:
    """Writes the new raw files and the task file, all or none; returns their paths. A split that stays, of a task that has this format already, keeps its file."""
    version = task.version + 1
    raw = {}
    with Transaction() as new:
        for split, rows in after.items():
            if task.reader == READER and split in task.raw and rows == splits[split]:
                raw[split] = task.raw[split]
                continue
            source = sources_of(task)[1]
            path = next(iter(source.values())).path.parent / f"{task.name}.{split}.v{version}.jsonl"
            if path.exists():
                raise ToolError(f"{path}: is there already. Move it away, or raise `version` in {task.path} beyond {version - 1}.")
            new.open(path).writelines(f"{_line(row)}\n" for row in rows)
            raw[split] = str(path)
        new.open(task.path).write(with_raw_files(read_text(task.path), task.path, raw, READER, version))
    return [*(Path(path) for split, path in raw.items() if path != task.raw.get(split)), task.path]


def _line(example: Example) -> str:
    """Returns an example as a raw row, without its id, which follows from its place."""
    value = json.loads(example.to_json())
    return json.dumps({key: one for key, one in value.items() if key != "id"}, ensure_ascii=False)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the words of `./ner merge`."""
    parser.add_argument("task", type=Path, metavar="TASK.yaml", help="the task (make: TASK=…)")
    parser.add_argument("file", type=Path, metavar="EXPORT", help="Label Studio's export (JSON or JSON-MIN), or doccano's (JSONL)")
    parser.add_argument("--add-to", metavar="SPLIT", help="the split that gets texts which the task doesn't have yet; without it they are refused")
    parser.add_argument("--annotator", default="", metavar="NAME", help="whose annotation counts where a Label Studio task has several that differ")


def main(args: argparse.Namespace) -> None:
    """Shows the changes, and writes them unless something stands against it."""
    task = load_task(args.task)
    need_file(args.file, "Export the project there first: Label Studio as JSON, doccano as JSONL.")
    splits = present(task)
    if args.add_to and args.add_to not in splits:
        raise ToolError(f"--add-to {args.add_to}: the task has no such split. Its splits: {', '.join(splits)}")
    found = returned(task, args.file, Known.of(splits), args.annotator)
    if found.new and not args.add_to:
        found.problems.append(
            f"{args.file}: {len(found.new):,} texts aren't the task's, e.g. {one_line(found.new[0].text, 40)!r}. To add them to a split: --add-to train"
        )
    if found.problems:
        more = [f"… and {len(found.problems) - SHOWN} more."] if len(found.problems) > SHOWN else []
        all_at_once(["\n".join([*found.problems[:SHOWN], *more, "Nothing was written."])], WANTING)
    _report(found, list(changes(splits, found, args.add_to)))
    if found.changed or found.new:
        paths = write(task, splits, merged(splits, found, args.add_to))
        print(f"→ {', '.join(map(str, paths))}\n{task.path}: version {task.version} → {task.version + 1}  next: make data TASK={task.name}")


def _report(found: Returned, lines: list[str]) -> None:
    for line in [*lines[:SHOWN], *([f"… and {len(lines) - SHOWN:,} more"] if len(lines) > SHOWN else [])]:
        print(line)
    parts = [f"{len(found.changed):,} examples changed", f"{len(found.new):,} new", f"{found.same:,} came back as they are"]
    print(", ".join([*parts, *(f"{count:,} {what}" for what, count in found.unread.items())]) + ("" if lines else "; nothing was written"))
