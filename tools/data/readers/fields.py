"""What a reader of JSON asks of a row's fields: the value if it has the right type, else Unusable, which says what is there instead.

No `true` is a number, and no null is a string. The caller turns Unusable into a BadRow.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from tools.data.readers.row import shown
from tools.example import Entity

# No text is so long; larger numbers may have too many digits to be printed.
_FARTHEST = 2**53


class Unusable(Exception):
    """This row can't become an example. `kind` is a BadRow's."""

    def __init__(self, reason: str, kind: str = "type") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


def string(item: dict[str, Any], key: str) -> str:
    """The string `item[key]`."""
    value = item.get(key)
    if not isinstance(value, str):
        raise _wrong(item, key, "a string")
    return value


def offset(item: dict[str, Any], key: str) -> int:
    """The whole number `item[key]`."""
    value = item.get(key)
    if not is_offset(value):
        raise _wrong(item, key, "a whole number")
    return value


def strings(item: dict[str, Any], key: str) -> list[str]:
    """The list of strings `item[key]`."""
    value = item.get(key)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _wrong(item, key, "a list of strings")
    return value


def objects(item: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects `item[key]`."""
    value = item.get(key)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _wrong(item, key, "a list of objects")
    return value


def entity(item: dict[str, Any], label: str, text: str, start: str, end: str) -> Entity:
    """The entity whose parts stand in `item` under these keys."""
    return Entity(string(item, label), string(item, text), offset(item, start), offset(item, end))


def is_offset(value: Any) -> TypeGuard[int]:
    """Whether a value can be meant as an offset: a whole number of a size that a text can have."""
    return type(value) is int and -_FARTHEST < value < _FARTHEST


def slice_of(text: str, start: int, end: int) -> str:
    """What stands at [start, end); nothing where that isn't within the text, so that the check of offsets finds it."""
    return text[start:end] if 0 <= start < end <= len(text) else ""


def _wrong(item: dict[str, Any], key: str, wanted: str) -> Unusable:
    if key not in item:
        return Unusable(f"no '{key}' in {shown(item)}; it must be {wanted}.")
    return Unusable(f"'{key}' must be {wanted}, it is {shown(item[key])}.")
