"""Reads brat's standoff annotation: `a.ann` beside `a.txt`, or a folder of such pairs.

    T1⇥人名 0 3⇥王小明        an entity: offsets count code points of the whole text, ends are exclusive
    R1⇥工作地 Arg1:T1 Arg2:T2   relations, events, attributes and notes are passed over

In: either file of a pair, or a folder. Out: one RawRow for each line of a text that isn't blank, with the entities in it; a BadRow for a line with an entity that
isn't one string of it (discontinuous, or over a line's end), or isn't in the text. The strings tell how offsets count, where code points don't agree with all of them:
UTF-16 units, or CR+LF as one.

Source: brat.nlplab.org/standoff.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tools.data.offsets.units import CRLF, OWN, UTF16, span_of
from tools.data.raw.fields import slice_of
from tools.data.raw.lines import PAIR, Line, files_of, text_lines
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.example import Entity
from tools.files import encoding_problem

_ENTITY = re.compile(r"T\S*\t(?P<label>\S+) (?P<spans>\d{1,12} \d{1,12}(?:;\d{1,12} \d{1,12})*)(?:\t(?P<text>.*))?")
_OTHER = re.compile(r"[REAMN#*]\S*\t")
# The rule that is said → what offsets count.
_UNITS = {
    "": OWN,
    "offsets count CR+LF as one character, as all strings tell": CRLF,
    "offsets count UTF-16 units, as all strings tell": UTF16,
}


class _Span(NamedTuple):
    """An entity's line in the .ann file, its label, its offsets as they are written, and its string; None where the file has none."""

    line: int
    label: str
    offsets: Sequence[tuple[int, int]]
    text: str | None


def read_brat(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one RawRow or BadRow for each line of the texts that brat annotated; a single BadRow for a file that isn't one of a pair."""
    if path.is_dir():
        found = sorted(path.rglob("*.ann"))
        for ann in found:
            yield from _document(ann, reading, f"{ann.with_suffix('.txt').relative_to(path)}, line ")
        if not found:
            yield BadRow(1, "no .ann file in this folder.")
    elif len(files_of(path)) > 1:
        yield from _document(path.with_suffix(".ann"), reading, "")
    elif path.suffix == PAIR[0] and any(isinstance(line, Line) and _ENTITY.fullmatch(line.text) for line in islice(text_lines(path), 20)):
        yield BadRow(1, f"brat's annotation, but no {path.stem}.txt with its text is beside it.", "named")
    else:
        yield BadRow(1, "not one of brat's pairs: an .ann file with entities, and its text in a .txt file of the same name beside it.")


def _document(ann: Path, reading: FileReading, item: str) -> Iterator[RawRow | BadRow]:
    """Yields the rows of one text. `item` begins the name of a row in a folder."""
    try:
        text, notes = (_text(ann.with_suffix(suffix)) for suffix in (".txt", ".ann"))
    except UnicodeDecodeError as error:
        yield BadRow(1, f"{encoding_problem(error)}.", "encoding", item and f"{item}1")
        return
    except OSError:
        yield BadRow(1, f"no {ann.stem}.txt beside {ann.name}.", item=item and f"{item}1")
        return
    spans: list[_Span] = []
    for number, line in enumerate(notes.split("\n"), 1):
        if span := _span(number, line.rstrip("\r")):
            spans.append(span)
        elif _OTHER.match(line):
            reading.apply("relations, events, attributes and notes were passed over", number)
        elif line.strip():
            yield BadRow(1, f"{ann.name}:{number}: no annotation of brat's, such as 'T1⇥LABEL 0 3⇥TEXT': {shown(line)}.", item=item and f"{item}1")
            return
    yield from _rows(text, spans, _unit(text, spans, reading), ann, item)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8").removeprefix("\ufeff")


def _span(number: int, line: str) -> _Span | None:
    found = _ENTITY.fullmatch(line)
    if not found:
        return None
    offsets = [(int(start), int(end)) for start, end in (pair.split(" ") for pair in found["spans"].split(";"))]
    return _Span(number, found["label"], offsets, found["text"])


def _unit(text: str, spans: Sequence[_Span], reading: FileReading) -> str:
    """Returns what the offsets count: code points, unless all strings agree with the text in another unit."""
    told = [(*span.offsets[0], span.text) for span in spans if span.text is not None and len(span.offsets) == 1]
    for rule, unit in _UNITS.items():
        if all((place := span_of(text, start, end, unit)) and text[slice(*place)] == string for start, end, string in told):
            if rule:
                reading.apply(rule)
            return unit
    return OWN


def _rows(text: str, spans: Sequence[_Span], unit: str, ann: Path, item: str) -> Iterator[RawRow | BadRow]:
    """Yields the row of each line that isn't blank."""
    begins = 0
    ends_of = [(span, span.offsets[0][0], span.offsets[-1][1]) for span in spans]
    placed = [(span, *(span_of(text, start, end, unit) or (start, end))) for span, start, end in ends_of]
    for number, line in enumerate(text.split("\n"), 1):
        ends = begins + len(line) + 1
        own = sorted((start, end, span) for span, start, end in placed if begins <= start < ends)
        name = item and f"{item}{number}"
        begins, first = ends, begins
        line = line.rstrip("\r")
        bad = next((problem for start, end, span in own if (problem := _problem(span, start - first, end - first, line))), None)
        if bad:
            yield BadRow(number, f"{ann.name}:{bad}", item=name)
        elif line.strip():
            entities = [
                Entity(span.label, slice_of(text, start, end) if span.text is None else span.text, start - first, end - first)
                for start, end, span in own
            ]
            yield RawRow(number, line, entities, sliced=any(span.text is None for *_, span in own), item=name)
    for span, start, _ in placed:
        if start >= begins:
            yield BadRow(number, f"{ann.name}:{span.line}: the entity begins at {start}, behind the text's end.", item=item and f"{item}{number}")


def _problem(span: _Span, start: int, end: int, line: str) -> str:
    """Returns why an entity can't be one string of a line; empty if it can."""
    what = shown(span.text or span.label)
    if len(span.offsets) > 1:
        return f"{span.line}: the entity {what} has several parts; one string of a line is needed."
    if end > len(line):
        return f"{span.line}: the entity {what} reaches beyond the end of its line, {shown(line)}."
    return ""
