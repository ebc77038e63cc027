from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.tagging.conftest import read
from tools.data.raw.row import BadRow, RawRow
from tools.example import Entity

NESTED = [Entity("ORG", "北京大学", 0, 4), Entity("LOC", "北京", 0, 2)]
PERSON = RawRow(1, "李四来", [Entity("PER", "李四", 0, 2)])


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("gap", ["\n", ""])
def test_a_first_column_that_counts_is_an_index_and_may_begin_sentences(tmp_path: Path, first: int, gap: str) -> None:
    sentence = "".join(f"{place} {line}\n" for place, line in enumerate(["李 B-PER", "四 I-PER", "来 O"], first))
    rows, rules = read(tmp_path, f"{sentence}{gap}" * 2)
    assert rows == [PERSON, RawRow(5 if gap else 4, PERSON.text, PERSON.entities)]
    assert "column 1 counts the tokens" in rules
    assert ("a sentence begins where" in rules) is not gap


def test_an_index_may_run_on_over_sentences(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "7\t李\tB-PER\n8\t四\tI-PER\n9\t来\tO\n\n10\t好\tO\n11\t的\tO\n")
    assert rows == [PERSON, RawRow(5, "好的", [])]


def test_numbers_that_do_not_count_are_tokens(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "1 m B-X\n3 m I-X\n4 m O\n")
    assert rows == [RawRow(1, "134", [Entity("X", "13", 0, 2)])]


@pytest.mark.parametrize("number", ["{}", "s-{}", "Sentence: {}"])
@pytest.mark.parametrize("gap", ["\n", ""])
def test_a_column_that_is_one_for_each_sentence_is_its_number(tmp_path: Path, number: str, gap: str) -> None:
    lines = ["李\tB-PER", "四\tI-PER", "来\tO"]
    rows, rules = read(tmp_path, "".join("".join(f"{number.format(place)}\t{line}\n" for line in lines) + gap for place in (1, 2, 3)))
    assert [row.text for row in rows if isinstance(row, RawRow)] == ["李四来"] * 3
    assert "column 1 numbers the sentences" in rules


@pytest.mark.parametrize("lead", [["d1"] * 3, ["0\t1", "1\t2", "2\t3"], ["0\t3", "3\t4", "4\t9"], ["s1\t1", "s1\t2", "s1\t3"]])
def test_names_of_documents_and_numbers_of_places_are_no_tokens(tmp_path: Path, lead: list[str]) -> None:
    lines = ["李\tB-PER", "四\tI-PER", "来\tO"]
    rows, rules = read(tmp_path, "".join(f"{one}\t{line}\n" for one, line in zip(lead, lines, strict=True)) + "\n")
    assert rows == [PERSON]
    assert "passed over" in rules


def test_a_column_of_chinese_behind_another_is_asked_about(tmp_path: Path) -> None:
    data = "NR\t李四\tB-PER\nV\t来\tO\n"
    [asked], _ = read(tmp_path, data)
    assert isinstance(asked, BadRow)
    assert "fields.tokens=2" in asked.reason
    assert read(tmp_path, data, tokens="2")[0] == [PERSON]


def test_columns_of_single_characters_are_columns(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "李 _ _ O\n\n" + "来 _ _ O\n" * 50)
    assert rows == [RawRow(1, "李", []), RawRow(3, "来" * 50, [])]


def test_two_columns_of_tags_are_two_layers(tmp_path: Path) -> None:
    rows, rules = read(tmp_path, "北\tB-ORG\tB-LOC\n京\tI-ORG\tI-LOC\n大\tI-ORG\tO\n学\tI-ORG\tO\n")
    assert rows == [RawRow(1, "北京大学", NESTED)]
    assert "columns 2, 3 have the tags" in rules


def test_layers_of_labels_without_letters_are_layers_too(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "北 ORG LOC\n京 ORG LOC\n大 ORG O\n学 ORG O\n的 O O\n")
    assert rows == [RawRow(1, "北京大学的", NESTED)]


def test_a_layer_that_is_empty_at_first_is_read(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "甲 B-ORG O\n\n" * 5000 + "甲 B-ORG B-LOC\n")
    assert isinstance(rows[-1], RawRow)
    assert len(rows[-1].entities) == 2


@pytest.mark.parametrize("tags", ["NNP B-NP B-ORG", "NNP B-ORG NNP", "_ _ B-ORG", "-X- _ B-ORG"])
def test_parts_of_speech_and_chunks_are_no_layers(tmp_path: Path, tags: str) -> None:
    rows, rules = read(tmp_path, f"Rome {tags}\n在 {tags.replace('NNP', 'V').replace('B-NP', 'B-VP').replace('B-ORG', 'O')}\n")
    assert rows == [RawRow(1, "Rome在", [Entity("ORG", "Rome", 0, 4)])]
    assert "passed over" in rules


def test_gold_and_predicted_tags_are_no_layers_and_the_task_says_which(tmp_path: Path) -> None:
    data = "李 B-PER B-PER\n四 I-PER I-PER\n来 O O\n广 O B-LOC\n"
    [asked], _ = read(tmp_path, data)
    assert isinstance(asked, BadRow)
    assert "fields.tags=2" in asked.reason
    numbered = "".join(f"{place} {line}\n" for place, line in enumerate(data.splitlines()))
    assert read(tmp_path, numbered, tags="3")[0] == read(tmp_path, data, tags="2")[0]
    rows, _ = read(tmp_path, data, tags="2")
    assert rows == [RawRow(1, "李四来广", [Entity("PER", "李四", 0, 2)])]
    [row], _ = read(tmp_path, data, tags="9")
    assert isinstance(row, BadRow)
    assert "1 to 3" in row.reason


def test_a_tag_before_its_token_is_read(tmp_path: Path) -> None:
    rows, rules = read(tmp_path, "B-PER\t李\nI-PER\t四\nO\t来\n")
    assert rows == [PERSON]
    assert "column 2 has the tokens, column 1 the tags" in rules


def test_conllu_has_its_tags_under_ner(tmp_path: Path) -> None:
    rest = "_\tNR\t_\t_\t2\tx\t_"
    data = f"# sent_id = 1\n# text = 李四来\n1-2\t李四来\t{rest}\t_\n1\t李四\t{rest}\tSpaceAfter=No|NER=B-PER\n2\t来\t{rest}\t_\n"
    rows, rules = read(tmp_path, data)
    assert rows == [RawRow(4, "李四来", PERSON.entities)]
    assert "NER=" in rules


def test_a_column_that_parts_the_text_into_words_is_no_layer(tmp_path: Path) -> None:
    rows, rules = read(tmp_path, "李\tB-W\tB-PER\n四\tE-W\tI-PER\n来\tS-W\tO\n\n" * 9)
    assert rows[0] == PERSON
    assert "column 2 was passed over" in rules
