"""Names new raw files in a task file, and leaves everything else in it as it is, its comments too.

In: the file's text. Out: the text with other `raw`, `reader` and `version`, and without the keys that told how the old raw files are read.

    ./ner merge conf/task/sample.yaml export.json
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.errors import ToolError

if TYPE_CHECKING:
    from yaml.nodes import Node

OF_RAW = ("fields", "numbers", "offsets", "split")  # say how the old raw files are read and divided
Edit = tuple[int, int, str]  # from, to, and what stands there instead


def with_raw_files(text: str, path: Path, raw: Mapping[str, str], reader: str, version: int) -> str:
    """Returns the task file's text with new raw files. Raises ToolError where the text isn't laid out so that a key can be replaced without touching others."""
    import yaml

    plain = text.replace("\r\n", "\n")
    wanted = {key: value for key, value in _values(plain, path).items() if key not in OF_RAW}
    wanted |= {"raw": dict(raw), "reader": reader, "version": version}
    tree = yaml.compose(plain, yaml.SafeLoader)
    edits = list(_edits(plain, tree.value, wanted)) if tree else []
    for start, end, new in sorted(edits, reverse=True):
        plain = plain[:start] + new + plain[end:]
    if _values(plain, path) != wanted:
        raise ToolError(
            f"{path}: its keys can't be replaced where they stand. Nothing was written. Write each key on a line of its own, then the same command."
        )
    return plain.replace("\n", "\r\n") if "\r\n" in text else plain


def _values(text: str, path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise ToolError(
            f"{path}: its keys can't be replaced where they stand. Nothing was written. Write each key on a line of its own, then the same command."
        )
    return found


def _edits(text: str, pairs: list[tuple[Node, Node]], wanted: Mapping[str, Any]) -> Iterator[Edit]:
    """Yields what must change: other values in place, keys that go with their lines, and keys that are new behind the last one."""
    for key, value in pairs:
        if key.value in OF_RAW:
            yield text.rfind("\n", 0, key.start_mark.index) + 1, _line_end(text, _end(value)) + 1, ""
        elif key.value == "raw":
            yield from _raw_edits(text, key, value, wanted["raw"])
        elif key.value in ("reader", "version"):
            yield value.start_mark.index, _end(value), str(wanted[key.value])
    there = {key.value for key, _ in pairs}
    if more := [f"{name}: {wanted[name]}\n" for name in ("reader", "version") if name not in there]:
        last = _line_end(text, _end(pairs[-1][1]))
        yield last + 1, last + 1, ("" if text[last : last + 1] == "\n" else "\n") + "".join(more)


def _raw_edits(text: str, key: Node, value: Node, raw: Mapping[str, str]) -> Iterator[Edit]:
    """Yields the new paths in place where the splits stay, and else the whole mapping anew."""
    from yaml.nodes import MappingNode

    if isinstance(value, MappingNode) and [split.value for split, _ in value.value] == list(raw):
        for split, path in value.value:
            if path.value != raw[split.value]:
                yield path.start_mark.index, _end(path), json.dumps(raw[split.value], ensure_ascii=False)
    else:
        start = text.index(":", key.end_mark.index) + 1
        yield start, _end(value), f" {json.dumps(dict(raw), ensure_ascii=False)}"


def _end(node: Node) -> int:
    """Returns where a value ends. PyYAML's own mark of a block's end stands behind the comments that follow it."""
    from yaml.nodes import CollectionNode

    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    end: int = node.end_mark.index
    return end


def _line_end(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end
