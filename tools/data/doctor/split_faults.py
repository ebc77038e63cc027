"""Counts what each split holds, and finds what no single row shows: labels that are rare or never trained, texts that repeat, conflict or leak.

In: each row of each split, then the table of repeats. Out: findings, and the counts that report.json has for each split. `./ner check` prints both.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.conf.task import DATASET, Task
from tools.data.doctor.findings import EXAMPLES, Findings, Place
from tools.data.doctor.prompt_faults import line_of
from tools.data.faults import alike
from tools.data.raw.row import RawRow, place_of
from tools.data.repeats import Repeats
from tools.data.stamp import left_over
from tools.errors import ToolError
from tools.example import read_examples
from tools.text import quoted

RARE = 10  # entities, or rows of a class, in the training split
LABELS_KEPT = 1000  # distinct labels that are counted by name, so that unlisted labels can't fill the memory
OTHERS = "…"


@dataclass
class SplitCounts:
    """A split's counts. `rows` are the readable ones; lengths map characters or tokens to rows."""

    rows: int = 0
    bad_rows: int = 0
    entities: int = 0
    pairs: int = 0
    empty_rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    text_lengths: Counter[int] = field(default_factory=Counter)
    token_lengths: Counter[int] = field(default_factory=Counter)

    def add(self, row: RawRow) -> None:
        """Counts a row."""
        self.rows += 1
        self.text_lengths[len(row.text)] += 1
        labels = labels_of(row)
        for label in labels:
            self.labels[label if label in self.labels or len(self.labels) < LABELS_KEPT else OTHERS] += 1
        self.entities += len(row.entities)
        self.pairs += 1 if row.label is not None else len({(entity.label, entity.text) for entity in row.entities})
        self.empty_rows += not labels

    def report(self) -> dict[str, Any]:
        """Returns the counts as report.json has them: labels by frequency, lengths in order."""
        lengths = {"text_lengths": dict(sorted(self.text_lengths.items()))}
        if self.token_lengths:
            lengths["token_lengths"] = dict(sorted(self.token_lengths.items()))
        counts = {name: getattr(self, name) for name in ("rows", "bad_rows", "entities", "pairs", "empty_rows")}
        return {**counts, "labels": dict(self.labels.most_common()), **lengths}

    def summary(self, kind: str) -> str:
        """Returns the counts of a split of a task of that kind as one line."""
        parts = [f"{self.rows:,} rows"]
        if kind == "ner":
            parts += [f"{self.entities:,} entities", f"{self.pairs:,} unique (label, string) pairs", f"{self.empty_rows:,} rows without an entity"]
        if self.bad_rows:
            parts.append(f"{self.bad_rows:,} bad rows")
        for lengths, unit in ((self.text_lengths, "characters"), (self.token_lengths, "tokens")):
            if lengths:
                least, most = min(lengths), max(lengths)
                parts.append(f"{least:,}–{most:,} {unit}" if least < most else f"{most:,} {unit}")
        return ", ".join(parts)


class Splits:
    """The counts of a task's splits. The training split is 'train', or else the first that the task names; it comes first in `names`."""

    def __init__(self, task: Task) -> None:
        self.trained = "train" if "train" in task.raw else next(iter(task.raw))
        self.names = [self.trained, *(split for split in task.raw if split != self.trained), *(task.split.of if task.split else ())]
        self.counts = {name: SplitCounts() for name in self.names}
        self.first: dict[tuple[str, str], Place] = {}  # where a split has an offered label first
        self.longest: dict[str, tuple[int, Place]] = {}  # a split's longest text: its characters and its place
        self.offered = dict.fromkeys(task.names)  # labels that a prompt may ask for, in order

    def add(self, place: Place, row: RawRow) -> None:
        """Counts a row, and remembers the labels that are new in it."""
        self.counts[place.split].add(row)
        if len(row.text) > self.longest.get(place.split, (0, place))[0]:
            self.longest[place.split] = len(row.text), place
        for option in row.options or ():
            if len(self.offered) < LABELS_KEPT:
                self.offered.setdefault(option)
        for label in self.offered.keys() & labels_of(row):
            self.first.setdefault((place.split, label), place)

    @property
    def rows(self) -> int:
        """The readable rows of all splits."""
        return sum(counts.rows for counts in self.counts.values())

    def report(self) -> dict[str, dict[str, Any]]:
        """Returns each split's counts as report.json has them."""
        return {name: counts.report() for name, counts in self.counts.items()}


def labels_of(row: RawRow) -> list[str]:
    """Returns the labels of a row's entities, or its class."""
    return [row.label] if row.label is not None else [entity.label for entity in row.entities]


def label_faults(splits: Splits, task: Task, findings: Findings) -> None:
    """Adds the labels that the training split has few or none of. All rows must be counted by then."""
    trained = splits.counts[splits.trained].labels
    if not splits.counts[splits.trained].rows:
        return
    for group in alike(splits.offered):
        times = {label: sum(counts.labels[label] for counts in splits.counts.values()) for label in group}
        first = next(
            (splits.first[name, label] for label in group for name in splits.names if (name, label) in splits.first), Place("", task.path, 1)
        )
        findings.add("similar-labels", first, ", ".join(f"{quoted(label)} {count:,} times" for label, count in times.items()) + ".")
    unit = "entities" if task.kind == "ner" else "rows"
    listed = Place("", task.path, line_of(task.path, "labels"))
    for label in splits.offered:
        times = {name: counts.labels[label] for name, counts in splits.counts.items()}
        first = next((splits.first[name, label] for name in splits.names if (name, label) in splits.first), listed)
        if not any(times.values()):
            findings.add("unused-label", listed, f"{label}: no {unit} in any split.")
        elif not trained[label]:
            findings.add("unseen-label", first, f"{label}: {', '.join(f'{count:,} in {name}' for name, count in times.items())}.")
        elif trained[label] < RARE:
            findings.add("rare-label", first, f"{label}: {trained[label]} {unit} in {splits.trained}, fewer than {RARE}.")


def length_faults(splits: Splits, task: Task, findings: Findings) -> None:
    """Adds the texts of evaluation splits that are longer than any training text; a class is asked of the whole text. All rows must be counted by then."""
    if task.kind != "ner" or splits.trained not in splits.longest:
        return
    most, _ = splits.longest[splits.trained]
    for split, (length, place) in splits.longest.items():
        if split != splits.trained and length > most:
            lengths = splits.counts[split].text_lengths
            findings.count_more("windowed", split, sum(count for characters, count in lengths.items() if characters > most))
            findings.example("windowed", place, f"{length:,} characters; the longest of {splits.trained} has {most:,}.")


def repeat_faults(repeats: Repeats, paths: dict[str, Path], findings: Findings) -> None:
    """Adds the texts that stand more than once, in one split or in several. `paths` maps a split to its raw file."""
    for kind, tally in repeats.tallies().items():
        for split, texts, rows in tally:
            findings.count_more(kind, split, rows if kind == "duplicate" else texts)
        for repeat in repeats.examples(kind, EXAMPLES):
            differs = ", annotated otherwise" if repeat.differs and kind in ("duplicate", "leak") else ""
            other = place_of(paths[repeat.other_split], repeat.other_line, repeat.other_item)
            message = f"annotated otherwise than in {other}." if kind == "conflict" else f"stands in {other} too{differs}."
            findings.example(kind, Place(repeat.split, paths[repeat.split], repeat.line, repeat.item), message)
        texts, rows = sum(one.texts for one in tally), sum(one.rows for one in tally)
        findings.detail(kind, f"of {texts:,} texts" if kind == "duplicate" else f"{rows:,} rows")


def left_over_faults(task: Task, repeats: Repeats, findings: Findings) -> None:
    """Adds the files that an earlier conversion wrote for a split that the task no longer has; an error where its texts are trained on now."""
    for split, paths in left_over(task, DATASET).items():
        try:
            trained, texts = repeats.trained(example.text for example in read_examples(paths[0]))
        except ToolError:
            trained, texts = 0, 0
        kind = "left-over-leak" if trained else "left-over"
        message = f"{split}: {trained:,} of its {texts:,} texts stand in the training split now."
        findings.add(kind, Place("", paths[0], 1), message)
        findings.advise(kind, f"To remove them: rm {' '.join(map(str, paths))}.")
