"""Looks at a column of classes before it is believed: numbers without names, and several classes in one cell.

In: the first classes of a file, and the task's `numbers`. Out: nothing where they are classes, else Unusable with a question; then each cell's class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tools.data.raw.fields import Unusable
from tools.data.raw.number_names import names_beside
from tools.data.raw.row import FileReading, shown

MOST = 1000  # numbers that can have names
_SEPARATORS = ("#", "|", ";", "；", "、", ",", "，", "/", "+", "&", " ")
_OF_NAMES = {"/", "+", "&", " "}  # part of many a class's own name


def ask_for_names(cells: Sequence[str], name: str, path: Path, reading: FileReading) -> None:
    """Raises Unusable, a question, where the classes of the column `name` are numbers from 0 on. Other numbers are taken as they are."""
    numbers = sorted({_whole(cell) for cell in cells if cell}, key=lambda cell: (len(cell), cell))
    if reading.numbers or numbers[:1] != ["0"] or not all(map(str.isdecimal, numbers)) or int(numbers[-1]) >= MOST:
        return
    seen, last = ", ".join(numbers[:12]) + ", …" * (len(numbers) > 12), int(numbers[-1])
    names, beside = names_beside(path, name)
    if len(names) != last + 1:
        names, beside = [], ""
    found = f" {beside} beside the file has as many names." if beside else ""
    answer = ",".join(names or (f"NAME{number}" for number in range(min(last + 1, 20)))) + ",…" * (not names and last >= 20)
    same = ",".join(map(str, range(min(last + 1, 3)))) + ",…" * (last > 2)
    raise Unusable(
        f"the classes in {shown(name)} are the numbers {seen}: name them from 0 on.{found} Say it: numbers=[{answer}] (numbers=[{same}] keeps the numbers)",
        "named",
    )


def class_of(cell: str, reading: FileReading) -> str:
    """Returns the class that a cell stands for: a number's name where the task has `numbers`. Raises Unusable for a number without a name."""
    if not reading.numbers or (cell in reading.numbers and not cell.isdecimal()):
        return cell
    cell = _whole(cell)
    if not (cell.isascii() and cell.isdecimal()) or int(cell[:9]) >= len(reading.numbers):
        raise Unusable(f"the class {shown(cell)} is no number from 0 to {len(reading.numbers) - 1}, which the task's `numbers` name.")
    return reading.numbers[int(cell)]


def separator_of(cells: Sequence[str]) -> str:
    """Returns the separator of several classes in one cell; empty if each cell is one class. Some parts are classes of their own, or come back in other cells.

    A slash or space separates classes only if all parts are classes of their own.
    """
    values = {cell for cell in cells if cell}
    for separator in _SEPARATORS:
        joined = [[part.strip() for part in value.split(separator)] for value in values if separator in value.strip(separator)]
        parts = Counter(part for value in joined for part in set(value))
        alone = [part in values for part in parts]
        if joined and all(map(all, joined)) and (all(alone) or (separator not in _OF_NAMES and (any(alone) or _come_back(joined, parts)))):
            return separator
    return ""


def _whole(cell: str) -> str:
    """Returns a number as it is written without a fraction: pandas writes 1.0 where a column has a gap."""
    return cell.removesuffix(".0")


def _come_back(joined: list[list[str]], parts: Counter[str]) -> bool:
    """Returns whether most parts stand in several cells: a|b, b|c, a|c."""
    return len(joined) > 2 and sum(count > 1 for count in parts.values()) * 2 > len(parts)
