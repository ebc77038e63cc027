"""Finds the columns of a file that has one token a line: what separates them, and where sentences end. What each column is: token_roles.py.

In: the first lines. Out: Columns, which part a line into its cells. One rule decides each thing:

- Columns are parted by tabs, where nearly all lines have as many; else by the string that stands before most tags, whatever it is. Any number of spaces is one.
- More than two columns are believed where nearly all lines have as many. Else all before the last separator is the token.
- A line that begins with '#' at the beginning of a sentence, and isn't the token # with its tag, is a comment. A first line that names its columns is passed over.
- A blank line ends a sentence. Where no line is blank, a sentence begins where its number changes, where the index starts again, or at a comment; or it ends with the only
  line that has no tag, again and again, such as `end`. A file without any of these isn't read.

Source: CoNLL-2003, GermEval 2014, MultiCoNER, CoNLL-U (universaldependencies.org/format.html).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from tools.data.raw.fields import Unusable
from tools.data.raw.lines import Line
from tools.data.raw.roles import NAMES, key_of
from tools.data.raw.row import FileReading, shown
from tools.data.tagging.tags import is_tag, no_tag
from tools.data.tagging.token_roles import INDEX, PLAIN, SENTENCE, Roles, roles_of

SHORT, LONGEST = 20, 100  # lines; a file of more is hardly one sentence, or can't be one
BLANK = " \t\v\f"
# Characters that aren't part of a word may separate a token from its tag; '-' and '_' are part of tags.
_BETWEEN = re.compile(r"[^\w-]+")
_TAG = re.compile(r"[BIMELSUW][-_:.].|[bimelsuw][-_:.][a-z]")
_MISC = re.compile(r"(?:^|\|)(NER|ner)=([^|]*)")
_QUOTED = re.compile(r'".*"(?:O|[BIMELSUW][-_][^"]+)"')
_UNQUOTE = """.venv/train/bin/python -c "import csv, sys; [print('\\t'.join(row)) for row in csv.reader(open(sys.argv[1], encoding='utf-8-sig'))]\""""
_BRACKET = re.compile(r"(?:\([\w.-]+)?\*\)*")
_RANGE = re.compile(r"\d+[-.]\d+")


@dataclass(frozen=True)
class Columns:
    """The columns of a file. `begins`: the column that tells where a sentence begins, if blank lines don't, and `first` the index of a sentence's first token."""

    separator: str = " "
    number: int = 2
    roles: Roles = PLAIN
    begins: int = -1
    first: str = ""  # empty where each sentence has its own number
    comments_begin: bool = False  # each comment begins a sentence
    end: str = ""  # the line that ends a sentence
    header: int = 0  # the line that names the columns
    known: frozenset[str] = frozenset()  # tags of the first lines

    @cached_property
    def _is_spaces(self) -> bool:
        return not self.separator.strip(" ")

    @cached_property
    def _is_plain(self) -> bool:
        return self._is_spaces and (self.number, self.roles) == (2, PLAIN)

    def cells(self, line: str) -> list[str] | None:
        """Returns the cells of a line, or None where it has another number of them."""
        line, lead = line.rstrip(BLANK), len(self.roles.lead)
        if self._is_plain:  # most files are, and have a million lines
            token, _, tag = line.rpartition(" ")
            return [token.rstrip(" ") or " ", tag] if token else None
        if self._is_spaces:
            parts = re.split(" +", line) if lead else _from_the_right(line, self.number)
        else:
            leading = line.split(self.separator, lead) if lead else [line]
            parts = [*leading[:-1], *leading[-1].rsplit(self.separator, self.number - 1 - lead)]
        return parts if len(parts) == self.number and parts[self.roles.token] else None

    def tag(self, cell: str) -> str:
        """Returns the tag that a cell holds."""
        if not self.roles.key:
            return cell
        found = _MISC.search(cell)
        return found[2] if found else "O"

    def is_comment(self, line: str) -> bool:
        """Returns whether a line at the beginning of a sentence is a comment."""
        if not line.startswith("#") or not line[1:].strip():
            return False
        cells = self.cells(line)
        return not cells or " " in cells[self.roles.token] or not any(cells[tag] in self.known or is_tag(cells[tag]) for tag in self.roles.tags)

    def is_passed_over(self, line: str) -> bool:
        """Returns whether a line within a sentence has no token of its own: CoNLL-U's ranges `1-2` and empty tokens `1.1`."""
        return INDEX in self.roles.lead and bool(_RANGE.fullmatch(line.split(self.separator, 1)[0]))

    def start(self, line: str) -> str:
        """Returns the cell of a line that tells where a sentence begins."""
        cells = self.cells(line)
        return cells[self.begins] if cells else ""


def columns_of(lines: Sequence[Line], reading: FileReading) -> Columns:
    """Returns the columns of a file by its first lines, and says in `reading` what isn't usual about them. Raises Unusable where it has no sentences or no such columns."""
    plain = [line for line in lines if not line.text.startswith("#")] or lines
    header = plain[0].line if len(plain) > 1 and _names_columns(plain[0].text, plain[1].text) else 0
    if header:
        reading.apply("the first line names the columns, and was passed over", header)
        plain = plain[1:]
    separator = _separator([line.text.rstrip(BLANK) for line in plain])
    _need_tokens(plain, separator, bool(header))
    number = _number(plain, separator)
    bare = Columns(separator, number)
    table = [(line.line, cells) for line in plain if (cells := bare.cells(line.text)) and not _RANGE.fullmatch(cells[0])]
    roles = roles_of(table, number, reading)
    roles.say(number, reading)
    columns = replace(bare, roles=roles, header=header, known=frozenset(cells[tag] for _, cells in table for tag in roles.tags))
    _need_outside([line for line in plain if not bare.cells(line.text)], plain, columns)
    columns = replace(columns, end=_end(plain, columns))
    if columns.end:
        reading.apply(f"each line {shown(columns.end)} ends a sentence")
    if columns.end or any(after.line > before.line + 1 for before, after in pairwise(lines)):
        return columns
    return _without_blank_lines(columns, plain, table[0][1] if table else [], len(plain) < len(lines), reading)


def _without_blank_lines(columns: Columns, lines: Sequence[Line], first: Sequence[str], has_comments: bool, reading: FileReading) -> Columns:
    """Returns the columns with what ends a sentence in place of blank lines, and says so. Raises Unusable where nothing does in a file of more than LONGEST lines."""
    lead = columns.roles.lead
    if SENTENCE in lead:
        column = lead.index(SENTENCE)
        reading.apply(f"a sentence begins where column {column + 1} has another number")
        return replace(columns, begins=column)
    if INDEX in lead:
        column = lead.index(INDEX)
        reading.apply(f"a sentence begins where column {column + 1} starts again")
        return replace(columns, begins=column, first=first[column])
    if has_comments:
        reading.apply("a sentence begins at each comment")
        return replace(columns, comments_begin=True)
    if len(lines) > LONGEST:
        raise Unusable(
            f"no blank line among the first {len(lines):,} lines: the file would be one row. Put a blank line between sentences, such as behind each line of '。':"
            " awk '{print} /^。/{print \"\"}' FILE > NEW",
            "named" if any(is_tag(tag) and tag != "O" for tag in columns.known) else "type",
        )
    if len(lines) > SHORT:
        reading.doubt(f"no blank line: all {len(lines)} lines are one row")
    return columns


def _need_tokens(lines: Sequence[Line], separator: str, has_header: bool) -> None:
    """Raises Unusable for a table, and for lines that hold a sentence each."""
    if has_header and separator in (",", ";"):
        raise Unusable("a table with a header: its reader is `table`.")
    if sum("\x02" in line.text for line in lines) * 2 > len(lines):
        raise Unusable("a sentence a line, its tokens and tags parted by \\x02: its reader is `table`.")
    if sum(_QUOTED.fullmatch(line.text) is not None for line in lines) * 2 > len(lines):
        raise Unusable(f"cells in quotes. This command writes them without, and with tabs between: {_UNQUOTE} FILE > NEW", "named")
    rows = [line.text.split() for line in lines]
    tailed = [row for row in rows if len(row) > 2 and is_tag(row[1]) and not is_tag(row[-1])]
    plain = sum(len(row) == 2 and is_tag(row[1]) for row in rows)
    if tailed and plain and len(tailed) + plain > 0.95 * len(rows):
        raise Unusable(f"{no_tag(' '.join(tailed[0][1:]))}.", "named")
    if sum(any(map(_BRACKET.fullmatch, row)) for row in rows) * 2 > len(rows):
        raise Unusable(
            "tags in brackets, (LABEL* … *), as in OntoNotes (CoNLL-2012): write those of the entities as B-LABEL, I-LABEL and O.", "named"
        )
    if 3 * sum(len(row) > 1 and all(map(is_tag, row)) for row in rows) > len(rows) > sum(all(map(is_tag, row)) for row in rows):
        raise Unusable(
            "lines of tags between lines of tokens: put them beside each other, and `table` reads them: grep . FILE | paste - - > NEW", "named"
        )
    if not separator.isspace() and sum(line.text.count(separator) > 1 and " " in line.text for line in lines) * 2 > len(lines):
        raise Unusable(f"more than one {shown(separator)} in most lines: not a token and a tag a line.")
    cells = [cell for row in rows for cell in row]
    if len(cells) > 3 * len(lines) and sum(len(cell) == 1 for cell in cells) > 0.9 * len(cells) and not any(map(is_tag, cells)):
        raise Unusable(
            "each line holds characters only, and no tags. Where a second file with as many lines has the tags, join them: paste TOKENS TAGS > NEW",
            "named",
        )


def _need_outside(bare: Sequence[Line], lines: Sequence[Line], columns: Columns) -> None:
    """Raises Unusable where no tag is O, and many lines have a token alone: it may be outside of any entity."""
    if len({line.text for line in bare}) > 2 and 10 * len(bare) > len(lines) and any(map(is_tag, columns.known)) and "O" not in columns.known:
        raise Unusable(
            f"lines such as {shown(bare[0].text)} have a token and no tag, and no tag is O. If these tokens are outside of entities, say so:"
            " awk 'NF == 1 {$0 = $0 \"\\tO\"} {print}' FILE > NEW",
            "named",
        )


def _separator(lines: Sequence[str]) -> str:
    """Returns the string between columns."""
    if (tabs := Counter(line.count("\t") for line in lines).most_common(1)) and tabs[0][0] and tabs[0][1] >= 0.9 * len(lines):
        return "\t"
    found = Counter(string for line in lines if (string := _before_tag(line)))
    return found.most_common(1)[0][0] if found and found.total() >= 0.1 * len(lines) else " "


def _before_tag(line: str) -> str:
    """Returns the string between the token and a tag, or an empty string. The first character always belongs to the token."""
    suffixed = re.fullmatch(r"[-_][BIMELSUWbimelsuw]", line[-2:])
    for between in _BETWEEN.finditer(line, 1):
        left = len(line) - between.end()
        if (left == 1 and line[-1] in "Oo0") or (suffixed and left > 2) or _TAG.match(line, between.end()):
            return between[0]
    return ""


def _number(lines: Sequence[Line], separator: str) -> int:
    """Returns the number of columns: more than two only if nearly all lines have as many, since a token may hold the separator."""
    spaces = not separator.strip(" ")
    rests = [line.text.rstrip(BLANK)[1:] for line in lines]
    counts = Counter(len(re.split(" +", rest)) if spaces else rest.count(separator) + 1 for rest in rests)
    columns, times = counts.most_common(1)[0] if counts else (2, 0)
    if columns <= 2 or times < 0.9 * len(lines):
        return 2
    middle = [cell for rest in rests for cell in rest.split(separator)[1:]]
    return 2 if not separator.isspace() and sum(" " in cell.strip() for cell in middle) > 0.1 * len(middle) else columns


def _end(lines: Sequence[Line], columns: Columns) -> str:
    """Returns the line that ends a sentence: the only one that has no tag, again and again; where there are blank lines, it is ASCII and stands before them."""
    ends = [line for line in lines if not columns.cells(line.text)]
    if len({line.text for line in ends}) != 1 or not 1 < len(ends) <= len(lines) / 2:
        return ""
    numbers = {line.line for line in lines}
    has_blanks = lines[-1].line - lines[0].line >= len(lines)
    return "" if has_blanks and any(line.line + 1 in numbers or not line.text.isascii() for line in ends) else ends[0].text


def _names_columns(first: str, second: str) -> bool:
    """Returns whether a first line names columns, the last of them that of the tags."""
    words = re.split(r"[\s,;|]+", first.strip())
    return len(words) > 1 and key_of(words[-1]) in NAMES["tags"][0] and second.split()[-1:] != first.split()[-1:]


def _from_the_right(line: str, columns: int) -> list[str]:
    """Returns the columns of a line. Any number of spaces is one separator, as in files aligned by hand; a space may be the first column."""
    cells: list[str] = []
    for _ in range(columns - 1):
        rest, _, last = line.rpartition(" ")
        if not (rest and last):
            return []
        cells.append(last)
        line = rest.rstrip(" ")
    return [line or " ", *reversed(cells)]
