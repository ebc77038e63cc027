import sqlite3
from pathlib import Path

import pytest

from tools.data import repeats
from tools.data.readers.row import RawRow
from tools.data.repeats import Repeat, Repeats, Seen, Tally, annotation, digest, normalised
from tools.errors import ToolError
from tools.example import Entity


def row(line: int, text: str, *labels: str) -> RawRow:
    return RawRow(line, text, [Entity(label, text[0], 0, 1) for label in labels])


def test_a_full_disk_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen()
    seen._table.execute("PRAGMA max_page_count=8")
    with pytest.raises(ToolError, match=r"SQLite's temporary file: database or disk is full\. Make room, or name another folder"):
        for number in range(10_000):
            seen.before(row(number, f"第{number}句"))


@pytest.fixture
def table() -> Repeats:
    """甲 repeats in train and leaks, 乙 conflicts in train, 丁 leaks into dev (where it conflicts) and test, 丙 leaks but for width and whitespace."""
    table = Repeats(["train", "dev", "test"])
    train = [row(1, "甲", "a"), row(2, "甲", "a"), row(3, "乙", "a"), row(4, "乙", "b"), row(5, "丙，丙"), row(6, "丁"), row(7, "己")]
    dev = [row(1, "甲", "b"), row(2, "丙, 丙"), row(3, "丁"), row(4, "丁", "a")]
    for split, rows in {"train": train, "dev": dev, "test": [row(1, "丁"), row(2, "戊")]}.items():
        for one in rows:
            table.add(split, one.line, one, one.text.encode())
    table.index()
    return table


@pytest.mark.parametrize(
    ("kind", "tally", "examples"),
    [
        (
            "repeated",
            [Tally("train", 2, 2), Tally("dev", 1, 1)],
            [Repeat("train", 2, "train", 1, False), Repeat("train", 4, "train", 3, True), Repeat("dev", 4, "dev", 3, True)],
        ),
        ("conflicting", [Tally("train", 1, 2), Tally("dev", 1, 2)], [Repeat("train", 4, "train", 3, True), Repeat("dev", 4, "dev", 3, True)]),
        (
            "leaked",
            [Tally("dev", 2, 3), Tally("test", 1, 1)],
            [Repeat("dev", 1, "train", 1, True), Repeat("dev", 3, "train", 6, False), Repeat("test", 1, "train", 6, False)],
        ),
        ("leaked_normalised", [Tally("dev", 1, 1)], [Repeat("dev", 2, "train", 5, False)]),
        ("evaluated_twice", [Tally("test", 1, 1)], [Repeat("test", 1, "dev", 3, False)]),
    ],
)
def test_each_kind_of_repeat_is_counted_by_split_and_shown_with_the_first_equal_row(
    table: Repeats, kind: str, tally: list[Tally], examples: list[Repeat]
) -> None:
    assert table.tally(kind) == tally
    assert table.examples(kind, 5) == examples
    assert table.examples(kind, 1) == examples[:1]


def test_a_copy_keeps_each_text_once_none_in_doubt_and_none_that_is_evaluated(table: Repeats) -> None:
    fates = [(one.split, one.line, one.fate) for one in table.verdicts() if one.fate != "keep"]
    conflicts = [("train", 3, "conflict"), ("train", 4, "conflict"), ("dev", 3, "conflict"), ("dev", 4, "conflict")]
    assert sorted(fates) == sorted([("train", 1, "leak"), ("train", 2, "leak"), ("train", 6, "leak"), *conflicts])
    kept = [(one.split, one.payload.decode()) for one in table.verdicts() if one.fate == "keep"]
    assert kept == [("train", "丙，丙"), ("train", "己"), ("dev", "甲"), ("dev", "丙, 丙"), ("test", "丁"), ("test", "戊")]


def test_rows_that_begin_on_one_line_are_different_rows() -> None:
    table = Repeats(["train"])
    for number in (1, 2, 3):
        table.add("train", number, row(1, "甲" if number < 3 else "乙"))
    table.index()
    assert table.tally("repeated") == [Tally("train", 1, 1)]
    assert [one.fate for one in table.verdicts()] == ["keep", "repeat", "keep"]


def test_width_and_whitespace_are_all_that_normalising_takes_away() -> None:
    assert normalised("Ａ１ ，\u3000\n甲") == "A1,甲"
    assert normalised("甲\u200b") != "甲"
    assert normalised("a") != normalised("A")


def test_an_annotation_is_a_set_of_spans_or_a_class() -> None:
    a, b = Entity("x", "甲", 0, 1), Entity("y", "乙", 1, 2)
    assert annotation(RawRow(1, "甲乙", [a, b])) == annotation(RawRow(9, "甲乙", [b, a, a]))
    assert annotation(RawRow(1, "甲乙", [a])) != annotation(RawRow(1, "甲乙", [b]))
    assert annotation(RawRow(1, "甲", [], "x", ["x", "y"])) == annotation(RawRow(1, "甲", [], "x"))
    assert annotation(RawRow(1, "甲", [], "x")) != annotation(RawRow(1, "甲", [], "y"))


def test_strings_that_only_join_to_the_same_are_different() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("\ud800") != digest("\ud801")


def test_rows_go_to_a_temporary_file_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps memory flat: no more than BATCH rows wait, and SQLite's cache has a bound and a file behind it."""
    opened: list[str] = []
    connect = sqlite3.connect
    monkeypatch.setattr(repeats.sqlite3, "connect", lambda name, **words: opened.append(name) or connect(name, **words))  # type: ignore[func-returns-value]
    table = Repeats(["train"])
    for number in range(2 * repeats.BATCH + 1):
        table.add("train", number, row(number, f"{number}"))
        assert len(table._waiting) < repeats.BATCH
    assert opened == [""]  # SQLite's name for a temporary file; ":memory:" would be memory
    assert table._table.execute("PRAGMA cache_size").fetchone() == (-32768,)
    table.index()
    assert sum(1 for _ in table.verdicts()) == 2 * repeats.BATCH + 1


SIGHTED = [(1, "甲", ()), (1, "乙", ()), (3, "甲", ()), (4, "甲", ("a",))]


def test_seen_tells_the_first_line_and_whether_it_was_annotated_the_same() -> None:
    seen = Seen()
    assert [seen.before(row(line, text, *labels)) for line, text, labels in SIGHTED] == [None, None, (1, True), (1, False)]
    seen.close()


def test_no_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    table = Repeats(["train"])
    table.add("train", 1, row(1, "甲"))
    table.index()
    table.close()
    assert list(tmp_path.iterdir()) == []
