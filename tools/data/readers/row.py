"""What a reader yields: a row as annotated, or a row that can't be used and why."""

from __future__ import annotations

from dataclasses import dataclass

from tools.example import Entity


@dataclass(frozen=True, slots=True)
class RawRow:
    """A readable row: `line` is where it begins in its file (from 1); entities stand in the file's order, ends exclusive."""

    line: int
    text: str
    entities: list[Entity]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't become an example; `reason` says what is wrong with it, and what is there instead."""

    line: int
    reason: str
