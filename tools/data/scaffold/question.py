"""Chooses among the readers that fit a file, or asks where two of them read the same rows differently.

In: a Trial of each. Out: the Trial of the reader that finds most, or a ToolError that shows one row in each reading.

    ./ner new contracts --from mixed.jsonl --reader doccano
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tools.data.raw.row import BadRow, RawRow
from tools.data.readers import READERS
from tools.data.scaffold.labels import are_tags
from tools.data.scaffold.said import Said, option
from tools.data.scaffold.trials import FORMS, Trial, held, place
from tools.errors import ToolError
from tools.text import one_line, quoted

MOST_OF = 0.9  # of the rows

Row = RawRow | BadRow


def best_of(trials: list[Trial], path: Path, name: str, said: Said) -> Trial:
    """Returns the trial that finds most in the file; equals are decided by their order. Raises ToolError where a rival reads a row differently.

    A reader that refuses more than a tenth of the rows is no rival, and neither is one that has more strings that aren't at their offsets, or takes tags for classes.
    """
    trials = [trial for trial in trials if not are_tags(trial.classes)] or trials
    first = max(trials, key=lambda trial: trial.seen)
    for rival in trials:
        tried = rival.rows + rival.refusals - rival.bare
        if rival is first or rival.misplaced > first.misplaced or rival.rows < MOST_OF * tried:
            continue
        if rows := difference(path, first, rival, said):
            raise ToolError(_question(name, [first, rival], rows))
    return first


def difference(path: Path, one: Trial, other: Trial, said: Said) -> tuple[RawRow, RawRow] | None:
    """Returns the first row that two readers read differently, as each reads it; None where one reader merely passes over what the other reads."""
    if one.digest == other.digest:
        return None
    first_has = second_has = False
    for row, its in _pairs(READERS[one.reader](path, said.reading()), READERS[other.reader](path, said.reading())):
        clash = row.label is not None and its.label is not None and row.label != its.label
        clash |= bool(row.entities and its.entities) and set(row.entities) != set(its.entities)
        first_has |= bool(row.entities and not its.entities) or (row.label is not None and its.label is None)
        second_has |= bool(its.entities and not row.entities) or (its.label is not None and row.label is None)
        if clash or row.text != its.text or (first_has and second_has):
            return row, its
    return None


def _pairs(rows: Iterator[Row], others: Iterator[Row]) -> Iterator[tuple[RawRow, RawRow]]:
    """Yields the rows that begin at the same line, as each of two readers reads them; rows of one line come in the same order in both."""
    row, other = next(rows, None), next(others, None)
    while row and other:
        if row.line == other.line:
            if isinstance(row, RawRow) and isinstance(other, RawRow):
                yield row, other
            row, other = next(rows, None), next(others, None)
        elif row.line < other.line:
            row = next(rows, None)
        else:
            other = next(others, None)


def _question(name: str, trials: list[Trial], rows: tuple[RawRow, RawRow]) -> str:
    lines = [f"{name}: two readers read its rows differently; {place(rows[0])} as each reads it:"]
    for trial, row in zip(trials, rows, strict=True):
        text = "" if rows[0].text == rows[1].text else f" in the text {one_line(quoted(row.text))}"
        counts = f"{trial.entities.total():,} entities, {trial.classes.total():,} rows with a class"
        lines.append(f"  {trial.reader}, {FORMS[trial.reader].name}: {held(row)}{text} ({counts} in all)")
    return "\n".join([*lines, f"Choose {option('--reader', *(trial.reader for trial in trials))}."])
