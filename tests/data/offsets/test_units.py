import pytest

from tools.data.offsets.units import BOTH, CRLF, INCLUSIVE, OWN, UNITS, UTF16, Span, case_of, is_cut, is_plain, read_as, span_of
from tools.data.raw.row import BadRow, RawRow
from tools.example import Entity

TEXT = "😀甲\r\n乙𠮷丙"  # 甲 at 1, 乙 at 4, 𠮷 at 5, 丙 at 6


@pytest.mark.parametrize(
    ("reading", "start", "end", "span"),
    [
        (OWN, 4, 6, (4, 6)),
        (INCLUSIVE, 4, 5, (4, 6)),
        (UTF16, 5, 8, (4, 6)),
        (CRLF, 3, 5, (4, 6)),
        (BOTH, 4, 7, (4, 6)),
        (UTF16, 2, 3, (1, 2)),
        (UTF16, 1, 3, None),  # within 😀
        (UTF16, 6, 7, None),  # within 𠮷
        (UTF16, 8, 9, (6, 7)),  # to the end
        (UTF16, 8, 10, None),
        (OWN, 6, 8, None),
        (INCLUSIVE, 6, 7, None),
        (CRLF, -1, 1, None),
        (CRLF, 3, 2, None),
    ],
)
def test_offsets_are_read_in_each_way(reading: str, start: int, end: int, span: Span | None) -> None:
    assert span_of(TEXT, start, end, reading) == span


@pytest.mark.parametrize("text", ["甲乙", "abc\n\r", "☀️❤️", "", "\ud83d甲"])
def test_all_units_agree_where_a_text_has_neither_wide_characters_nor_windows_line_ends(text: str) -> None:
    assert is_plain(text)
    assert {span_of(text, 0, len(text), reading) for reading in UNITS} == {(0, len(text))}


@pytest.mark.parametrize("text", ["甲😀", "𠮷", "a\r\n", "🇨🇳"])
def test_units_differ_behind_a_wide_character_or_a_windows_line_end(text: str) -> None:
    assert not is_plain(text)


@pytest.mark.parametrize(
    ("before", "string", "after"),
    [
        ("见", "", "林晓"),
        ("见", "：林晓", "了"),
        ("见", "林晓，", "了"),
        ("见", " 林晓", "了"),
        ("看了", "《围城", "》"),
        ("看了", "围城》", ""),
        ("买了", "iPho", "ne"),
        ("在", "20", "24年"),
        ("", "林晓😀", ""),
        ("👍", "🏽林晓", ""),
        ("e", "\u0301t", ""),
        ("晴", "☀", "\ufe0f"),
        ("", "林晓。何远", ""),
        ("", "林晓\n何远", ""),
        ("", '"林晓', '"'),
    ],
)
def test_a_span_that_nobody_would_mark_is_cut(before: str, string: str, after: str) -> None:
    assert is_cut(before + string + after, (len(before), len(before + string)))


@pytest.mark.parametrize(
    ("before", "string", "after"),
    [
        ("见", "林晓", "，"),
        ("看了", "《围城》", "。"),
        ("买了", "iPhone 15", "手机"),
        ("在", "2024", "年"),
        ("约", "-5℃", ""),
        ("见", "Yahoo!", ""),
        ("学", "C++", "和"),
        ("发", "#话题", "#"),
        ("叫", "阿凡提·买买提", "的"),
        ("见", "Tom Lee", " 和"),
    ],
)
def test_a_whole_entity_is_not_cut(before: str, string: str, after: str) -> None:
    assert not is_cut(before + string + after, (len(before), len(before + string)))


def test_no_span_and_one_beyond_the_text_are_cut() -> None:
    assert is_cut("林晓", None)
    assert is_cut("林晓", (1, 3))
    assert is_cut("林晓", (-1, 1))


def test_a_row_is_read_anew() -> None:
    row = RawRow(3, TEXT, [Entity("x", "", 5, 8)], sliced=True)
    assert read_as(row, UTF16) == RawRow(3, TEXT, [Entity("x", "乙𠮷", 4, 6)])


def test_a_row_whose_offsets_are_within_a_character_is_bad() -> None:
    bad = read_as(RawRow(3, TEXT, [Entity("x", "", 1, 3)], sliced=True, item="task 7"), UTF16)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.item) == (3, "task 7")
    assert "[1, 3) (x) is beyond the text or within a character" in bad.reason


def test_a_case_shows_both_strings_in_their_sentence() -> None:
    case = case_of(RawRow(2, "合同甲方：林晓", [], sliced=True), (5, 7), (4, 6))
    assert case.shown(CRLF) == "'：林' as code-points, '林晓' as crlf-as-one: …合同甲方：林晓…"
    assert case_of(RawRow(2, "甲", [], sliced=True, item="row 5"), (0, 1), None).shown(INCLUSIVE).startswith("nothing as")
