"""Reads one token and its tag a line, a blank line between sentences: BIO, IOB1 (IO), BMES, BIOES and BILOU.

    菲 B-GPE
    律 I-GPE
    ， O

In: the token is everything before the last separator, even a space, U+3000 or the separator itself. In a file of more columns (CoNLL), the token is the first
column and the tag the last. The first thousand lines tell the separator (any string), the columns, and whether tags are written B-LABEL, B_LABEL or LABEL-B.
`-DOCSTART-` lines are passed over. M means I, L means E, U and W mean S. Out: one RawRow a sentence, whose text is the tokens joined without a space; one
BadRow for a sentence with a line that has no token and tag.

Tags that contradict each other are repaired, and each repair is noted in the row:
a tag that continues an entity which isn't open, or has another label, begins a new one (I becomes B, E becomes S);
in a file that has end tags, an entity without one ends where the next tag doesn't continue it.
In a file whose B tags only separate neighbours of one label (IOB1), or that has none (IO), an I that begins an entity needs no repair.

Source: CoNLL-2002/2003; sentences as in ChineseNER corpora (Resume NER, MSRA, Weibo).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import NamedTuple

from tools.data.readers.lines import CUT, Line, text_lines
from tools.data.readers.row import BadRow, RawRow, Reading, shown
from tools.example import Entity

HEAD = 1000
_MEANS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S", "O": "O"}
_PREFIX = re.compile(r"(?P<letter>[BIMELSUW])[-_](?P<label>.+)")
_SUFFIX = re.compile(r"(?P<label>.+)[-_](?P<letter>[BIMELSUW])")
# Characters that aren't part of a word may separate a token from its tag; '-' and '_' are part of tags.
_BETWEEN = re.compile(r"[^\w-]+")
_BLANK = " \t\v\f"


class Tag(NamedTuple):
    """A tag's parts. `letter` is one of B, I, E, S, O; `label` is empty for O; `written` is the file's own tag."""

    letter: str
    label: str
    written: str


@dataclass(frozen=True)
class Notation:
    """A file's notation: the separator and number of its columns, the place of a tag's letter, and the tags that it uses."""

    separator: str = " "
    columns: int = 2
    suffix: bool = False  # LABEL-B
    ends: bool = False  # an entity's last tag is E, or the entity is one S
    begins_with_i: bool = False  # IOB1, IO

    def split(self, line: str) -> tuple[str, str] | None:
        """Returns (token, tag) of a line, or None."""
        line = line.rstrip(_BLANK)
        if not self.separator.strip(" "):
            return _split_at_spaces(line, self.columns)
        parts = line.rsplit(self.separator, self.columns - 1)
        return (parts[0], parts[-1]) if len(parts) == self.columns and parts[0] else None

    def tag(self, line: str) -> tuple[str, Tag] | None:
        """Returns (token, parsed tag) of a line, or None if it hasn't both."""
        parts = self.split(line)
        tag = parts and _tag(parts[1], self.suffix)
        return (parts[0], tag) if parts and tag else None


def read_bio(path: Path, _: Reading) -> Iterator[RawRow | BadRow]:
    """Yields one RawRow or BadRow for each sentence of a file of tagged tokens."""
    notation = _notation(path)
    # Between two lines whose numbers aren't neighbours, a blank line or a document's start was passed over.
    for _, numbered in groupby(enumerate(_lines(path)), lambda pair: pair[1].line - pair[0]):
        yield _row([line for _, line in numbered], notation)


def _notation(path: Path) -> Notation:
    """Returns the notation of a file, by its first HEAD lines."""
    lines = [line for line in islice(_lines(path), HEAD) if isinstance(line, Line)]
    separators = Counter(string for line in lines if (string := _separator(line.text.rstrip(_BLANK))))
    separator = separators.most_common(1)[0][0] if separators else " "
    columns = _columns(lines, separator)
    plain = Notation(separator, columns)
    tags = [parts[1] for line in lines if (parts := plain.split(line.text))]
    suffix = sum(_SUFFIX.fullmatch(tag) is not None for tag in tags) > sum(_PREFIX.fullmatch(tag) is not None for tag in tags)
    tagged = [(line.line, found[1]) for line in lines if (found := Notation(separator, columns, suffix).tag(line.text))]
    letters = {tag.letter for _, tag in tagged}
    return Notation(separator, columns, suffix, "E" in letters, "I" in letters and not letters & {"E", "S"} and not _b_begins(tagged))


def _lines(path: Path) -> Iterator[Line | BadRow]:
    return (line for line in text_lines(path) if isinstance(line, BadRow) or not line.text.startswith("-DOCSTART-"))


def _separator(line: str) -> str:
    """Returns the string between the token and a tag, or an empty string. The first character always belongs to the token."""
    suffixed = re.fullmatch(r"[-_][BIMELSUW]", line[-2:])
    for between in _BETWEEN.finditer(line, 1):
        left = len(line) - between.end()
        if (left == 1 and line[-1] == "O") or (suffixed and left > 2) or _PREFIX.match(line, between.end()):
            return between[0]
    return ""


def _columns(lines: list[Line], separator: str) -> int:
    """Returns the number of columns: more than two only if nearly all lines have as many, since a token may hold the separator."""
    spaces = not separator.strip(" ")
    rests = [line.text.rstrip(_BLANK)[1:] for line in lines]
    counts = Counter(len(re.split(" +", rest)) if spaces else rest.count(separator) + 1 for rest in rests)
    columns, times = counts.most_common(1)[0] if counts else (2, 0)
    return columns if columns > 2 and times >= 0.9 * len(lines) else 2


def _b_begins(tagged: list[tuple[int, Tag]]) -> bool:
    """Returns whether a B stands where no entity of its label is open. Then an I isn't meant to begin an entity."""
    pairs = pairwise([(0, Tag("O", "", "O")), *tagged])
    return any(tag.letter == "B" and (line != last + 1 or tag.label != before.label) for (last, before), (line, tag) in pairs)


def _row(sentence: list[Line | BadRow], notation: Notation) -> RawRow | BadRow:
    spans = _Spans(notation)
    for line in sentence:
        if isinstance(line, BadRow):
            return line
        found = notation.tag(line.text)
        if not found or "\r" in line.text:
            return _untagged(line, notation)
        spans.add(line.line, *found)
    spans.close()
    text = "".join(spans.tokens)
    entities = [Entity(label, text[start:end], start, end) for label, start, end in spans.closed]
    return RawRow(sentence[0].line, text, entities, repairs=tuple(spans.repairs))


def _untagged(line: Line, notation: Notation) -> BadRow:
    if "\r" in line.text:
        return BadRow(line.line, f"a carriage return within the line; lines must end in LF or CRLF: {shown(line.text)}.")
    if not line.ended:
        return BadRow(line.line, f"{CUT}: {shown(line.text)}.", "truncated")
    form = "LABEL-B, LABEL-I, …" if notation.suffix else "B-LABEL, I-LABEL, …"
    return BadRow(line.line, f"no token, {shown(notation.separator)} and tag ({form} or O) in this line of the sentence: {shown(line.text)}.")


@dataclass
class _Spans:
    """Builds the entities of a sentence token by token."""

    notation: Notation
    tokens: list[str] = field(default_factory=list)
    closed: list[tuple[str, int, int]] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    label: str = ""  # of the entity that is open
    start: int = 0
    length: int = 0
    line: int = 0

    def add(self, line: int, token: str, tag: Tag) -> None:
        continues = tag.letter in "IE" and tag.label == self.label
        before = self.label
        if not continues:
            self.close()
            self.label, self.start = tag.label, self.length
        if tag.letter in "IE" and not continues and not (tag.letter == "I" and self.notation.begins_with_i):
            letter = "B" if tag.letter == "I" else "S"
            taken = tag.written[:-1] + letter if self.notation.suffix else letter + tag.written[1:]
            self.repairs.append(f"line {line}: {tag.written} continues {before or 'nothing'}; taken as {taken}")
        self.tokens.append(token)
        self.length += len(token)
        self.line = line
        if tag.letter in "ES":
            self.close(ended=True)

    def close(self, ended: bool = False) -> None:
        if self.label and self.notation.ends and not ended:
            self.repairs.append(f"line {self.line}: {self.label} has no end tag; taken as ended here")
        if self.label:
            self.closed.append((self.label, self.start, self.length))
        self.label = ""


@lru_cache(maxsize=512)
def _tag(written: str, suffix: bool) -> Tag | None:
    if written == "O":
        return Tag("O", "", written)
    found = (_SUFFIX if suffix else _PREFIX).fullmatch(written)
    return Tag(_MEANS[found["letter"]], found["label"], written) if found else None


def _split_at_spaces(line: str, columns: int) -> tuple[str, str] | None:
    """Returns (first, last) of the columns. Any number of spaces is one separator, as in files aligned by hand; a space may be the first column."""
    tag = ""
    for column in range(columns - 1):
        rest, _, last = line.rpartition(" ")
        if not (rest and last):
            return None
        tag = last if column == 0 else tag
        line = rest.rstrip(" ")
    return line or " ", tag
