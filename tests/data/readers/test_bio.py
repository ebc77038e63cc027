from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from tests.conftest import real
from tools.data.raw.row import BadRow, FileReading, RawRow, misplaced
from tools.data.readers.bio import read_bio
from tools.example import Entity


def read(tmp_path: Path, data: str) -> list[RawRow | BadRow]:
    path = tmp_path / "a.txt"
    path.write_bytes(data.encode())
    return list(read_bio(path, FileReading()))


def tagged(*tags: str, separator: str = " ") -> str:
    """Lines of the tokens 甲, 乙, 丙 … with these tags."""
    return "".join(f"{token}{separator}{tag}\n" for token, tag in zip("甲乙丙丁戊己庚辛壬癸", tags, strict=False))


def one(tmp_path: Path, *tags: str) -> RawRow:
    [row] = read(tmp_path, tagged(*tags))
    assert isinstance(row, RawRow)
    assert misplaced(row) == []
    return row


ANNA = [Entity("PER", "甲乙丙", 0, 3), Entity("LOC", "戊", 4, 5)]


@pytest.mark.parametrize(
    "tags",
    [
        ("B-PER", "I-PER", "I-PER", "O", "B-LOC"),  # BIO
        ("I-PER", "I-PER", "I-PER", "O", "I-LOC"),  # IO, IOB1
        ("B-PER", "M-PER", "E-PER", "O", "S-LOC"),  # BMES
        ("B-PER", "I-PER", "E-PER", "O", "S-LOC"),  # BIOES
        ("B-PER", "I-PER", "L-PER", "O", "U-LOC"),  # BILOU
        ("B-PER", "M-PER", "E-PER", "O", "W-LOC"),
        ("B-PER", "I-PER", "I-PER", "O", "S-LOC"),  # BIOS
        ("B_PER", "I_PER", "I_PER", "O", "B_LOC"),
        ("PER-B", "PER-I", "PER-I", "O", "LOC-B"),
        ("PER_B", "PER_M", "PER_E", "O", "LOC_S"),
    ],
)
def test_every_scheme_and_form_of_tag_gives_the_same_entities(tmp_path: Path, tags: tuple[str, ...]) -> None:
    assert one(tmp_path, *tags) == RawRow(1, "甲乙丙丁戊", ANNA)


@pytest.mark.parametrize("separator", [" ", "\t", "   ", ",", "|||", " ||| ", ", ", "\u3000", "\xa0", ";"])
def test_any_separator_is_found_and_may_itself_be_a_token(tmp_path: Path, separator: str) -> None:
    mark = separator[0]
    [row] = read(tmp_path, tagged("B-PER", "I-PER", "O", separator=separator) + f"{mark}{separator}O\n，{separator}O\n")
    assert row == RawRow(1, f"甲乙丙{mark}，", [Entity("PER", "甲乙", 0, 2)])


@pytest.mark.parametrize("space", ["\u3000", " ", "\xa0", "\u2003", "\u2028", "\u200b", "\x0b", "\x1c", "\x85", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_token_that_is_white_space_is_a_token_like_any_other(tmp_path: Path, space: str, end: str) -> None:
    lines = ["甲 B-X", f"{space} I-X", "乙 I-X", f"{space} O"]
    [row] = read(tmp_path, end.join(lines))
    assert row == RawRow(1, f"甲{space}乙{space}", [Entity("X", f"甲{space}乙", 0, 3)])


def test_tokens_may_have_several_characters(tmp_path: Path) -> None:
    [row] = read(tmp_path, "在 O\n2020 B-DATE\n年 I-DATE\nNew York B-LOC\n，，， O\n😀 O\n家 O\n里 O\n")
    assert row == RawRow(1, "在2020年New York，，，😀家里", [Entity("DATE", "2020年", 1, 6), Entity("LOC", "New York", 6, 14)])


def test_tokens_with_spaces_are_no_columns_unless_nearly_all_lines_have_as_many(tmp_path: Path) -> None:
    assert read(tmp_path, "New York B-X\nSan Juan B-X\n在 O\n") == [
        RawRow(1, "New York San Juan在", [Entity("X", "New York", 0, 8), Entity("X", "San Juan", 9, 17)])
    ]


def test_a_file_of_punctuation_has_its_separator_found(tmp_path: Path) -> None:
    assert read(tmp_path, "， O\n， O\n。 O\n") == [RawRow(1, "，，。", [])]


def test_labels_may_be_anything(tmp_path: Path) -> None:
    [row] = read(tmp_path, "甲\tB-B-PER_I\n乙\tI-B-PER_I\n丙\tB-产品/服务\n丁\tO\n")
    assert row == RawRow(1, "甲乙丙丁", [Entity("B-PER_I", "甲乙", 0, 2), Entity("产品/服务", "丙", 2, 3)])


def test_blank_lines_end_sentences_however_many_and_whatever_they_hold(tmp_path: Path) -> None:
    data = "\n\n甲 B-X\n乙 I-X\n\n \t\n\r\n丙 O\n丁 O\r\n\n戊 B-X\n\n"
    assert read(tmp_path, data) == [
        RawRow(3, "甲乙", [Entity("X", "甲乙", 0, 2)]),
        RawRow(8, "丙丁", []),
        RawRow(11, "戊", [Entity("X", "戊", 0, 1)]),
    ]


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "\r\n", "\r\n\r\n"])
def test_the_end_of_the_file_ends_the_last_sentence(tmp_path: Path, end: str) -> None:
    assert read(tmp_path, f"甲 B-X\n乙 I-X{end}") == [RawRow(1, "甲乙", [Entity("X", "甲乙", 0, 2)])]


def test_conll_columns_are_told_from_tokens_with_spaces(tmp_path: Path) -> None:
    data = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n  _SP _ O\nGerman JJ B-NP B-MISC\n\n-DOCSTART- -X- -X- O\nPeter NNP B-NP B-PER\n"
    first, second = read(tmp_path, data)
    assert first == RawRow(3, "EUrejects German", [Entity("ORG", "EU", 0, 2), Entity("MISC", "German", 10, 16)])
    assert second == RawRow(9, "Peter", [Entity("PER", "Peter", 0, 5)])


def test_an_empty_column_between_tabs_is_a_column(tmp_path: Path) -> None:
    assert read(tmp_path, "甲\tn\tB-X\n乙\t\tI-X\n\t\tw\tO\n") == [RawRow(1, "甲乙\t", [Entity("X", "甲乙", 0, 2)])]


def test_columns_aligned_with_spaces_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, "甲       B-X\n北京人   I-X\n，       O   \n") == [RawRow(1, "甲北京人，", [Entity("X", "甲北京人", 0, 4)])]


def test_neighbours_with_one_label_stay_two(tmp_path: Path) -> None:
    assert [e.text for e in one(tmp_path, "B-X", "I-X", "B-X", "I-X", "O").entities] == ["甲乙", "丙丁"]
    assert [e.text for e in one(tmp_path, "S-X", "S-X", "B-X", "E-X", "B-X", "E-X").entities] == ["甲", "乙", "丙丁", "戊己"]


def test_iob1_parts_neighbours_with_b_and_lets_i_begin(tmp_path: Path) -> None:
    row = one(tmp_path, "I-X", "I-X", "B-X", "I-X", "I-Y", "O", "I-X")
    assert [(e.label, e.text) for e in row.entities] == [("X", "甲乙"), ("X", "丙丁"), ("Y", "戊"), ("X", "庚")]
    assert row.repairs == ()


@pytest.mark.parametrize(
    ("tags", "entities", "repairs"),
    [
        (("B-X", "O", "I-X", "I-X"), [("X", "甲"), ("X", "丙丁")], ["line 3: I-X continues nothing; taken as B-X"]),
        (("B-X", "I-Y", "I-Y"), [("X", "甲"), ("Y", "乙丙")], ["line 2: I-Y continues X; taken as B-Y"]),
        (("X-B", "O", "Y-I"), [("X", "甲"), ("Y", "丙")], ["line 3: Y-I continues nothing; taken as Y-B"]),
        (("B-X", "E-X", "M-X", "E-X"), [("X", "甲乙"), ("X", "丙丁")], ["line 3: M-X continues nothing; taken as B-X"]),
        (("B-X", "E-X", "O", "E-X", "O"), [("X", "甲乙"), ("X", "丁")], ["line 4: E-X continues nothing; taken as S-X"]),
        (("S-X", "O", "I-X"), [("X", "甲"), ("X", "丙")], ["line 3: I-X continues nothing; taken as B-X"]),
        (("S-X", "E-X"), [("X", "甲"), ("X", "乙")], ["line 2: E-X continues nothing; taken as S-X"]),
        (("B-X", "M-X", "O", "B-X", "E-X"), [("X", "甲乙"), ("X", "丁戊")], ["line 2: X has no end tag; taken as ended here"]),
        (("B-X", "B-X", "E-X"), [("X", "甲"), ("X", "乙丙")], ["line 1: X has no end tag; taken as ended here"]),
        (("B-X", "E-X", "B-X", "M-X"), [("X", "甲乙"), ("X", "丙丁")], ["line 4: X has no end tag; taken as ended here"]),
        (
            ("B-X", "E-Y", "O"),
            [("X", "甲"), ("Y", "乙")],
            ["line 1: X has no end tag; taken as ended here", "line 2: E-Y continues X; taken as S-Y"],
        ),
    ],
)
def test_tags_that_contradict_each_other_are_repaired_and_noted(
    tmp_path: Path, tags: tuple[str, ...], entities: list[tuple[str, str]], repairs: list[str]
) -> None:
    row = one(tmp_path, *tags)
    assert [(e.label, e.text) for e in row.entities] == entities
    assert list(row.repairs) == repairs


def test_an_entity_does_not_run_on_over_the_end_of_a_sentence(tmp_path: Path) -> None:
    first, second = read(tmp_path, "甲 B-X\n\n乙 I-X\n")
    assert first == RawRow(1, "甲", [Entity("X", "甲", 0, 1)])
    assert second == RawRow(3, "乙", [Entity("X", "乙", 0, 1)], repairs=("line 3: I-X continues nothing; taken as B-X",))


@pytest.mark.parametrize("line", ["乙", "乙 ", " O", "乙 B", "乙 B-", "乙 X-PER", "乙 0", "乙\tO", "======", "乙 PER-B", "\u3000", "乙 o"])
def test_a_line_without_a_tag_makes_its_sentence_bad_and_no_other(tmp_path: Path, line: str) -> None:
    first, second, third = read(tmp_path, f"甲 B-X\n乙 I-X\n\n甲 B-X\n{line}\n丙 O\n\n甲 O\n")
    assert first == RawRow(1, "甲乙", [Entity("X", "甲乙", 0, 2)])
    assert third == RawRow(8, "甲", [])
    assert isinstance(second, BadRow)
    assert (second.line, second.kind) == (5, "type")
    assert repr(line) in second.reason


def test_a_file_cut_in_the_middle_of_a_tag_is_truncated(tmp_path: Path) -> None:
    for tail in ("乙", "乙 ", "乙 B", "乙 B-"):
        first, second = read(tmp_path, f"甲 B-X\n\n甲 O\n{tail}")
        assert first == RawRow(1, "甲", [Entity("X", "甲", 0, 1)])
        assert isinstance(second, BadRow)
        assert (second.line, second.kind) == (4, "truncated"), tail


def test_a_line_that_is_not_utf8_makes_its_sentence_bad_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("甲 O\n\n乙 O\n".encode() + "丙 O\n".encode("gb18030") + "丁 O\n\n戊 O".encode())
    first, second, third = read_bio(path, FileReading())
    assert (first, third) == (RawRow(1, "甲", []), RawRow(7, "戊", []))
    assert isinstance(second, BadRow)
    assert (second.line, second.kind) == (4, "encoding")


def test_a_carriage_return_within_a_line_is_no_part_of_a_tag(tmp_path: Path) -> None:
    [row] = read(tmp_path, "甲 B-X\n乙\r I-X\n丙 O\n")
    assert isinstance(row, BadRow)
    assert "carriage return" in row.reason


def test_a_file_of_something_else_is_bad_rows(tmp_path: Path) -> None:
    [row] = read(tmp_path, '{"text": "甲"}\n{"text": "乙"}\n')
    assert isinstance(row, BadRow)
    assert (row.line, row.kind) == (1, "type")
    assert read(tmp_path, "") == []


def test_the_notation_is_told_by_the_first_lines_and_the_rest_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("甲 B-X\n乙 I-X\n\n".encode() * 2000 + "乙 I-X\n".encode())
    rows = read_bio(path, FileReading())
    assert list(islice(rows, 2)) == [RawRow(1, "甲乙", [Entity("X", "甲乙", 0, 2)]), RawRow(4, "甲乙", [Entity("X", "甲乙", 0, 2)])]
    *_, last = rows
    assert last == RawRow(6001, "乙", [Entity("X", "乙", 0, 1)], repairs=("line 6001: I-X continues nothing; taken as B-X",))


def test_a_long_line_of_punctuation_takes_no_long_time(tmp_path: Path) -> None:
    rows = read(tmp_path, "甲 B-X\n\n" + ". B- " * 100_000 + "\n\n" + " " * 100_000 + ".\n\n" + "-_" * 100_000 + "\n")
    assert [type(row) for row in rows] == [RawRow, BadRow, BadRow, BadRow]


@pytest.mark.parametrize(
    ("name", "sentences", "entities", "labels", "ideographic_spaces"),
    [
        ("chinese_medical/medical_train.txt", 5_259, 12_634, 10, 33),
        ("chinese_medical/medical_eval.txt", 657, 1_620, 10, 0),
        ("resume/dev.char.bmes", 463, 1_497, 8, 0),
    ],
)
def test_the_real_files_have_the_known_counts(name: str, sentences: int, entities: int, labels: int, ideographic_spaces: int) -> None:
    rows = list(read_bio(real(name), FileReading()))
    good = [row for row in rows if isinstance(row, RawRow)]
    assert (len(rows), len(good)) == (sentences, sentences)
    assert sum(len(row.entities) for row in good) == entities
    assert len(Counter(e.label for row in good for e in row.entities)) == labels
    assert sum(row.text.count("\u3000") for row in good) == ideographic_spaces
    assert not any(row.repairs or misplaced(row) for row in good)
