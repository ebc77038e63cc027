"""Finds the field of a Label Studio export's data that holds the labelled text.

In: the first tasks of an export. Out: the field's name, where the tasks' own strings settle it: the labelling set-up, which names it, isn't in the export.

The rule, in this order: the task's `fields.text`; the field in which the spans' strings stand at their offsets; `text`; the only string, addresses of files aside;
the field that the results' `to_name` names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tools.data.offsets.units import OWN, UTF16, span_of
from tools.data.raw.fields import Unusable, is_offset
from tools.data.raw.json_list import first_objects
from tools.data.raw.row import FileReading, RawRow, misplaced, shown

HEAD = 200  # tasks that are looked at
# A text that stands elsewhere: a project with `valueType="url"` exports only where.
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|/data/)[!-~]+|[!-~]+\.(?:txt|html?|md|json|csv)")
Parts = Callable[[dict[str, Any]], tuple[dict[str, Any], list[dict[str, Any]]]]


class TextField:
    """The field of an export's texts. `annotated`: whether one of the first tasks has a result; `labelled`: whether one has an entity or a class."""

    def __init__(self, path: Path, reading: FileReading, parts: Parts) -> None:
        self._asked = reading.fields.get("text", "").removeprefix("data.")
        self._reading = reading
        tasks = _first_tasks(path, parts)
        self.annotated = any(results for _, results in tasks)
        values = [result.get("value") for _, results in tasks for result in results]
        self.labelled = any("labels" in value or ("choices" in value and "start" not in value) for value in values if isinstance(value, dict))
        self._found = "" if self._asked else _where_strings_stand(tasks)

    def of(self, data: dict[str, Any], results: list[dict[str, Any]], fault: str = "named") -> str:
        """Returns a task's text. Raises Unusable of the kind `fault` where it isn't clear which field it is."""
        if self._asked:
            return self._string(data, self._asked)
        if isinstance(data.get(self._found), str):
            if self._found != "text":
                self._reading.apply(f"the text is the field '{self._found}', where the annotated strings stand at their offsets")
            return str(data[self._found])
        if isinstance(data.get("text"), str):
            return str(data["text"])
        found = _strings(data)
        if len(found) > 1:  # the results of a task with several fields name the labelled one
            found = list({name: None for result in results if isinstance(name := result.get("to_name"), str) and name in found})
        if len(found) != 1:
            names = _strings(data)
            ways = " or ".join(f"fields.text={shown(name)[1:-1]}" for name in names[:4])
            way = f" Say which field it is: {ways}." if len(names) > 1 else ""
            raise Unusable(
                f"the text isn't clear: there is no string 'text', and not exactly one other string field: {shown(data)}.{way}",
                fault if way else "type",
            )
        self._reading.apply(f"the text is the field {shown(found[0])}")
        return self._string(data, found[0])

    def _string(self, data: dict[str, Any], key: str) -> str:
        if not isinstance(data.get(key), str):
            raise Unusable(f"the task's data has no string {shown(key)}: {shown(data)}.")
        return str(data[key])


def check_address(row: RawRow, reading: FileReading) -> None:
    """Raises Unusable where the text is the address of a file and the offsets count in that file; doubts a class of an address."""
    text = row.text
    if _ADDRESS.fullmatch(text):
        if row.entities and (row.sliced or misplaced(row)):
            raise Unusable(
                f"the text is the address of a file ({shown(text)}), and the offsets count in that file: put its text in the data, and export again.",
                "named",
            )
        reading.doubt("The text is an address. If the text behind it was annotated, put that in the data.", row.line)


def _first_tasks(path: Path, parts: Parts) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    tasks = []
    for task in first_objects(path, HEAD):
        with suppress(Unusable):
            tasks.append(parts(task))
    return tasks


def _strings(data: dict[str, Any]) -> list[str]:
    """Returns the fields that may be the text: strings, without addresses if there is another."""
    found = [key for key, value in data.items() if isinstance(value, str)]
    return [key for key in found if not _ADDRESS.fullmatch(data[key])] or found


def _where_strings_stand(tasks: Iterable[tuple[dict[str, Any], list[dict[str, Any]]]]) -> str:
    """Returns the only field in which most spans' strings stand at their offsets; empty where the strings don't settle it."""
    stands: Counter[str] = Counter()
    spans = 0
    for data, results in tasks:
        for value in (result.get("value") for result in results):
            if isinstance(value, dict) and isinstance(value.get("text"), str) and is_offset(value.get("start")) and is_offset(value.get("end")):
                spans += 1
                stands.update(
                    key for key, text in data.items() if isinstance(text, str) and _stands(text, value["text"], value["start"], value["end"])
                )
    (first, most), (_, next_most) = [*stands.most_common(2), ("", 0), ("", 0)][:2]
    if 2 * stands["text"] > most or most < 2 * next_most or 2 * most <= spans:
        return ""
    return first


def _stands(text: str, string: str, start: int, end: int) -> bool:
    return bool(string) and any((span := span_of(text, start, end, unit)) and text[slice(*span)] == string for unit in (OWN, UTF16))
