"""Takes typed values out of a JSON row: the value if it has the right type, else Unusable, whose reason shows the value that is there.

`true` is not a number, and null is not a string. The caller turns Unusable into a BadRow.
"""

from __future__ import annotations

from typing import Any, TypeGuard, TypeVar

from tools.data.readers.row import shown
from tools.example import Entity

T = TypeVar("T")
# No text is so long; larger numbers may have too many digits to be printed.
_FARTHEST = 2**53


class Unusable(Exception):
    """Raised for a row that can't become an example. `kind` is a BadRow's."""

    def __init__(self, reason: str, kind: str = "type") -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


def string(item: dict[str, Any], key: str) -> str:
    """Returns the string `item[key]`."""
    value = item.get(key)
    if not isinstance(value, str):
        raise _wrong(item, key, "a string")
    return value


def offset(item: dict[str, Any], key: str) -> int:
    """Returns the whole number `item[key]`."""
    value = item.get(key)
    if not is_offset(value):
        raise _wrong(item, key, "a whole number")
    return value


def strings(item: dict[str, Any], key: str) -> list[str]:
    """Returns the list of strings `item[key]`."""
    return _list_of(str, item, key, "a list of strings")


def objects(item: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Returns the list of objects `item[key]`."""
    return _list_of(dict, item, key, "a list of objects")


def entity(item: dict[str, Any], label: str, text: str, start: str, end: str) -> Entity:
    """Returns the entity whose parts stand in `item` under these keys."""
    return Entity(string(item, label), string(item, text), offset(item, start), offset(item, end))


def is_offset(value: Any) -> TypeGuard[int]:
    """Returns whether a value can be an offset: a whole number of a size that a text can have."""
    return type(value) is int and -_FARTHEST < value < _FARTHEST


def slice_of(text: str, start: int, end: int) -> str:
    """Returns the text at [start, end); empty if that isn't within the text, so that the check of offsets finds it."""
    return text[start:end] if 0 <= start < end <= len(text) else ""


def _list_of(kind: type[T], item: dict[str, Any], key: str, wanted: str) -> list[T]:
    value = item.get(key)
    if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
        raise _wrong(item, key, wanted)
    return value


def _wrong(item: dict[str, Any], key: str, wanted: str) -> Unusable:
    if key not in item:
        return Unusable(f"no '{key}' in {shown(item)}; it must be {wanted}.")
    return Unusable(f"'{key}' must be {wanted}, it is {shown(item[key])}.")
