"""Finds what each column of a file of tokens is: the tokens, the tags of each layer, an index, the number of the sentence.

In: the cells of the first lines. Out: Roles. One rule decides each thing:

- A first column that counts on by one from line to line within each sentence is an index. One that is the same within a sentence and differs from the next
  sentence's is the sentence's number; one that is the same within each names something else, such as the document. One of numbers only, beside words, is a place.
- The tags are in each column of B- and I- tags, but for chunks (B-NP), and words that leave nothing outside, beside others: several are layers of nested entities. Where no column has any, the last one has
  the tags, and those before it whose cells are partly O are its layers. Two columns that mostly agree aren't layers but gold and predicted tags: the task says which.
- A last column of `key=value` (CoNLL-U's MISC) has the tags under NER.
- The tokens are in the first column that is left; where it isn't Chinese and a later one is, the task says which. The others are passed over. The task may say all of it: `fields: {tokens: 2, tags: 4}`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from tools.data.raw.fields import Unusable
from tools.data.raw.row import FileReading, shown
from tools.data.tagging.tags import LOWER_PREFIX, LOWER_SUFFIX, OUTSIDE, PREFIX, SUFFIX, is_tag

INDEX, SENTENCE, DOCUMENT, PLACE = "counts the tokens", "numbers the sentences", "is the same within a sentence", "has numbers only"
CONLLU = 10  # columns
FEW = 20  # lines
Table = Sequence[tuple[int, list[str]]]  # line and cells
_CHINESE = re.compile("[\u3400-\u9fff]")
_CHUNKS = {"NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"}


class Roles(NamedTuple):
    """What the columns are, which count from 0. `lead`: what each of the first ones, before the others, is, such as INDEX. `key`: the tags are values of this key."""

    token: int = 0
    tags: tuple[int, ...] = (1,)
    key: str = ""
    lead: tuple[str, ...] = ()

    def say(self, number: int, reading: FileReading) -> None:
        """Says which of `number` columns are read, where it isn't the token before its tag."""
        for column, kind in enumerate(self.lead, 1):
            reading.apply(f"column {column} {kind}, and was passed over")
        if (number, self.token) == (2, 0):
            return
        several = len(self.tags) > 1
        tags = f"columns {_names(self.tags)} have the tags of as many layers" if several else f"column {_names(self.tags)} the tags"
        over = [column for column in range(len(self.lead), number) if column not in (self.token, *self.tags)]
        passed = f"; column{'s' * (len(over) > 1)} {_names(over)} {'were' if len(over) > 1 else 'was'} passed over" if over else ""
        reading.apply(f"column {self.token + 1} has the tokens, {tags}{f' (its {self.key}=…)' if self.key else ''}{passed}")


PLAIN = Roles()  # a token before its tag


def roles_of(table: Table, number: int, reading: FileReading) -> Roles:
    """Returns what each of `number` columns is. Raises Unusable where all are tags, where two are gold and predicted, or where the task names one that isn't there."""
    lead = _lead(table, number)
    first, last = len(lead), number - 1
    counts = [Counter(cells[column] for _, cells in table) for column in range(number)]
    if number > 2 and any("NER=" in cell.upper() for cell in counts[last]):
        return Roles(first, (last,), "NER", lead)
    if number == CONLLU and 2 * sum(times for cell, times in counts[last].items() if cell == "_" or "=" in cell) > len(table) > 0:
        shape = next((cell for cell in counts[last] if cell != "_"), "_")
        raise Unusable(f"CoNLL-U without tags of entities: its last column has no NER=B-LABEL, it has {shown(shape)}.", "named")
    tags = _given("tags", number, reading) or _tag_columns(counts, first, len(table))
    left = [column for column in range(first, number) if column not in tags]
    if not left:
        raise Unusable(
            "each line holds tags only. Where their tokens are in a second file with as many lines, join them: paste TOKENS TAGS > NEW", "named"
        )
    if len(tags) > 1 and "tags" not in reading.fields:
        _need_layers(table, tags)
    if "tokens" not in reading.fields and (_has_tags(counts[tags[0]]) or counts[tags[0]]["O"]):
        _need_no_other([(column, _share_of_chinese(counts[column])) for column in left])
    token = (_given("tokens", number, reading) or left)[0]
    return Roles(token, tuple(tags), lead=lead[:token])


def _tag_columns(counts: Sequence[Counter[str]], first: int, lines: int) -> list[int]:
    """Returns the columns that have tags, of those from `first` on."""
    last = len(counts) - 1
    tags = [column for column in range(first, last + 1) if _has_tags(counts[column])]
    tags = [column for column in tags if not _are_chunks(counts[column])] or tags
    if lines > FEW:
        tags = [column for column in tags if any(counts[column][outside] for outside in ("O", *OUTSIDE))] or tags
    if tags:
        return [column for column in range(first, last + 1) if column in tags or (counts[column].keys() == {"O"} and column > first)]
    partly = [column for column in range(first + 1, last) if counts[last]["O"] and 0.1 < counts[column]["O"] / max(1, lines) < 1]
    return [*partly, last]


def _lead(table: Table, number: int) -> tuple[str, ...]:
    """Returns what the first columns are that number lines or sentences; at least token and tag are left."""
    found: list[str] = []
    while len(found) < number - 2:
        column = len(found)
        rows = [(line, cells[column]) for line, cells in table]
        later = [[(line, cells[other]) for line, cells in table] for other in range(column + 1, number - 1)]
        kind = "" if all(is_tag(cell) for _, cell in rows) else _kind(rows, later)
        if not kind:
            break
        found.append(kind)
    return tuple(found)


def _kind(rows: Sequence[tuple[int, str]], later: Sequence[Sequence[tuple[int, str]]]) -> str:
    """Returns what a column is that has no tokens; empty where it may have them. `later` are the columns behind it that may have them too."""
    if _counts_tokens(rows):
        return INDEX
    if not all(map(_is_one_in_each, later)):
        if _numbers_sentences(rows):
            return SENTENCE
        if _is_one_in_each(rows):
            return DOCUMENT
    are_words = any(len({cell for _, cell in other}) > 1 and not all(_is_number(cell) for _, cell in other) for other in later)
    return PLACE if are_words and all(_is_number(cell) for _, cell in rows) else ""


def _counts_tokens(rows: Sequence[tuple[int, str]]) -> bool:
    """Returns whether a column counts on by one from line to line, or starts again."""
    if not all(_is_number(cell) for _, cell in rows):
        return False
    pairs = [(int(cell), int(after), line + 1 == other) for (line, cell), (other, after) in pairwise(rows)]
    first = int(rows[0][1]) if rows else 0
    counted = sum(after == cell + 1 for cell, after, _ in pairs)
    return counted > 0 and all(after == cell + 1 or after == first or not together for cell, after, together in pairs)


def _numbers_sentences(rows: Sequence[tuple[int, str]]) -> bool:
    """Returns whether a column is the same in each line of a sentence, and another in the next. Without blank lines it must end in a number that never falls."""
    pairs = [(cell, after, line + 1 == other) for (line, cell), (other, after) in pairwise(rows)]
    if any(not together for *_, together in pairs):
        return _is_one_in_each(rows) and all(together or cell != after for cell, after, together in pairs)
    numbers = [int(found[1][:9]) for _, cell in rows if (found := re.fullmatch(r"\D*(\d+)", cell))]
    rising = all(after in (before, before + 1) for before, after in pairwise(numbers))
    return len(numbers) == len(rows) and rising and 1 < len(set(numbers)) < len(numbers)


def _is_one_in_each(rows: Sequence[tuple[int, str]]) -> bool:
    """Returns whether a column is the same in each line of a sentence, of which some have several."""
    together = [cell == after for (line, cell), (other, after) in pairwise(rows) if line + 1 == other]
    return len(together) > 1 and all(together)


def _is_number(cell: str) -> bool:
    return cell.isascii() and cell.isdecimal() and len(cell) < 10


def _given(role: str, number: int, reading: FileReading) -> list[int]:
    """Returns the columns that the task gives a role by their numbers, none where it doesn't. Raises Unusable for those that aren't there."""
    words = [word for word in reading.fields.get(role, "").split(",") if word]
    places = [int(word) - 1 if word.strip().isdecimal() else -1 for word in words]
    if not all(0 <= place < number for place in places):
        raise Unusable(f"fields.{role}={','.join(words)} must be the number of a column, 1 to {number}; several columns of tags are written 3,4.")
    return places


def _has_tags(counts: Counter[str]) -> bool:
    """Returns whether nearly all cells of a column are tags, some with a letter and a label."""
    patterns = (PREFIX, SUFFIX) if any(PREFIX.fullmatch(cell) or SUFFIX.fullmatch(cell) for cell in counts) else (LOWER_PREFIX, LOWER_SUFFIX)
    tagged = sum(times for cell, times in counts.items() if any(pattern.fullmatch(cell) for pattern in patterns))
    return tagged > 0 and tagged + counts["O"] + sum(counts[cell] for cell in OUTSIDE) >= 0.9 * counts.total()


def _are_chunks(counts: Counter[str]) -> bool:
    return {cell[2:] for cell in counts if cell[1:2] in "-_" and len(cell) > 2} <= _CHUNKS


def _need_no_other(left: Sequence[tuple[int, float]]) -> None:
    """Raises Unusable where a later one of the columns that may have the tokens is Chinese and the first isn't; each comes with its share of Chinese cells."""
    (first, chinese), *others = left
    if not chinese and (rivals := [column + 1 for column, share in others if share > 0.5]):
        words = f"fields.tokens={rivals[0]} or fields.tokens={first + 1}"
        raise Unusable(f"column {rivals[0]} is Chinese and column {first + 1} isn't: which has the tokens? Say it: {words}.", "named")


def _share_of_chinese(counts: Counter[str]) -> float:
    return sum(times for cell, times in counts.items() if _CHINESE.search(cell)) / max(1, counts.total())


def _need_layers(table: Table, tags: Sequence[int]) -> None:
    """Raises Unusable where tag columns mostly hold the same tags: gold and predicted ones."""
    tagged = [[cells[column] for column in tags] for _, cells in table if all(cells[column] not in ("O", *OUTSIDE) for column in tags)]
    equal = sum(len(set(cells)) == 1 for cells in tagged)
    if equal * 2 > len(tagged):
        raise Unusable(
            f"columns {_names(tags)} mostly hold the same tags, as gold and predicted ones do: say which to read, such as fields.tags={tags[0] + 1}.",
            "named",
        )


def _names(columns: Sequence[int]) -> str:
    return ", ".join(str(column + 1) for column in columns)
