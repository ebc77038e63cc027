"""Cells: separators, quotes, encodings, lines and sheets."""

import subprocess
from pathlib import Path
from typing import Any

import openpyxl
import pandas
import pytest

from tools.data.raw.fields import Unusable
from tools.data.raw.row import BadRow, FileReading
from tools.data.readers.table_cells import Cells, open_table


def cells(path: Path, data: str | bytes, reading: FileReading | None = None) -> list[Any]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    _, rows = open_table(path, reading or FileReading())
    return [(row.line, row.cells) if isinstance(row, Cells) else row for row in rows()]


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_the_separator_is_the_one_that_all_rows_have(tmp_path: Path, separator: str) -> None:
    text = "text,label\n今天，真好；再说,体育\n坏,财经\n".replace(",", separator)
    assert cells(tmp_path / "a", text) == [(1, ["text", "label"]), (2, ["今天，真好；再说", "体育"]), (3, ["坏", "财经"])]


def test_quotes_hold_separators_line_ends_and_quotes_and_lines_are_the_file_s(tmp_path: Path) -> None:
    text = 'text,label\r\n"一,\r\n二",体育\r\n\r\n"他说""好""",财经\r\n'
    assert cells(tmp_path / "a", text) == [(1, ["text", "label"]), (2, ["一,\r\n二", "体育"]), (4, []), (5, ['他说"好"', "财经"])]


@pytest.mark.parametrize(
    "rows",
    [
        ['"这本书"写得好\t好', "不好\t坏"],  # no cell is quoted
        ['"整句话都在引号里"\t好', "不好\t坏"],  # no need of quotes, and others have none
        ['"开头的引号\t好', '结尾的引号"\t坏'],
        ['"前一句\t好', '后一句"\t坏', "不好\t坏"],  # they would join lines that are whole rows
    ],
)
def test_quotes_of_a_table_that_does_not_quote_are_characters_of_the_text(tmp_path: Path, rows: list[str]) -> None:
    reading = FileReading()
    assert [row[1] for row in cells(tmp_path / "a", "\n".join(["text\tlabel", *rows]), reading)] == [
        ["text", "label"],
        *(row.split("\t") for row in rows),
    ]
    assert "quotes are characters of the text, since they don't enclose cells" in reading.applied


def test_a_row_whose_quotes_do_not_fit_is_bad_and_the_next_is_read(tmp_path: Path) -> None:
    good = "".join(f'"文,{n}",a\n' for n in range(20))
    rows = cells(tmp_path / "a", f'{good}"坏"了,b\n"好,",c\n')
    assert rows[20] == BadRow(21, "no row of the table: the quotes around a cell don't fit (',' expected after '\"').")
    assert rows[21] == (22, ["好,", "c"])


@pytest.mark.parametrize("codec", ["utf-8-sig", "gbk", "utf-16"])
def test_a_table_is_read_in_its_encoding(tmp_path: Path, codec: str) -> None:
    text = "text,label\n今天股市大涨，真好,财经\n昨天的比赛结束了,体育\n"
    assert cells(tmp_path / "a", text.encode(codec))[1] == (2, ["今天股市大涨，真好", "财经"])


def test_a_damaged_row_is_bad(tmp_path: Path) -> None:
    rows = cells(tmp_path / "a", "text,label\n今天,财经\n昨天,体育\n".encode() + b"\xff\xff,a\n")
    assert rows[-1] == BadRow(4, "bytes that aren't UTF-8, or NUL characters, in this row.", "encoding")


def test_empty_cells_beyond_the_header_are_cut_off(tmp_path: Path) -> None:
    rows = cells(tmp_path / "a", "text,label\n好,体育,\n坏,财经,,\n中,财经\n")
    assert [row[1] for row in rows] == [["text", "label"], ["好", "体育"], ["坏", "财经"], ["中", "财经"]]


def test_lines_of_old_macs_are_lines(tmp_path: Path) -> None:
    assert cells(tmp_path / "a", "text,label\r好,体育\r") == [(1, ["text", "label"]), (2, ["好", "体育"])]


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    with pandas.ExcelWriter(path, engine="openpyxl") as writer:
        for name, rows in sheets.items():
            pandas.DataFrame(rows).to_excel(writer, sheet_name=name, index=False, header=False)
    return path


def test_a_workbook_s_only_sheet_with_data_is_read_as_strings_with_its_rows(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.data", Sheet1=[["text", "label", "n"], ["好", "NA", 7], ["两\n行", None, 1.5]], Sheet2=[])
    width, rows = open_table(path, FileReading())
    assert width == 3
    assert [*rows()] == [Cells(1, ["text", "label", "n"]), Cells(2, ["好", "NA", "7"]), Cells(3, ["两\n行", "", "1.5"])]


def test_several_sheets_with_data_are_a_question_that_the_task_answers(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", train=[["text", "label"], ["好", "体育"]], notes=[["x"]])
    with pytest.raises(Unusable, match=r"'train', 'notes'. Say it: fields.sheet=SHEET"):
        open_table(path, FileReading())
    assert next(open_table(path, FileReading(fields={"sheet": "notes"}))[1]()) == Cells(1, ["x"])


def test_merged_cells_have_their_value_in_each_row(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["text", "label"], ["好", "体育"], ["坏", None], ["中", "财经"]):
        book.active.append(row)
    book.active.merge_cells("B2:B3")
    book.save(tmp_path / "a.xlsx")
    reading = FileReading()
    assert [row.cells[1] for row in open_table(tmp_path / "a.xlsx", reading)[1]() if isinstance(row, Cells)] == ["label", "体育", "体育", "财经"]
    assert "each row of merged cells has their value" in reading.applied


def test_a_damaged_workbook_is_named(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", s=[["text", "label"], ["好", "体育"]])
    data = path.read_bytes()
    start = data.index(b"xl/worksheets/sheet1.xml") + 24
    path.write_bytes(data[:start] + b"\xff" * 40 + data[start + 40 :])
    with pytest.raises(Unusable, match="the workbook can't be read"):
        open_table(path, FileReading())


def test_the_command_for_a_table_in_markdown_makes_one_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "FILE"
    path.write_text("| text | label |\n| --- | :---: |\n| 好 的 | 体育 |\n", encoding="utf-8")
    with pytest.raises(Unusable, match="Markdown") as error:
        open_table(path, FileReading())
    subprocess.run(error.value.args[0].partition("convert it: ")[2], shell=True, check=True, cwd=tmp_path)
    assert [row.cells for row in open_table(tmp_path / "FILE.tsv", FileReading())[1]() if isinstance(row, Cells)] == [
        ["text", "label"],
        ["好 的", "体育"],
    ]
