"""Reads fastText's lines: `__label__体育 比赛结束了`, the class before the text or behind it. Out: one RawRow or BadRow a line.

A line with several classes is refused: a row of this project has one. Source: fasttext.cc/docs/en/supervised-tutorial.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tools.data.raw.class_names import class_of
from tools.data.raw.fields import Unusable
from tools.data.raw.lines import Line, text_lines
from tools.data.raw.row import BadRow, FileReading, RawRow, shown

MARK = "__label__"
_LABEL = re.compile(rf"(?<!\S){MARK}(\S*)")


def read_fasttext(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one RawRow or BadRow for each line of a file for fastText's supervised training."""
    return (line if isinstance(line, BadRow) else _row(line, reading) for line in text_lines(path))


def _row(line: Line, reading: FileReading) -> RawRow | BadRow:
    labels = _LABEL.findall(line.text)
    if len(labels) > 1:
        return BadRow(line.line, f"several classes, {shown(labels)}: a row of this project has one class.")
    if not labels or not labels[0]:
        return BadRow(line.line, f"no class {MARK}NAME in this line: {shown(line.text)}.")
    try:
        return RawRow(line.line, _LABEL.sub("", line.text).strip(" ,\t"), [], class_of(labels[0], reading))
    except Unusable as fault:
        return BadRow(line.line, *fault.args)
