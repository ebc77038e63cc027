"""Reads Label Studio's exports: JSON, a list of tasks, each with its annotations' results; or JSON-MIN, a list of rows with the results beside the text.

[{"data": {"text": "…"}, "annotations": [{"result": [{"type": "labels", "value": {"start": 0, "end": 3, "text": "菲律宾", "labels": ["GPE"]}}]}]}]
[{"text": "…", "label": [{"start": 0, "end": 3, "text": "菲律宾", "labels": ["GPE"]}], "annotation_id": 1, …}]

`choices` are a text's class. One task a line is read too; old exports write `completions`. The first annotation that wasn't cancelled counts. Ends are
exclusive; older versions count UTF-16 units, so offsets that fit the string only in these units are converted. Out: one RawRow or BadRow a task.

Source: labelstud.io/guide/task_format and /guide/export; github.com/HumanSignal/label-studio/issues/1347 for the offsets.
"""

from __future__ import annotations

from typing import Any

from tools.data.readers.fields import Unusable, from_utf16, objects, offset, slice_of, string, strings
from tools.data.readers.json_list import json_rows
from tools.data.readers.row import RawRow, Reading, shown
from tools.example import Entity

# JSON-MIN's own fields beside a task's data and its results.
_ABOUT = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}
# JSON-MIN writes a single choice as a bare string, under the control's name in the labelling set-up. These are the names in its templates.
_CHOICE_NAMES = ("label", "choice", "sentiment")


def _row(line: int, row: dict[str, Any], _: Reading) -> RawRow:
    if isinstance(row.get("data"), dict):
        results = _results(row)
        return _labelled(line, _text(row["data"], results), results)
    if "annotations" in row or "completions" in row:
        raise Unusable(f"no 'data' object in the task; its keys are {shown(list(row))}.")
    return _minimal_row(line, row)


def _results(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the results of the first annotation that wasn't cancelled."""
    key = "annotations" if task.get("annotations") is not None else "completions"
    annotations = objects(task, key) if task.get(key) is not None else []
    kept = next((one for one in annotations if one.get("was_cancelled") is not True), None)
    if kept is None:
        cancelled = f" ({len(annotations)} cancelled)" if annotations else ""
        raise Unusable(f"the task has no annotation{cancelled}.", "unannotated")
    return objects(kept, "result")


def _minimal_row(line: int, row: dict[str, Any]) -> RawRow:
    """Returns the RawRow of a JSON-MIN row. An empty annotation has no key of its own there, only the annotation's id."""
    found = {key: results for key, value in row.items() if (results := _minimal_results(key, value)) is not None}
    data = {key: value for key, value in row.items() if key not in found and key not in _ABOUT}
    text = _text(data, [])
    if not found and row.get("annotation_id") is None:
        raise Unusable(f"no annotation in the row; its keys are {shown(list(row))}.", "unannotated")
    return _labelled(line, text, [result for results in found.values() for result in results])


def _minimal_results(key: str, value: Any) -> list[dict[str, Any]] | None:
    """Returns a JSON-MIN field as the results of an annotation, or None if it is another field."""
    if key in _CHOICE_NAMES and isinstance(value, str):
        return [{"value": {"choices": [value]}}]
    if isinstance(value, dict) and "choices" in value:
        return [{"value": value}]
    if isinstance(value, list) and all(isinstance(span, dict) for span in value) and (key == "label" or any("labels" in span for span in value)):
        return [{"type": "labels", "value": span} for span in value]
    if key == "label" and value is not None:
        raise Unusable(f"'label' must be a list of spans, or a choice, it is {shown(value)}.")
    return None


def _text(data: dict[str, Any], results: list[dict[str, Any]]) -> str:
    if isinstance(data.get("text"), str):
        return data["text"]
    found = [key for key, value in data.items() if isinstance(value, str)]
    if len(found) > 1:  # the results of a task with several fields name the labelled one
        found = list({name: None for result in results if isinstance(name := result.get("to_name"), str) and name in found})
    if len(found) != 1:
        raise Unusable(f"the text isn't clear: there is no string 'text', and not exactly one other string field: {shown(data)}.")
    return string(data, found[0])


def _labelled(line: int, text: str, results: list[dict[str, Any]]) -> RawRow:
    entities: list[Entity] = []
    classes: list[str] = []
    for result in results:
        value, kind = result.get("value"), result.get("type")
        if not isinstance(value, dict):  # a relation has none
            if kind in ("labels", "choices"):
                raise Unusable(f"a result of type '{kind}' has no 'value' object: {shown(result)}.")
        elif kind == "labels" or "labels" in value:
            entities += _entities(text, value)
        elif kind == "choices" or "choices" in value:
            classes += [] if "start" in value else strings(value, "choices")  # a span's choice isn't the text's
        elif other := next((key for key in value if key.endswith("labels")), None):
            raise Unusable(f"results of type {shown(other)} aren't offsets into a text; only 'labels' and 'choices' are read.")
    if len(classes) > 1:
        raise Unusable(f"one choice is needed, the task has {len(classes)}: {shown(classes)}.")
    return RawRow(line, text, entities, classes[0] if classes else None)


def _entities(text: str, value: dict[str, Any]) -> list[Entity]:
    """Returns one entity for each label of a span. The string is taken from the text if the export has none; offsets may count UTF-16 units."""
    start, end = offset(value, "start"), offset(value, "end")
    if value.get("text") is None:
        return [Entity(label, slice_of(text, start, end), start, end) for label in strings(value, "labels")]
    written = string(value, "text")
    if text[start:end] != written and slice_of(text, *(units := from_utf16(text, start, end))) == written:
        start, end = units
    return [Entity(label, written, start, end) for label in strings(value, "labels")]


read_label_studio = json_rows(_row)
