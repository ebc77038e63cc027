from pathlib import Path

from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.fasttext import read_fasttext


def test_the_class_stands_before_the_text_or_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("__label__体育 比赛 结束了\n股市大涨\t__label__财经\n\n__label__a , 好\n", encoding="utf-8")
    assert list(read_fasttext(path, FileReading())) == [
        RawRow(1, "比赛 结束了", [], "体育"),
        RawRow(2, "股市大涨", [], "财经"),
        RawRow(4, "好", [], "a"),
    ]


def test_numbers_have_the_tasks_names(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("__label__1 好\n__label__2 坏\n", encoding="utf-8")
    row, bad = read_fasttext(path, FileReading(numbers=("负", "正")))
    assert row == RawRow(1, "好", [], "正")
    assert isinstance(bad, BadRow)


def test_several_classes_and_none_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("__label__a __label__b 好\n好\n__label__ 好\n", encoding="utf-8")
    rows = list(read_fasttext(path, FileReading()))
    assert [type(row) for row in rows] == [BadRow] * 3
    assert [isinstance(row, BadRow) and row.reason.split(",")[0] for row in rows][:1] == ["several classes"]
