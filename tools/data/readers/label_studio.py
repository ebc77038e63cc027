"""Reads Label Studio's exports: JSON, a list of tasks, each with its annotations' results; or JSON-MIN, a list of rows with the results beside the text.

[{"data": {"text": "…"}, "annotations": [{"result": [{"type": "labels", "value": {"start": 0, "end": 3, "text": "菲律宾", "labels": ["GPE"]}}]}]}]
[{"text": "…", "label": [{"start": 0, "end": 3, "text": "菲律宾", "labels": ["GPE"]}], "annotation_id": 1, …}]

`choices` are a text's class. One task a line is read too; old exports write `completions`. The first annotation that wasn't cancelled counts. Ends are
exclusive; older versions count UTF-16 units, so offsets that fit the string only in these units are converted. Out: one RawRow or BadRow a task. A list is
read into memory whole, then task by task: the tasks before a fault in its JSON are kept, and the fault ends it.

Source: labelstud.io/guide/task_format and /guide/export; github.com/HumanSignal/label-studio/issues/1347 for the offsets.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.data.readers.fields import Unusable, from_utf16, objects, offset, slice_of, string, strings
from tools.data.readers.lines import CUT, json_lines, not_utf8, row_of
from tools.data.readers.row import BadRow, RawRow, shown
from tools.example import Entity
from tools.files import json_problem, need_file

_DECODER = json.JSONDecoder()
_NO_COMMA = "',' or ']' is needed"
_SPACE = re.compile(r"[ \t\n\r]*")
# JSON-MIN's own fields beside a task's data and its results.
_ABOUT = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}
# JSON-MIN writes a single choice as a bare string, under the control's name in the labelling set-up. These are the names in its templates.
_CHOICE_NAMES = ("label", "choice", "sentiment")


def read_label_studio(path: Path) -> Iterator[RawRow | BadRow]:
    """Yields one RawRow or BadRow for each task of a Label Studio export."""
    with open(need_file(path), "rb") as handle:
        is_list = handle.read(1 << 16).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")
    return _list_rows(path) if is_list else json_lines(_row)(path)


def _list_rows(path: Path) -> Iterator[RawRow | BadRow]:
    data, fault = path.read_bytes().removeprefix(codecs.BOM_UTF8), None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:  # the tasks before it are read
        text = data[: error.start].decode("utf-8")
        fault = not_utf8(1 + data.count(b"\n", 0, error.start), error, ended=False)
    for item in _elements(text, fault):
        yield item if isinstance(item, BadRow) else row_of(*item, _row)


def _elements(text: str, fault: BadRow | None) -> Iterator[tuple[int, Any] | BadRow]:
    """Yields (line, value) of each element of the list in `text`, and a BadRow at the first fault. `fault` is the reason why `text` ends early, if it does."""
    position = _skip(text, text.index("[") + 1)
    line, counted = 1, 0
    more = not text.startswith("]", position)
    try:
        while more:
            line, counted = line + text.count("\n", counted, position), position
            value, position = _DECODER.raw_decode(text, position)
            yield line, value
            position = _skip(text, position)
            if not text.startswith((",", "]"), position):
                raise json.JSONDecodeError(_NO_COMMA, text, position)
            more = text[position] == ","
            position = _skip(text, position + 1) if more else position
    except (ValueError, RecursionError) as error:
        yield _broken(line, text, error, fault)
        return
    rest = _skip(text, position + 1)
    if fault or rest < len(text):
        yield fault or BadRow(1 + text.count("\n", 0, rest), f"not JSON: more text after the list's end: {shown(text[rest : rest + 20])}.", "json")


def _skip(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _broken(line: int, text: str, error: ValueError | RecursionError, fault: BadRow | None) -> BadRow:
    """Returns the BadRow of an element at `line` that isn't JSON, or is followed by something else: the file was cut off there, or the JSON is wrong."""
    problem = f"not JSON: {json_problem(error)}"
    if not isinstance(error, json.JSONDecodeError):
        return BadRow(line, f"{problem}.", "json")
    problem += f" at line {error.lineno}, column {error.colno}"
    if not _at_end(text.rstrip(), error):
        return BadRow(error.lineno if error.msg == _NO_COMMA else line, f"{problem}.", "json")
    return BadRow(line, fault.reason, fault.kind) if fault else BadRow(line, f"{CUT} ({problem}).", "truncated")


def _at_end(text: str, error: json.JSONDecodeError) -> bool:
    """Returns whether the decoder failed because the text ends. It names the beginning of an incomplete string or word; a complete list ends in ']'."""
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return True
    return error.msg != _NO_COMMA and not text.endswith("]")


def _row(line: int, row: dict[str, Any]) -> RawRow:
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
