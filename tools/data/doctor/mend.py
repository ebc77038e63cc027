"""Writes a mended copy of a task's raw files, and accounts for every row: rows in = rows out + dropped + left out.

In: a task's open sources and its Diagnosis. Out: `<out>/<split>.mended.jsonl` for the reader `jsonl`, and `<out>/<split>.left_out.jsonl`, which lists each
row that isn't in the copy, with the reason; neither where there is nothing to mend. The raw files stay as they are.

Mended are: encodings; offsets, by the one reading that mends all wrong ones of the file, where most need it or it breaks none, or else to the only place where the
string stands in the text; offsets without strings, by the reading that the file speaks for; whitespace at an entity's edges; empty and repeated entities; labels and classes that differ from exactly one known name in case, width and outer
whitespace only; repeated options; lone surrogates (→ U+FFFD) and control characters (→ a space). Dropped are rows that are equal to an earlier one of their
split, and rows of the training split whose text is in an evaluation split. Left out are rows that are still wrong, among them those whose string and
slice of the text contain each other, since either may be meant; rows whose offsets could be read in two ways; and texts that one split annotates in several ways.

    ./ner check conf/task/clue.yaml --fix
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tools.conf.task import Task
from tools.data.doctor.diagnosis import Diagnosis, OpenSource, raw_paths
from tools.data.doctor.row_faults import CONTROL
from tools.data.doctor.survey import OffsetReading, Survey, agrees
from tools.data.faults import errors, is_empty
from tools.data.offsets.units import OWN, read_as
from tools.data.offsets.verdict import Verdict
from tools.data.raw.fields import slice_of
from tools.data.raw.row import LONE_SURROGATE, BadRow, RawRow, Reader
from tools.data.repeats import Repeats
from tools.data.sources import keep_raw, of_kind, split_of
from tools.example import Entity, Example
from tools.files import Transaction
from tools.text import fold, one_line

# The account's words for each kind of fault that was mended, and for each kind of dropped row.
DONE = {
    "encoding": "rows written in UTF-8",
    "repaired": "tags repaired",
    "reading": "entities read by the offsets that the file speaks for",
    "offsets": "entities moved to where their string stands",
    "edges": "entities trimmed",
    "empty-entity": "empty entities dropped",
    "repeated-entity": "repeated entities dropped",
    "unknown-label": "labels or classes written as the task or the options have them",
    "options-repeat": "repeated options dropped",
    "surrogate": "lone surrogates replaced by U+FFFD",
    "control": "control characters replaced by a space",
}
DROPPED = {"repeat": "equal rows dropped", "leak": "rows dropped from the training split because an evaluation split has their text"}


@dataclass
class Account:
    """One split's part of the copy: its files, what became of its rows, and what was mended in the rows that stay."""

    raw: Path
    path: Path
    left_out_path: Path
    rows_in: int = 0
    rows_out: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def lose(self, line: int, item: str, fate: str, reason: str, new: Transaction) -> None:
        """Counts and lists a row that isn't in the copy: dropped if its fate is in DROPPED, left out else."""
        self.lost[fate] += 1
        place = {"file": str(self.raw), "line": line, **({"item": item} if item else {})}
        row = {**place, "what": "dropped" if fate in DROPPED else "left out", "reason": one_line(reason)}
        new.open(self.left_out_path).write(json.dumps(row, ensure_ascii=False) + "\n")

    def __str__(self) -> str:
        dropped = sum(self.lost[fate] for fate in DROPPED)
        left_out = self.lost.total() - dropped
        total = f"{self.rows_in:,} rows in = {self.rows_out:,} rows out + {dropped:,} dropped + {left_out:,} left out → {self.path}"
        words = [f"  {count:,} {DROPPED[fate]}" for fate, count in self.lost.items() if fate in DROPPED]
        return "\n".join([total, *words, *(f"  {count:,} {DONE[kind]}" for kind, count in self.done.items())])


class MendedCopy:
    """A mended copy in the folder `out`; `write` fills its files, and none where nothing `changes`. Raises ToolError if one would overwrite a raw file."""

    def __init__(self, diagnosis: Diagnosis, read: Reader, files: list[OpenSource], out: Path) -> None:
        self.task, self._read, self._files = diagnosis.task, read, files
        self._surveys, self._verdicts = diagnosis.surveys, diagnosis.verdicts
        self.accounts = {
            split: Account(raw, out / f"{split}.mended.jsonl", out / f"{split}.left_out.jsonl")
            for split, raw in raw_paths(diagnosis.splits, files).items()
        }
        self._paths = [path for account in self.accounts.values() for path in (account.path, account.left_out_path)]
        keep_raw([file.path for file in files], self._paths)
        self.changes = False

    def write(self, new: Transaction) -> None:
        """Reads all rows once more and fills the files."""
        for path in self._paths:
            new.remove(path)  # of an earlier call, unless it is written again
        repeats = Repeats(list(self.accounts))
        with TemporaryFile("w+", encoding="utf-8") as mended:
            for file in self._files:
                for number, row in file.source.rows(self._read, f"mend {file.split}"):
                    self._mend(file, number, row, repeats, mended, new)
            repeats.index()
            lost = repeats.lost()
            self.changes = bool(lost) or any(account.lost or account.done for account in self.accounts.values())
            if not self.changes:
                return
            mended.seek(0)
            for place, entry in enumerate(mended):
                split, line, item, example = entry.split("\t", 3)
                account = self.accounts[split]
                if place in lost:
                    account.lose(int(line), item, *lost[place], new)
                else:
                    account.rows_out += 1
                    new.open(account.path).write(example)

    def task_lines(self) -> list[str]:
        """Returns what to write in the task file, so that the task reads the copy from then on."""
        raw = ", ".join(f"{split}: {account.path}" for split, account in self.accounts.items() if account.rows_out)
        gone = self._replaced()
        return [f"raw: {{{raw}}}", "reader: jsonl", *([f"and take out: {', '.join(gone)}"] if gone else [])]

    def _replaced(self) -> list[str]:
        """Returns the keys that the task has for its raw files, and that would be wrong for the copy."""
        return [key for key in ("split", "offsets", "fields", "numbers") if getattr(self.task, key)]

    def words_instead_of(self, words: list[str]) -> list[str]:
        """Returns a command's key=value words, changed so that the task reads the copy instead of its raw files."""
        replaced = {"reader", "split", "offsets", "fields", "numbers", *(f"raw.{split}" for split in self.accounts)}
        kept = [word for word in words if word.split("=")[0] not in replaced and not word.startswith(("split.", "fields."))]
        raw = [f"raw.{split}={account.path if account.rows_out else 'null'}" for split, account in self.accounts.items()]
        return [*kept, "reader=jsonl", *raw, *(f"{key}=null" for key in self._replaced())]

    def _mend(self, file: OpenSource, number: int, row: RawRow | BadRow, repeats: Repeats, mended_rows: IO[str], new: Transaction) -> None:
        reread, verdict = 0, self._verdicts.get(file.path)
        if isinstance(row, RawRow) and row.sliced and verdict and verdict.stops:
            row, reread = _read_again(row, verdict)
        if isinstance(row, BadRow):
            self.accounts[file.split].rows_in += 1
            self.accounts[file.split].lose(row.line, row.item, "bad", row.reason, new)
            return
        mended, done = mend(of_kind(row, self.task), self.task, self._surveys.get(file.path))
        done += Counter(reading=reread, encoding=file.encoding != "utf-8", repaired=len(row.repairs))
        split = split_of(mended, file.split, self.task)
        account = self.accounts[split]
        account.rows_in += 1
        if reasons := [message for _, message in errors(mended, self.task)]:
            account.lose(row.line, row.item, "bad", " ".join(reasons), new)
            return
        account.done += done
        example = Example(f"{self.task.name}-{split}-{number:06d}", mended.text, mended.entities, mended.label, mended.options)
        repeats.add(split, mended)
        mended_rows.write(f"{split}\t{row.line}\t{row.item}\t{example.to_json()}\n")


def _read_again(row: RawRow, verdict: Verdict) -> tuple[RawRow | BadRow, int]:
    """Returns a row read as the file speaks for, and how many entities that changes; a BadRow where it speaks for several readings, and they differ in the row, or for none."""
    if not verdict.readings and row.entities:
        return BadRow(row.line, f"its offsets aren't clear: {verdict.sentences[0]}.", "offsets", row.item), 0
    read = [read_as(row, reading) for reading in verdict.readings]
    if verdict.take:
        again = read[0]
        changed = 0 if isinstance(again, BadRow) else sum(one != other for one, other in zip(again.entities, row.entities, strict=True))
        return again, changed
    if any(other != row for other in read):
        return BadRow(row.line, f"its offsets can be read in several ways: {', '.join((OWN, *verdict.readings))}.", "offsets", row.item), 0
    return row, 0


def mend(row: RawRow, task: Task, survey: Survey | None = None) -> tuple[RawRow, Counter[str]]:
    """Returns the row with everything mended that can be, and how often each kind of fault was mended. The rest stays as it is."""
    done: Counter[str] = Counter()
    text = _clean(row.text, done)
    if task.kind == "classification":
        return _mend_class(replace(row, text=text), task, done), +done
    reading = survey.mends_all() if survey else None
    # A row's text and its entities' strings are cleaned in the same way, so what agreed still agrees.
    entities = [replace(entity, text=_clean(entity.text, Counter())) for entity in row.entities]
    mended = [better for entity in entities if (better := _mend_entity(text, entity, task, reading, done))]
    unique = list(dict.fromkeys(mended))
    done["repeated-entity"] += len(mended) - len(unique)
    return replace(row, text=text, entities=unique), +done


def _clean(text: str, done: Counter[str]) -> str:
    text, halves = LONE_SURROGATE.subn("\ufffd", text)
    text, controls = CONTROL.subn(" ", text)
    done.update(surrogate=halves, control=controls)
    return text


def _mend_entity(text: str, entity: Entity, task: Task, reading: OffsetReading | None, done: Counter[str]) -> Entity | None:
    """Returns the entity at its right place, trimmed, under a known label, as far as these can be told; None for an empty one."""
    if is_empty(entity, len(text)):
        done["empty-entity"] += 1
        return None
    label = _nearest(entity.label, task.names)
    done["unknown-label"] += label != entity.label
    span = _span(text, entity, reading)
    if span is None:
        return replace(entity, label=label)
    done["offsets"] += span != (entity.start, entity.end)
    start, end = _trimmed(text, *span)
    done["edges"] += (start, end) != span
    return Entity(label, text[start:end], start, end)


def _span(text: str, entity: Entity, reading: OffsetReading | None) -> tuple[int, int] | None:
    """Returns the span of the entity's string: at its offsets, at its offsets read otherwise, or at its only place in the text; None if that can't be told.

    It can't where string and slice contain each other: one of them has too little, or the other too much.
    """
    string, start, end = entity.text, entity.start, entity.end
    if agrees(text, (start, end), string):
        return start, end
    if reading and agrees(text, span := reading.span(text, start, end), string):
        return span
    trimmed, there = string.strip(), slice_of(text, start, end).strip()
    if trimmed and there == trimmed:
        return start, end
    if trimmed and there and (trimmed in there or there in trimmed):
        return None  # either may be meant
    for wanted in (string, trimmed):
        first = text.find(wanted) if wanted else -1
        if first >= 0 and text.find(wanted, first + 1) < 0:
            return first, first + len(wanted)
    return None


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    inner = text[start:end]
    return start + len(inner) - len(inner.lstrip()), end - len(inner) + len(inner.rstrip())


def _mend_class(row: RawRow, task: Task, done: Counter[str]) -> RawRow:
    label = _clean(row.label, Counter()) if row.label is not None else None
    options = None if row.options is None else [_nearest(_clean(option, Counter()), task.names) for option in row.options]
    if options is not None:
        unique = list(dict.fromkeys(options))
        done["options-repeat"] += len(options) - len(unique)
        options = unique
    if label is not None:
        label = _nearest(_nearest(label, task.names), options if options is not None else task.names)
    done["unknown-label"] += label != row.label or (row.options is not None and any(option not in row.options for option in options or ()))
    return replace(row, label=label, options=options)


def _nearest(name: str, known: Iterable[str]) -> str:
    """Returns the only known name that differs from `name` in just case, width and outer whitespace, or `name` itself."""
    same = [] if name in known else [other for other in known if fold(other) == fold(name)]
    return same[0] if len(same) == 1 else name
