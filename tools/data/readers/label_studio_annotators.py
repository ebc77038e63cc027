"""Chooses the annotation that counts where a Label Studio task has several, and counts the tasks on which its annotators disagree.

In: a task's annotations, from one JSON task or from the JSON-MIN rows of one task, which stand one after another. Out: one row a task.

The rule: the annotator that the task names (`fields.annotator`); then the annotation that is marked as ground truth; else the first. One annotation as `./ner suspects --to` wrote
it, which the tool was given, gives way to the annotators'. Cancelled ones, drafts and a
model's predictions don't count; with `fields.annotator=predictions` the latter do in tasks without an annotation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tools.data.raw.fields import Unusable, is_offset, objects
from tools.data.raw.row import TURNED_DOWN, BadRow, FileReading, RawRow, shown
from tools.data.raw.ticket import is_as_sent, meaning

PREDICTIONS = "predictions"
NOBODY = "?"  # an export without the annotators
SEVERAL = "Tasks with several annotations"
TAKEN = " The first one was taken, which nothing marks as the truth."


class OneAnnotation(NamedTuple):
    """One annotation: its annotator, whether it is marked as the truth, and its results."""

    annotator: str
    is_truth: bool
    results: list[dict[str, Any]]


Outcome = tuple[OneAnnotation, "RawRow | Unusable"]


def annotations_of(task: dict[str, Any], wanted: str) -> list[OneAnnotation]:
    """Returns a task's annotations that count. Raises Unusable where there is none."""
    key = "annotations" if task.get("annotations") is not None else "completions"
    annotations = objects(task, key) if task.get(key) is not None else []
    kept = [one for one in annotations if one.get("was_cancelled") is not True]
    predictions = [one for one in task[PREDICTIONS] if isinstance(one, dict)] if isinstance(task.get(PREDICTIONS), list) else []
    if not annotations and wanted == PREDICTIONS:
        kept = predictions[:1]
    if not kept:
        kind = TURNED_DOWN if annotations else "named" if predictions else "unannotated"
        raise Unusable(f"the task has no annotation{_instead(task, len(annotations), bool(predictions))}.", kind)
    return [OneAnnotation(_annotator(one.get("completed_by")), one.get("ground_truth") is True, objects(one, "result")) for one in kept]


def _instead(task: dict[str, Any], cancelled: int, has_predictions: bool) -> str:
    drafts = task.get("drafts")
    if cancelled:
        return f" ({cancelled} cancelled)"
    if isinstance(drafts, list) and drafts:
        return f" ({len(drafts)} not submitted: drafts)"
    return f", it has predictions, which a model made; fields.annotator={PREDICTIONS} takes them" if has_predictions else ""


def name_of(value: Any) -> str:
    """Returns an id as messages write it, a number or a string; empty for anything else."""
    if is_offset(value):
        return str(value)
    return shown(value).strip("'") if isinstance(value, str) else ""


def _annotator(value: Any) -> str:
    """Returns an annotator as an export names him: a number, or an object with id and email."""
    return name_of(value.get("id", value.get("email")) if isinstance(value, dict) else value) or NOBODY


class Annotators:
    """The annotators of one export, and how they agree; what they disagree on is a doubt of the file's reading."""

    def __init__(self, reading: FileReading) -> None:
        self.wanted = reading.fields.get("annotator", "")
        self._reading = reading
        self._tasks: Counter[str] = Counter()  # by annotator, of tasks that have several annotations
        self._several = self._differ = self._absent = 0
        self._first = ("", 1)  # the first task that they disagree on: its name and line
        self._minimal: tuple[Any, Outcome] | None = None

    def chosen(self, outcomes: list[Outcome], name: str) -> RawRow:
        """Returns the row of the annotation that counts; `name` names the task. Raises Unusable where that one can't be read.

        The annotation that the annotators were given doesn't count beside one of theirs; who hands in the same has annotated.
        """
        own = _without_given([one for one in outcomes if one[0].annotator == self.wanted])
        truth = [one for one in outcomes if one[0].is_truth]
        outcomes = _without_given(outcomes)
        row = (own or truth or outcomes)[0][1]
        if len(outcomes) > 1:
            if own:
                self._reading.apply(f"annotator {self.wanted}'s annotation counts where a task has several", _line(row))
            elif truth:
                self._reading.apply("the annotation that is marked as ground truth counts where a task has several", _line(row))
            else:
                self._count(outcomes, name, _line(row))
        if isinstance(row, Unusable):
            raise row
        return row

    def minimal(self, row: RawRow, task: dict[str, Any]) -> None:
        """Takes the annotator of a JSON-MIN row, which `joined` meets next."""
        whose = OneAnnotation(_annotator(task.get("annotator")), False, [])
        key = (task.get("id"), row.text) if row.item and task.get("annotation_id") is not None else None
        self._minimal = (key, (whose, row))

    def joined(self, rows: Iterable[RawRow | BadRow]) -> Iterator[RawRow | BadRow]:
        """Yields the rows, one for JSON-MIN's rows of one task, and then tells how the annotators agree."""
        try:
            yield from self._joined(rows)
        finally:
            self._tell()

    def _joined(self, rows: Iterable[RawRow | BadRow]) -> Iterator[RawRow | BadRow]:
        group: list[Outcome] = []
        group_key: Any = None
        for row in rows:
            (key, outcome), self._minimal = self._minimal or (None, None), None
            if group and (key is None or key != group_key):
                yield self.chosen(group, _item(group))
                group = []
            if key is None or outcome is None or isinstance(row, BadRow):
                yield row
            else:
                group_key = key
                group.append(outcome)
        if group:
            yield self.chosen(group, _item(group))

    def _count(self, outcomes: list[Outcome], name: str, line: int) -> None:
        self._several += 1
        self._absent += self.wanted not in ("", PREDICTIONS)
        self._tasks.update(dict.fromkeys((said.annotator for said, _ in outcomes), 1))
        if len({_meaning(row) for _, row in outcomes}) > 1:
            self._first = self._first if self._differ else (name, line)
            self._differ += 1

    def _tell(self) -> None:
        if any(doubt.startswith(SEVERAL) for doubt in self._reading.doubts):  # an earlier pass of the file's rows
            return
        known = [(annotator, count) for annotator, count in self._tasks.most_common() if annotator != NOBODY]
        who = f" (annotator {', '.join(f'{annotator}: {count:,}' for annotator, count in known[:5])})" if known else ""
        others = [annotator for annotator, _ in known if annotator != self.wanted]
        if self._differ:
            name, line = self._first
            way = f" fields.annotator={others[-1]} takes that annotator's." if others else ""
            self._reading.doubt(
                f"{SEVERAL}: {self._several:,}{who}; they disagree in {self._differ:,}, first in {name}.{TAKEN}{way}",
                line,
            )
        elif self._several:
            self._reading.apply(f"annotations that agree count once; tasks with several: {self._several:,}{who}")
        if self._absent:
            self._reading.doubt(f"{SEVERAL}, but none by annotator {self.wanted}: {self._absent:,}.")


def _item(group: list[Outcome]) -> str:
    row = group[0][1]
    return row.item if isinstance(row, RawRow) else ""


def _line(row: RawRow | Unusable) -> int:
    return row.line if isinstance(row, RawRow) else 1


def _meaning(row: RawRow | Unusable) -> object:
    return meaning(row.entities, row.label) if isinstance(row, RawRow) else str(row)


def _without_given(outcomes: list[Outcome]) -> list[Outcome]:
    """Returns the annotations without the one that the tool was given, where there are others: the first that is still as it was sent."""
    given = next(
        (place for place, (_, row) in enumerate(outcomes) if isinstance(row, RawRow) and is_as_sent(row.ticket, row.text, row.entities, row.label)),
        None,
    )
    return outcomes if given is None or len(outcomes) == 1 else outcomes[:given] + outcomes[given + 1 :]
