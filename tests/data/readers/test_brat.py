from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.data.raw.row import BadRow, FileReading, RawRow, misplaced
from tools.data.readers.brat import read_brat
from tools.example import Entity


def read(folder: Path, text: str, notes: str, name: str = "a") -> tuple[list[RawRow | BadRow], list[str]]:
    """The rows of a pair of files, and the rules that were applied."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_bytes(text.encode())
    (folder / f"{name}.ann").write_bytes(notes.encode())
    reading = FileReading()
    return list(read_brat(folder / f"{name}.ann", reading)), list(reading.applied)


def test_each_line_of_a_text_is_a_row_with_its_entities(tmp_path: Path) -> None:
    rows, rules = read(tmp_path, "张三在北京。\n\n李四来了\n", "T1\t人名 0 2\t张三\nT3\t人名 8 10\t李四\nT2\t地点 3 5\t北京\n")
    assert rows == [
        RawRow(1, "张三在北京。", [Entity("人名", "张三", 0, 2), Entity("地点", "北京", 3, 5)]),
        RawRow(3, "李四来了", [Entity("人名", "李四", 0, 2)]),
    ]
    assert rules == []
    assert list(read_brat(tmp_path / "a.txt", FileReading())) == rows


def test_all_but_entities_is_passed_over_and_said(tmp_path: Path) -> None:
    notes = "T1\tPER 0 2\t张三\nR1\tR Arg1:T1 Arg2:T1\nE1\tMove:T1\nA1\tNegated E1\n#1\tAnnotatorNotes T1\tsure\n*\tEquiv T1 T1\n"
    rows, [rule] = read(tmp_path, "张三来了", notes)
    assert rows == [RawRow(1, "张三来了", [Entity("PER", "张三", 0, 2)])]
    assert "passed over" in rule


@pytest.mark.parametrize(
    ("text", "notes", "rule"),
    [
        ("张三🎉在北京", "T1\tLOC 4 6\t北京", ""),
        ("张三🎉在北京", "T1\tLOC 5 7\t北京", "UTF-16"),
        ("甲\r\n张三在北京", "T1\tLOC 6 8\t北京", ""),
        ("甲\r\n张三在北京", "T1\tLOC 5 7\t北京", "CR+LF"),
    ],
)
def test_the_strings_tell_what_offsets_count(tmp_path: Path, text: str, notes: str, rule: str) -> None:
    rows, rules = read(tmp_path, text, notes)
    found = rows[-1]
    assert isinstance(found, RawRow)
    assert [entity.text for entity in found.entities] == ["北京"]
    assert misplaced(found) == []
    assert bool(rules) is bool(rule)
    assert all(rule in said for said in rules)


def test_a_string_that_is_elsewhere_stays_for_the_doctor(tmp_path: Path) -> None:
    [row], _ = read(tmp_path, "张三在北京", "T1\tPER 0 2\t张三\nT2\tLOC 2 4\t北京\n")
    assert isinstance(row, RawRow)
    assert misplaced(row) == [Entity("LOC", "北京", 2, 4)]


def test_offsets_without_strings_are_marked_as_such(tmp_path: Path) -> None:
    [row], _ = read(tmp_path, "张三在北京", "T1\tPER 0 2\n")
    assert row == RawRow(1, "张三在北京", [Entity("PER", "张三", 0, 2)])
    assert isinstance(row, RawRow)
    assert row.sliced


@pytest.mark.parametrize(
    ("notes", "reason"),
    [
        ("T1\tPER 0 1;2 3\t张 在", "several parts"),
        ("T1\tPER 3 7\t北京\n李", "no annotation of brat's"),
        ("T1\tPER 3 7\t北京 李", "beyond the end of its line"),
        ("T1\tPER 90 92\t北京", "behind the text's end"),
        ("张三 PER", "no annotation of brat's"),
    ],
)
def test_what_is_no_string_of_a_line_is_refused_with_its_place(tmp_path: Path, notes: str, reason: str) -> None:
    rows, _ = read(tmp_path, "张三在北京\n李四", notes)
    [bad] = [row for row in rows if isinstance(row, BadRow)]
    assert reason in bad.reason
    assert "a.ann:" in bad.reason


def test_a_folder_is_all_pairs_in_it_and_a_row_is_named_by_its_file(tmp_path: Path) -> None:
    read(tmp_path / "docs", "张三", "T1\tPER 0 2\t张三\n", "b")
    read(tmp_path / "docs", "甲\n乙", "", "a")
    (tmp_path / "docs" / "c.ann").write_text("")
    first, second, third, missing = read_brat(tmp_path / "docs", FileReading())
    assert [row.item for row in (first, second, third, missing)] == ["a.txt, line 1", "a.txt, line 2", "b.txt, line 1", "c.txt, line 1"]
    assert third == RawRow(1, "张三", [Entity("PER", "张三", 0, 2)])
    assert isinstance(missing, BadRow)
    assert "c.txt" in missing.reason


def test_a_file_that_is_not_one_of_a_pair_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ann").write_text("T1\tPER 0 2\t张三\n")
    for path in (tmp_path / "a.ann", tmp_path):
        [row] = read_brat(path, FileReading())
        assert isinstance(row, BadRow)
        assert ".txt" in row.reason


@settings(max_examples=50, deadline=None, database=None, derandomize=True)
@given(st.binary(max_size=60), st.text("T1R\t PER0123;\n\r张三😀", max_size=60).map(str.encode) | st.binary(max_size=40))
def test_any_bytes_are_rows_and_bad_rows(text: bytes, notes: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.txt"
        path.write_bytes(text)
        path.with_suffix(".ann").write_bytes(notes)
        for row in read_brat(path, FileReading()):
            assert isinstance(row, RawRow | BadRow)


def test_annotation_without_its_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.ann").write_text("T1\tPER 0 2\t李雷\n", encoding="utf-8")
    assert [*read_brat(tmp_path / "a.ann", FileReading())] == [BadRow(1, "brat's annotation, but no a.txt with its text is beside it.", "named")]
