"""The strings that are wrong most often, and labels that the task doesn't have, with what may be written into its file."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tools.conf.task import Task, load_task
from tools.report.wrong_strings import LONGEST_ALIAS, STRINGS, UNKNOWN_LABELS, WrongStrings
from tools.score.mistakes import Mistake

PairOrNone = tuple[str, str] | None


def counted(*mistakes: tuple[PairOrNone, PairOrNone]) -> WrongStrings:
    found = WrongStrings()
    found.add([Mistake("any", gold, predicted) for gold, predicted in mistakes], {"name", "address"})
    return found


@pytest.fixture
def task(write_task: Callable[..., Path]) -> Task:
    return load_task(write_task(labels={"name": "人名", "address": "地址"}, aliases={"name": ["person"]}))


def test_each_labels_most_frequent_strings_come_first_on_the_side_where_they_are_wrong() -> None:
    found = counted(*[(("name", "海棠"), ("address", "海棠"))] * 3, (("name", "南湾"), None), (None, ("address", "东港")))
    assert found.frequent(["address", "company", "name"]) == [
        {"label": "address", "extra": [["海棠", 3], ["东港", 1]], "missed": []},
        {"label": "name", "extra": [], "missed": [["海棠", 3], ["南湾", 1]]},
    ]
    many = counted(*[(None, ("name", f"甲{n}")) for n in range(STRINGS + 3)], (None, ("name", "乙" * 10_000)), (None, ("name", "乙" * 10_000)))
    (one,) = many.frequent(["name"])
    assert len(one["extra"]) == STRINGS and len(str(one["extra"][0][0])) == 201


def test_a_class_has_no_string_that_could_be_wrong() -> None:
    assert counted((("name", ""), ("address", ""))).frequent(["name", "address"]) == []


def test_an_unknown_label_names_what_gold_has_for_its_strings_and_an_alias_is_proposed_where_most_agree(task: Task) -> None:
    found = counted(
        *[(("name", f"甲{n}"), ("姓名", f"甲{n}")) for n in range(3)],
        (None, ("姓名", "乙")),
        *[(("address", f"丙{n}"), ("处所", f"丙{n}")) for n in range(3)],
        *[(None, ("处所", "丁"))] * 3,  # no more than half
        *[(("address", "戊"), ("地方", "戊"))] * 2,  # may be chance
        (None, ("时间", "昨天")),
    )
    unknown = found.unknown_labels(task)
    assert [tuple(one.values()) for one in unknown["labels"]] == [
        ("处所", 6, "address", 3),
        ("姓名", 4, "name", 3),
        ("地方", 2, "address", 2),
        ("时间", 1, None, 0),
    ]
    proposed = yaml.safe_load(unknown["aliases"])
    assert proposed == {"aliases": {"name": ["person", "姓名"]}}, "the task's own aliases are kept"
    assert load_task(task.path, [f"aliases={proposed['aliases']}"]).spellings["姓名"][0] == "name"


@pytest.mark.parametrize("word", ["x" * (LONGEST_ALIAS + 1), " ", "无", "PERSON", "甲\u200b乙", 'a"b: [#'])
def test_what_cant_be_an_alias_is_listed_and_not_proposed_and_any_other_word_is_quoted(task: Task, word: str) -> None:
    unknown = counted(*[(("address", str(n)), (word, str(n))) for n in range(3)]).unknown_labels(task)
    assert unknown["labels"][0]["count"] == 3
    if '"' in word:
        assert yaml.safe_load(unknown["aliases"])["aliases"]["address"] == [word]
    else:
        assert unknown["aliases"] == ""


def test_the_list_of_unknown_labels_has_an_end(task: Task) -> None:
    unknown = counted(*[(None, (f"标签{n}", "甲")) for n in range(UNKNOWN_LABELS + 7)]).unknown_labels(task)
    assert (len(unknown["labels"]), unknown["left"], unknown["aliases"]) == (UNKNOWN_LABELS, 7, "")
