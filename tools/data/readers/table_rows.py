"""Reads a table: CSV, TSV, text with semicolons or bars, or an Excel workbook. Each row is a text and its class, a sentence and its tags, or a token and its tag.

    text,label                 text_a⇥label                       Sentence #,Word,Tag
    比赛结束了,体育              fly to boston⇥O O B-city            Sentence: 1,London,B-geo

In: the columns by their names (in English or Chinese), by what stands in them, or by the task's `fields`: `{text: 正文, label: 类别, sheet: Sheet1}`, a name or a number.
Cells are looked at before their column is believed: tags aren't classes. Out: one RawRow or BadRow a row, or a single BadRow with a question where the columns aren't clear.

The first row is a header if a name in it is known, or if its class stands nowhere else; a title above it, in one cell, is passed over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from tools.data.raw.class_names import ask_for_names, class_of, separator_of
from tools.data.raw.fields import Unusable
from tools.data.raw.roles import Column, are_numbers, described, has_role, is_known, key_of, one_hot, repeats, samples, text_and_label, text_of
from tools.data.raw.row import BadRow, FileReading, RawRow, shown
from tools.data.readers.fasttext import MARK
from tools.data.readers.table_cells import HEAD, Cells, Rows, open_table
from tools.data.readers.table_tags import Read, sentences_of
from tools.data.tagging.tags import is_tag

ABOVE = 5  # rows that may stand above the header
_SPLITS = {"train", "training", "dev", "valid", "validation", "val", "eval", "test"}
_ENTITIES = {"entity", "entitytext", "entityname", "mention", "实体", "实体名", "实体名称", "实体文本"}
_STARTS = {"start", "begin", "startidx", "startindex", "startoffset", "startpos", "startposition", "offset", "开始", "起始", "开始位置", "起始位置"}
_JSON = re.compile(r"\s*(?:\[\s*[{\"\[]|\{\s*[{\"'\[])")


@dataclass(frozen=True)
class Head:
    """The first rows of a table: how many stand above the data, and its columns."""

    above: int  # the last line above the data
    has_header: bool
    columns: list[Column]
    blanks: int  # rows without anything between the others


def read_table(path: Path, reading: FileReading) -> Iterator[RawRow | BadRow]:
    """Yields one RawRow or BadRow for each row, or sentence, of a table; a single BadRow for a file that isn't one, or whose columns aren't clear."""
    try:
        width, rows = open_table(path, reading)
        head = _head([row for row in islice(rows(), HEAD) if isinstance(row, Cells)], width, reading)
        read = sentences_of(head.columns, head.has_header, head.blanks > 0, reading) or _classes(head, reading, path)
    except Unusable as fault:
        yield BadRow(1, *fault.args)
        return
    yield from read(_data(rows(), head, reading))


def _data(rows: Rows, head: Head, reading: FileReading) -> Rows:
    """Yields the rows below the header, each with the columns of the table; a BadRow for one with more or fewer."""
    names, width = [column.name for column in head.columns] if head.has_header else [], len(head.columns)
    for row in rows:
        if row.line <= head.above:
            continue
        if isinstance(row, BadRow) or row.is_blank or (len(row.cells) == width and row.cells != names):
            yield row
        elif row.cells == names:
            reading.apply("a row that repeats the header was passed over", row.line)
        else:
            yield BadRow(
                row.line,
                f"{len(row.cells)} cells, but the table has {width} columns: {shown(row.cells)}. A cell with the separator stands in quotes.",
            )


def _head(rows: list[Cells], width: int, reading: FileReading) -> Head:
    """Returns the head of a table. Raises Unusable for one without rows, or where it isn't clear if its first row is a header."""
    if (
        rows
        and len(rows[0].cells) == width - 1
        and sum(map(is_known, rows[0].cells)) > 1
        and all(row.cells[0].strip().isdecimal() for row in rows[1:])
    ):
        rows = [Cells(rows[0].line, ["", *rows[0].cells]), *rows[1:]]  # as R writes a table: the column of the rows' names has none
    full = [row for row in rows if len(row.cells) == width and not row.is_blank]
    wanted = {name.strip() for role, name in reading.fields.items() if role != "sheet"}
    start = next((place for place, row in enumerate(full[:ABOVE]) if sum(is_known(cell) or cell.strip() in wanted for cell in row.cells) > 1), 0)
    data = full[start:]
    if not data:
        raise Unusable("no table: it has no rows.")
    if start:
        reading.apply(f"the rows above row {data[0].line}, a title, were passed over", data[0].line)
    has_header = _has_header(data, reading)
    if has_header and len(data) > 2 and _continues(data[0], data[1]):
        data = [Cells(data[1].line, [below or above for above, below in zip(data[0].cells, data[1].cells, strict=True)]), *data[2:]]
        reading.apply("the header has two rows")
    names = data[0].cells if has_header else [str(place + 1) for place in range(width)]
    body = [[cell.strip() for cell in row.cells] for row in data[has_header:]]
    columns = [Column(place, name, [cells[place] for cells in body]) for place, name in enumerate(names)]
    if not body:
        raise Unusable(f"no table: nothing stands below {shown(names)}.")
    if not has_header:
        reading.apply("the first row is no header: its cells are values like those below")
    above = data[0].line if has_header else data[0].line - 1
    return Head(above, has_header, columns, sum(row.is_blank for row in rows))


def _continues(above: Cells, below: Cells) -> bool:
    """Returns whether a row below the header is part of it: it has known names, and repeats or leaves empty what stands above merged cells."""
    is_name = [is_known(cell) for cell in below.cells]
    pairs = zip(above.cells, below.cells, strict=True)
    return any(is_name) and any(not cell or cell == over for over, cell in pairs) and below.cells != above.cells


def _has_header(data: list[Cells], reading: FileReading) -> bool:
    first, *rest = [[cell.strip() for cell in row.cells] for row in data]
    if "header" in reading.fields:
        return reading.fields["header"].casefold() in ("yes", "true")
    names = {value.strip() for role, value in reading.fields.items() if role != "sheet" and not value.isdecimal()}
    full = [place for place in range(len(first)) if any(cells[place] for cells in rest)]
    first = [first[place] for place in full]
    rest = [[cells[place] for place in full] for cells in rest]
    below = [[cells[place] for cells in rest] for place in range(len(full))]
    again = [first not in rest and cell in cells for cell, cells in zip(first, below, strict=True)]
    known = sum(is_known(cell) and not is_again for cell, is_again in zip(first, again, strict=True))
    if names & {*first} or known > any(again):  # one known name beside a class that stands below is a text
        return True
    if (
        any(again)
        or "" in first[1:]
        or len(set(first)) < len(first)
        or not rest
        or any(is_tag(cell.partition(" ")[0]) for cell in first)
        or any(map(str.isdecimal, first))
    ):
        return False
    if any(all(map(str.isdecimal, cells)) or (len(cells) > 3 and min(Counter(cells).values()) > 1) for cells in below) and max(map(len, first)) <= 20:
        return True
    if not any(map(repeats, below)):
        return False
    raise Unusable(f"is the first row a header? It is {shown(first)}. Say it: fields.header=yes or fields.header=no", "named")


def _classes(head: Head, reading: FileReading, path: Path) -> Read:
    columns = head.columns
    for column in columns:
        if sum(_JSON.match(cell) is not None for cell in column.cells) * 2 > len(column.cells):
            raise Unusable(
                f"the cells of {shown(column.name)} hold JSON, {shown(column.cells[0])}: export the annotation as JSON instead of CSV.", "named"
            )
    if not reading.fields.get("label") and (hot := one_hot(columns)):
        names = ", ".join(shown(column.name) for column in hot[:6])
        raise Unusable(
            f"the columns {names} hold 0 or 1, a column for each class. Make one column of them, with the class's name, and several classes a row aren't read.",
            "named",
        )
    words = [column for column in columns if has_role(column, "tokens")]
    if words and not reading.fields and not any(has_role(column, "text") for column in columns):
        raise Unusable(
            f"the column {shown(words[0].name)} seems to hold tokens, not texts, and no column has their tags; {samples(columns)}. Say it: fields.text=… fields.label=…, or fields.tokens=… fields.tags=…",
            "named",
        )
    if not reading.fields.get("label") and (text := text_of(columns, reading)):
        has_name = any(has_role(column, "label") for column in columns)
        for column in columns:
            if column is not text and (key_of(column.name) in _ENTITIES or not (has_name or is_known(column.name))):
                _refuse_entities(text, column, columns)
    text, label = text_and_label(columns, reading)
    label = described(label, columns, reading)
    _refuse_entities(text, label, columns)
    values = [cell for cell in label.cells if cell]
    if values[:1] and values[0].startswith(MARK):
        raise Unusable("fastText's lines: their reader is `fasttext`.")
    several = separator_of(label.cells)
    some = [cell for cell in values if several and several in cell]
    if several and 10 * len(some) >= len(values):
        raise Unusable(
            f"several classes in one cell of {shown(label.name)}, {shown(some[0])}: a row of this project has one class. Keep the rows with one.",
            "named",
        )
    if splits := [column for column in columns if column is not label and {*map(str.casefold, column.cells)} <= _SPLITS]:
        reading.doubt(f"the column {shown(splits[0].name)} tells rows of train and dev apart, and was passed over: make a file of each")
    ask_for_names(label.cells, label.name, path, reading)
    reading.apply(f"the text is the column {shown(text.name)}, the class the column {shown(label.name)}")
    return partial(_class_rows, text=text, label=label, several=several, reading=reading)


def _refuse_entities(text: Column, label: Column, columns: list[Column]) -> None:
    """Raises Unusable where a row isn't a text and its class but an entity of a text: it has offsets, or what was taken for the class stands in the text."""
    starts = [column for column in columns if key_of(column.name) in _STARTS and are_numbers(column.cells)]
    pairs = [(cell, own) for cell, own in zip(text.cells, label.cells, strict=True) if own]
    are_inside = len(pairs) > 2 and sum(own in cell for cell, own in pairs) > 0.8 * len(pairs)
    if starts or (are_inside and (not has_role(label, "label") or 2 * len(set(label.cells)) > len(pairs))):
        why = f"has its place in {shown(starts[0].name)}" if starts else f"stands in the text: {shown(pairs[0][1])} in {shown(pairs[0][0])}"
        raise Unusable(
            f"a row seems to be an entity, which {why}; {shown(label.name)} has no class of the text. {samples(columns)}. Write a row for each text, with its"
            ' entities: {"text": "…", "entities": [{"label": "…", "text": "…", "start": 0, "end": 3}]}',
            "named",
        )


def _class_rows(rows: Rows, text: Column, label: Column, several: str, reading: FileReading) -> Iterator[RawRow | BadRow]:
    for row in rows:
        if isinstance(row, BadRow):
            yield row
        elif not row.is_blank:
            cell = row.cells[label.place]
            try:
                if not cell.strip():
                    raise Unusable(
                        f"the cell of {shown(label.name)} is empty: the row isn't annotated (of merged cells only the first has the value).",
                        "unannotated",
                    )
                if several and several in cell.strip(several):
                    raise Unusable(f"several classes in one cell, {shown(cell)}: a row of this project has one class.")
                yield RawRow(row.line, row.cells[text.place].strip(), [], class_of(cell.strip(), reading))
            except Unusable as fault:
                yield BadRow(row.line, *fault.args)
