from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.data.raw.lines import Line
from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.tagging.tagged import Sentence, tagged_rows
from tools.example import Entity


def sentences(*lines: str) -> Iterator[Sentence]:
    """A sentence a line, of tokens and their tags: 李/B-PER 四/I-PER."""
    for number, line in enumerate(lines, 1):
        pairs = [word.rsplit("/", 1) for word in line.split(" ")]
        yield Sentence([token for token, _ in pairs], [[tag for _, tag in pairs]], [Line(number, line, True)], f"row {number}")


def rows_of(*lines: str) -> tuple[list[RawRow | BadRow], FileReading]:
    reading = FileReading()
    return list(tagged_rows(sentences(*lines), reading)), reading


def test_offsets_follow_spaces_and_numbers_that_are_taken_off() -> None:
    [row], _ = rows_of("买/O Apple/B-PROD Watch/I-PROD 吧/O")
    assert row == RawRow(1, "买Apple Watch吧", [Entity("PROD", "Apple Watch", 1, 12)])
    [row], reading = rows_of("科0/B-ORG.NAM 技1/I-ORG.NAM 在0/O")
    assert row == RawRow(1, "科技在", [Entity("ORG.NAM", "科技", 0, 2)])
    assert len(reading.applied) == 1


def test_a_token_without_a_number_makes_its_sentence_bad() -> None:
    first, second = rows_of(*(["科0/B-ORG 技1/I-ORG"] * 3000), "科0/B-ORG 技/O")[0][-2:]
    assert isinstance(first, RawRow)
    assert isinstance(second, BadRow)
    assert (second.line, second.item) == (3001, "row 3001")


def test_a_tag_that_is_none_makes_its_sentence_bad_and_no_other() -> None:
    (first, second), _ = rows_of("李/B-PER 四/I-PER 来/O 了/O", "李/B-PER 四/X")
    assert isinstance(first, RawRow)
    assert isinstance(second, BadRow)
    assert "'X' is no tag" in second.reason


@pytest.mark.parametrize(
    ("lines", "doubt"),
    [
        (["美/B-LOC 国/B-LOC 的/O 李/B-PER 四/B-PER"], "lost their I-"),
        (["李四在广州上班了/O 李四/B-PER 住在广州市/O"], "whole phrases"),
        (["李/B-PER [UNK]/I-PER 来/O"], "[UNK]"),
        (["张三/PER 李四/PER 来了/O"], "became one entity"),
        (["\u3000张/B-PER \u3000三/I-PER 来/O"], "begin with a space"),
        (["李/B-nr 四/E-nr 来/S-v 了/S-u"] * 3, "no tag is O"),
    ],
)
def test_what_may_have_been_lost_is_doubted(lines: list[str], doubt: str) -> None:
    rows, reading = rows_of(*lines)
    assert isinstance(rows[0], RawRow)
    assert [doubt in said for said in reading.doubts] == [True]


@pytest.mark.parametrize(
    "line", ["李/B-PER 四/I-PER 来/O", "李/S-PER 四/S-LOC 来/O", "美国/B-LOC 的/O 李四/B-PER", "李/PER 四/PER 来/O", "用/O [x]/B-PROD 来/O"]
)
def test_usual_tags_are_not_doubted(line: str) -> None:
    assert rows_of(line)[1].doubts == {}


def test_a_file_without_sentences_has_no_rows() -> None:
    assert rows_of() == ([], FileReading())
