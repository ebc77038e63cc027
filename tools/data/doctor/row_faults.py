"""Finds all faults of one readable row: the errors of tools.data.faults, and what only looks wrong.

In: a row as its reader yields it, and its task. Out: (kind of tools.data.doctor.findings, message) of each fault, none for most rows. `./ner check` counts them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from tools.conf.task import Task
from tools.data.faults import Fault, errors, named, shared
from tools.data.raw.row import RawRow
from tools.text import CONTROL_TOKEN, quoted

CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # C0 but tab and line ends, DEL, C1
_ZERO_WIDTH = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_BRACES = re.compile(r"\{\{|\}\}|\{(?:text|labels|options)\}")
_CHARACTERS = {"control": CONTROL, "zero-width": _ZERO_WIDTH, "replacement": re.compile("\ufffd")}
# Most texts have none of these characters, and one search tells.
_ODD = re.compile(f"[{CONTROL.pattern[1:-1]}{_ZERO_WIDTH.pattern[1:-1]}\ufffd{{}}<]")


def faults(row: RawRow, task: Task) -> Iterator[Fault]:
    """Yields every fault of a row, the errors first."""
    yield from errors(row, task)
    if _ODD.search(row.text):
        yield from _text_faults(row.text)
    if task.kind == "classification":
        repeated = [option for option, times in Counter(row.options or ()).items() if times > 1]
        if repeated:
            yield "options-repeat", f"offered more than once: {', '.join(map(quoted, repeated))}."
    elif row.entities and row.label is None:
        yield from _entity_faults(row)


def _text_faults(text: str) -> Iterator[Fault]:
    for kind, pattern in _CHARACTERS.items():
        if found := pattern.search(text):
            yield kind, f"U+{ord(found[0]):04X} at {found.start()}: …{_around(text, found.start())}…"
    if found := CONTROL_TOKEN.search(text):
        yield "control-token", f"'{found[0]}' at {found.start()}."
    if found := _BRACES.search(text):
        yield "text-braces", f"'{found[0]}' at {found.start()}: …{_around(text, found.start())}…"


def _entity_faults(row: RawRow) -> Iterator[Fault]:
    """Yields the doubtful entities of a row, alone and beside each other."""
    text, entities = row.text, set(row.entities)
    for entity in row.entities:
        string, start, end = entity.text, entity.start, entity.end
        if string != string.strip() and start >= 0 and text[start:end] == string:
            yield ("edges" if string.strip() else "empty-entity"), f"{named(entity)} at [{start}, {end})."
    if len(entities) < len(row.entities):
        repeats = Counter(row.entities)
        yield from (("repeated-entity", f"{named(entity)} is listed {times} times.") for entity, times in repeats.items() if times > 1)
    # A string under two labels is counted for each: neither label was given to all of its occurrences.
    annotated = Counter((entity.text, entity.label) for entity in entities if entity.text)
    for (string, label), times in annotated.items():
        if (stands := text.count(string)) > times:
            yield "under-annotated", f"{quoted(string)} ({label}) stands {stands} times, {times} annotated."
    if len(entities) > 1:
        yield from _label_clashes(annotated)
        yield from ((kind, f"{pair}.") for kind, pair in shared(row))


def _label_clashes(annotated: Counter[tuple[str, str]]) -> Iterator[Fault]:
    labels: dict[str, list[str]] = {}
    for string, label in annotated:
        labels.setdefault(string, []).append(label)
    yield from (("two-labels", f"{quoted(string)} is {' and '.join(sorted(found))}.") for string, found in labels.items() if len(found) > 1)


def _around(text: str, position: int) -> str:
    return text[max(0, position - 10) : position + 10]
