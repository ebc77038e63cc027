"""Makes sentences of a table's rows: a sentence and its tags a row, or a token and its tag a row.

In: the columns with their first values, then the rows. Out: RawRows and BadRows (tools.data.tagging.tagged). Cells tell which column has the tags, never its name alone.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tools.data.raw.fields import Unusable
from tools.data.raw.lines import Line
from tools.data.raw.roles import LONGEST_CLASS, Column, has_role, key_of, named, question
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.data.readers.table_cells import MOST, Cells, Rows
from tools.data.tagging.tagged import Sentence, tagged_rows
from tools.data.tagging.tags import is_tag

Read = Callable[[Rows], Iterator[RawRow | BadRow]]
Split = Callable[[str], Sequence[str]]
_NUMBERED = {"nertags", "tags", "nertag"}
_MARKS = (",", "，", "|", ";")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def sentences_of(columns: Sequence[Column], has_header: bool, has_blanks: bool, reading: FileReading) -> Read | None:
    """Returns the reader of a table with tags; None for one that has none. Raises Unusable with a question where the tokens or sentences aren't clear."""
    has_tokens = any(has_role(column, "tokens") for column in columns)
    found = [column for column in columns if _has_tags(column, has_tokens)]
    if not found or "label" in reading.fields:
        return None
    lengths = [len(_tags_of(cell)) for column in found for cell in column.cells if cell]
    is_sequence = sum(length > 1 for length in lengths) * 2 > len(lengths)
    if not is_sequence and not has_header:
        raise Unusable("columns of tokens and tags without a header aren't read as a table.")
    tags = named("tags", found, reading) or (found[0] if len(found) == 1 else None)
    if not tags:
        raise question("tags", columns)
    others = [column for column in columns if column not in found]
    if is_sequence:
        return _sentence_a_row(others, tags, reading)
    return _token_a_row(others, tags, has_blanks, reading)


def parts_of(cell: str) -> list[str]:
    """Returns the tokens or tags in one cell: between \\x02 (PaddleNLP), of a list as JSON, Python or numpy writes it, or between spaces."""
    if "\x02" in cell:
        return cell.split("\x02")
    if not (cell.startswith("[") and cell.endswith("]")):
        return cell.split()
    for read in (json.loads, ast.literal_eval):
        try:
            values = read(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(values, list) and all(isinstance(value, str | int) for value in values) and ("," in cell or len(_QUOTED.findall(cell)) < 2):
            return [str(value) for value in values]
    quoted, numbers = _QUOTED.findall(cell), cell[1:-1].split()
    return [one or other for one, other in quoted] or (numbers if all(map(str.isdecimal, numbers)) else cell.split())


def _tags_of(cell: str) -> list[str]:
    """Returns the tags in one cell: as tokens are written, or between commas or bars."""
    parts = parts_of(cell)
    if len(parts) == 1:
        lists = [[part.strip() for part in cell.split(mark)] for mark in _MARKS if mark in cell]
        return next((tags for tags in lists if all(map(is_tag, tags))), parts)
    return parts


def _has_tags(column: Column, has_tokens: bool) -> bool:
    """Returns whether nearly all cells of a column are tags or sequences of tags: B-PER, or lists of numbers under a name like ner_tags.

    O and labels are tags in sequences, where O is the most frequent, or beside a column of tokens: O may also be a class, as of blood.
    """
    lists = [parts for cell in column.cells if (parts := _tags_of(cell))]
    counts = Counter(tag for tags in lists for tag in tags)
    if not counts or not (is_tag(lists[0][0].upper()) or counts["O"] or key_of(column.name) in _NUMBERED):
        return False
    if sum(all(is_tag(tag.upper()) for tag in tags) for tags in lists) >= MOST * len(lists):
        return len(counts) > 1 and (min(counts["O"] + counts["o"], 1) or max(map(len, lists)) > 1) > 0
    if key_of(column.name) in _NUMBERED and all(map(str.isdecimal, counts)):
        return max(map(len, lists)) > 1
    is_bare = has_tokens if max(map(len, lists)) == 1 else counts.most_common(1)[0][0] == "O"
    return is_bare and len(counts) > 1 and counts["O"] > 0 and all(len(tag) <= LONGEST_CLASS for tag in counts)


def _sentence_a_row(others: Sequence[Column], tags: Column, reading: FileReading) -> Read:
    """Returns the reader of rows that hold a sentence and its tags: the text's cells have as many tokens, or characters, as tags."""
    wanted = named("tokens", others, reading) if "tokens" in reading.fields else None
    splits: dict[str, Split] = {"tokens": parts_of, "characters": list, "tokens between commas": lambda cell: cell.split(",")}
    for text in [wanted] if wanted else others:
        for what, split in splits.items():
            pairs = [(split(cell), _tags_of(own)) for cell, own in zip(text.cells, tags.cells, strict=True) if own]
            if sum(len(tokens) == len(own) for tokens, own in pairs) >= MOST * len(pairs):
                reading.apply(f"{shown(tags.name)} has a tag for each of the {what} of {shown(text.name)}: a row is a sentence")
                return lambda rows: tagged_rows(_cut_rows(rows, text, tags, split), reading)
    seen = next(filter(None, tags.cells))
    raise Unusable(
        f"the cells of {shown(tags.name)} are tags, {shown(seen)}, not classes; but no column has as many tokens or characters as tags. {question('tokens', others).args[0]}",
        "named",
    )


def _cut_rows(rows: Rows, text: Column, tags: Column, split: Split) -> Iterator[Sentence | BadRow]:
    for row in rows:
        if isinstance(row, BadRow):
            yield row
        elif not row.is_blank:
            tokens, own = split(row.cells[text.place].strip()), _tags_of(row.cells[tags.place].strip())
            if not own:
                yield BadRow(row.line, f"the cell of {shown(tags.name)} is empty: the row isn't annotated.", "unannotated")
            elif len(tokens) != len(own):
                yield BadRow(row.line, f"{len(tokens):,} tokens and {len(own):,} tags: there must be as many. {shown(row.cells[text.place])}")
            else:
                yield Sentence(tokens, [own], [_line(row)])


def _token_a_row(others: Sequence[Column], tags: Column, has_blanks: bool, reading: FileReading) -> Read:
    """Returns the reader of rows that hold a token and its tag. A column tells the sentences apart, or a row without anything."""
    tokens = named("tokens", others, reading)
    if not tokens:
        raise question("tokens", others)
    sentence = named("sentence", [column for column in others if column is not tokens], reading)
    if not sentence and not has_blanks:
        raise Unusable(
            f"a row is a token and its tag, but nothing tells where a sentence ends: no column has its number. {question('sentence', others).args[0]}",
            "named",
        )
    apart = f"the column {shown(sentence.name)} tells" if sentence else "empty rows tell"
    reading.apply(f"a row is a token, {shown(tokens.name)}, and its tag, {shown(tags.name)}; {apart} the sentences apart")
    cut = partial(_joined_rows, tokens=tokens.place, tags=tags.place, sentence=sentence.place if sentence else None)
    return lambda rows: tagged_rows(cut(rows), reading)


def _joined_rows(rows: Rows, tokens: int, tags: int, sentence: int | None) -> Iterator[Sentence | BadRow]:
    """Yields the sentences of rows that hold a token each; a BadRow for one with a row that can't be read, or behind which one begins: it may belong to either."""
    number, bad = "", None
    own: list[Cells] = []
    last: Cells | BadRow | None = None
    for row in rows:
        if not isinstance(row, BadRow) and (row.is_blank or (sentence is not None and row.cells[sentence].strip() not in ("", number))):
            if own or bad:
                yield bad or _sentence(own, tokens, tags)
            lost = isinstance(last, BadRow) and not row.is_blank
            own, bad = [], BadRow(row.line, "the row before this sentence can't be read, and may be part of it.") if lost else None
        if isinstance(row, BadRow):
            bad = bad or row
        elif not row.is_blank:
            own.append(row)
            number = (sentence is not None and row.cells[sentence].strip()) or number
        last = row
    if own or bad:
        yield bad or _sentence(own, tokens, tags)


def _sentence(rows: list[Cells], tokens: int, tags: int) -> Sentence | BadRow:
    if empty := next((row for row in rows if not row.cells[tokens]), None):
        return BadRow(empty.line, f"no token in {shown(empty.cells)}.")
    return Sentence([row.cells[tokens] for row in rows], [[row.cells[tags].strip() for row in rows]], [*map(_line, rows)])


def _line(row: Cells) -> Line:
    return Line(row.line, "\t".join(row.cells), True)
