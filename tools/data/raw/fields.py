"""Takes typed values out of a JSON row: the value if it has the right type, else Unusable, whose reason shows the value that is there.

`true` is not a number, and null is not a string. The caller turns Unusable into a BadRow.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any, TypeGuard

from tools.data.raw.row import SEVERAL, shown
from tools.example import Entity

# No text is so long; larger numbers may have too many digits to be printed.
_FARTHEST = 2**53
_LIST = re.compile(r"\s*(?:\[\s*[\[{('\"]|\{\s*['\"]|\[\s*\]\s*$)")


class Unusable(Exception):
    """Raised for a row that can't become an example, with a BadRow's reason and perhaps its kind."""


def string(item: dict[str, Any], key: str) -> str:
    """Returns the string `item[key]`."""
    return _checked(item, key, "a string", isinstance(item.get(key), str))


def offset(item: dict[str, Any], key: str) -> int:
    """Returns the whole number `item[key]`."""
    return _checked(item, key, "a whole number", is_offset(item.get(key)))


def strings(item: dict[str, Any], key: str) -> list[str]:
    """Returns the list of strings `item[key]`."""
    return _checked(item, key, "a list of strings", _is_list_of(str, item.get(key)))


def objects(item: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Returns the list of objects `item[key]`."""
    return _checked(item, key, "a list of objects", _is_list_of(dict, item.get(key)))


def entity(item: dict[str, Any], label: str, text: str, start: str, end: str) -> Entity:
    """Returns the entity whose parts stand in `item` under these keys."""
    return Entity(string(item, label), string(item, text), offset(item, start), offset(item, end))


def only_class(names: list[str], key: str) -> str:
    """Returns the only one of a row's classes, which its field `key` has. Raises Unusable for none, and for several."""
    if len(names) == 1:
        return names[0]
    if not names:
        raise Unusable(f"no class in '{key}': the row isn't annotated.", "unannotated")
    raise Unusable(f"several classes in '{key}', {shown(names)}: a row of this project has one class.", SEVERAL)


def in_string(value: Any) -> Any:
    """Returns the list or object that stands in a string, as a table's cell has it: written as JSON, or as Python writes it. Any other value is returned as it is."""
    if not (isinstance(value, str) and _LIST.match(value)):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            found = json.loads(json.dumps(read(value)))  # tuples become lists
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, list | dict) else value
    return value


def is_offset(value: Any) -> TypeGuard[int]:
    """Returns whether a value can be an offset: a whole number of a size that a text can have."""
    return type(value) is int and -_FARTHEST < value < _FARTHEST


def slice_of(text: str, start: int, end: int) -> str:
    """Returns the text at [start, end); empty if that isn't within the text, so that the check of offsets finds it."""
    return text[start:end] if 0 <= start < end <= len(text) else ""


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)


def _checked(item: dict[str, Any], key: str, wanted: str, right: bool) -> Any:
    if right:
        return item[key]
    if key not in item:
        raise Unusable(f"no '{key}' in {shown(item)}; it must be {wanted}.")
    raise Unusable(f"'{key}' must be {wanted}, it is {shown(item[key])}.")
