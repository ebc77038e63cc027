"""What the doctor can find, and a collector that counts all of it and keeps the first few of each.

In: one fault at a time, with its place. Out: the findings of report.json, and the same as a table. `make check TASK=…` prints it. Memory doesn't grow with the
number of faults: a kind keeps one number a split and EXAMPLES examples.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tools.text import columns, padded, paint

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
COLOURS = {ERROR: "red", WARNING: "yellow", NOTE: "cyan"}
EXAMPLES = 5
# Faults that a mended copy can't help.
BY_HAND = {"prompt", "cutoff", "no-rows", "truncated"}
LONGEST = 300  # characters of a message that are kept


class Place(NamedTuple):
    """Where a fault is: its split (empty where it is in no split's raw file), its file, its line from 1."""

    split: str
    file: Path
    line: int


class Kind(NamedTuple):
    """One sort of fault. `title` names what is counted; `advice` says what it does and what to do."""

    severity: str
    title: str
    advice: str


# Within a severity the order is the report's: what spoils most comes first.
KINDS: dict[str, Kind] = {
    # Errors: conversion refuses the row, or training or its score would be damaged.
    "utf-16": Kind(
        ERROR, "files in UTF-16 or UTF-32", "Conversion reads UTF-8 only; FIX=1 writes the mended copy in UTF-8. Read as it is for this report."
    ),
    "gbk": Kind(
        ERROR, "files in GBK (GB18030)", "Conversion reads UTF-8 only; FIX=1 writes the mended copy in UTF-8. Read as it is for this report."
    ),
    "truncated": Kind(
        ERROR, "files that end in the middle of a row", "The copy is incomplete: get the file again. What stands before the cut is read."
    ),
    "encoding": Kind(ERROR, "rows that are not UTF-8", "Bytes are damaged, or several encodings were mixed in one file. FIX=1 leaves such rows out."),
    "json": Kind(ERROR, "rows of unreadable JSON", "Conversion refuses them; FIX=1 leaves them out."),
    "type": Kind(
        ERROR,
        "rows with a missing field or a wrong type",
        "Is it the right reader for this format (reader=… in the task)? FIX=1 leaves such rows out.",
    ),
    "unannotated": Kind(
        ERROR, "rows without annotation", "There is nothing to learn from them, and they are not rows without an entity. FIX=1 leaves them out."
    ),
    "wrong-kind": Kind(ERROR, "rows of the other kind of task", "Classes in a task of kind ner, or entities in one of kind classification."),
    "no-rows": Kind(ERROR, "splits without a row", "Conversion needs at least one row in each split."),
    "prompt": Kind(ERROR, "faults of the prompt", "Every row shows the prompt and the system line to the model."),
    "cutoff": Kind(
        ERROR,
        "rows longer than cutoff_len",
        "LLaMA-Factory cuts their end off without a word (the text, the answer, or both), or drops them when it packs.",
    ),
    "offsets": Kind(ERROR, "entities whose string isn't at their offsets", "Which of the two is right? Conversion refuses the row."),
    "unknown-label": Kind(
        ERROR,
        "labels that the task doesn't list",
        "Add them to `labels` of the task, or correct the annotation. FIX=1 mends case, width and outer spaces.",
    ),
    "class": Kind(
        ERROR,
        "classes that the row's prompt can't be answered with",
        "The class must be one of the row's options. FIX=1 mends case, width and outer spaces.",
    ),
    "empty-text": Kind(ERROR, "rows with an empty text", "There is nothing to read in them; FIX=1 leaves them out."),
    "empty-entity": Kind(ERROR, "entities without a character", "Nothing, or only whitespace, is annotated; FIX=1 drops the entity."),
    "surrogate": Kind(
        ERROR, "rows with half a character (lone surrogate)", "No tokenizer and no UTF-8 file takes it; FIX=1 puts U+FFFD in its place."
    ),
    "conflict": Kind(
        ERROR,
        "texts that one split annotates in several ways",
        "Training on both teaches neither; with `split:` in the task only the first is kept. Say which is right; FIX=1 leaves all of them out and lists them.",
    ),
    "leak": Kind(
        ERROR,
        "texts of an evaluation split that stand in the training split",
        "A score on seen texts measures memory, so it can't be compared with any other. FIX=1 drops them from the training split.",
    ),
    # Warnings: it converts and trains, but perhaps not as was meant.
    "bom": Kind(WARNING, "files with a byte-order mark", "The mark is dropped in reading, here and in conversion; other tools stumble over it."),
    "two-labels": Kind(WARNING, "strings under two labels in one row", "The answer lists the string twice. Where only one is right, correct it."),
    "overlap": Kind(WARNING, "pairs of overlapping entities, neither inside the other", "At least one boundary is doubtful."),
    "edges": Kind(WARNING, "entities with whitespace at an edge", "The model learns to answer it, and no trimmed answer scores; FIX=1 trims it."),
    "repeated-entity": Kind(
        WARNING, "entities that a row lists more than once", "The answer names each (label, string) once; FIX=1 drops the repeats."
    ),
    "repaired": Kind(
        WARNING, "tags that contradict each other", "They are read by the rule that tools/data/readers/bio.py states, here and in conversion."
    ),
    "leak-normalised": Kind(
        WARNING,
        "texts of an evaluation split that stand in the training split but for width and whitespace",
        "Equal after NFKC without whitespace: seen texts to the model, which make scores too high.",
    ),
    "leak-evaluation": Kind(WARNING, "texts that stand in two evaluation splits", "What was chosen on one is then measured on it again."),
    "duplicate": Kind(
        WARNING,
        "rows that repeat an earlier row's text",
        "Within one split; each repeat weighs the text once more. With `split:` conversion keeps the first; FIX=1 drops equal ones.",
    ),
    "control-token": Kind(
        WARNING,
        "rows with a chat model's control token in the text",
        "Conversion and prediction make its bars or brackets full-width, so that it stays text.",
    ),
    "control": Kind(WARNING, "rows with control characters", "They are hardly ever meant; FIX=1 puts a space in their place."),
    "replacement": Kind(WARNING, "rows with U+FFFD (�)", "A character was lost in an earlier conversion; only the source has it."),
    "text-braces": Kind(
        WARNING,
        "rows with braces of a template in the text",
        "{{, }} or {text} looks like a template that was never filled in; and LLaMA-Factory fills {{idx}} in where it stands.",
    ),
    "options-repeat": Kind(WARNING, "rows that offer an option twice", "FIX=1 drops the repeats."),
    "unseen-label": Kind(WARNING, "labels that are evaluated but never trained", "They stand in an evaluation split and not in the training split."),
    "unused-label": Kind(WARNING, "labels that never occur", "The prompt asks for them, or the rows offer them, and no row teaches them."),
    "rare-label": Kind(WARNING, "labels that are rare in the training split", "Too few to learn from, and F1 on so few says little."),
    # Notes: good to know.
    "nested": Kind(NOTE, "pairs of overlapping entities, one inside the other (nested)", "Answers can hold both; taggers of flat spans can't."),
    "under-annotated": Kind(
        NOTE,
        "strings that stand in their text more often than they are annotated",
        "Counted for each (row, label, string). Answers hold each once, so they don't change.",
    ),
    "no-entity": Kind(NOTE, "rows without an entity", "They teach the model to answer []. Many of them make it answer [] too often."),
    "zero-width": Kind(
        NOTE, "rows with invisible characters", "Zero-width spaces and joiners, direction marks, U+FEFF inside a text: they count as characters."
    ),
}


@dataclass
class _Found:
    by_split: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)
    about: str = ""
    advice: str = ""


class Findings:
    """Counts of every kind of fault, in all and by split, with the first few of each."""

    def __init__(self) -> None:
        self._found: dict[str, _Found] = {}

    def add(self, kind: str, place: Place, message: str) -> None:
        """Count a fault, and keep it as an example if it is among the first."""
        self.count_more(kind, place.split, 1)
        self.example(kind, place, message)

    def count_more(self, kind: str, split: str, count: int) -> None:
        """Count faults whose examples come by themselves."""
        found = self._found.get(kind) or self._found.setdefault(kind, _Found())
        found.by_split[split] += count

    def example(self, kind: str, place: Place, message: str) -> None:
        """Show one more fault of a kind that is counted already."""
        examples = self._found[kind].examples
        if len(examples) < EXAMPLES:
            examples.append({"file": str(place.file), "line": place.line, "message": one_line(message)})

    def about(self, kind: str, detail: str) -> None:
        """Put a detail behind the title of a kind that was found."""
        self._found[kind].about = f" ({one_line(detail)})"

    def advise(self, kind: str, advice: str) -> None:
        """Put more advice behind the kind's own."""
        self._found[kind].advice += f" {one_line(advice)}"

    def count(self, kind: str) -> int:
        """How many of a kind were found."""
        return self._found[kind].by_split.total() if kind in self._found else 0

    def total(self, severity: str) -> int:
        """How many faults of a severity were found."""
        return sum(self.count(kind) for kind in self._found if KINDS[kind].severity == severity)

    def mendable(self) -> bool:
        """Whether there is an error that a mended copy would be without."""
        return any(KINDS[kind].severity == ERROR for kind in self._found.keys() - BY_HAND)

    def report(self) -> list[dict[str, Any]]:
        """The findings as report.json lists them, most serious first."""
        order = sorted(self._found, key=lambda kind: (SEVERITIES.index(KINDS[kind].severity), list(KINDS).index(kind)))
        return [
            {
                "kind": kind,
                "severity": KINDS[kind].severity,
                "title": KINDS[kind].title + found.about,
                "count": found.by_split.total(),
                "by_split": {split: count for split, count in found.by_split.items() if split},
                "advice": KINDS[kind].advice + found.advice,
                "examples": found.examples,
            }
            for kind in order
            for found in [self._found[kind]]
        ]

    def table(self) -> Iterator[str]:
        """The findings as lines to print: severity, count, what, the first place; below each, its examples and what to do."""
        report = self.report()
        what = [_title(finding) + _in_each(finding["by_split"]) for finding in report]
        width = max(map(columns, what), default=0)
        if report:
            yield (padded("severity", 8) + "  " + padded("count", -9) + "  " + padded("what", width) + "  first place")
        for finding, title in zip(report, what, strict=True):
            first, severity = finding["examples"][0], padded(in_language(finding["severity"]), 8)
            yield f"{paint(severity, COLOURS[finding['severity']], sys.stdout)}  {finding['count']:>9,}  {padded(title, width)}  {first['file']}:{first['line']}"
            yield from (f"    {example['file']}:{example['line']}: {example['message']}" for example in finding["examples"])
            yield f"    → {in_language(finding['advice'])}"


def _title(finding: dict[str, Any]) -> str:
    """What was found, and what is said about it, in the user's language."""
    title = KINDS[finding["kind"]].title
    about = in_language(finding["title"].removeprefix(title))
    return in_language(title) + (about.strip() if about.strip().startswith("（") else about)  # a full-width bracket brings its own space


def _in_each(by_split: dict[str, int]) -> str:
    return ": " + ", ".join(f"{split} {count:,}" for split, count in by_split.items()) if len(by_split) > 1 else ""


def one_line(message: str) -> str:
    """A message as a terminal can show it whatever stood in the file: cut, on one line, what doesn't print as an escape."""
    if len(message) > LONGEST:
        message = message[: LONGEST - 1] + "…"
    return message if message.isprintable() else "".join(c if c.isprintable() or c == "\u3000" else repr(c)[1:-1] for c in message)


def quoted(value: str) -> str:
    """A string of a file in a message: in quotes, and short."""
    return f"'{value}'" if len(value) <= 60 else f"'{value[:59]}…'"
