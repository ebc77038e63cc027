"""Reads texts whose entities are marked in them, one text a line. The mark that most lines have is the file's:

    [@王小明#人名*]在[@成都#地点*]上班          YEDDA
    {{人名:王小明}}在{{地点:成都}}上班            BosonNLP
    <人名>王小明</人名>在<地点>成都</地点>上班     XML, also <ENAMEX TYPE="PERSON">; HTML's own tags are none

In: lines. Out: one RawRow a line, whose text has the marks taken out, or a BadRow for one that has half a mark, or marks within marks; a single BadRow for a file without marks.

Source: github.com/jiesutd/YEDDA, github.com/InsaneLife/ChineseNLPCorpus (boson).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from tools.data.raw.lines import Line, text_lines
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.example import Entity

HEAD = 1000
_RASA = re.compile(r"\[[^\[\]]+\]\([^\W\d][\w-]*\)")
_ADVICE = (
    "entities marked as [text](label), as in Rasa's Markdown: this command writes them as <label>text</label>, which is read:"
    " sed -E 's#\\[([^]]+)\\]\\(([^)]+)\\)#<\\2>\\1</\\2>#g; s#^- ##' FILE > NEW"
)
_HTML = "a|abbr|b|big|blockquote|body|br|center|code|dd|div|dl|dt|em|font|h[1-6]|head|html|i|img|li|ol|p|pre|q|s|small|span|strong|sub|sup|table|tbody|td|th|title|tr|u|ul"


class Mark(NamedTuple):
    """A way to mark an entity: the pattern of a whole one, what a piece of one looks like, and the share of lines that must have it."""

    name: str
    whole: re.Pattern[str]
    piece: re.Pattern[str]
    share: float = 0.0


MARKS = (
    Mark("[@…#LABEL*]", re.compile(r"\[[@$](?P<text>.+?)#(?P<label>[^\s#*|\[\]]+)\*\]"), re.compile(r"\[[@$]|#[^\s#*]*\*\]")),
    Mark("{{LABEL:…}}", re.compile(r"\{\{(?P<label>[^\W\d][\w.-]*):(?P<text>.+?)\}\}"), re.compile(r"\{\{|\}\}")),
    Mark(
        "<LABEL>…</LABEL>",
        re.compile(rf"<(?!(?:{_HTML})>)(?P<label>[^\W\d][\w.-]*)(?: type=\"(?P<type>[^\s\"]+)\")?>(?P<text>[^<>]+)</(?P=label)>", re.IGNORECASE),
        re.compile(r"</?[^\W\d][\w.-]*( \w+=\"[^\"]*\")*>"),
        0.3,
    ),
)


def read_marked(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one RawRow or BadRow for each line of a file with marked entities; a single BadRow for a file without."""
    lines = text_lines(path)
    head = list(islice(lines, HEAD))
    known = [line for line in head if isinstance(line, Line)]
    counts = [sum(mark.whole.search(line.text) is not None for line in known) for mark in MARKS]
    count, mark = max(zip(counts, MARKS, strict=True), key=lambda pair: pair[0])
    if known and (not count or count < mark.share * len(known)):
        if sum(_RASA.search(line.text) is not None for line in known) * 2 > len(known):
            yield BadRow(known[0].line, _ADVICE, "named")
            return
        names = ", ".join(mark.name for mark in MARKS)
        yield BadRow(known[0].line, f"no marked entity ({names}): {shown(known[0].text[:60])}.")
        return
    reading.apply(f"entities are marked as {mark.name}, and the marks were taken out of the text")
    for line in chain(head, lines):
        yield line if isinstance(line, BadRow) else _row(line, mark)


def _row(line: Line, mark: Mark) -> RawRow | BadRow:
    parts: list[str] = []
    entities: list[Entity] = []
    length = last = 0
    for found in mark.whole.finditer(line.text):
        before, text = line.text[last : found.start()], found["text"]
        parts += (before, text)
        start = length + len(before)
        length, last = start + len(text), found.end()
        label = found["type"] if found.re.groupindex.get("type") and found["type"] else found["label"]
        entities.append(Entity(label, text, start, length))
    text = "".join([*parts, line.text[last:]])
    if piece := _piece(text, mark):
        return BadRow(line.line, f"half a mark, or a mark within another, at {shown(piece)}: {shown(line.text)}.")
    return RawRow(line.line, text, entities)


def _piece(text: str, mark: Mark) -> str:
    """Returns what is left of a mark in a text whose marks were taken out; empty for nothing."""
    found = mark.piece.search(text)
    if not found or (mark.share and re.fullmatch(rf"</?(?:{_HTML})>", found[0], re.IGNORECASE)):
        return ""
    return text[found.start() : found.start() + 20]
