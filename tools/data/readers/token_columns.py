"""Finds the columns of a file that has one token a line: what separates them, which has the tokens, which the tags, and where sentences end.

In: the first lines. Out: Columns, which part a line into its cells. One rule decides each thing:

- Columns are parted by tabs, where nearly all lines have as many; else by the string that stands before most tags, whatever it is. Any number of spaces is one.
- More than two columns are believed where nearly all lines have as many. Else all before the last separator is the token.
- A first column that counts on by one from line to line within each sentence is an index. One that is the same within a sentence and differs from the next
  sentence's is the sentence's number. Where no line is blank, sentences begin where the index starts again, or the number changes.
- The tags are in each column of B- and I- tags, but for chunks (B-NP) beside others: several are layers of nested entities. Where no column has any, the last one has
  the tags, and those before it whose cells are partly O are its layers. Two columns that mostly agree aren't layers but gold and predicted tags: the task says which.
- A last column of `key=value` (CoNLL-U's MISC) has the tags under NER.
- The tokens are in the first column that is left. The others are passed over. The task may say all of it: `fields: {tokens: 2, tags: 4}`.
- A line that begins with '#' at the beginning of a sentence, and isn't the token # with its tag, is a comment. A first line that names its columns is passed over.
- Where no line is blank, and the lines without a tag are all the same, such as `end`, that line ends a sentence.

Source: CoNLL-2003, GermEval 2014, MultiCoNER, CoNLL-U (universaldependencies.org/format.html).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tools.data.readers.fields import Unusable
from tools.data.readers.lines import Line
from tools.data.readers.row import Reading, shown
from tools.data.readers.tags import LOWER_PREFIX, LOWER_SUFFIX, OUTSIDE, PREFIX, SUFFIX, is_tag

LONGEST = 100  # lines; no file is one sentence of more
BLANK = " \t\v\f"
# Characters that aren't part of a word may separate a token from its tag; '-' and '_' are part of tags.
_BETWEEN = re.compile(r"[^\w-]+")
_TAG = re.compile(r"[BIMELSUW][-_:.].|[bimelsuw][-_:.][a-z]")
_CHUNKS = {"NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"}
_MISC = re.compile(r"(?:^|\|)(NER|ner)=([^|]*)")
_BRACKET = re.compile(r"\*\)*")
_RANGE = re.compile(r"\d+[-.]\d+")
_HEADER = {"tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "ne", "bio", "entity", "标签", "标注", "实体"}


@dataclass(frozen=True)
class Columns:
    """The columns of a file, which count from 0."""

    separator: str = " "
    number: int = 2
    token: int = 0
    tags: tuple[int, ...] = (1,)
    lead: int = 0  # columns before the token that number lines and sentences
    key: str = ""  # the tags are values of this key
    begins: int = -1  # the column that tells where a sentence begins, if blank lines don't
    first: str = ""  # the index of a sentence's first token; empty where each sentence has its own number
    end: str = ""  # the line that ends a sentence
    header: int = 0  # the line that names the columns
    index: bool = False
    known: frozenset[str] = frozenset()  # tags of the first lines

    def cells(self, line: str) -> list[str] | None:
        """Returns the cells of a line, or None where it has another number of them."""
        line = line.rstrip(BLANK)
        if not self.separator.strip(" "):
            parts = re.split(" +", line) if self.lead else _from_the_right(line, self.number)
        else:
            leading = line.split(self.separator, self.lead) if self.lead else [line]
            parts = [*leading[:-1], *leading[-1].rsplit(self.separator, self.number - 1 - self.lead)]
        return parts if len(parts) == self.number and parts[self.token] else None

    def tag(self, cell: str) -> str:
        """Returns the tag that a cell holds."""
        if not self.key:
            return cell
        found = _MISC.search(cell)
        return found[2] if found else "O"

    def is_comment(self, line: str) -> bool:
        """Returns whether a line at the beginning of a sentence is a comment."""
        if not line.startswith("#") or not line[1:].strip():
            return False
        cells = self.cells(line)
        return not cells or " " in cells[self.token] or not any(cells[tag] in self.known or is_tag(cells[tag]) for tag in self.tags)

    def is_passed_over(self, line: str) -> bool:
        """Returns whether a line within a sentence has no token of its own: CoNLL-U's ranges `1-2` and empty tokens `1.1`."""
        return self.index and bool(_RANGE.fullmatch(line.split(self.separator, 1)[0]))

    def start(self, line: str) -> str:
        """Returns the cell of a line that tells where a sentence begins."""
        cells = self.cells(line)
        return cells[self.begins] if cells else ""


def columns_of(lines: Sequence[Line], reading: Reading) -> Columns:
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
    lead = _lead(table, number) if number > 2 else []
    blank = any(after.line > before.line + 1 for before, after in pairwise(plain))
    found = _roles(table, number, len(lead), reading)
    begins, first, end = -1, "", ""
    if not blank and lead:
        begins = lead.index("sentence") if "sentence" in lead else 0
        first = "" if "sentence" in lead else table[0][1][0]
    elif not blank:
        end = _end(plain, bare)
    if not blank and begins < 0 and not end and len(plain) > LONGEST:
        raise Unusable(
            f"no blank line among the first {len(plain):,} lines: the file would be one row. Put a blank line between sentences, such as behind each line of '。':"
            " awk '{print} /^。/{print \"\"}' FILE > NEW",
            "named",
        )
    _say(lead, found, number, begins, end, reading)
    return Columns(
        separator,
        number,
        **found,
        lead=len(lead),
        begins=begins,
        first=first,
        end=end,
        header=header,
        index="index" in lead,
        known=_known(table, found),
    )


def _need_tokens(lines: Sequence[Line], separator: str, has_header: bool) -> None:
    """Raises Unusable for a table, and for lines that hold a sentence each."""
    if has_header and separator in (",", ";"):
        raise Unusable("a table with a header: its reader is `table`.")
    if sum("\x02" in line.text for line in lines) * 2 > len(lines):
        raise Unusable("a sentence a line, its tokens and tags parted by \\x02: its reader is `table`.")
    rows = [line.text.split() for line in lines]
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
    if len(cells) > 3 * len(lines) and sum(len(cell) == 1 for cell in cells) > 0.9 * len(cells):
        raise Unusable(
            "each line holds characters only, and no tags. Where a second file with as many lines has the tags, join them: paste TOKENS TAGS > NEW",
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


def _lead(table: Sequence[tuple[int, list[str]]], number: int) -> list[str]:
    """Returns what the first columns are that number lines or sentences: 'index' and 'sentence', one or both; at least token and tag are left."""
    found: list[str] = []
    while len(found) < min(2, number - 2):
        column = len(found)
        rows = [(line, cells[column]) for line, cells in table]
        kind = (
            "index" if "index" not in found and _counts_tokens(rows) else "sentence" if "sentence" not in found and _numbers_sentences(rows) else ""
        )
        if not kind:
            break
        found.append(kind)
    return found


def _counts_tokens(rows: Sequence[tuple[int, str]]) -> bool:
    """Returns whether a column counts on by one from line to line, or starts again."""
    if not all(cell.isascii() and cell.isdecimal() and len(cell) < 10 for _, cell in rows):
        return False
    pairs = [(int(cell), int(after), line + 1 == other) for (line, cell), (other, after) in pairwise(rows)]
    first = int(rows[0][1]) if rows else 0
    counted = sum(after == cell + 1 for cell, after, _ in pairs)
    return counted > 0 and all(after == cell + 1 or after == first or not together for cell, after, together in pairs)


def _numbers_sentences(rows: Sequence[tuple[int, str]]) -> bool:
    """Returns whether a column is the same in each line of a sentence, and another in the next. Without blank lines it must end in a number that never falls."""
    pairs = [(cell, after, line + 1 == other) for (line, cell), (other, after) in pairwise(rows)]
    if any(not together for *_, together in pairs):
        return any(together for *_, together in pairs) and all((cell == after) is together for cell, after, together in pairs)
    numbers = [int(found[1][:9]) for _, cell in rows if (found := re.fullmatch(r"\D*(\d+)", cell))]
    rising = all(after in (before, before + 1) for before, after in pairwise(numbers))
    return len(numbers) == len(rows) and rising and 1 < len(set(numbers)) < len(numbers)


def _roles(table: Sequence[tuple[int, list[str]]], number: int, lead: int, reading: Reading) -> dict[str, object]:
    """Returns `token`, `tags` and `key` of the Columns."""
    last = number - 1
    counts = [Counter(cells[column] for _, cells in table) for column in range(number)]
    if sum("NER=" in cell.upper() for cell in counts[last]) and number > 2:
        return {"token": lead, "tags": (last,), "key": "NER"}
    if given := _given(number, reading):
        return given
    tags = [column for column in range(lead, number) if _has_tags(counts[column])]
    if other := [column for column in tags if not _are_chunks(counts[column])]:
        tags = other
    if not tags:
        partly = [column for column in range(lead + 1, last) if counts[last]["O"] and 0.1 < counts[column]["O"] / max(1, len(table)) < 1]
        tags = [*partly, last]
    else:
        tags = [column for column in range(lead, number) if column in tags or (counts[column].keys() == {"O"} and column > lead)]
    left = [column for column in range(lead, number) if column not in tags]
    if not left:
        raise Unusable(
            "each line holds tags only. Where their tokens are in a second file with as many lines, join them: paste TOKENS TAGS > NEW", "named"
        )
    if len(tags) > 1:
        _need_layers(table, tags)
    return {"token": left[0], "tags": tuple(tags)}


def _given(number: int, reading: Reading) -> dict[str, object]:
    """Returns the columns that the task names by number, if it names any. Raises Unusable for those that aren't there."""
    if not reading.fields.keys() & {"tokens", "tags"}:
        return {}
    tokens, tags = reading.fields.get("tokens", "1"), reading.fields.get("tags", str(number))
    places = [int(place) - 1 if place.strip().isdecimal() else -1 for place in (tokens, *tags.split(","))]
    if not all(0 <= place < number for place in places):
        raise Unusable(
            f"fields.tokens={tokens} and fields.tags={tags} must be numbers of columns, 1 to {number}; several tag columns are written 3,4."
        )
    return {"token": places[0], "tags": tuple(places[1:])}


def _has_tags(counts: Counter[str]) -> bool:
    """Returns whether nearly all cells of a column are tags, some with a letter and a label."""
    patterns = (PREFIX, SUFFIX) if any(PREFIX.fullmatch(cell) or SUFFIX.fullmatch(cell) for cell in counts) else (LOWER_PREFIX, LOWER_SUFFIX)
    tagged = sum(times for cell, times in counts.items() if any(pattern.fullmatch(cell) for pattern in patterns))
    return tagged > 0 and tagged + counts["O"] + sum(counts[cell] for cell in OUTSIDE) >= 0.9 * counts.total()


def _are_chunks(counts: Counter[str]) -> bool:
    return {cell[2:] for cell in counts if cell[1:2] in "-_" and len(cell) > 2} <= _CHUNKS


def _need_layers(table: Sequence[tuple[int, list[str]]], tags: Sequence[int]) -> None:
    """Raises Unusable where tag columns mostly hold the same tags: gold and predicted ones."""
    tagged = [[cells[column] for column in tags] for _, cells in table if all(cells[column] not in ("O", *OUTSIDE) for column in tags)]
    equal = sum(len(set(cells)) == 1 for cells in tagged)
    if equal * 2 > len(tagged):
        names = " and ".join(str(column + 1) for column in tags)
        raise Unusable(
            f"columns {names} mostly hold the same tags, as gold and predicted ones do: say which to read, such as fields.tags={tags[0] + 1}.",
            "named",
        )


def _end(lines: Sequence[Line], columns: Columns) -> str:
    """Returns the line that ends a sentence, where no line is blank: the only one that has no tag, again and again."""
    bare = {line.text for line in lines if not columns.cells(line.text)}
    times = sum(line.text in bare for line in lines)
    return bare.pop() if len(bare) == 1 and times > 1 and times * 2 <= len(lines) else ""


def _names_columns(first: str, second: str) -> bool:
    """Returns whether a first line names columns, the last of them that of the tags."""
    words = re.split(r"[\s,;|]+", first.strip().lower())
    return len(words) > 1 and words[-1] in _HEADER and second.split()[-1:] != first.split()[-1:]


def _known(table: Sequence[tuple[int, list[str]]], found: dict[str, object]) -> frozenset[str]:
    tags = found["tags"]
    assert isinstance(tags, tuple)
    return frozenset(cells[tag] for _, cells in table for tag in tags)


def _say(lead: Sequence[str], found: dict[str, object], number: int, begins: int, end: str, reading: Reading) -> None:
    """Says which columns are read, where there are others, and where sentences end, where blank lines don't say it."""
    token, tags = found["token"], found["tags"]
    assert isinstance(token, int) and isinstance(tags, tuple)
    words = {"index": "counts the tokens", "sentence": "numbers the sentences"}
    for column, kind in enumerate(lead, 1):
        reading.apply(f"column {column} {words[kind]}, and was passed over")
    if (number, token) != (2, 0):
        layers = (
            f"columns {', '.join(str(tag + 1) for tag in tags)} have the tags of as many layers"
            if len(tags) > 1
            else f"column {tags[0] + 1} the tags"
        )
        key = f" (its {found['key']}=…)" if found.get("key") else ""
        over = [str(column + 1) for column in range(len(lead), number) if column not in (token, *tags)]
        passed = f"; column{'s' * (len(over) > 1)} {', '.join(over)} {'were' if len(over) > 1 else 'was'} passed over" if over else ""
        reading.apply(f"column {token + 1} has the tokens, {layers}{key}{passed}")
    if begins >= 0:
        reading.apply(f"a sentence begins where column {begins + 1} {'has another number' if lead[begins] == 'sentence' else 'starts again'}")
    if end:
        reading.apply(f"each line {shown(end)} ends a sentence")


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
