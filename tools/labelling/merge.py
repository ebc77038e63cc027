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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tools.conf.task import Task, load_task
from tools.data.convert import convert, row_problem
from tools.data.offsets.evidence import Evidence
from tools.data.offsets.units import MEANING, is_plain, read_as
from tools.data.raw.json_list import first_objects
from tools.data.raw.row import TURNED_DOWN, BadRow, FileReading, RawRow, place_of
from tools.data.raw.ticket import id_of, is_as_sent, meaning
from tools.data.readers import READERS
from tools.data.readers.label_studio_annotators import SEVERAL, TAKEN
from tools.data.sources import of_kind, sources_of
from tools.errors import WANTING, ToolError, all_at_once
from tools.example import Example, read_examples
from tools.files import Transaction, need_file, read_text
from tools.labelling.task_file import OF_RAW, with_raw_files
from tools.text import one_line

SHOWN = 50  # changes that are printed
UNANNOTATED = "without an annotation"
READER = "jsonl"  # of the new raw files


@dataclass
class Returned:
    """What came back: the corrected examples by id, the new ones by split, and how many rows came back as they went out or without an annotation.

    `untold` counts changed rows without a ticket: whether their example was changed here too isn't known.
    """

    changed: dict[str, Example] = field(default_factory=dict)
    new: list[Example] = field(default_factory=list)
    same: int = 0
    untold: int = 0
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


def returned(task: Task, path: Path, known: Known, annotator: str = "", offsets: str = "") -> Returned:
    """Reads what came back, and compares it with what is there. Everything that can't be taken is among its `problems`.

    `offsets` says how the offsets of an export without strings count; without it an export that speaks against code points is a problem.
    """
    found, reading, read = Returned(), FileReading({"annotator": annotator} if annotator else {}), list[RawRow]()
    reader = _reader(path)
    if annotator and reader == "doccano":
        found.problems.append(f"--annotator {annotator}: doccano's export doesn't say who annotated. Leave the word out.")
    came: dict[str, RawRow] = {}
    for row in READERS[reader](path, reading):
        if isinstance(row, BadRow):
            _unread(row, path, found)
            continue
        row = of_kind(row, task)
        if offsets and row.sliced:
            reread = read_as(row, offsets)
            if isinstance(reread, BadRow):
                _unread(reread, path, found)
                continue
            row = reread
        read.append(row)
        if task.kind == "classification" and row.label is None:
            found.unread[UNANNOTATED] += 1
            continue
        place = place_of(path, row.line, row.item)
        own = _own(row, known, place, found.problems)
        if own and (reason := row_problem(row, task)):
            found.problems.append(f"{place}: {reason}")
        elif own:
            _take(row, own, place, came, found)
    if not (came or found.problems or found.unread):
        found.problems.append(f"{path}: no rows in it. Export the annotated rows, or all of them.")
    found.problems += [f"{path}: {one_annotators(doubt)}" for doubt in reading.doubts if doubt.startswith(SEVERAL)]
    if not offsets:
        found.problems += _otherwise_counted(path, read)
    return found


def _otherwise_counted(path: Path, rows: Sequence[RawRow]) -> list[str]:
    """Returns what speaks against offsets that count code points. Rows that come back as they went out speak for them, in all texts that are as they are."""
    as_sent = [row.text for row in rows if row.entities and is_as_sent(row.ticket, row.text, row.entities, row.label)]
    if not all(map(is_plain, as_sent)):
        return []
    evidence = Evidence()
    for row in rows:
        if not (as_sent and is_plain(row.text)):
            evidence.add(row)
    verdict = evidence.verdict()
    return (
        [*verdict.lines(path), f"{path}: say how its offsets count: {' or '.join(f'--offsets {one}' for one in verdict.answers)}"]
        if verdict.stops
        else []
    )


def one_annotators(doubt: str) -> str:
    """Returns a doubt about several annotations with the word that settles it here."""
    told, wasnt_told, _ = doubt.partition(TAKEN)
    return f"{told} To take one annotator's: --annotator NAME" if wasnt_told else told


def _reader(path: Path) -> str:
    """Returns the reader of an export: Label Studio's tasks have their text in `data`, or an annotation's id beside it; doccano's rows don't."""
    first = next(iter(first_objects(path, 1)), {})
    return "label_studio" if isinstance(first.get("data"), dict) or "annotation_id" in first else "doccano"


def _unread(row: BadRow, path: Path, found: Returned) -> None:
    """Counts a row that its annotator skipped or hasn't annotated; any other that can't be read is a problem."""
    if row.kind in (TURNED_DOWN, "unannotated") or "has no annotation" in row.reason:
        found.unread["skipped by their annotator" if row.kind == TURNED_DOWN else UNANNOTATED] += 1
    else:
        found.problems.append(f"{place_of(path, row.line, row.item)}: {row.reason}")


def _own(row: RawRow, known: Known, place: str, problems: list[str]) -> Example | None:
    """Returns the example that a row is about, or a new one without an id. None, and a problem, where that isn't clear.

    An id follows from a row's place in its file, so it may have gone over to another text meanwhile: then the text tells.
    """
    named = known.by_id.get(id_of(row.ticket))
    if named and named.text == row.text:
        return named
    same = known.by_text.get(row.text, [])
    if named and not same:
        problems.append(
            f"{place}: its text isn't that of {named.id} any more, nor that of another example: {one_line(row.text, 40)!r}, and not {one_line(named.text, 40)!r}."
        )
        return None
    if len(same) > 1:
        same = [one for one in same if is_as_sent(row.ticket, one.text, one.entities, one.label)] or same
    if len(same) > 1:
        problems.append(
            f"{place}: {len(same)} examples have this text ({same[0].id}, {same[1].id}), and the row doesn't say which it is: its field `example` is missing, or fits neither."
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
    elif row.ticket and not is_as_sent(row.ticket, own.text, own.entities, own.label):
        found.problems.append(
            f"{place}: {own.id} was changed here after it went out: {_shown(own)} now, {_shown(_corrected(own, row))} in the export. Change one by hand, so that they agree."
        )
    else:
        found.untold += not row.ticket
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
    """Writes the new raw files and the task file, all or none; returns their paths. A split that stays, of a task that reads such files already, keeps its file."""
    version, sources = task.version + 1, sources_of(task)[1]
    may_stay = task.reader == READER and not any(getattr(task, key) for key in OF_RAW)
    raw = {}
    with Transaction() as new:
        for split, rows in after.items():
            if may_stay and rows == splits[split]:
                raw[split] = task.raw[split]
                continue
            source = sources.get(split) or next(iter(sources.values()))
            path = source.path.parent / f"{task.name}.{split}.v{version}.jsonl"
            text = "".join(f"{_line(row)}\n" for row in rows)
            if path.exists() and path.read_bytes() != text.encode("utf-8", "backslashreplace"):  # the same was left by a call that was killed
                raise ToolError(f"{path}: is there already. Move it away, or raise `version` in {task.path} beyond {version - 1}.")
            new.open(path).write(text)
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
    parser.add_argument("--offsets", choices=MEANING, help="how offsets count in an export without strings; asked for where it isn't plain")


def main(args: argparse.Namespace) -> None:
    """Shows the changes, and writes them unless something stands against it."""
    task = load_task(args.task)
    need_file(args.file, "Export the project there first: Label Studio as JSON, doccano as JSONL.")
    splits = present(task)
    if args.add_to and args.add_to not in splits:
        raise ToolError(f"--add-to {args.add_to}: the task has no such split. Its splits: {', '.join(splits)}")
    found = returned(task, args.file, Known.of(splits), args.annotator, args.offsets or "")
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
    if found.untold:
        print(f"look: {found.untold:,} of the changed came back without their field `example`: whether they were changed here too isn't known")
