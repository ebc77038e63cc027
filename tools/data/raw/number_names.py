"""Finds the names of a file's numbers in a file beside it: a data set's own description, or a list of its labels.

In: the raw file's path and the field that holds the numbers. Out: the names in the order of their numbers, and the file that has them.

Source: huggingface.co/docs/datasets (ClassLabel in dataset_infos.json, dataset_info.json and the front matter of README.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FEATURES = ("dataset_infos.json", "dataset_info.json", "README.md")
_MAPS = ("label2id.json", "tag2id.json", "label_map.json", "labels.json", "id2label.json", "config.json")
_LISTS = ("class.txt", "classes.txt", "label.txt", "labels.txt")  # THUCNews and others: a name a line, in the numbers' order
_LARGEST = 1 << 24  # bytes of a description


def names_beside(path: Path, key: str) -> tuple[list[str], str]:
    """Returns the names of the numbers in a field, and the file's name; no names where no file beside `path` tells them."""
    for name in (*_FEATURES, *_MAPS, *_LISTS):
        text = _text(path.parent / name) if name != path.name else ""
        if name in _LISTS:
            names = [line.strip() for line in text.splitlines() if line.strip()]
        else:
            value = _value(text)
            names = next(filter(None, _features(value, key) if name in _FEATURES else _of_map(value)), [])
        if names:
            return names, name
    return [], ""


def _text(path: Path) -> str:
    """Returns what a small file says; nothing for one that isn't there or can't be read."""
    try:
        return path.read_text(encoding="utf-8-sig") if path.is_file() and path.stat().st_size < _LARGEST else ""
    except (OSError, ValueError):
        return ""


def _value(text: str) -> Any:
    """Returns a JSON file's value, or that of a page's front matter; None for anything else."""
    try:
        if not text.startswith("---\n"):
            return json.loads(text)
        import yaml

        return yaml.safe_load(text[4:].partition("\n---")[0])
    except (ValueError, RecursionError):
        return None
    except Exception as error:
        if type(error).__module__.startswith("yaml"):
            return None
        raise


def _features(value: Any, key: str) -> Iterator[list[str] | None]:
    """Yields the names of each feature called `key` in a description, at any depth."""
    if isinstance(value, dict):
        if value.get("name") == key:
            yield from _names_in(value)
        if key in value:
            yield from _names_in(value[key])
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _features(inner, key)


def _names_in(value: Any) -> Iterator[list[str] | None]:
    if isinstance(value, dict):
        yield _in_order(value.get("names"))
        for inner in value.values():
            yield from _names_in(inner)


def _of_map(value: Any) -> Iterator[list[str] | None]:
    """Yields the names in {"O": 0, …}, {"0": "O", …} or ["O", …], or under id2label."""
    if isinstance(value, dict):
        yield from (_in_order(value.get(key)) for key in ("id2label", "label2id", "labels"))
    yield _in_order(value)


def _in_order(value: Any) -> list[str] | None:
    if isinstance(value, list):
        return list(value) if value and all(isinstance(name, str) for name in value) else None
    if not isinstance(value, dict) or not value:
        return None
    pairs = {name: number for number, name in value.items()} if all(isinstance(name, str) for name in value.values()) else value
    numbers = {number: name for name, number in pairs.items()}
    order = [numbers.get(number, numbers.get(str(number))) for number in range(len(value))]
    return [str(name) for name in order] if len(numbers) == len(value) and None not in order else None
