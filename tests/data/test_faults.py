"""Conversion, the doctor and the mended copy agree about a row. doctor/test_examine.py tests the kinds one by one."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.chat.answer_formats import FORMATS
from tools.chat.prompt import answer
from tools.conf.task import Answer, Task, load_task
from tools.data.convert import row_problem
from tools.data.doctor.findings import ERROR, KINDS
from tools.data.doctor.mend import mend
from tools.data.doctor.row_faults import faults
from tools.data.faults import alike, errors
from tools.data.raw.row import RawRow
from tools.data.sources import of_kind
from tools.example import Entity, Example

texts = st.text(st.sampled_from("甲乙丙 \u3000\t\ud800\x01\ufffd\u200b{}<|>A😀"), max_size=8)
entities = st.builds(Entity, st.sampled_from(["name", "game", "NAME", "nmae", ""]), texts, st.integers(-2, 9), st.integers(-2, 9))


@st.composite
def rows(draw: st.DrawFn) -> RawRow:
    """A row whose entities mostly agree with its text."""
    text = draw(texts)
    found = draw(st.lists(entities, max_size=3))
    found = [one if draw(st.booleans()) else Entity(one.label, text[max(one.start, 0) : max(one.end, 0)], one.start, one.end) for one in found]
    return RawRow(1, text, found)


@cache
def tasks() -> tuple[Task, ...]:
    return (
        load_task(Path("conf/task/clue.yaml")),
        load_task(Path("conf/task/fudan.yaml")),
        load_task(Path("conf/task/clue.yaml"), ["reader=label_studio"]),
        load_task(Path("conf/task/clue.yaml"), ["answer.format=inline"]),
    )


class_rows = st.builds(RawRow, st.just(1), texts, st.just([]), st.none() | texts, st.none() | st.lists(texts, max_size=3))


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(row=rows() | class_rows)
def test_conversion_refuses_a_row_exactly_where_the_doctor_has_an_error(row: RawRow) -> None:
    for task in tasks():
        looked_at = of_kind(row, task)  # the annotation of the task's kind
        wrong = [kind for kind, _ in faults(looked_at, task) if KINDS[kind].severity == ERROR]
        if set(wrong) != {"empty-entity"}:  # conversion takes an entity that is only whitespace
            assert bool(row_problem(looked_at, task)) is bool(wrong)
        assert {kind for kind, _ in errors(looked_at, task)} <= set(wrong)


@pytest.mark.parametrize(
    ("entity", "message"),
    [
        (Entity("name", "乙丙", 1, 4), "'乙丙' (name) isn't at [1, 4); the text there is '乙丙丁'."),
        (Entity("name", "丁", 3, 5), "'丁' (name) isn't at [3, 5); the text has 4 characters."),
        (Entity("name", "丁", -1, 4), "'丁' (name) isn't at [-1, 4); the text has 4 characters."),
        (Entity("name", "", 2, 2), "'' (name) isn't at [2, 2); the text has 4 characters."),
    ],
)
def test_an_entity_that_stands_elsewhere_is_named_with_the_text_at_its_offsets(entity: Entity, message: str) -> None:
    row = RawRow(1, "甲乙丙丁", [Entity("name", "甲", 0, 1), entity])
    assert row_problem(row, tasks()[0]) == message


def test_entities_that_cross_are_a_fault_where_an_answer_marks_them_in_the_text() -> None:
    row = RawRow(
        1, "甲乙丙丁", [Entity("name", "甲乙", 0, 2), Entity("game", "甲乙丙丁", 0, 4), Entity("name", "乙丙", 1, 3), Entity("game", "乙丙", 1, 3)]
    )
    assert row_problem(row, tasks()[3]) == "'甲乙' [0, 2) and '乙丙' [1, 3) cross, and an answer in the format inline can't mark both."
    assert row_problem(row, tasks()[0]) == ""


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(row=rows())
def test_every_row_without_a_fault_has_an_answer_in_every_format(row: RawRow) -> None:
    for form in FORMATS:
        task = tasks()[0].changed(answer=Answer(format=form))
        if not row_problem(row, task):
            assert answer(task, Example("x", row.text, row.entities))


def test_a_row_with_many_faults_shows_the_first_few_and_each_once() -> None:
    row = RawRow(1, "甲", [Entity(label, "甲", 0, 1) for label in ("a", "a", "b", "c", "d")])
    problem = row_problem(row, tasks()[0])
    assert [problem.count(f"label '{label}'") for label in "abcd"] == [1, 1, 1, 0]


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(row=rows() | class_rows)
def test_a_row_mended_once_has_nothing_left_to_mend(row: RawRow) -> None:
    for task in tasks():
        mended, _ = mend(of_kind(row, task), task)
        kinds = {kind for kind, _ in faults(mended, task)}
        assert kinds & {"empty-entity", "repeated-entity", "edges", "control", "options-repeat", "surrogate"} == set()
        again, done = mend(mended, task)
        assert (again, dict(done)) == (mended, {})


def test_names_that_differ_in_case_width_or_spaces_alone_are_alike() -> None:
    assert alike(["PER", "LOC", "per", "ＰＥＲ ", "体育", "体 育", "PER"]) == [["PER", "per", "ＰＥＲ "], ["体育", "体 育"]]
    assert alike(["PER", "PERS", "体育", "体育类"]) == []
