"""Tables of sentences and tags: in one row, or a token a row."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.data.raw.row import BadRow, FileReading, RawRow
from tools.data.readers.table_rows import read_table
from tools.data.readers.table_tags import parts_of

Read = Callable[..., list[RawRow | BadRow]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_text(text: str, **said: object) -> list[RawRow | BadRow]:
        (tmp_path / "raw").write_text(text, encoding="utf-8")
        return list(read_table(tmp_path / "raw", FileReading(**said)))  # type: ignore[arg-type]

    return read_text


def found(rows: list[RawRow | BadRow]) -> list[tuple[int, str, list[tuple[str, str]]]]:
    assert all(isinstance(row, RawRow) and all(row.text[e.start : e.end] == e.text for e in row.entities) for row in rows)
    return [(row.line, row.text, [(e.label, e.text) for e in row.entities]) for row in rows if isinstance(row, RawRow)]


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("B-PER O", ["B-PER", "O"]),
        ("B-PER\x02 \x02O", ["B-PER", " ", "O"]),
        ("['a', 'b c']", ["a", "b c"]),
        ('["a", "b"]', ["a", "b"]),
        ("['a' 'b']", ["a", "b"]),
        ("[1, 0]", ["1", "0"]),
        ("[1 0]", ["1", "0"]),
        ("[sic]", ["[sic]"]),
        ("", []),
    ],
)
def test_a_cell_of_several_is_parted_as_it_was_written(cell: str, parts: list[str]) -> None:
    assert parts_of(cell) == parts


@pytest.mark.parametrize(
    "text",
    [
        "text_a\tlabel\n李\x02雷\x02在\x02家\tB-PER\x02I-PER\x02O\x02O\n",
        "text_a\tlabel\n李\x02雷\x02在\x02家\tPER-B\x02PER-I\x02O\x02O\n",
        "text,tags\n李 雷 在 家,B-PER I-PER O O\n",
        "text,label\n李雷在家,B-PER I-PER O O\n",
        "tokens,ner_tags\n\"['李', '雷', '在', '家']\",\"['B-PER', 'I-PER', 'O', 'O']\"\n",
        'text,label\n李雷在家,"B-PER,I-PER,O,O"\n',
        'text,label\n"李,雷,在,家","B-PER,I-PER,O,O"\n',
        "id,句子,实体标注\n7,李雷在家,B-PER I-PER O O\n",
    ],
)
def test_a_cell_of_tags_as_long_as_the_text_makes_a_sentence_of_its_row(read: Read, text: str) -> None:
    assert [row[1:] for row in found(read(text))] == [("李雷在家", [("PER", "李雷")])]


def test_tags_a_row_need_no_header(read: Read) -> None:
    assert found(read("李 雷 在 家\tB-PER I-PER O O\n在 家\tO O\n")) == [(1, "李雷在家", [("PER", "李雷")]), (2, "在家", [])]


def test_the_class_o_is_no_tag(read: Read) -> None:
    rows = read("text,label\n第一位的血,A\n第二位的血,O\n第三位的血,O\n第四位的血,B\n第五位的血,O\n")
    assert [row.label for row in rows if isinstance(row, RawRow)] == ["A", "O", "O", "B", "O"]


def test_latin_words_keep_their_spaces(read: Read) -> None:
    rows = read("text,label\nfly from Boston to Denver,O O B-city O B-city\n")
    assert found(rows) == [(2, "fly from Boston to Denver", [("city", "Boston"), ("city", "Denver")])]


def test_a_row_with_another_number_of_tags_is_bad(read: Read) -> None:
    rows = read("text\tlabel\n" + "李 雷\tB-PER I-PER\n" * 12 + "在 家\tO\n")
    assert rows[-1] == BadRow(14, "2 tokens and 1 tags: there must be as many. '在 家'")


def test_tags_that_fit_no_column_are_no_classes(read: Read) -> None:
    (row,) = read("text,label\n李雷在家里,B-PER O\n王芳在家里,B-PER O\n")
    assert isinstance(row, BadRow)
    assert "are tags, 'B-PER O', not classes" in row.reason


@pytest.mark.parametrize(
    "text",
    [
        "Sentence #,Word,POS,Tag\nSentence: 1,London,NNP,B-geo\n,is,VB,O\nSentence: 2,Oslo,NNP,B-geo\n,was,VB,O\n",
        "Sentence #,Word,POS,Tag\n1,London,POS,B-geo\n1,is,O,O\n2,Oslo,POS,B-geo\n2,was,O,O\n",
        "sentence_id,word,tag\n1,London,B-geo\n1,is,O\n2,Oslo,B-geo\n2,was,O\n",
        "word,tag\nLondon,B-geo\nis,O\n,\nOslo,B-geo\nwas,O\n",
        "Sentence,Word,Tag\n1,London,geo\n1,is,O\n2,Oslo,geo\n2,was,O\n",
    ],
)
def test_a_token_and_its_tag_a_row_are_joined_to_sentences(read: Read, text: str) -> None:
    assert [row[1:] for row in found(read(text))] == [("London is", [("geo", "London")]), ("Oslo was", [("geo", "Oslo")])]


def test_tokens_of_which_nothing_tells_the_sentence_are_a_question(read: Read) -> None:
    (row,) = read("word,tag,part\nLondon,B-geo,1\nis,O,1\nOslo,B-geo,2\nwas,O,2\n")
    assert isinstance(row, BadRow)
    assert "nothing tells where a sentence ends" in row.reason
    assert len(found(read("word,tag,part\nLondon,B-geo,1\nis,O,1\nOslo,B-geo,2\n", fields={"sentence": "part"}))) == 2


def test_numbers_are_tags_by_their_names(read: Read) -> None:
    text = "tokens,ner_tags\n\"['李', '雷']\",\"[1, 2]\"\n\"['在', '家']\",\"[0, 0]\"\n"
    assert found(read(text, numbers=("O", "B-PER", "I-PER")))[0] == (2, "李雷", [("PER", "李雷")])
    (row,) = read(text)
    assert isinstance(row, BadRow)
    assert "numbers=[" in row.reason


def test_a_bad_row_spoils_the_sentences_that_it_may_belong_to_and_no_other(read: Read) -> None:
    rows = read(
        "sid,word,tag\n1,London,B-geo\n1,is,O\n" + "".join(f"{n},Oslo,B-geo\n{n},was,O\n" for n in range(2, 20)) + "20,Rome\n20,is,O\n21,Bern,B-geo\n"
    )
    assert [(row.line, type(row)) for row in rows[-4:]] == [(36, RawRow), (40, BadRow), (41, BadRow), (42, RawRow)]


def test_a_space_in_a_label_makes_no_sentence_of_a_token(read: Read) -> None:
    [row] = read("李\tB-PER SON\n四\tI-PER SON\n来\tO\n了\tO\n。\tO\n")
    assert isinstance(row, BadRow)
    assert row.kind == "type"
