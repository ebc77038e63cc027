from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.tagging.conftest import read
from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.bio import read_bio
from tools.example import Entity

PERSON = RawRow(1, "李四来", [Entity("PER", "李四", 0, 2)])


def refusal(tmp_path: Path, data: str) -> str:
    """The reason why a whole file is something else."""
    [row], _ = read(tmp_path, data)
    assert isinstance(row, BadRow)
    assert row.kind == "named"
    return row.reason


@pytest.mark.parametrize("comment", ["# id 5b\tdomain=x", "# sent_id = 3", "# text = 李四 O", "#\thttp://x.org [2010]", "## 1-nsmc"])
def test_comments_are_passed_over(tmp_path: Path, comment: str) -> None:
    rows, rules = read(tmp_path, f"{comment}\n李\tB-PER\n四\tI-PER\n来\tO\n\n{comment}\n\n")
    assert rows == [RawRow(2, PERSON.text, PERSON.entities)]
    assert "comments" in rules


@pytest.mark.parametrize("first", ["# O", "#话题# O", "#"])
def test_a_token_that_looks_like_a_comment_is_a_token(tmp_path: Path, first: str) -> None:
    [row], rules = read(tmp_path, f"{first}\n李 B-PER\n四 I-PER\n")
    assert "comments" not in rules
    assert isinstance(row, RawRow if first != "#" else BadRow)


def test_a_line_that_names_the_columns_is_passed_over(tmp_path: Path) -> None:
    rows, rules = read(tmp_path, "char\tlabel\n李\tB-PER\n四\tI-PER\n来\tO\n")
    assert rows == [RawRow(2, PERSON.text, PERSON.entities)]
    assert "names the columns" in rules


def test_one_line_again_and_again_ends_sentences_where_no_line_is_blank(tmp_path: Path) -> None:
    rows, rules = read(tmp_path, "李 B-PER\n四 I-PER\n来 O\nend\n好 O\nend\n")
    assert rows == [PERSON, RawRow(5, "好", [])]
    assert "'end' ends a sentence" in rules


def test_a_mark_before_each_blank_line_is_no_token(tmp_path: Path) -> None:
    rows, rules = read(tmp_path, "李 B-PER\n四 I-PER\n来 O\nEOS\n\n好 O\n的 O\nEOS\n\n")
    assert rows == [PERSON, RawRow(6, "好的", [])]
    assert "'EOS' ends a sentence" in rules
    assert len(read(tmp_path, "李 B-PER\n四 I-PER\nEOS\n来 O\n\n好 O\n的 O\nEOS\n\n")[0]) == 2
    assert "EOS" not in read(tmp_path, "李 B-PER\n四 I-PER\nEOS\n来 O\n\n好 O\n的 O\nEOS\n\n")[1]


def test_comments_begin_sentences_where_no_line_is_blank(tmp_path: Path) -> None:
    rows, rules = read(tmp_path, "# id 1\n# x\n李 B-PER\n四 I-PER\n来 O\n# id 2\n好 O\n")
    assert rows == [RawRow(3, PERSON.text, PERSON.entities), RawRow(7, "好", [])]
    assert "at each comment" in rules


def test_a_file_that_would_be_one_row_is_named(tmp_path: Path) -> None:
    assert "no blank line" in refusal(tmp_path, "李 B-PER\n四 I-PER\n来 O\n" * 40)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("B-PER I-PER O\n" * 5, "paste TOKENS TAGS"),
        ("B-PER I-PER E-PER O O\n" * 5, "paste TOKENS TAGS"),
        ("李 四 来 了 。\n" * 5, "paste TOKENS TAGS"),
        ("李 四 来\nB-PER I-PER O\n" * 3, "paste - -"),
        ("d 0 0 李 (PER*\nd 0 1 四 *)\nd 0 2 来 *\n", "OntoNotes"),
        ("李 B\n四 I\n来 O\n", "no label"),
        ("李 B-PER SON\n四 I-PER SON\n来 O\n", "'B-PER SON' has a space"),
        ("李\tB-PER\n四\tI-PER\n来\n了\n吗\n", "no tag is O"),
        ("李 BPER\n四 IPER\n来 O\n", "B-PER"),
        ("李\tB-A|B-B\n四\tI-A|I-B\n来\tO\n", "a column of its own"),
        ("李\tB-人 名\n四\tI-人 名\n来\tO\n", "a space"),
        ("[CLS] O\n李 B-PER\n来 O\n##四 I-PER\n", "BERT"),
        ("李\t1\n四\t2\n来\t0\n", "numbers="),
        ('"李","B-PER"\n"四","I-PER"\n"，","O"\n', "in quotes"),
        ("".join(f"{place}\t李{chr(9) * 8}Entity=(e1\n" for place in (1, 2, 3)).replace("\t\t", "\t_\t").replace("\t\t", "\t_\t"), "CoNLL-U"),
        ("李 B-PER\n\n四 I-PER\n\n来 O\n\n" * 5, "blank line behind each token"),
    ],
)
def test_what_is_something_else_is_named(tmp_path: Path, data: str, reason: str) -> None:
    assert reason in refusal(tmp_path, data)


@pytest.mark.parametrize(
    "data",
    ["李四来\n走了\n", "my name is O\nhe is in B\n", "标题,类别\n好看,电影\n", "text_a\tlabel\n李 四\tB-PER I-PER\n", "李/B-PER 四/O\n来/O 了/O\n"],
)
def test_other_text_has_no_rows(tmp_path: Path, data: str) -> None:
    rows, _ = read(tmp_path, data)
    assert {type(row) for row in rows} == {BadRow}


def test_a_short_file_without_a_blank_line_is_doubted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("李 B-PER\n四 I-PER\n来 O\n" * 10)
    reading = FileReading()
    assert len(list(read_bio(path, reading))) == 1
    assert [*reading.doubts] == ["no blank line: all 30 lines are one row"]
