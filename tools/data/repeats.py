"""Finds texts that stand more than once, among any number of rows: hashes in a temporary file, so that memory doesn't grow with the rows.

In: texts with their place. Out: the place of the first equal text (`Seen`, which conversion asks row by row), or every repeat, conflict and leak between splits
(`Repeats`, which the doctor asks after the last row). SQLite keeps the tables, and removes the file by itself.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from tools.data.readers.row import RawRow
from tools.errors import ToolError

BATCH = 1000


def digest(*strings: str) -> bytes:
    """Returns 16 bytes that tell strings apart; lone surrogates are allowed."""
    hashed = blake2b(digest_size=16)
    for string in strings:
        hashed.update(string.encode("utf-8", "surrogatepass") + b"\0")
    return hashed.digest()


def normalised(text: str) -> str:
    """Returns the text without differences of width and whitespace: its NFKC form, all whitespace removed."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def annotation(row: RawRow) -> bytes:
    """Returns a digest of a row's class, or of its set of labelled spans. Neither order nor options count."""
    if row.label is not None:
        return digest(row.label)
    return digest(*sorted({f"{e.start} {e.end} {e.label}" for e in row.entities}))


class _Table(sqlite3.Connection):
    """A database in a temporary file. Raises ToolError if the file can't be written."""

    def execute(self, *words: Any) -> sqlite3.Cursor:
        return self._tried(super().execute, *words)

    def executemany(self, *words: Any) -> sqlite3.Cursor:
        return self._tried(super().executemany, *words)

    def _tried(self, call: Any, *words: Any) -> Any:
        try:
            return call(*words)
        except sqlite3.OperationalError as error:
            raise ToolError(f"SQLite's temporary file: {error}. Make room, or name another folder: export SQLITE_TMPDIR=DIR") from None


def _temporary(columns: str) -> _Table:
    """Returns a new database with one table, `rows`, of these columns."""
    table = sqlite3.connect("", isolation_level=None, factory=_Table)  # "" is a temporary file
    for statement in ("PRAGMA journal_mode=OFF", "PRAGMA cache_size=-32768", f"CREATE TABLE rows {columns}", "BEGIN"):
        table.execute(statement)
    return table


class Seen:
    """Remembers texts by their digest, each with its first line and a digest of its annotation."""

    def __init__(self) -> None:
        self._table = _temporary("(text BLOB PRIMARY KEY, line INTEGER, annotation BLOB) WITHOUT ROWID")

    def before(self, row: RawRow) -> tuple[int, bool] | None:
        """Returns (line, whether it is annotated the same) of an earlier row with this row's text; None for a new text, which is remembered."""
        key, mark = digest(row.text), annotation(row)
        if self._table.execute("INSERT OR IGNORE INTO rows VALUES (?, ?, ?)", (key, row.line, mark)).rowcount:
            return None
        line, first = self._table.execute("SELECT line, annotation FROM rows WHERE text = ?", (key,)).fetchone()
        return line, first == mark

    def close(self) -> None:
        """Removes the temporary file."""
        self._table.close()


class Repeat(NamedTuple):
    """A text at `line` of a split that stands at `other_line` of the same or another split too; `differs` if its annotation there is another."""

    split: str
    line: int
    other_split: str
    other_line: int
    differs: bool


class Tally(NamedTuple):
    """One split's part in a kind of repeat: its texts, and their rows."""

    split: str
    texts: int
    rows: int


class Verdict(NamedTuple):
    """The fate of a row in a copy without repeats: 'keep', 'repeat', 'conflict' or 'leak'. `why` names the other rows of one that isn't kept."""

    split: str
    line: int
    payload: bytes
    fate: str
    why: str


class Repeats:
    """The rows of all splits by digests of text, normalised text and annotation. The first split is the one that is trained on; the others evaluate.

    Call `add` for each row, then `index`, then ask. The kinds: 'repeated' texts stand twice in one split, 'conflicting' ones with another annotation; 'leaked'
    ones stand in an evaluation split and in the training split, 'leaked_normalised' ones only after normalising; 'evaluated_twice' ones stand in two evaluation
    splits. `payload` is kept for `verdicts`.
    """

    def __init__(self, splits: list[str]) -> None:
        self._splits = splits
        self._ids = {split: i for i, split in enumerate(splits)}
        self._waiting: list[tuple[int, int, int, bytes, bytes, bytes, bytes]] = []
        self._table = _temporary("(split INTEGER, number INTEGER, line INTEGER, text BLOB, normal BLOB, annotation BLOB, payload BLOB)")

    def add(self, split: str, number: int, row: RawRow, payload: bytes = b"") -> None:
        """Remembers a row; `number` is its place among its file's rows (several may begin on one line)."""
        text, normal = digest(row.text), normalised(row.text)
        key = text if normal == row.text else digest(normal)
        self._waiting.append((self._ids[split], number, row.line, text, key, annotation(row), payload))
        if len(self._waiting) >= BATCH:
            self._flush()

    def index(self) -> None:
        """Finds the repeats, after the last row."""
        self._flush()
        for statement in _INDEX:
            self._table.execute(statement)

    def tally(self, kind: str) -> list[Tally]:
        """Returns each split's part in a kind, without the splits that have none."""
        found = self._table.execute(f"SELECT split, count(*), sum(times) FROM {kind} GROUP BY split ORDER BY split")
        return [Tally(self._splits[split], texts, rows) for split, texts, rows in found]

    def examples(self, kind: str, limit: int) -> list[Repeat]:
        """Returns the first cases of a kind, by split and row: the repeating row, and the row that it repeats."""
        found = self._table.execute(f"{_EXAMPLES[kind]} ORDER BY 1, 2 LIMIT {limit:d}")
        return [
            Repeat(self._splits[split], line, self._splits[other], other_line, bool(differs))
            for split, _, line, other, other_line, differs, *_ in found
        ]

    def verdicts(self) -> Iterator[Verdict]:
        """Yields every row's verdict, in the order of adding.

        An equal row is kept once, a text that a split annotates in several ways not at all, and the training split keeps no text that an evaluation split keeps.
        """
        for split, number, line, payload, first, first_line, other_line, leak_split, leak_line in self._table.execute(_VERDICTS):
            fate, why = "keep", ""
            if leak_split is not None:
                fate, why = "leak", f"the text stands in {self._splits[leak_split]}, line {leak_line}, too"
            elif other_line is not None:
                fate, why = "conflict", f"the text is annotated in several ways, see lines {first_line} and {other_line}"
            elif first is not None and number > first:
                fate, why = "repeat", f"line {first_line} is the same"
            yield Verdict(self._splits[split], line, payload, fate, why)

    def close(self) -> None:
        """Removes the temporary file."""
        self._table.close()

    def _flush(self) -> None:
        self._table.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)", self._waiting)
        self._waiting.clear()


# SQLite takes a bare column beside a lone min() from the row that has the minimum, so `line` is the first row's.
_LEAKED = """CREATE TABLE {name} AS SELECT e.{key} AS text, e.split, min(e.number) AS number, e.line, count(*) AS times FROM rows AS e
    WHERE e.split > 0 AND EXISTS (SELECT 1 FROM rows AS t WHERE t.{key} = e.{key} AND {before}) {unless} GROUP BY e.{key}, e.split"""
_INDEX = [
    "CREATE INDEX by_text ON rows (text, split, number, line, annotation)",
    "CREATE INDEX by_normal ON rows (normal, split, number, line, text)",
    """CREATE TABLE repeated AS SELECT text, split, min(number) AS number, line, count(*) - 1 AS times FROM rows
        GROUP BY text, split HAVING count(*) > 1""",
    "CREATE INDEX repeated_text ON repeated (text, split)",
    # The first row of a text, and the first row that differs from it.
    """CREATE TABLE conflicting AS
        SELECT f.text, f.split, f.number AS first, f.line AS first_line, min(r.number) AS number, r.line, f.times + 1 AS times
        FROM (SELECT g.*, r.annotation FROM repeated AS g JOIN rows AS r ON r.text = g.text AND r.split = g.split AND r.number = g.number) AS f
        JOIN rows AS r ON r.text = f.text AND r.split = f.split AND r.annotation <> f.annotation GROUP BY f.text, f.split""",
    "CREATE INDEX conflicting_text ON conflicting (text, split)",
    _LEAKED.format(name="leaked", key="text", before="t.split = 0", unless=""),
    _LEAKED.format(
        name="leaked_normalised",
        key="normal",
        before="t.split = 0",
        unless="AND NOT EXISTS (SELECT 1 FROM rows AS t WHERE t.text = e.text AND t.split = 0)",
    ),
    _LEAKED.format(name="evaluated_twice", key="text", before="t.split BETWEEN 1 AND e.split - 1", unless=""),
    # The texts that the training split loses: those that an evaluation split keeps.
    """CREATE TABLE given_up AS SELECT text, min(split) AS split, line FROM leaked
        WHERE NOT EXISTS (SELECT 1 FROM conflicting AS c WHERE c.text = leaked.text AND c.split = leaked.split) GROUP BY text""",
    "CREATE INDEX given_up_text ON given_up (text)",
]
# split, number, line of the repeating row; split and line of the other, the first; whether their annotations differ.
_PAIRED = """SELECT g.split, g.number, g.line, t.split, t.line, t.annotation <> e.annotation, min(t.split << 40 | t.number) FROM {table} AS g
    JOIN rows AS t ON t.{key} = g.text AND {before} JOIN rows AS e ON e.{key} = g.text AND e.split = g.split AND e.number = g.number GROUP BY g.text, g.split"""
_EXAMPLES = {
    "repeated": """SELECT r.split, r.number, r.line, g.split, g.line, r.annotation <> f.annotation FROM repeated AS g
        JOIN rows AS r ON r.text = g.text AND r.split = g.split AND r.number > g.number
        JOIN rows AS f ON f.text = g.text AND f.split = g.split AND f.number = g.number""",
    "conflicting": "SELECT split, number, line, split, first_line, 1 FROM conflicting",
    "leaked": _PAIRED.format(table="leaked", key="text", before="t.split = 0"),
    "leaked_normalised": _PAIRED.format(table="leaked_normalised", key="normal", before="t.split = 0"),
    "evaluated_twice": _PAIRED.format(table="evaluated_twice", key="text", before="t.split BETWEEN 1 AND g.split - 1"),
}
_VERDICTS = """SELECT r.split, r.number, r.line, r.payload, g.number, g.line, c.line, l.split, l.line FROM rows AS r
    LEFT JOIN repeated AS g ON g.text = r.text AND g.split = r.split
    LEFT JOIN conflicting AS c ON c.text = r.text AND c.split = r.split
    LEFT JOIN given_up AS l ON l.text = r.text AND r.split = 0 ORDER BY r.rowid"""
