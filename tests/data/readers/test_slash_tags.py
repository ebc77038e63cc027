from pathlib import Path

import pytest

from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.slash_tags import read_slash_tags
from tools.example import Entity


def read(tmp_path: Path, data: str) -> list[RawRow | BadRow]:
    path = tmp_path / "a.txt"
    path.write_bytes(data.encode())
    return list(read_slash_tags(path, FileReading()))


@pytest.mark.parametrize(
    "line",
    [
        "李四/PER 从/O 广州/LOC 来/O 。/O",
        "李/B-PER 四/I-PER 从/O 广/B-LOC 州/I-LOC 来/O 。/O",
        "李四_PER  从_o 广州_LOC  来_o\t。_o ",
        "李四|PER 从|O 广州|LOC 来|O 。|O",
    ],
)
def test_a_line_is_a_sentence_in_any_notation(tmp_path: Path, line: str) -> None:
    assert read(tmp_path, f"{line}\n\n{line}\n") == [
        RawRow(number, "李四从广州来。", [Entity("PER", "李四", 0, 2), Entity("LOC", "广州", 3, 5)]) for number in (1, 3)
    ]


def test_the_last_mark_parts_word_and_tag_and_words_of_letters_are_spaced(tmp_path: Path) -> None:
    [row] = read(tmp_path, "1/2/O TCP/IP/PROD Cisco/ORG Systems/ORG ，/O\n")
    assert row == RawRow(1, "1/2 TCP/IP Cisco Systems，", [Entity("PROD", "TCP/IP", 4, 10), Entity("ORG", "Cisco Systems", 11, 24)])


def test_a_word_without_a_tag_makes_its_line_bad_and_no_other(tmp_path: Path) -> None:
    first, second, *rest = read(tmp_path, "李四/PER 来/O\n李四/PER 来\n" + "他/O 来/O\n" * 20)
    assert first == RawRow(1, "李四来", [Entity("PER", "李四", 0, 2)])
    assert isinstance(second, BadRow)
    assert second.line == 2
    assert len(rest) == 20


def test_parts_of_speech_are_named(tmp_path: Path) -> None:
    [row] = read(tmp_path, "李四/nr 从/p 广州/ns 来/v 。/w\n他/r 从/p 广州/ns 来/v 。/w\n")
    assert isinstance(row, BadRow)
    assert "parts of speech" in row.reason


def test_two_tags_behind_each_word_are_named(tmp_path: Path) -> None:
    [row] = read(tmp_path, "李四/nr/B-PER 从/p/O 广州/ns/B-LOC 来/v/O\n" * 2)
    assert isinstance(row, BadRow)
    assert "two tags behind it: '李四/nr/B-PER'" in row.reason


@pytest.mark.parametrize(
    "data", ["李四/PER\n从/O\n", "李 B-PER\n四 I-PER\n", "B_PER I_PER O O\n", "今天 2020/01/02 是 周四\n", "a/b c/d e/f\n", "text⇥and/or both/one\n"]
)
def test_other_text_is_refused_as_a_whole(tmp_path: Path, data: str) -> None:
    [row] = read(tmp_path, data)
    assert isinstance(row, BadRow)
