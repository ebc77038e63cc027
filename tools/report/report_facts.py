"""Counts the mistakes of an evaluation and picks its worst rows: the facts of a report, as JSON values.

In: a task's Rows. Out: sums by kind, label and length, and the rows as the page shows them.

    ./ner report conf/tiny-qwen2-sample-ner-lora-sft.yaml --rows 100
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any, NamedTuple, TypedDict

from tools.answers import Pair
from tools.conf.task import Task
from tools.report.wrong_strings import WrongStrings, cut
from tools.score.counts import Counts
from tools.score.mistakes import Mistake, counted, mistakes
from tools.score.rows import Row, known_labels, occurrences
from tools.score.score_file import Figures
from tools.text import neutralise

# Caps: a report of any number of rows, and of any answers, opens at once.
ROWS = 500
TEXT_CHARS = 1500
OUTPUT_CHARS = 2000
MISTAKES = 40
MARKS = 200
MATRIX = 30
BUCKETS = 5

Label = str | None  # None stands for 'no such string', UNKNOWN for a label that the task doesn't have
UNKNOWN = "?"


Cell = tuple[Label, Label]  # (gold label, predicted label) of a string


class Matrix(TypedDict):
    """Confusion of labels: `counts` has a row for each of `gold` and a column for each of `predicted`. `left` rarer labels aren't in it."""

    gold: list[Label]
    predicted: list[Label]
    counts: list[list[int]]
    left: int


class ShownRow(TypedDict):
    """One row of the page, each part cut to its cap; the `…_cut` numbers count what was cut. `classes` are a classification's gold and predicted class."""

    id: str
    errors: int
    text: list[list[Any]]  # pieces: [string, numbers of the marks over it, numbers of the marks that end with it]
    text_cut: int
    marks: list[list[str]]  # [hit|gold|extra, label]
    marks_cut: bool
    labels: list[str]
    hits: int
    classes: list[Label] | None
    cells: list[int]  # of the matrix, as row times columns plus column
    mistakes: list[list[Any]]  # [kind, gold pair or None, predicted pair or None]
    mistakes_cut: int
    kinds: list[str]
    rules: list[str]
    output: str | None
    output_cut: int
    error: str | None


class Bucket(Figures):
    """The figures of the `rows` texts that have `shortest` to `longest` characters."""

    rows: int
    shortest: int
    longest: int


@dataclass
class Part:
    """The texts of one length: their number, and their pairs by the protocol 'set'."""

    rows: int = 0
    counts: Counts = field(default_factory=Counts)


class Examined(NamedTuple):
    """A row that may be shown, its mistakes, their number of false positives and false negatives, and its cells in the confusion of labels."""

    row: Row
    found: list[Mistake]
    errors: int
    cells: list[Cell]


@dataclass
class RowFacts:
    """Counts over all rows, and the worst rows, worst first."""

    whole: Part = field(default_factory=Part)
    wrong_rows: int = 0
    kinds: dict[str, list[int]] = field(default_factory=dict)  # kind → false positives, false negatives, rows
    confusion: Counter[Cell] = field(default_factory=Counter)
    strings: WrongStrings = field(default_factory=WrongStrings)
    lengths: dict[int, Part] = field(default_factory=lambda: defaultdict(Part))  # by the text's length in characters
    worst: list[Examined] = field(default_factory=list)

    def add(self, row: Row, found: list[Mistake], known: frozenset[str]) -> list[Cell]:
        """Counts one row with its mistakes, and returns its cells. `known` are the labels that its answer may use."""
        self.wrong_rows += bool(found or row.failures)
        for kind, (fp, fn) in counted(found).items():
            sums = self.kinds.setdefault(kind, [0, 0, 0])
            self.kinds[kind] = [sums[0] + fp, sums[1] + fn, sums[2] + 1]
        gold, predicted = set(row.gold), set(row.predicted)
        for part in (self.whole, self.lengths[len(row.example.text)]):
            part.rows += 1
            for pair in gold | predicted:
                part.counts.add(pair in predicted, pair in gold)
        self.strings.add(found, known)
        cells = [(label, label) for label, _ in gold & predicted] + _confused(found, known)
        self.confusion.update(cells)
        return cells


def _confused(found: list[Mistake], known: frozenset[str]) -> list[Cell]:
    """Returns the cells of mistakes: one where gold and prediction have the same string, else one a side."""
    cells: list[Cell] = []
    for one in found:
        label = one.gold and one.gold[0]
        guess = one.predicted and (one.predicted[0] if one.predicted[0] in known else UNKNOWN)
        same_string = one.gold and one.predicted and one.gold[1] == one.predicted[1]
        cells += [(label, guess)] if same_string else [cell for cell in ((label, None), (None, guess)) if cell != (None, None)]
    return cells


def examine(task: Task, all_rows: Iterable[Row], keep: int = ROWS) -> RowFacts:
    """Counts the mistakes of all rows and keeps the `keep` worst: most errors (false positives + false negatives) first, then failures, then in file order."""
    findings = RowFacts()

    def examined() -> Iterator[Examined]:
        for row in all_rows:
            known = frozenset(known_labels(task, row.example))
            found = mistakes(row, known)
            cells = findings.add(row, found, known)
            yield Examined(row, found, sum((one.gold is not None) + (one.predicted is not None) for one in found), cells)

    findings.worst = heapq.nsmallest(keep, examined(), key=lambda one: (-one.errors, not one.row.failures))
    return findings


def shown(task: Task, one: Examined, within: Matrix) -> ShownRow:
    """Returns one row for the page, which has its cells `within` the matrix."""
    row, output = one.row, one.row.prediction.output if one.row.prediction else None
    text = neutralise(row.example.text)
    gold, predicted = set(row.gold), set(row.predicted)
    pairs = dict.fromkeys(row.gold + row.predicted) if task.kind == "ner" else {}
    marks = [("hit" if pair in gold and pair in predicted else "gold" if pair in gold else "extra", pair) for pair in pairs]
    pieces, spans, marks_cut = _marked(text[:TEXT_CHARS], marks)
    return {
        "id": row.example.id,
        "errors": one.errors,
        "text": pieces,
        "marks": spans,
        "marks_cut": marks_cut,
        "text_cut": max(0, len(text) - TEXT_CHARS),
        "labels": sorted({cut(pair[0]) for pair in gold | predicted})[:MISTAKES],
        "hits": len(gold & predicted),
        "classes": [cut(side[0][0]) if side else None for side in (row.gold, row.predicted)] if task.kind != "ner" else None,
        "cells": sorted({number for cell in set(one.cells) if (number := _number(cell, within)) is not None}),
        "mistakes": [[m.kind, *([cut(part) for part in pair] if pair else None for pair in (m.gold, m.predicted))] for m in one.found[:MISTAKES]],
        "mistakes_cut": max(0, len(one.found) - MISTAKES),
        "kinds": sorted({m.kind for m in one.found} | set(row.failures)),
        "rules": list(row.rules),
        "output": None if output is None else output[:OUTPUT_CHARS],
        "output_cut": max(0, len(output or "") - OUTPUT_CHARS),
        "error": row.prediction.error if row.prediction else None,
    }


def _number(cell: Cell, within: Matrix) -> int | None:
    gold, predicted = cell
    if gold not in within["gold"] or predicted not in within["predicted"]:
        return None  # of a rarer label
    return within["gold"].index(gold) * len(within["predicted"]) + within["predicted"].index(predicted)


def _marked(text: str, pairs: Iterable[tuple[str, Pair]]) -> tuple[list[list[Any]], list[list[str]], bool]:
    """Marks every occurrence of each pair's string, overlapping ones too: a ShownRow's `text`, up to MARKS `marks`, and whether there are more."""
    found = ((start, end, kind, label) for kind, (label, string) in pairs for start, end in occurrences(string, text))
    spans = list(islice(found, MARKS + 1))
    more, spans = len(spans) > MARKS, spans[:MARKS]
    borders = sorted({0, len(text), *(place for start, end, *_ in spans for place in (start, end))})
    pieces = []
    for left, right in pairwise(borders):
        over = [number for number, (start, end, *_) in enumerate(spans) if start <= left and right <= end]
        pieces.append([text[left:right], over, [number for number in over if spans[number][1] == right]])
    return pieces, [[kind, cut(label)] for _, _, kind, label in spans], more


def matrix(confusion: Counter[Cell], labels: list[str]) -> Matrix:
    """Returns the confusion of at most MATRIX labels, the most frequent ones, in the order of `labels`."""
    sizes: Counter[str] = Counter()
    for (gold, predicted), count in confusion.items():
        for label in {gold, predicted} - {None, UNKNOWN}:
            sizes[str(label)] += count
    frequent = [label for label, _ in sizes.most_common(MATRIX)]
    order = [label for label in (labels or sorted(frequent)) if label in frequent]
    columns: list[Label] = [*order, *([UNKNOWN] if any(predicted == UNKNOWN for _, predicted in confusion) else []), None]
    return {
        "gold": [*order, None],
        "predicted": columns,
        "counts": [[confusion[g, p] for p in columns] for g in [*order, None]],
        "left": len(sizes) - len(order),
    }


def buckets(lengths: Mapping[int, Part]) -> list[Bucket]:
    """Returns at most BUCKETS ranges of text length with about as many rows each."""
    total, passed, found = sum(part.rows for part in lengths.values()), 0, dict[int, tuple[list[int], Part]]()
    for length, one in sorted(lengths.items()):
        members, part = found.setdefault(passed * BUCKETS // total, ([], Part()))
        members.append(length)
        part.rows += one.rows
        part.counts += one.counts
        passed += one.rows
    return [{"shortest": members[0], "longest": members[-1], "rows": part.rows, **part.counts.to_dict()} for members, part in found.values()]
