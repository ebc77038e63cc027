"""The trained form of an answer, and what is near it."""

import pytest

from tools.answers.parse import parse
from tools.answers.trained import parse_plain
from tools.conf.task import Task, find_task


@pytest.fixture(scope="module")
def task() -> Task:
    names = {"PER": "人名", "LOC": "地点", "ORG": "组织"}
    return find_task("clue").changed(names=names, aliases={"PER": ["姓名", "person"], "ORG": ["机构"]})


def test_the_trained_answer_is_read_by_the_short_way_and_nothing_that_is_near_it(task: Task) -> None:
    plain = '[{"label": "人名", "text": "张三"}, {"label": "组织", "text": "北京大学"}]'
    assert (parse_plain(plain, task), parse_plain("[]", task)) == ([("PER", "张三"), ("ORG", "北京大学")], [])
    assert parse_plain(plain, task) == parse(plain, task).pairs
    near = ["", "[", "[{", "[]]", plain[:-1], plain[1:], plain + "\n", plain + " ", " " + plain, plain + plain, plain + "]", "[" + plain]
    near += [plain.replace("}, {", between) for between in ("},{", "}  {", "} ,{", "},  {", "}, x{", "},\n{", "}], [{", "}, [{")]
    near += [plain.replace("张三", string) for string in ('张"三', "张\\三", "张\n三", "无", "None", "")]
    near += [plain.replace("人名", label) for label in ("PER", "姓名", "人名 ", "物名", "")]
    near += [plain.replace('"text"', name) for name in ('"name"', '"label"', "'text'", '"text" ')]
    near += [
        '[{"text": "张三", "label": "人名"}]',
        '[{"label": "人名", "text": "张三", "n": 1}]',
        '[{"label": "人名"}]',
        '[{"label": "人名", "text": "张三"}, ]',
    ]
    assert [output for output in near if parse_plain(output, task) is not None] == []


def test_an_answer_that_never_ends_is_no_work_for_the_short_way(task: Task) -> None:
    for piece in ('{"label": "', '{"label": "人名", "text": "', '{"label": "人名", "text": "甲"}, ', '"', "甲"):
        assert parse_plain("[{" + piece * (1_000_000 // len(piece)), task) is None
