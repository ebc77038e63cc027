import pytest

from tools.data.doctor.survey import Survey, agrees, readings
from tools.data.raw.row import RawRow
from tools.example import Entity

TEXT = "😀凯尔特人在苏格兰"


@pytest.mark.parametrize(
    ("reader", "spans", "name"),
    [
        ("ccfbdci", [(1, 4), (6, 8)], "ends are read as inclusive"),
        ("cluener", [(1, 6), (6, 10)], "ends are read as exclusive"),
        ("ccfbdci", [(2, 6), (7, 10)], "offsets are counted from 1"),
        ("cluener", [(2, 6), (7, 10)], "offsets are counted from 1"),
        ("ccfbdci", [(2, 5), (7, 9)], "offsets are counted from 1 and ends are read as inclusive"),
        ("cluener", [(2, 7), (7, 11)], "offsets are counted from 1 and ends are read as exclusive"),
        ("doccano", [(0, 4), (5, 8)], "1 is added to starts and ends"),
        ("doccano", [(2, 6), (7, 10)], "offsets are counted from 1"),
    ],
)
def test_the_reading_that_mends_all_is_named_as_the_format_sees_it(reader: str, spans: list[tuple[int, int]], name: str) -> None:
    survey = Survey(reader)
    for (start, end), string in zip(spans, ["凯尔特人", "苏格兰"], strict=True):
        if not agrees(TEXT, (start, end), string):
            survey.add(TEXT, Entity("x", string, start, end))
    reading = survey.mends_all()
    assert (reading and reading.name, f"all {survey.wrong} agree when {name}" == str(survey)) == (name, True)


def test_offsets_in_utf_16_units_are_told_where_a_constant_would_not_do() -> None:
    text = "甲😀乙😀丙"
    survey = Survey("ccfbdci")
    for string, start in (("乙", 3), ("丙", 6)):
        survey.add(text, Entity("x", string, start, start + 1))
    reading = survey.mends_all()
    assert reading is not None
    assert "UTF-16" in reading.name
    assert [reading.span(text, start, start + 1) for start in (3, 6)] == [(2, 3), (4, 5)]


@pytest.mark.parametrize("span", [(-5, -1), (5, 2), (-(2**53), 2**53), (100, 200), (0, 0)])
def test_no_reading_fails_on_any_offsets(span: tuple[int, int]) -> None:
    for reading in readings("cluener") + readings("bio"):
        assert not agrees("甲\ud83d乙", reading.span("甲\ud83d乙", *span), "丙")


def test_one_span_that_no_reading_mends_keeps_all_from_being_mended() -> None:
    survey = Survey("ccfbdci")
    for start, end, string in ((1, 4, "凯尔特人"), (6, 8, "苏格兰"), (0, 1, "丙")):
        survey.add(TEXT, Entity("x", string, start, end))
    assert survey.mends_all() is None
    assert str(survey) == "2 of 3 agree when ends are read as inclusive"


def test_what_mends_no_more_than_half_is_not_spoken_of() -> None:
    survey = Survey("ccfbdci")
    for start, end, string in ((1, 4, "凯尔特人"), (0, 1, "丙")):
        survey.add(TEXT, Entity("x", string, start, end))
    assert (survey.wrong, str(survey)) == (2, "")
    assert (Survey("bio").mends_all(), str(Survey("bio"))) == (None, "")


def test_a_reading_is_the_files_where_most_entities_need_it_or_none_would_break() -> None:
    right = RawRow(1, "甲乙丙", [Entity("x", "甲", 0, 1), Entity("x", "乙", 1, 2)])
    cut, more = RawRow(2, "丁戊己", [Entity("x", "丁戊", 0, 1)]), RawRow(3, "庚辛壬", [Entity("x", "庚辛", 0, 1), Entity("x", "辛壬", 1, 2)])
    few, most = Survey("ccfbdci"), Survey("ccfbdci")
    for row in (right, cut):
        few.add_row(row)
        most.add_row(row)
    most.add_row(more)
    assert (few.wrong, few.right, few.mends_all()) == (1, 2, None)
    reading = most.mends_all()
    assert (most.wrong, most.right, reading and reading.name) == (3, 2, "ends are read as inclusive")


@pytest.mark.parametrize(
    ("text", "start", "name"),
    [("甲\r\n乙", 2, "CR and LF at a line's end are counted as one"), ("😀😀\r\n乙", 5, "offsets are counted in UTF-16 units, and CR and LF as one")],
)
def test_a_way_of_counting_that_most_rows_cannot_show_is_the_files(text: str, start: int, name: str) -> None:
    survey = Survey("ccfbdci")
    for _ in range(9):
        survey.add_row(RawRow(1, "甲乙丙", [Entity("x", "甲乙", 0, 2)]))
    survey.add_row(RawRow(2, text + "丙，乙", [Entity("x", "乙", start, start + 1)]))
    assert name in [reading.name for reading in readings("ccfbdci")]
    assert survey.mends_all() is not None
    survey.add_row(RawRow(3, text, [Entity("x", "乙", len(text) - 1, len(text))]))  # right as it is, and wrong in that way
    assert survey.mends_all() is None
