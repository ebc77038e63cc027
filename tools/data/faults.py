"""Finds what makes a row unusable: conversion refuses such a row, the doctor counts it as an error, and a mended copy leaves it out.

In: a row as its reader yields it, and its task. Out: (kind, message) of each fault; a kind is a key of tools.data.doctor.findings.KINDS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from tools.conf.task import Task
from tools.data.raw.row import LONE_SURROGATE, RawRow, misplaced, shown
from tools.errors import choices
from tools.example import Entity
from tools.text import fold

Fault = tuple[str, str]


def errors(row: RawRow, task: Task) -> Iterator[Fault]:
    """Yields every fault for which a row can't become an example; none for most rows."""
    text, known = row.text, task.names
    if not text or text.isspace():
        yield "empty-text", f"the text is empty: {shown(text)}."
    if half := LONE_SURROGATE.search(text):
        yield "surrogate", f"the text has half a character (\\u{ord(half[0]):x}, a lone surrogate) at {half.start()}; no tokenizer takes it."
    if task.kind == "classification":
        yield from _class_errors(row, task)
    elif row.label is not None:
        yield "wrong-kind", f"the row has a class ({shown(row.label)}) and no entities; {task.path} says kind: ner."
    else:
        for entity in misplaced(row):
            kind = "empty-entity" if is_empty(entity, len(text)) else "offsets"
            yield kind, f"{named(entity)} isn't at [{entity.start}, {entity.end}); {_there(row, entity)}."
        yield from [_unknown(entity.label, task) for entity in row.entities if entity.label not in known]
        if task.answer.copies_text and len(row.entities) > 1:
            yield from [
                ("crossing", f"{pair} cross, and an answer in the format inline can't mark both.") for kind, pair in shared(row) if kind == "overlap"
            ]


def shared(row: RawRow) -> Iterator[Fault]:
    """Yields the pairs of different spans that share characters, named with their places: 'nested' if one lies inside the other, else 'overlap'."""
    spans = sorted({(entity.start, entity.end) for entity in row.entities if 0 <= entity.start < entity.end})
    for i, (start, end) in enumerate(spans):
        for other, other_end in spans[i + 1 :]:
            if other >= end:
                break
            pair = f"{shown(row.text[start:end])} [{start}, {end}) and {shown(row.text[other:other_end])} [{other}, {other_end})"
            yield ("nested" if other_end <= end or other == start else "overlap"), pair


def is_empty(entity: Entity, length: int) -> bool:
    """Returns whether an entity of a text of `length` characters has no string, or only whitespace.

    An entity without a string whose offsets reach beyond the text isn't empty: its reader had no string to take.
    """
    return not entity.text.strip() and (bool(entity.text) or entity.start >= entity.end or 0 <= entity.start <= entity.end <= length)


def alike(names: Iterable[str]) -> list[list[str]]:
    """Returns the groups of names that differ from each other in nothing but case, width and whitespace."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault("".join(fold(name).split()), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def named(entity: Entity) -> str:
    """Returns an entity's string and label as a message names them."""
    return f"{shown(entity.text)} ({shown(entity.label)[1:-1]})"


def _class_errors(row: RawRow, task: Task) -> Iterator[Fault]:
    if row.label is None:
        yield "wrong-kind", f"the row has no class; {task.path} says kind: classification."
        return
    names = [row.label, *(row.options or [])]
    if any(map(LONE_SURROGATE.search, names)):
        yield "surrogate", "the class or an option has half a character (a lone surrogate); no tokenizer takes it."
    if row.options is None and not task.labels:
        yield "class", f"the row has no options and {task.path} has no labels, so the model has nothing to choose from."
    if row.options is not None and row.label not in row.options:
        yield "class", f"the class {shown(row.label)} is not among the row's options.{_hint(row.label, tuple(row.options))}"
    if task.labels:
        yield from (_unknown(label, task) for label in sorted(set(names) - task.names.keys()))


def _unknown(label: str, task: Task) -> Fault:
    return "unknown-label", f"label {shown(label)} is not among the labels of {task.path}.{_hint(label, tuple(task.names))}"


@lru_cache(maxsize=1024)
def _hint(name: str, known: tuple[str, ...]) -> str:
    """Returns the nearest known names. `choices` is slow, and a wrong label often stands in every row."""
    return choices(name, known)


def _there(row: RawRow, entity: Entity) -> str:
    if 0 <= entity.start < entity.end <= len(row.text):
        return f"the text there is {shown(row.text[entity.start : entity.end])}"
    return f"the text has {len(row.text)} characters"
