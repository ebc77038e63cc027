"""Reads the rows of a table as cells: text separated by commas, tabs, semicolons or bars, or a sheet of an Excel workbook (.xlsx).

In: a path, in any encoding. Out: the cells of each row, all strings as the file writes them: 'None', 'NA' and '007' too. Text is streamed through the standard library's csv, which knows
the line of each row and goes on behind a bad one; a workbook is read whole by pandas.

The first thousand rows tell the separator, and whether quotes are quotes (RFC 4180) or characters of the text.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, cast
from zipfile import ZipFile

from tools.data.raw.binary import is_workbook, what_binary, what_text
from tools.data.raw.encodings import encoding_of
from tools.data.raw.fields import Unusable
from tools.data.raw.lines import open_raw
from tools.data.raw.roles import is_known
from tools.data.raw.row import BadRow, FileReading, shown
from tools.errors import ToolError
from tools.files import need_file

HEAD = 1000
MOST, HALF = 0.9, 0.5  # of the first rows have one number of cells
SEPARATORS = ("\t", ",", ";", "|")
_LONGEST = 1 << 24  # characters of a cell; a quote that isn't closed would run to the end of the file
_RULE = re.compile(r"[\s|]*:?-{3,}:?\s*\|[-:|\s]*")
_FROM_MARKDOWN = r"grep -v '^[|: -]*$' FILE | sed 's/^| *//; s/ *|$//; s/ *| */\t/g' > FILE.tsv"
_ESCAPED = re.compile(r'".*\\"')  # a quote in a cell, as Spark and MySQL write it
_NOT_TEXT = re.compile("[\udc80-\udcff\0]")  # a byte that isn't UTF-8, as it was decoded; or NUL


class Cells(NamedTuple):
    """A row: its line in a file of text, or its row in a sheet (from 1), and its cells."""

    line: int
    cells: list[str]

    @property
    def is_blank(self) -> bool:
        """Whether no cell holds anything."""
        return not any(map(str.strip, self.cells))


Rows = Iterator[Cells | BadRow]


class CellForm(NamedTuple):
    """How a text file's rows are cut into cells, and its first rows so cut."""

    separator: str
    quoting: Literal[0, 3]
    width: int  # cells of most rows
    share: float  # of the rows that have so many
    is_table: bool  # nearly all rows have so many, or at least half below a header of so many
    head: list[Cells | BadRow]


def open_table(path: Path, reading: FileReading) -> tuple[int, Callable[[], Rows]]:
    """Returns the number of a table's columns, and a function that reads its rows from the first. Raises Unusable for a file that is no table."""
    if is_workbook(need_file(path)):
        rows = _sheet(path, reading)
        return max((len(row.cells) for row in rows), default=0), lambda: iter(rows)
    if what := what_binary(path):
        raise Unusable(f"the file is {what}.", "encoding")
    try:
        codec = encoding_of(path)
    except ToolError as error:
        raise Unusable(str(error), "named") from None
    with open_raw(path) as file:
        if what := what_text(file.read(1 << 12).decode(codec, "replace")):
            raise Unusable(f"the file is {what}.", "named")
    if not codec.startswith("utf-8"):
        reading.apply(f"the file is in {codec.upper()}")
    form = _form(path, codec, reading)
    cut = partial(_text_rows, path, codec, form.separator, form.quoting)
    return form.width, lambda: (row if isinstance(row, BadRow) else _fitted(row, form.width) for row in cut())


def _form(path: Path, codec: str, reading: FileReading) -> CellForm:
    """Returns the form in which nearly all of a file's first rows have the same number of cells, two or more. Raises Unusable if there is none."""
    tried = [_quotes(path, codec, separator) for separator in SEPARATORS]
    forms = [form for form in tried if form.is_table]
    if not forms:
        raise _no_table(tried)
    if any(form.separator == "|" and isinstance(row, Cells) and _RULE.fullmatch("|".join(row.cells)) for form in forms for row in form.head[1:3]):
        raise Unusable(f"a table in Markdown. To convert it: {_FROM_MARKDOWN}", "named")
    form = max(forms, key=lambda form: (_knows_names(form), form.share, -SEPARATORS.index(form.separator)))
    if form.quoting == csv.QUOTE_NONE and any(cell.startswith('"') for row in form.head if isinstance(row, Cells) for cell in row.cells):
        reading.apply("quotes are characters of the text, since they don't enclose cells")
    return form


def _no_table(tried: list[CellForm]) -> Unusable:
    """Returns why none of the forms is a table's."""
    best = tried[0]  # only tabs are never part of a text
    bad = [row for row in best.head if isinstance(row, BadRow) and row.kind == "encoding"]
    if bad and 2 * len(bad) >= len(best.head):
        return Unusable(bad[0].reason, "encoding")
    if header := next(
        (
            row.cells
            for form in tried
            for row in form.head[:1]
            if isinstance(row, Cells) and form.head[1:] == [] and form.width > 1 and _knows_names(form)
        ),
        None,
    ):
        return Unusable(f"the table has a header, {shown(header)}, and no rows below it.", "named")
    if best.share >= HALF:
        line, cells = next(row for row in best.head if isinstance(row, Cells) and len(row.cells) != best.width)
        counts = f"most lines have {best.width} cells with tabs between, but line {line} has {len(cells)}"
        return Unusable(f"{counts}: each must have as many: {shown(cells)}", "named")
    return Unusable("no table: its lines have no separator (comma, tab, semicolon or bar), or differ in the number of cells.")


def _knows_names(form: CellForm) -> bool:
    return any(is_known(cell) for row in form.head[:3] if isinstance(row, Cells) for cell in row.cells)


def _quotes(path: Path, codec: str, separator: str) -> CellForm:
    """Returns the form with a separator in which quotes are quotes, or the one in which they are characters, whichever fits the rows better.

    Where both fit: in CSV quotes are quotes. In other tables they are characters if they would join lines that are whole rows by themselves, or if some cells of a
    column have them without need and others have none: no program writes that.
    """
    with_quotes, without = _tried(path, codec, separator, csv.QUOTE_MINIMAL), _tried(path, codec, separator, csv.QUOTE_NONE)
    faults = sum(isinstance(row, BadRow) for row in with_quotes.head)
    escaped = sum(isinstance(row, Cells) and any(_ESCAPED.match(cell) for cell in row.cells) for row in without.head)
    if faults and 2 * escaped >= faults:
        raise Unusable(
            'quotes within cells are written with a backslash. This command writes them twice instead: sed \'s/\\\\"/""/g\' FILE > NEW', "named"
        )
    if with_quotes.share != without.share:
        return max(with_quotes, without, key=lambda form: form.share)
    are_text = separator != "," and (len(with_quotes.head) < len(without.head) or _needless(with_quotes, without))
    return without if are_text else with_quotes


def _tried(path: Path, codec: str, separator: str, quoting: Literal[0, 3]) -> CellForm:
    head = list(islice(_text_rows(path, codec, separator, quoting), HEAD))
    rows = [row for row in head if (row.kind != "encoding" if isinstance(row, BadRow) else not row.is_blank)]
    widths = Counter(len(row.cells) for row in rows if isinstance(row, Cells))
    width, count = widths.most_common(1)[0] if widths else (0, 0)
    first = next((row.cells for row in rows if isinstance(row, Cells)), [])
    fitting = sum(len(_fitted(row, len(first)).cells) == len(first) for row in rows if isinstance(row, Cells))
    has_names = sum(map(is_known, first)) > 1 and 2 * fitting >= len(rows)
    if has_names:  # a header tells the width, even if many rows have a separator too many
        width, count = len(first), fitting
    share = count / len(rows) if width > 1 and len(rows) > 1 else 0.0
    return CellForm(separator, quoting, width, share, share >= (HALF if has_names else MOST), head)


def _fitted(row: Cells, width: int) -> Cells:
    """Returns the row without empty cells beyond the table's columns."""
    return Cells(row.line, row.cells[:width]) if len(row.cells) > width and not any(map(str.strip, row.cells[width:])) else row


def _needless(with_quotes: CellForm, without: CellForm) -> bool:
    """Returns whether a column has cells in quotes that hold nothing to quote, and cells without quotes. The first row may be a header."""
    special = re.compile(rf'["\r\n{re.escape(with_quotes.separator)}]')
    bare: set[int] = set()
    needless: set[int] = set()
    for row, raw in list(zip(with_quotes.head, without.head, strict=False))[1:]:
        if isinstance(row, Cells) and isinstance(raw, Cells):
            for place, (cell, written) in enumerate(zip(row.cells, raw.cells, strict=False)):
                if cell and cell == written:
                    bare.add(place)
                elif cell and not special.search(cell):
                    needless.add(place)
    return bool(bare & needless)


def _text_rows(path: Path, codec: str, separator: str, quoting: Literal[0, 3]) -> Rows:
    csv.field_size_limit(_LONGEST)
    decoder = ("utf-8-sig", "surrogateescape") if codec.startswith("utf-8") else (codec, "replace")
    with open_raw(path) as raw:
        head = cast(io.BufferedReader, raw).peek()
        newline = "\r" if b"\r" in head and b"\n" not in head else "\n"  # old Macs' lines
        reader = csv.reader(io.TextIOWrapper(raw, *decoder, newline=newline), delimiter=separator, quoting=quoting, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(line, f"no row of the table: {_csv_fault(str(error))}.")
                continue
            if any(map(_NOT_TEXT.search, cells)):
                yield BadRow(line, "bytes that aren't UTF-8, or NUL characters, in this row.", "encoding")
            else:
                yield Cells(line, [cell.removeprefix("\ufeff") for cell in cells[:1]] + cells[1:])


def _csv_fault(error: str) -> str:
    if "unexpected end" in error or "field limit" in error:
        return "a quote that opens a cell isn't closed"
    if "new-line" in error:
        return "a carriage return within the line; lines must end in LF or CRLF"
    return f"the quotes around a cell don't fit ({error})"


def _sheet(path: Path, reading: FileReading) -> list[Cells]:
    """Returns the rows of a workbook's only sheet with data, or of the one that the task names. Raises Unusable where it isn't clear which, or Excel's file is damaged."""
    import pandas

    try:
        sheets = pandas.read_excel(path, sheet_name=None, header=None, dtype=str, na_filter=False, engine="openpyxl")
    except Exception as error:  # whatever openpyxl met in a damaged file
        raise Unusable(f"the workbook can't be read: {shown(str(error))}.", "named") from None
    full = {str(name): sheet for name, sheet in sheets.items() if sheet.size and sheet.to_numpy().any()}
    wanted = reading.fields.get("sheet") or (next(iter(full)) if len(full) == 1 else "")
    if wanted not in full:
        names = ", ".join(map(shown, full)) or "none"
        raise Unusable(
            f"which sheet is it? With data there are: {names}. Say it: fields.sheet=SHEET (or save each as a file of its own, for --from and --dev)",
            "named",
        )
    if len(sheets) > 1:
        reading.apply(f"the sheet {shown(wanted)} was read")
    rows = [Cells(number, list(map(str, row))) for number, row in enumerate(full[wanted].itertuples(index=False, name=None), 1)]
    if _has_merged_cells(path):
        _fill_merged(path, wanted, rows)
        reading.apply("each row of merged cells has their value")
    return rows


def _has_merged_cells(path: Path) -> bool:
    with ZipFile(path) as archive:
        return any(b"<mergeCell " in archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml"))


def _fill_merged(path: Path, sheet: str, rows: list[Cells]) -> None:
    """Writes the value of merged cells, which the file has in the first only, in each of them."""
    from openpyxl import load_workbook

    for area in load_workbook(path)[sheet].merged_cells.ranges:
        for row in rows[area.min_row - 1 : area.max_row]:
            for column in range(area.min_col - 1, min(area.max_col, len(row.cells))):
                row.cells[column] = rows[area.min_row - 1].cells[area.min_col - 1]
