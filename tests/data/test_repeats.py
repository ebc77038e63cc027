from dataclasses import replace

import pytest

from tools.data.raw.row import RawRow
from tools.data.repeats import Repeat, Repeats, SplitRepeats, annotation, digest, normalised
from tools.example import Entity


def row(line: int, text: str, *labels: str) -> RawRow:
    return RawRow(line, text, [Entity(label, text[0], 0, 1) for label in labels])


@pytest.fixture
def table() -> Repeats:
    """甲 repeats in train and leaks, 乙 conflicts in train, 丁 leaks into dev (where it conflicts) and test, 丙 leaks but for width and whitespace."""
    table = Repeats(["train", "dev", "test"])
    train = [row(1, "甲", "a"), row(2, "甲", "a"), row(3, "乙", "a"), row(4, "乙", "b"), row(5, "丙，丙"), row(6, "丁"), row(7, "己")]
    dev = [row(1, "甲", "b"), row(2, "丙, 丙"), row(3, "丁"), row(4, "丁", "a")]
    for split, rows in {"train": train, "dev": dev, "test": [row(1, "丁"), row(2, "戊")]}.items():
        for one in rows:
            table.add(split, one)
    table.index()
    return table


@pytest.mark.parametrize(
    ("kind", "tally", "examples"),
    [
        (
            "duplicate",
            [SplitRepeats("train", 2, 2), SplitRepeats("dev", 1, 1)],
            [Repeat("train", 2, "train", 1, False), Repeat("train", 4, "train", 3, True), Repeat("dev", 4, "dev", 3, True)],
        ),
        (
            "conflict",
            [SplitRepeats("train", 1, 2), SplitRepeats("dev", 1, 2)],
            [Repeat("train", 4, "train", 3, True), Repeat("dev", 4, "dev", 3, True)],
        ),
        (
            "leak",
            [SplitRepeats("dev", 2, 3), SplitRepeats("test", 1, 1)],
            [Repeat("dev", 1, "train", 1, True), Repeat("dev", 3, "train", 6, False), Repeat("test", 1, "train", 6, False)],
        ),
        ("leak-normalised", [SplitRepeats("dev", 1, 1)], [Repeat("dev", 2, "train", 5, False)]),
        ("leak-evaluation", [SplitRepeats("test", 1, 1)], [Repeat("test", 1, "dev", 3, False)]),
    ],
)
def test_each_kind_of_repeat_is_counted_by_split_and_shown_with_the_first_equal_row(
    table: Repeats, kind: str, tally: list[SplitRepeats], examples: list[Repeat]
) -> None:
    assert table.tallies()[kind] == tally
    assert table.examples(kind, 5) == examples
    assert table.examples(kind, 1) == examples[:1]


def test_a_copy_keeps_each_text_once_none_in_doubt_and_none_that_is_evaluated(table: Repeats) -> None:
    # Rows in the order of adding: train 0 to 6, dev 7 to 10, test 11 and 12.
    fates = {row: lost[0] for row, lost in table.lost().items()}
    assert fates == {0: "leak", 1: "leak", 5: "leak", **dict.fromkeys((2, 3, 9, 10), "conflict")}
    assert table.lost()[0][1] == "the text stands in dev, line 1, too"
    assert table.lost()[5][1] == "the text stands in test, line 1, too"
    assert table.lost()[10][1] == "the text is annotated in several ways, see line 3 and line 4"


def test_rows_that_begin_on_one_line_are_different_rows() -> None:
    table = Repeats(["train"])
    for number in (1, 2, 3):
        table.add("train", row(1, "甲" if number < 3 else "乙"))
    table.index()
    assert table.tallies()["duplicate"] == [SplitRepeats("train", 1, 1)]
    assert table.lost() == {1: ("repeat", "line 1 has the same text and teaches the same")}


def test_splits_may_be_added_in_turns() -> None:
    table = Repeats(["train", "dev"])
    for split, line, text in (("dev", 1, "甲"), ("train", 2, "乙"), ("dev", 3, "甲"), ("train", 4, "甲")):
        table.add(split, row(line, text))
    table.index()
    assert table.tallies() == {"duplicate": [SplitRepeats("dev", 1, 1)], "leak": [SplitRepeats("dev", 1, 2)]}
    assert table.examples("leak", 5) == [Repeat("dev", 1, "train", 4, False)]
    assert {place: lost[0] for place, lost in table.lost().items()} == {2: "repeat", 3: "leak"}


def test_no_rows_have_no_repeats() -> None:
    table = Repeats(["train"])
    table.index()
    assert (table.tallies(), table.lost()) == ({}, {})


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


def test_rows_are_named_where_their_lines_do_not_tell_them_apart() -> None:
    table = Repeats(["train", "dev"])
    for number, split, text in ((1, "train", "甲"), (2, "train", "甲"), (3, "dev", "甲")):
        table.add(split, replace(row(1, text), item=f"task {number}"))
    table.index()
    assert table.examples("duplicate", 5) == [Repeat("train", 1, "train", 1, False, "task 2", "task 1")]
    assert table.lost() == {0: ("leak", "the text stands in dev, task 3, too"), 1: ("leak", "the text stands in dev, task 3, too")}


def test_rows_that_teach_the_same_are_annotated_alike_wherever_their_entities_stand() -> None:
    first, second = RawRow(1, "甲乙甲", [Entity("a", "甲", 0, 1)]), RawRow(2, "甲乙甲", [Entity("a", "甲", 2, 3), Entity("a", "甲", 0, 1)])
    assert annotation(first) == annotation(second)
    assert annotation(first) != annotation(RawRow(3, "甲乙甲", [Entity("b", "甲", 0, 1)]))


def test_texts_of_the_training_split_are_counted(table: Repeats) -> None:
    assert table.trained(["甲", "戊", "己", "甲"]) == (3, 4)
    assert table.trained([]) == (0, 0)
