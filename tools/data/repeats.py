"""Finds texts that stand more than once, in one split of a task or in several, and the rows that a copy without repeats loses.

In: rows with their places. Out: each kind of repeat, counted and with its first cases, which `./ner check` reports, and the lost rows, which its --fix leaves out.
Memory holds only hashes of a row, 40 bytes in all.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from tools.data.raw.row import RawRow

if TYPE_CHECKING:
    from numpy.typing import NDArray


def digest(*strings: str) -> int:
    """Returns a number below 2**64 that tells strings apart; lone surrogates are allowed."""
    hashed = blake2b(digest_size=16)
    for string in strings:
        hashed.update(string.encode("utf-8", "surrogatepass") + b"\0")
    return int.from_bytes(hashed.digest()[:8], "big")


def normalised(text: str) -> str:
    """Returns the text without differences of width and whitespace: its NFKC form, all whitespace removed."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def annotation(row: RawRow) -> int:
    """Returns a digest of what the row teaches: its class, or its set of (label, string) pairs. Neither order, places nor options count."""
    if row.label is not None:
        return digest(row.label)
    return digest(*sorted({f"{entity.label}\0{entity.text}" for entity in row.entities}))


class Repeat(NamedTuple):
    """A text at `line` of a split that stands at `other_line` of the same or another split too; `differs` if its annotation there is another.

    The rows' names, `item` and `other_item`, are empty where the lines tell rows apart.
    """

    split: str
    line: int
    other_split: str
    other_line: int
    differs: bool
    item: str = ""
    other_item: str = ""


class SplitRepeats(NamedTuple):
    """One split's part in a kind of repeat: its texts, and their rows."""

    split: str
    texts: int
    rows: int


class _Kind(NamedTuple):
    """One kind of repeat, by places in the table: the rows that have it, those to show, and for each row of the table its text's first one and the other one."""

    rows: NDArray[Any]
    shown: NDArray[Any]
    own: NDArray[Any]
    other: NDArray[Any]


class Repeats:
    """The rows of all splits by digests of text, normalised text and annotation. The first split is the one that is trained on; the others evaluate.

    Call `add` for each row, a split's rows in their order, then `index`, then ask. The kinds: 'duplicate' texts stand twice in one split, those of a 'conflict' with
    another annotation; those of a 'leak' stand in an evaluation split and in the training split, of a 'leak-normalised' only after normalising; those of a
    'leak-evaluation' stand in two evaluation splits.
    """

    def __init__(self, splits: list[str]) -> None:
        self._splits = splits
        self._cells = array("Q")
        self._rows = 0
        self._items: dict[int, str] = {}  # by the order of adding; only of rows that their lines don't tell apart

    def add(self, split: str, row: RawRow) -> None:
        """Remembers a row."""
        text, normal = digest(row.text), normalised(row.text)
        key = text if normal == row.text else digest(normal)
        if row.item:
            self._items[self._rows] = row.item
        self._rows += 1
        self._cells.extend((self._splits.index(split), row.line, text, key, annotation(row)))

    def index(self) -> None:
        """Finds the repeats, after the last row."""
        import numpy as np

        cells = np.array(self._cells, np.uint64).reshape(-1, 5)
        self._order = np.argsort(cells[:, 0], kind="stable")  # the training split stands first, each split's rows stay in order
        self._split, self._line, self._text, normal, self._annotation = cells[self._order].T
        split, text, trained = self._split, self._text, np.count_nonzero(self._split == 0)
        own, own_normal = _first(text + split), _first(normal + split)
        first, first_normal = _first(text), _first(normal)
        first_evaluated = np.concatenate([own[:trained], trained + _first(text[trained:])])
        repeated = own != np.arange(len(own))
        differs = self._annotation != self._annotation[own]
        leaked = (split > 0) & (split[first] == 0)
        leaked_normalised = (split > 0) & (split[first_normal] == 0) & ~leaked
        self._kinds = {
            "duplicate": _Kind(repeated, np.flatnonzero(repeated), own, own),
            "conflict": _Kind(np.isin(own, own[differs]), _once(differs, own), own, own),
            "leak": _Kind(leaked, _once(leaked, own), own, first),
            "leak-normalised": _Kind(leaked_normalised, _once(leaked_normalised, own_normal), own_normal, first_normal),
            "leak-evaluation": _Kind(twice := split != split[first_evaluated], _once(twice, own), own, first_evaluated),
        }

    def tallies(self) -> dict[str, list[SplitRepeats]]:
        """Returns each kind that occurs with each split's part in it, without the splits that have none."""
        return {kind: tally for kind in self._kinds if (tally := self._tally(kind))}

    def examples(self, kind: str, limit: int) -> list[Repeat]:
        """Returns the first cases of a kind, by split and row: the repeating row, and the row that it repeats."""
        found = self._kinds[kind]
        return [self._repeat(row, found.other[row]) for row in found.shown[:limit]]

    def lost(self) -> dict[int, tuple[str, str]]:
        """Returns each row that a copy without repeats loses, by its number in the order of adding, from 0: its fate, and the reason, which names the other rows.

        The fates are 'repeat', 'conflict' and 'leak'. An equal row is kept once, a text that a split annotates in several ways not at all, and the training split keeps no text that an evaluation split keeps.
        """
        import numpy as np

        own, conflict, leak = self._kinds["duplicate"].own, self._kinds["conflict"], self._kinds["leak"]
        lost = {row: ("repeat", f"{self._named(own[row])} has the same text and teaches the same") for row in self._kinds["duplicate"].shown}
        other = {own[row]: row for row in conflict.shown}
        for row in np.flatnonzero(conflict.rows):
            first, second = self._named(own[row]), self._named(other[own[row]])
            lost[row] = ("conflict", f"the text is annotated in several ways, see {first} and {second}")
        evaluated = {self._text[row]: row for row in leak.shown[::-1] if not conflict.rows[row]}
        for row in np.flatnonzero((self._split == 0) & np.isin(self._text, np.array([*evaluated], np.uint64))):
            other_row = evaluated[self._text[row]]
            lost[row] = ("leak", f"the text stands in {self._place(other_row)[0]}, {self._named(other_row)}, too")
        return {int(self._order[row]): why for row, why in lost.items()}

    def trained(self, texts: Iterable[str]) -> tuple[int, int]:
        """Returns how many of some texts stand in the training split, and how many there are."""
        import numpy as np

        digests = np.array(array("Q", map(digest, texts)), np.uint64)
        return int(np.isin(digests, self._text[self._split == 0]).sum()), len(digests)

    def _tally(self, kind: str) -> list[SplitRepeats]:
        found = self._kinds[kind]
        own = [found.own[found.rows & (self._split == i)] for i in range(len(self._splits))]
        return [SplitRepeats(split, len(set(texts.tolist())), len(texts)) for split, texts in zip(self._splits, own, strict=True) if len(texts)]

    def _repeat(self, row: int, other: int) -> Repeat:
        differs = self._annotation[row] != self._annotation[other]
        return Repeat(*self._place(row), *self._place(other), differs, self._item(row), self._item(other))

    def _place(self, row: int) -> tuple[str, int]:
        return self._splits[int(self._split[row])], int(self._line[row])

    def _item(self, row: int) -> str:
        return self._items.get(int(self._order[row]), "")

    def _named(self, row: int) -> str:
        return self._item(row) or f"line {int(self._line[row])}"


def _first(keys: NDArray[Any]) -> NDArray[Any]:
    """Returns for each key the place where it stands first."""
    import numpy as np

    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first[inverse]


def _once(rows: NDArray[Any], own: NDArray[Any]) -> NDArray[Any]:
    """Returns the first place of each text among the places where `rows` is True, in order."""
    import numpy as np

    places = np.flatnonzero(rows)
    return places[np.sort(np.unique(own[places], return_index=True)[1])]
