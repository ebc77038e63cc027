"""A file that isn't text is named before a reader takes its lines."""

import pickle
import sqlite3
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest

from tools.data.raw.binary import is_workbook, what_binary, what_text
from tools.data.raw.row import BadRow, FileReading
from tools.data.readers import READERS


def archive(path: Path, *names: str) -> Path:
    with ZipFile(path, "w", ZIP_STORED) as file:
        for name in names:
            file.writestr(name, '{"text": "好", "label": "a"}\n' * 50)
    return path


@pytest.mark.parametrize("reader", sorted(READERS.keys() - {"brat"}))  # brat's are pairs of files
def test_rows_in_a_stored_zip_are_not_read_as_rows(tmp_path: Path, reader: str) -> None:
    rows = list(READERS[reader](archive(tmp_path / "a.jsonl", "rows.jsonl"), FileReading()))
    assert [isinstance(row, BadRow) and "a zip archive with rows.jsonl: unpack it" in row.reason for row in rows] == [True]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["xl/workbook.xml"], "the reader `table` reads it"),
        (["word/document.xml"], "a Word document"),
        (["mimetype", "content.xml"], "OpenDocument"),
        (["archive/data.pkl"], "torch.save"),
        ([f"{n}.txt" for n in range(7)], "0.txt, 1.txt, 2.txt, 3.txt, 4.txt, …"),
    ],
)
def test_archives_are_told_by_what_they_hold(tmp_path: Path, names: list[str], said: str) -> None:
    path = archive(tmp_path / "a", *names)
    assert said in what_binary(path)
    assert is_workbook(path) is (names == ["xl/workbook.xml"])


def test_a_pickle_a_database_and_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "pickle").write_bytes(pickle.dumps([{"text": "好"}]))
    connection = sqlite3.connect(tmp_path / "base")
    connection.execute("create table a (b)")
    connection.close()
    (tmp_path / "text").write_text("PAR1 and %PDF are letters\n")
    assert [what_binary(tmp_path / name).split(":")[0] for name in ("pickle", "base", "text")] == [
        "a Python pickle, which could run anything when it is opened",
        "an SQLite database",
        "",
    ]


@pytest.mark.parametrize(
    ("head", "what"),
    [
        ("-- dump\nCREATE TABLE a (b int);\n", "SQL"),
        ("- text: 好\n  label: 正\n", "YAML"),
        ("1_!_102_!_sports_!_好球_!_\n", "lines parted by"),
        ("create a table\t体育\n", ""),
        ("<人名>李雷</人名>在<地名>北京</地名>\n", ""),
    ],
)
def test_a_text_that_has_no_rows_is_told_by_its_beginning(head: str, what: str) -> None:
    assert what_text(head).startswith(what) if what else not what_text(head)
