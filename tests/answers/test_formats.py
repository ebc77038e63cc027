"""An answer in the task's own format is in the trained form; one in another format is read, and never counts as trained."""

import pytest

from tools.answers.parse import RULES, Parsed, parse
from tools.conf.task import Answer, Task, find_task

TEXT = "他在北京大学读书，北京很大。"
FORMS = ("json", "grouped", "lines", "inline")
ADDRESS = {
    "json": '[{"label": "address", "text": "北京"}]',
    "grouped": '{"address": ["北京"]}',
    "lines": "address: 北京",
    "inline": "他在[北京 | address]大学读书，北京很大。",
}
EMPTY = {"json": "[]", "grouped": "{}", "lines": "[]", "inline": TEXT}


def task_of(form: str) -> Task:
    return find_task("clue").changed(answer=Answer(format=form))


def read(form: str, output: str, cut: bool = False) -> Parsed:
    return parse(output, task_of(form), TEXT, cut)


@pytest.mark.parametrize("form", FORMS)
def test_the_tasks_own_format_needs_no_rule(form: str) -> None:
    parsed, empty = read(form, ADDRESS[form]), read(form, EMPTY[form])
    assert (parsed.pairs, parsed.rules, empty.pairs, empty.rules) == ([("address", "北京")], (), [], ())
    assert (parsed.spans, empty.spans) == (((("address", 2, 4),), ()) if form == "inline" else (None, None))


@pytest.mark.parametrize(("form", "other"), [(form, other) for form in FORMS for other in FORMS if form != other])
def test_another_format_is_read_and_needs_a_rule(form: str, other: str) -> None:
    parsed = read(form, ADDRESS[other])
    assert (parsed.pairs, parsed.spans) == ([("address", "北京")], None)
    assert parsed.rules and set(parsed.rules) <= set(RULES)
    if form != "json":
        assert "layout" in parsed.rules


@pytest.mark.parametrize(
    ("form", "output", "pairs", "rules"),
    [
        ("grouped", '{"address":["北京"]}', [("address", "北京")], ()),
        ("grouped", '{"地址": ["北京"]}', [("address", "北京")], ("label_name",)),
        ("grouped", '{"address": ["北京"], "foo": ["大学"]}', [("address", "北京"), ("foo", "大学")], ()),
        ("grouped", '{"address": ["无"]}', [], ("nothing",)),
        ("grouped", '{"entities": ["北京"]}', None, ()),
        ("grouped", '{"text": ["北京"], "label": ["address"]}', [("address", "北京")], ("layout",)),
        ("grouped", '{"address": ["北京"], "address": ["读书"]}', [("address", "北京"), ("address", "读书")], ("layout",)),
        ("grouped", '{"address": ["北京"], "name": ["他', [("address", "北京")], ("cut_off", "layout")),
        ("grouped", "[]", [], ("layout",)),
        ("lines", "地址: 北京", [("address", "北京")], ("label_name",)),
        ("lines", "address: 北京\nfoo: 上海", [("address", "北京"), ("foo", "上海")], ()),
        ("lines", "foo: 北京", [("foo", "北京")], ()),
        ("lines", "address: 北京\nname: 无", [("address", "北京")], ("nothing",)),
        ("lines", "address: 甲\\n乙\\\\", [("address", "甲\n乙\\")], ()),
        ("lines", "Note: there is none here", None, ()),
        ("lines", "答案: 北京", None, ()),
        ("lines", "- address: 北京", [("address", "北京")], ("lines",)),
        ("lines", "address：北京", [("address", "北京")], ("lines",)),
        ("inline", "他在[北京 | 地址]大学读书，北京很大。", [("address", "北京")], ("label_name",)),
        ("inline", "他在[北京 | foo]大学读书，北京很大。", [("foo", "北京")], ()),
        ("inline", "他在[[北京 | address]大学 | organization]读书，北京很大", [("organization", "北京大学"), ("address", "北京")], ("marks",)),
        ("inline", "他在[北京 | address]大学读[书 | bo", [("address", "北京")], ("marks",)),
        ("inline", f"{TEXT}\n", [], ("marks",)),
        ("inline", "在[北京 | address]和[大学 | foo]", [("address", "北京"), ("foo", "大学")], ("marks",)),
        ("inline", "写成[文字 | 标签]", None, ()),
        ("inline", "他在北京大学读书", None, ()),
        ("inline", "没有实体", [], ("nothing",)),
    ],
)
def test_what_comes_near_a_format_is_read_with_the_rule_that_it_took(form: str, output: str, pairs: list | None, rules: tuple[str, ...]) -> None:
    parsed = read(form, output)
    assert (parsed.pairs, parsed.rules) == (pairs, rules)


def test_a_label_by_another_name_keeps_its_place() -> None:
    assert read("inline", "他在北京大学读书，[北京 | 地址]很大。").spans == (("address", 9, 11),)
    assert read("inline", "他在北京大学读书，[北京 | address]很大").spans is None


def test_a_word_for_nothing_is_an_entity_where_the_text_is_marked() -> None:
    assert parse("无锡的[无 | name]", task_of("inline"), "无锡的无").spans == (("name", 3, 4),)
    assert parse("[无 | address]锡", task_of("inline"), "无锡") == Parsed([("address", "无")], spans=(("address", 0, 1),))


def test_without_the_text_no_place_is_told() -> None:
    parsed = parse(ADDRESS["inline"], task_of("inline"))
    assert (parsed.pairs, parsed.rules, parsed.spans) == ([("address", "北京")], ("marks",), None)


def test_the_last_line_of_an_answer_that_was_stopped_may_be_half_a_line() -> None:
    assert read("lines", "address: 北京\norganization: 北京大", cut=True) == Parsed([("address", "北京")], ("cut_off",), True)
    assert read("lines", "address: 北", cut=True) == Parsed(None, ("cut_off",), True)
    assert read("json", ADDRESS["json"], cut=True) == read("json", ADDRESS["json"])


def test_an_answer_without_end_is_read_in_any_format() -> None:
    for piece in ("address: 北京\n", "[北京 | address]", '{"address": ["北京"]}, ', "[[", "\\[", " | "):
        for form in FORMS:
            assert isinstance(read(form, piece * (60_000 // len(piece))), Parsed)
