"""What is wrong with one readable row: (kind of tools.data.doctor.findings, message) for each fault. No file is read and nothing is remembered here.

In: a row as a reader yields it, and its task. Out: its faults, none for most rows. `python -m tools.data.doctor.examine` counts them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from tools.conf.task import Task
from tools.data.doctor.findings import quoted
from tools.data.readers.row import LONE_SURROGATE, RawRow
from tools.errors import choices
from tools.example import CONTROL_TOKEN, Entity

Fault = tuple[str, str]

CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # C0 but tab and line ends, DEL, C1
_ZERO_WIDTH = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_BRACES = re.compile(r"\{\{|\}\}|\{(?:text|labels|options)\}")
# One search tells that a text has none of all that; which of it, is asked only where it has some.
_ODD = re.compile(f"[{LONE_SURROGATE.pattern[1:-1]}{CONTROL.pattern[1:-1]}{_ZERO_WIDTH.pattern[1:-1]}\ufffd{{}}<]")


def faults(row: RawRow, task: Task) -> Iterator[Fault]:
    """Every fault of a row, those of its text first."""
    yield from text_faults(row.text)
    if task.kind == "classification":
        yield from class_faults(row, task)
    elif row.label is not None:
        yield "wrong-kind", f"the row has a class ({quoted(row.label)}) and no entities; {task.path} says kind: ner."
    elif row.entities:
        yield from entity_faults(row, task)
        yield from relation_faults(row)


def text_faults(text: str) -> Iterator[Fault]:
    """Nothing in it, or characters that aren't text."""
    if not text or text.isspace():
        yield "empty-text", f"the text is {quoted(text)}."
    if not _ODD.search(text):
        return
    for kind, pattern in (("surrogate", LONE_SURROGATE), ("control", CONTROL), ("zero-width", _ZERO_WIDTH)):
        if found := pattern.search(text):
            yield kind, f"U+{ord(found[0]):04X} at {found.start()}: …{_around(text, found.start())}…"
    if "\ufffd" in text:
        yield "replacement", f"U+FFFD at {text.index(chr(0xFFFD))}: …{_around(text, text.index(chr(0xFFFD)))}…"
    if found := CONTROL_TOKEN.search(text):
        yield "control-token", f"'{found[0]}' at {found.start()}."
    if found := _BRACES.search(text):
        yield "text-braces", f"'{found[0]}' at {found.start()}: …{_around(text, found.start())}…"


def entity_faults(row: RawRow, task: Task) -> Iterator[Fault]:
    """Each entity by itself: its string, its offsets, its label."""
    text, length, known = row.text, len(row.text), task.names
    for entity in row.entities:
        string, start, end = entity.text, entity.start, entity.end
        if 0 <= start < end <= length and text[start:end] == string:
            if string != string.strip():
                yield ("edges" if string.strip() else "empty-entity"), f"{_named(entity)} at [{start}, {end})."
        elif is_empty(entity, length):
            yield "empty-entity", f"{_named(entity)} at [{start}, {end})."
        else:
            yield "offsets", f"{_named(entity)} isn't at [{start}, {end}); {_there(row, entity)}."
        if entity.label not in known:
            yield "unknown-label", f"label {quoted(entity.label)} is not among the labels of {task.path}.{_hint(entity.label, tuple(known))}"


def relation_faults(row: RawRow) -> Iterator[Fault]:
    """The entities of a row beside each other, and beside what else the text says."""
    text = row.text
    entities = set(row.entities)
    if len(entities) < len(row.entities):
        repeats = Counter(row.entities)
        yield from (("repeated-entity", f"{_named(entity)} is listed {times} times.") for entity, times in repeats.items() if times > 1)
    # A string under two labels is held against each: neither label was given to all of its occurrences.
    annotated = Counter((entity.text, entity.label) for entity in entities if entity.text)
    for (string, label), times in annotated.items():
        if (stands := text.count(string)) > times:
            yield "under-annotated", f"{quoted(string)} ({label}) stands {stands} times, {times} annotated."
    if len(entities) > 1:
        yield from _label_clashes(annotated)
        yield from _crossings(text, sorted({(e.start, e.end) for e in entities if 0 <= e.start < e.end}))


def class_faults(row: RawRow, task: Task) -> Iterator[Fault]:
    """The class and the options that the prompt offers."""
    if row.label is None:
        yield "wrong-kind", f"the row has no class; {task.path} says kind: classification."
        return
    if row.options is not None:
        if row.label not in row.options:
            yield "class", f"the class {quoted(row.label)} is not among the row's options.{_hint(row.label, tuple(row.options))}"
        if len(set(row.options)) < len(row.options):
            repeated = [option for option, times in Counter(row.options).items() if times > 1]
            yield "options-repeat", f"offered more than once: {', '.join(map(quoted, repeated))}."
    elif not task.labels:
        yield "class", f"the row has no options, and {task.path} no labels: what could the model choose from?"
    names = [row.label, *(row.options or [])]
    if any(LONE_SURROGATE.search(name) for name in names):
        yield "surrogate", "in the class or the options."
    if task.labels:
        for label in sorted(set(names) - task.names.keys()):
            yield "unknown-label", f"label {quoted(label)} is not among the labels of {task.path}.{_hint(label, tuple(task.names))}"


def is_empty(entity: Entity, length: int) -> bool:
    """Whether an entity names nothing: no string, or only whitespace. Offsets beyond the text are another fault: the reader had no string to take."""
    return not entity.text.strip() and (bool(entity.text) or entity.start >= entity.end or 0 <= entity.start <= entity.end <= length)


@lru_cache(maxsize=1024)
def _hint(name: str, known: tuple[str, ...]) -> str:
    """`choices`, which is slow, remembered: a wrong label often stands in every row."""
    return choices(name, known)


def _there(row: RawRow, entity: Entity) -> str:
    if 0 <= entity.start < entity.end <= len(row.text):
        return f"the text there is {quoted(row.text[entity.start : entity.end])}"
    return f"the text has {len(row.text)} characters"


def _label_clashes(annotated: Counter[tuple[str, str]]) -> Iterator[Fault]:
    labels: dict[str, list[str]] = {}
    for string, label in annotated:
        labels.setdefault(string, []).append(label)
    yield from (("two-labels", f"{quoted(string)} is {' and '.join(sorted(found))}.") for string, found in labels.items() if len(found) > 1)


def _crossings(text: str, spans: list[tuple[int, int]]) -> Iterator[Fault]:
    """Pairs of spans that share characters. A later one is inside an earlier one, around it (the same start), or overlaps it."""
    for i, (start, end) in enumerate(spans):
        for other, other_end in spans[i + 1 :]:
            if other >= end:
                break
            shown = f"{quoted(text[start:end])} [{start}, {end}) and {quoted(text[other:other_end])} [{other}, {other_end})"
            yield ("nested" if other_end <= end or other == start else "overlap"), f"{shown}."


def _named(entity: Entity) -> str:
    return f"{quoted(entity.text)} ({entity.label})"


def _around(text: str, position: int) -> str:
    return text[max(0, position - 10) : position + 10]
