"""Defines the kinds of fault that the doctor finds, counts every fault, and keeps the first few of each kind.

In: one fault at a time, with its place. Out: the findings of report.json, and the same as a table for the terminal. Memory doesn't grow with the number of
faults: a kind keeps one count a split and at most EXAMPLES examples. `./ner check` prints the table.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypedDict

from tools.data.raw.row import place_of
from tools.text import columns, one_line, padded, paint

ERROR, WARNING, NOTE = "error", "warning", "note"
COLOURS = {ERROR: "red", WARNING: "yellow", NOTE: "cyan"}
EXAMPLES = 5
# Faults that stay in a mended copy.
BY_HAND = {"prompt", "named", "cutoff", "positions", "no-rows", "truncated", "unshown-option", "left-over-leak"}


class Place(NamedTuple):
    """A fault's split (empty if it is in no split's raw file), file, line (from 1), and the row's name where its line doesn't tell rows apart."""

    split: str
    file: Path
    line: int
    item: str = ""


class Kind(NamedTuple):
    """One kind of fault. `title` names what is counted; `advice` gives its effect and its remedy."""

    severity: str
    title: str
    advice: str


class Finding(TypedDict):
    """All faults of one kind, as report.json lists them; an example has file, line, perhaps item ('task 17'), and message."""

    kind: str
    severity: str
    title: str
    count: int
    by_split: dict[str, int]
    advice: str
    examples: list[dict[str, str | int]]


# The report lists kinds in this order within a severity.
_ERRORS = {
    "file-encoding": ("files that aren't UTF-8", "Conversion reads UTF-8 only. This report decoded the file; --fix writes the mended copy in UTF-8."),
    "encoding": ("rows that are not UTF-8", "Bytes are damaged, or the file mixes encodings. --fix leaves these rows out."),
    "json": ("rows of unreadable JSON", "Conversion refuses them. --fix leaves them out."),
    "type": ("rows with a missing field or a wrong type", "The task's `reader` may be the wrong one for this file. --fix leaves these rows out."),
    "named": (
        "files of another form than the task says",
        "The reason says what to do. A key that it names, such as fields.text, stands in the task file: fields: {text: …}.",
    ),
    "several": ("rows with several classes", "A row of this project has one class. --fix leaves these rows out, and no score speaks for them then."),
    "truncated": ("files that end in the middle of a row", "The file is incomplete: get it again. The rows before the cut are read."),
    "unannotated": ("rows without annotation", "They teach nothing; a row without an entity has an empty list instead. --fix leaves them out."),
    "wrong-kind": ("rows of the other kind of task", "Classes in a task of kind ner, or entities in one of kind classification."),
    "no-rows": ("splits without a row", "Conversion needs at least one row in each split."),
    "prompt": ("faults of the prompt", "Every row shows the prompt and the system line to the model."),
    "unshown-option": (
        "rows with options that the prompt doesn't show",
        "The model can't choose what it doesn't see: write {options} in the prompt.",
    ),
    "offset-reading": ("files that speak against the way their offsets are read", "Conversion stops."),
    "positions": (
        "rows longer than the base model can read",
        "Training cuts them or fails. Prediction asks a text in windows only where it is longer than any training text.",
    ),
    "cutoff": ("rows longer than cutoff_len", "LLaMA-Factory silently cuts off their end (text or answer), or drops them when it packs."),
    "offsets": ("entities whose string isn't at their offsets", "Conversion refuses the row. Correct the string or the offsets."),
    "unknown-label": (
        "labels that the task doesn't list",
        "Add them to `labels`, and to a prompt without {labels}; or correct them. --fix corrects case, width and outer spaces.",
    ),
    "class": ("classes that are not among the row's options", "The prompt offers no such answer. --fix corrects case, width and outer spaces."),
    "crossing": (
        "pairs of entities that cross, which an answer in the format inline can't hold",
        "Conversion refuses the row. Correct a boundary, leave one of the two out, or take another answer.format. --fix leaves these rows out.",
    ),
    "empty-text": ("rows with an empty text", "They teach nothing. --fix leaves them out."),
    "empty-entity": ("entities without a character", "The annotated span is empty or only whitespace. --fix drops the entity."),
    "surrogate": ("rows with half a character (lone surrogate)", "No tokenizer and no UTF-8 file takes it. --fix replaces it by U+FFFD."),
    "conflict": ("texts that one split annotates in several ways", "Correct them. --fix leaves all out; conversion with `split:` keeps the first."),
    "left-over-leak": ("files of splits that the task no longer has, whose texts are trained on now", "A score on them measures memory."),
    "leak": ("texts of an evaluation split that stand in the training split", "Their score measures memory. --fix drops them from training."),
}
_WARNINGS = {
    "doubt": ("things that were read, but look doubtful", "Look at them in the file; a wrong reading teaches wrong answers."),
    "unshown-label": (
        "labels that the prompt doesn't show",
        "Rows teach answers that the prompt doesn't ask for: write {labels} in it, or their names.",
    ),
    "option-separator": ("labels or options with a comma and a space in them", "The prompt parts options so, and these look like two. Rename them."),
    "similar-labels": (
        "labels that differ only in case, width or spaces",
        "If they are one, write it in one way; two classes that mean the same can't be learned.",
    ),
    "long-answer": ("answers longer than evaluation lets a model write", "They end in the middle, and count as unparsable. Divide these texts."),
    "left-over": ("files of splits that the task no longer has", "An earlier conversion wrote them; nothing keeps them up to date."),
    "bom": ("files with a byte-order mark", "This report and conversion drop the mark; other tools may fail on it."),
    "two-labels": ("strings under two labels in one row", "The answer lists the string twice. Correct it if only one label is right."),
    "overlap": ("pairs of overlapping entities, neither inside the other", "At least one boundary is doubtful."),
    "edges": ("entities with whitespace at an edge", "The model learns the whitespace, and a trimmed answer counts as wrong. --fix trims it."),
    "repeated-entity": ("entities that a row lists more than once", "The answer names each (label, string) once. --fix drops the repeats."),
    "repaired": ("tags that contradict each other", "This report and conversion repair them by the rule in tools/data/tagging/tagged.py."),
    "leak-normalised": ("texts that stand in the training split but for width and whitespace", "The model has seen them, so scores are too high."),
    "leak-evaluation": ("texts that stand in two evaluation splits", "A model chosen on one of them is then measured on the same texts."),
    "duplicate": (
        "rows that repeat an earlier row's text",
        "Each weighs the text once more. --fix keeps one of those that teach the same; `split:` keeps the first.",
    ),
    "control-token": ("rows with a chat model's control token in the text", "Conversion and prediction make it full-width, so that it stays text."),
    "control": ("rows with control characters", "They are rarely intended. --fix replaces them by a space."),
    "replacement": ("rows with U+FFFD (�)", "A character was lost in an earlier conversion; only the source has it."),
    "text-braces": ("rows with braces of a template in the text", "A template may not have been filled in; LLaMA-Factory itself replaces {{idx}}."),
    "options-repeat": ("rows that offer an option twice", "--fix drops the repeats."),
    "unseen-label": ("labels that are evaluated but never trained", "They stand in an evaluation split and not in the training split."),
    "unused-label": ("labels that never occur", "The prompt or the options offer them, and no row teaches them."),
    "rare-label": ("labels that are rare in the training split", "They are too few to learn from, and an F1 over so few is uncertain."),
}
_NOTES = {
    "nested": ("pairs of overlapping entities, one inside the other (nested)", "Answers can hold both; a tagger of flat spans can't."),
    "under-annotated": (
        "strings that stand in their text more often than they are annotated",
        "The answer holds each string once, so it doesn't change.",
    ),
    "windowed": (
        "rows of evaluation splits that are longer than any training text",
        "Prediction cuts them at line and sentence ends into windows as long as training's texts, and puts the answers together.",
    ),
    "turned-down": ("rows that their annotator took out", "Conversion leaves them out, and lists them."),
    "no-entity": ("rows without an entity", "They teach the model to answer that there is none. Many of them make it say so too often."),
    "zero-width": ("rows with invisible characters", "Zero-width spaces and joiners, direction marks and U+FEFF inside a text count as characters."),
}
KINDS = {
    kind: Kind(severity, *words) for severity, kinds in ((ERROR, _ERRORS), (WARNING, _WARNINGS), (NOTE, _NOTES)) for kind, words in kinds.items()
}


@dataclass
class _Found:
    by_split: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str | int]] = field(default_factory=list)
    detail: str = ""
    advice: str = ""


class Findings:
    """Counts every kind of fault by split, and keeps the first few of each."""

    def __init__(self) -> None:
        self._found: dict[str, _Found] = {}

    def add(self, kind: str, place: Place, message: str) -> None:
        """Counts a fault, and keeps it as an example if it is among the first."""
        self.count_more(kind, place.split, 1)
        self.example(kind, place, message)

    def count_more(self, kind: str, split: str, count: int) -> None:
        """Counts faults without an example."""
        found = self._found.get(kind) or self._found.setdefault(kind, _Found())
        found.by_split[split] += count

    def example(self, kind: str, place: Place, message: str) -> None:
        """Keeps an example of a kind that is already counted, if it is among the first."""
        examples = self._found[kind].examples
        if len(examples) < EXAMPLES:
            item: dict[str, str | int] = {"item": place.item} if place.item else {}
            examples.append({"file": str(place.file), "line": place.line, **item, "message": one_line(message)})

    def detail(self, kind: str, detail: str) -> None:
        """Adds a detail, in parentheses, to the title of a kind that was found."""
        self._found[kind].detail = f" ({one_line(detail)})"

    def advise(self, kind: str, advice: str) -> None:
        """Adds a sentence to the advice of a kind that was found."""
        self._found[kind].advice += f" {one_line(advice)}"

    def count(self, kind: str) -> int:
        """Returns the number of faults of a kind."""
        return self._found[kind].by_split.total() if kind in self._found else 0

    def total(self, severity: str) -> int:
        """Returns the number of faults of a severity."""
        return sum(self.count(kind) for kind in self._found if KINDS[kind].severity == severity)

    def mendable(self) -> bool:
        """Returns whether a mended copy would have fewer errors."""
        return any(KINDS[kind].severity == ERROR for kind in self._found.keys() - BY_HAND)

    def report(self) -> list[Finding]:
        """Returns the findings as report.json lists them, the most serious first."""
        return [
            {
                "kind": kind,
                "severity": severity,
                "title": title + found.detail,
                "count": found.by_split.total(),
                "by_split": {split: count for split, count in found.by_split.items() if split},
                "advice": advice + found.advice,
                "examples": found.examples,
            }
            for kind, (severity, title, advice) in KINDS.items()
            if (found := self._found.get(kind))
        ]

    def table(self) -> Iterator[str]:
        """Yields the findings as lines to print: severity, count, title, first place; below each, its examples and its advice."""
        report = self.report()
        titles = [finding["title"] + _in_each(finding["by_split"]) for finding in report]
        width = max(map(columns, titles), default=0)
        if report:
            yield f"severity      count  {padded('what', width)}  first place"
        for finding, title in zip(report, titles, strict=True):
            first, severity = finding["examples"][0], finding["severity"]
            coloured = paint(severity.ljust(8), COLOURS[severity], sys.stdout)
            yield f"{coloured}  {finding['count']:>9,}  {padded(title, width)}  {_at(first)}"
            yield from (f"    {_at(example)}: {example['message']}" for example in finding["examples"])
            yield f"    → {finding['advice']}"


def _at(example: dict[str, str | int]) -> str:
    return place_of(example["file"], int(example["line"]), str(example.get("item", "")))


def _in_each(by_split: dict[str, int]) -> str:
    return ": " + ", ".join(f"{split} {count:,}" for split, count in by_split.items()) if len(by_split) > 1 else ""
