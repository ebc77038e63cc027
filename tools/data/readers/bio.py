"""Reads one token and its tag a line, a blank line between sentences: BIO, IOB1 (IO), BMES, BIOES and BILOU.

    菲 B-GPE
    律 I-GPE
    ， O

In: columns, as token_columns.py finds them in the first lines: the token is everything before the last separator, even a space, U+3000 or the separator itself. `-DOCSTART-`
lines and comments are passed over. Out: one RawRow a sentence (tagged.py); one BadRow for a sentence with a line that has no token and tag.

Source: CoNLL-2002/2003; sentences as in ChineseNER corpora (Resume NER, MSRA, Weibo).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from tools.data.raw.fields import Unusable
from tools.data.raw.json_faults import CUT
from tools.data.raw.lines import Line, text_lines
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.data.tagging.tagged import HEAD, Sentence, tagged_rows
from tools.data.tagging.token_columns import Columns, columns_of


def read_bio(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one RawRow or BadRow for each sentence of a file of tagged tokens; a single BadRow for a file that has no such columns."""
    lines = _lines(path)
    head = [*islice(lines, HEAD)]
    known = [line for line in head if isinstance(line, Line)]
    try:
        columns = columns_of(known, reading) if known else Columns()
    except Unusable as fault:
        yield BadRow(known[0].line, *fault.args)
        return
    sentences = _grouped(chain(head, lines), columns)
    yield from tagged_rows((found for group in sentences if (found := _sentence(group, columns, reading))), reading)


def _lines(path: Path) -> Iterator[Line | BadRow]:
    return (line for line in text_lines(path) if isinstance(line, BadRow) or not line.text.startswith("-DOCSTART-"))


def _grouped(lines: Iterator[Line | BadRow], columns: Columns) -> Iterator[list[Line | BadRow]]:
    """Yields the lines of each sentence. Between two lines whose numbers aren't neighbours, a blank line or a document's start was passed over."""
    group: list[Line | BadRow] = []
    last, begun = 0, ""
    for line in lines:
        is_next = line.line == last + 1
        last = line.line
        if columns.begins >= 0 and isinstance(line, Line):
            start = columns.start(line.text)
            is_next = is_next and (start != columns.first if columns.first else start == begun)
            begun = start
        elif columns.comments_begin and isinstance(line, Line):
            is_next = is_next and not columns.is_comment(line.text)
        if not is_next and group:
            yield group
            group = []
        if isinstance(line, Line) and (last == columns.header or (columns.end and line.text == columns.end)):
            last = 0
        else:
            group.append(line)
    if group:
        yield group


def _sentence(group: list[Line | BadRow], columns: Columns, reading: FileReading) -> Sentence | BadRow | None:
    """Returns the tokens and tags of a group of lines, the BadRow of the first that has none, or None where all are comments."""
    lines: list[Line] = []
    table: list[list[str]] = []
    numbered = bool(columns.roles.lead)
    for line in group:
        if isinstance(line, BadRow):
            return line
        text = line.text
        if text[0] == "#" and not table and columns.is_comment(text):
            reading.apply("lines that begin with # are comments, and were passed over", line.line)
            continue
        if numbered and columns.is_passed_over(text):
            continue
        cells = columns.cells(text)
        if cells is None or "\r" in text:
            return _without_tag(line, columns)
        lines.append(line)
        table.append(cells)
    if not table:
        return None
    tokens = [cells[columns.roles.token] for cells in table]
    layers = [[cells[column] for cells in table] for column in columns.roles.tags]
    return Sentence(tokens, [[columns.tag(cell) for cell in layer] for layer in layers] if columns.roles.key else layers, lines)


def _without_tag(line: Line, columns: Columns) -> BadRow:
    if "\r" in line.text:
        return BadRow(line.line, f"a carriage return within the line; lines must end in LF or CRLF: {shown(line.text)}.")
    if not line.ended:
        return BadRow(line.line, f"{CUT}: {shown(line.text)}.", "truncated")
    wanted = (
        f"no token, {shown(columns.separator)} and tag"
        if columns.number == 2
        else f"not {columns.number} columns with {shown(columns.separator)} between them"
    )
    return BadRow(line.line, f"{wanted} in this line of the sentence: {shown(line.text)}.")
