"""What no single row shows: labels that are rare or never trained, texts that repeat, conflict or leak; and the counts that it is told by.

In: each row of each split, then the table of repeats. Out: findings, and the counts that report.json has for each split. `python -m tools.data.doctor.examine`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.conf.task import Task
from tools.data.doctor.findings import EXAMPLES, Findings, Place
from tools.data.doctor.prompt_faults import line_of
from tools.data.readers.row import RawRow
from tools.data.repeats import Repeats

RARE = 10  # entities, or rows of a class, in the training split
LABELS_KEPT = 1000  # distinct labels that are counted by name; those that the task doesn't list may be without end
OTHERS = "…"


@dataclass
class SplitCounts:
    """What a split holds; bad rows aren't rows."""

    rows: int = 0
    bad_rows: int = 0
    entities: int = 0
    pairs: int = 0
    empty_rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    text_lengths: Counter[int] = field(default_factory=Counter)
    token_lengths: Counter[int] = field(default_factory=Counter)

    def add(self, row: RawRow) -> None:
        """Count a row."""
        self.rows += 1
        self.text_lengths[len(row.text)] += 1
        labels = labels_of(row)
        for label in labels:
            self.labels[label if label in self.labels or len(self.labels) < LABELS_KEPT else OTHERS] += 1
        self.entities += len(row.entities)
        self.pairs += 1 if row.label is not None else len({(entity.label, entity.text) for entity in row.entities})
        self.empty_rows += not labels

    def report(self) -> dict[str, Any]:
        """As report.json has it; labels by frequency, lengths in order."""
        lengths = {"text_lengths": dict(sorted(self.text_lengths.items()))}
        if self.token_lengths:
            lengths["token_lengths"] = dict(sorted(self.token_lengths.items()))
        counts = {name: getattr(self, name) for name in ("rows", "bad_rows", "entities", "pairs", "empty_rows")}
        return {**counts, "labels": dict(self.labels.most_common()), **lengths}


class Splits:
    """The counts of a task's splits, the one that is trained on first: 'train', or else the first that the task names."""

    def __init__(self, task: Task) -> None:
        self.trained = "train" if "train" in task.raw else next(iter(task.raw))
        self.names = [self.trained, *(split for split in task.raw if split != self.trained), *(task.split.of if task.split else ())]
        self.counts = {name: SplitCounts() for name in self.names}
        self.first: dict[tuple[str, str], Place] = {}  # where a split has a label first
        self.offered = dict.fromkeys(task.names)  # what a prompt may ask for

    def add(self, place: Place, row: RawRow) -> None:
        """Count a row, and remember which labels are new in it."""
        self.counts[place.split].add(row)
        for label in labels_of(row):
            if (place.split, label) not in self.first and len(self.first) < LABELS_KEPT:
                self.first[place.split, label] = place
        for option in row.options or ():
            if option not in self.offered and len(self.offered) < LABELS_KEPT:
                self.offered[option] = None

    @property
    def rows(self) -> int:
        """Readable rows in all."""
        return sum(counts.rows for counts in self.counts.values())


def labels_of(row: RawRow) -> list[str]:
    """The labels of a row's entities, or its class."""
    return [row.label] if row.label is not None else [entity.label for entity in row.entities]


def label_faults(splits: Splits, task: Task, findings: Findings) -> None:
    """Labels that the training split has too few of or none, once all rows are counted."""
    trained = splits.counts[splits.trained].labels
    if not splits.counts[splits.trained].rows:
        return
    unit = "entities" if task.kind == "ner" else "rows"
    listed = Place("", task.path, line_of(task.path, "labels"))
    for label in splits.offered:
        seen = [name for name in splits.names if splits.counts[name].labels[label]]
        if not seen:
            findings.add("unused-label", listed, f"{label}: no {unit} in any split.")
        elif not trained[label]:
            findings.add("unseen-label", splits.first.get((seen[0], label), listed), f"{label}: {_in_each(splits, label)}.")
        elif trained[label] < RARE:
            message = f"{label}: {trained[label]} {unit} in {splits.trained}, fewer than {RARE}."
            findings.add("rare-label", splits.first.get((splits.trained, label), listed), message)


def repeat_faults(repeats: Repeats, paths: dict[str, Path], findings: Findings) -> None:
    """Texts that stand more than once, in one split or in several."""
    tables = {"duplicate": "repeated", "conflict": "conflicting", "leak": "leaked", "leak-normalised": "leaked_normalised"}
    for kind, table in {**tables, "leak-evaluation": "evaluated_twice"}.items():
        tally = repeats.tally(table)
        if not tally:
            continue
        examples = repeats.examples(table, EXAMPLES)
        for split, texts, rows in tally:
            findings.count_more(kind, split, rows if kind == "duplicate" else texts)
        for repeat in examples:
            differs = ", annotated otherwise" if repeat.differs and kind in ("duplicate", "leak") else ""
            other = f"{paths[repeat.other_split]}:{repeat.other_line}"
            message = f"stands in {other} too{differs}." if kind != "conflict" else f"annotated otherwise than in {other}."
            findings.example(kind, Place(repeat.split, paths[repeat.split], repeat.line), message)
        texts, rows = sum(one.texts for one in tally), sum(one.rows for one in tally)
        findings.about(kind, f"of {texts:,} texts" if kind == "duplicate" else f"{rows:,} rows")


def _in_each(splits: Splits, label: str) -> str:
    return ", ".join(f"{splits.counts[name].labels[label]:,} in {name}" for name in splits.names)
