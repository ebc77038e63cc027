"""Reads Label Studio's exports: JSON, a list of tasks, each with its annotations' results; or JSON-MIN, a list of rows with the results beside the text.

[{"id": 17, "data": {"text": "…"}, "annotations": [{"result": [{"type": "labels", "value": {"start": 0, "end": 3, "text": "菲律宾", "labels": ["GPE"]}}]}]}]
[{"id": 17, "text": "…", "label": [{"start": 0, "end": 3, "text": "菲律宾", "labels": ["GPE"]}], "annotation_id": 1, …}]

`choices` are a text's class. One task a line is read too; old exports write `completions`. Ends are exclusive; older versions count UTF-16 units, so offsets that
fit the string only in these units are converted. Where the text stands is settled for the whole file (label_studio_text), and which of several annotations
counts in label_studio_annotators. Out: one RawRow or BadRow a task, named by the task's id.

The task's `fields`: `text` (the field of the data), `annotator` (whose annotation counts; `predictions` for a model's where there is none), `label` (the control
whose choice is the class).

Source: labelstud.io/guide/task_format and /guide/export; github.com/HumanSignal/label-studio/issues/1347 for the offsets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.data.offsets.units import UTF16, span_of
from tools.data.raw.fields import Unusable, in_string, offset, slice_of, string, strings
from tools.data.raw.json_list import json_rows
from tools.data.raw.row import SEVERAL, BadRow, FileReading, RawRow, shown
from tools.data.raw.ticket import ticket_in
from tools.data.readers.label_studio_annotators import Annotators, annotations_of, name_of
from tools.data.readers.label_studio_text import TextField, check_address
from tools.example import Entity

# JSON-MIN's own fields beside a task's data and its results.
_ABOUT = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "history"}
# JSON-MIN writes a single choice as a bare string, under the control's name in the labelling set-up. These are the names in its templates.
_CHOICE_NAMES = ("label", "choice", "sentiment")
_LINE_END = re.compile(r"[\r\n]")  # the editor writes each of a span's as a backslash and an n
# What the offsets of other results count in.
_ELSEWHERE = {
    "hypertextlabels": "places in HTML: write the words without their tags as the text, in which the results' globalOffsets count, or label the plain text with <Text>",
    "paragraphlabels": "places in one paragraph of a dialogue: write each paragraph as a text of its own, in which startOffset and endOffset count",
}


def read_label_studio(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one row for each task of an export."""
    export = _Export(path, reading)
    yield from export.annotators.joined(json_rows(export.row)(path, reading))


class _Export:
    """One export: the field of its texts, its annotators, and the names of its controls."""

    def __init__(self, path: Path, reading: FileReading) -> None:
        self.annotators = Annotators(reading)
        self._choice = reading.fields.get("label", "")
        self._reading = reading
        self._text = TextField(path, reading, self._parts)

    def row(self, line: int, task: dict[str, Any], _: FileReading) -> RawRow:
        item = _item(task)
        try:
            if isinstance(task.get("data"), dict):
                said = annotations_of(task, self.annotators.wanted)
                return self.annotators.chosen([(one, self._tried(line, task["data"], one.results, item)) for one in said], item or f"line {line}")
            if "annotations" in task or "completions" in task:
                raise Unusable(f"no 'data' object in the task; its keys are {shown(list(task))}.")
            return self._minimal(line, task, item)
        except Unusable as fault:
            reason, kind = (*fault.args, "type")[:2]
            raise Unusable(reason, kind, item) from None

    def _tried(self, line: int, data: dict[str, Any], results: list[dict[str, Any]], item: str) -> RawRow | Unusable:
        try:
            _refuse_elsewhere(results)
            return self._labelled(line, data, self._text.of(data, results), results, item)
        except Unusable as fault:
            return fault

    def _minimal(self, line: int, task: dict[str, Any], item: str) -> RawRow:
        """Returns the RawRow of a JSON-MIN row. An empty annotation has no key of its own there, only the annotation's id."""
        data, results, names = self._min_parts(task)
        _refuse_elsewhere(results)
        text = self._text.of(data, results, "named" if "annotation_id" in task else "type")
        is_sure = task.get("annotation_id") is not None
        if not names and not is_sure:
            raise Unusable(f"no annotation in the row; its keys are {shown(list(task))}.")
        if not is_sure and any(isinstance(task[name], str) for name in names):
            raise Unusable(f"a text and a class, without the 'annotation_id' that JSON-MIN has; its keys are {shown(list(task))}.")
        others = [key for key, value in data.items() if isinstance(value, str) and value != text]
        if not names and others and not self._text.annotated and not ticket_in(data):
            raise Unusable(f"one of the fields {', '.join(map(shown, others))} may be the class: fields.label={others[0]} says so.", "named")
        row = self._labelled(line, data, text, results, item)
        self.annotators.minimal(row, task)
        return row

    def _parts(self, task: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Returns a task's data and its results, of any annotator, for a first look. Raises Unusable for another kind of row."""
        if not isinstance(task.get("data"), dict):
            return self._min_parts(task)[:2]
        return task["data"], [result for one in annotations_of(task, "predictions") for result in one.results]

    def _min_parts(self, task: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]], set[str]]:
        """Returns a JSON-MIN row's data, its results, and the fields that hold them."""
        found = {key: results for key, value in task.items() if (results := self._min_results(key, value)) is not None}
        data = {key: value for key, value in task.items() if key not in found and key not in _ABOUT}
        return data, [result for results in found.values() for result in results], {*found}

    def _min_results(self, key: str, value: Any) -> list[dict[str, Any]] | None:
        """Returns a JSON-MIN field as the results of an annotation, or None if it is another field."""
        if isinstance(value, str) and in_string(value) is value and (key == self._choice if self._choice else key in _CHOICE_NAMES):
            return [{"from_name": key, "value": {"choices": [value]}}]
        if isinstance(value, dict) and "choices" in value:
            return [{"from_name": key, "value": value}]
        if isinstance(value, list) and all(isinstance(span, dict) for span in value) and (key == "label" or any(map(_kind_of, value))):
            return [{"type": _kind_of(span) or "labels", "from_name": key, "value": span} for span in value]
        if key == "label" and value is not None and not isinstance(value, str):
            raise Unusable(f"'label' must be a list of spans, or a choice, it is {shown(value)}.")
        return None

    def _labelled(self, line: int, data: dict[str, Any], text: str, results: list[dict[str, Any]], item: str) -> RawRow:
        entities: list[Entity] = []
        classes: list[str] = []
        passed: dict[str, None] = {}  # types of results that say nothing of an entity or a class
        for result in results:
            value, kind = result.get("value"), result.get("type")
            if not isinstance(value, dict):  # a relation has none
                if kind in ("labels", "choices"):
                    raise Unusable(f"a result of type '{kind}' has no 'value' object: {shown(result)}.")
                passed[shown(kind)] = None
            elif kind == "labels" or "labels" in value:
                entities += _entities(text, value)
            elif kind == "choices" or "choices" in value:
                chosen = strings(value, "choices")
                if "start" in value:  # a span's choice isn't the text's
                    passed["choices of a span"] = None
                elif self._choice in ("", result.get("from_name")):
                    classes += chosen
            else:
                passed[shown(kind)] = None
        if len(classes) > 1:
            controls = self._controls(results)
            raise Unusable(f"one choice is needed, the task has {len(classes)}: {shown(classes)}.{controls}", "named" if controls else SEVERAL)
        if passed and not self._text.labelled and not ticket_in(data):
            raise Unusable(f"the annotation has results of type {', '.join(passed)} only; 'labels' and 'choices' are read.", "named")
        if passed:
            self._reading.apply(f"results that are neither the text's entities nor its class were passed over: {', '.join(passed)}", line)
        row = RawRow(line, text, entities, classes[0] if classes else None, sliced=_are_sliced(results), item=item, ticket=ticket_in(data))
        check_address(row, self._reading)
        return row

    def _controls(self, results: list[dict[str, Any]]) -> str:
        names = list(dict.fromkeys(shown(result.get("from_name"))[1:-1] for result in results if result.get("type") == "choices"))
        return f" They are of {len(names)} controls; fields.label={names[0]} takes that one's." if len(names) > 1 and not self._choice else ""


def _item(task: dict[str, Any]) -> str:
    """Returns what a message calls a task: by its id, as Label Studio's own list of tasks does."""
    name = name_of(task.get("id"))
    return f"task {name}" if name else ""


def _kind_of(value: dict[str, Any]) -> str:
    """Returns the key of a region's labels, such as 'labels' or 'hypertextlabels'; empty for a value that is no region's."""
    return next((key for key in value if key.endswith("labels")), "")


def _refuse_elsewhere(results: list[dict[str, Any]]) -> None:
    """Raises Unusable for regions of another kind of data than a text."""
    for result in results:
        value = result.get("value")
        if isinstance(value, dict) and (kind := _kind_of(value)) not in ("", "labels"):
            about = f"they are {_ELSEWHERE[kind]}" if kind in _ELSEWHERE else "only 'labels' and 'choices' are read"
            raise Unusable(f"results of type {shown(kind)} aren't offsets into a text; {about}.", "named")


def _are_sliced(results: list[dict[str, Any]]) -> bool:
    """Returns whether a labelled span has no string, which is then taken from the text."""
    values = [value for result in results if isinstance(value := result.get("value"), dict)]
    return any("labels" in value and value.get("text") is None for value in values)


def _entities(text: str, value: dict[str, Any]) -> list[Entity]:
    """Returns one entity for each label of a span. The string is taken from the text if the export has none, or has its line ends escaped; offsets may count UTF-16 units."""
    start, end = offset(value, "start"), offset(value, "end")
    if not value.get("labels"):
        raise Unusable(f"the region {shown(value.get('text'))} at [{start}, {end}) has no 'labels': give it one in Label Studio, or delete it.")
    if value.get("text") is None:
        return [Entity(label, slice_of(text, start, end), start, end) for label in strings(value, "labels")]
    written = string(value, "text")
    for place in [(start, end), span_of(text, start, end, UTF16)]:
        if place and written in (there := text[slice(*place)], _LINE_END.sub(r"\\n", there)):
            return [Entity(label, there, *place) for label in strings(value, "labels")]
    return [Entity(label, written, start, end) for label in strings(value, "labels")]
