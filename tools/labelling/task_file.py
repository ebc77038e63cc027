"""Names new raw files in a task file, and leaves everything else in it as it is, its comments too.

In: the file's text. Out: the text with other `raw`, `reader` and `version`, and without the keys that told how the old raw files are read.

    ./ner merge conf/task/sample.yaml export.json
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.errors import ToolError

OF_RAW = ("fields", "numbers", "offsets", "split")  # say how the old raw files are read and divided


def with_raw_files(text: str, path: Path, raw: Mapping[str, str], reader: str, version: int) -> str:
    """Returns the task file's text with new raw files. Raises ToolError where the text isn't laid out so that a key can be replaced without touching others."""
    wanted = {**_values(text, path), "raw": dict(raw), "reader": reader, "version": version}
    changed = wanted["reader"] != _values(text, path).get("reader")
    new = _replaced(text, "raw", f"raw: {json.dumps(dict(raw), ensure_ascii=False)}")
    if changed:
        new = _replaced(new, "reader", f"reader: {reader}")
        for key in OF_RAW:
            wanted.pop(key, None)
            new = _replaced(new, key, None)
    new = _numbered(new, version)
    if _values(new, path) != wanted:
        raise ToolError(
            f"{path}: its keys can't be replaced where they stand. Write them by hand: raw: {json.dumps(dict(raw), ensure_ascii=False)}, reader: {reader}, version: {version}."
        )
    return new


def _values(text: str, path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise ToolError(f"{path}: can't be read as YAML after its keys were replaced. Write the raw files into it by hand.")
    return found


def _replaced(text: str, key: str, line: str | None) -> str:
    """Returns the text with a top-level key's lines replaced by one, or taken out: its own, and those below it that are indented or begin with a dash."""
    block = re.compile(rf"^{re.escape(key)}[ \t]*:.*\n(?:[ \t-].*\n)*", re.MULTILINE)
    return block.sub(lambda _: "" if line is None else f"{line}\n", text if text.endswith("\n") else f"{text}\n", count=1)


def _numbered(text: str, version: int) -> str:
    """Returns the text with another version, the comment behind it kept."""
    changed, times = re.subn(r"^version[ \t]*:[ \t]*\d+", f"version: {version}", text, count=1, flags=re.MULTILINE)
    return changed if times else f"{text}version: {version}\n"
