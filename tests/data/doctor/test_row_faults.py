"""The doctor and the converter see the same rows: what the one refuses the other calls an error. The kinds one by one are in test_check.py."""

from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tools.conf.task import Task, load_task
from tools.data.convert import row_problem
from tools.data.doctor.findings import ERROR, KINDS
from tools.data.doctor.mend import mend
from tools.data.doctor.row_faults import faults
from tools.data.readers.row import RawRow
from tools.data.sources import of_kind
from tools.example import Entity

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
    )


class_rows = st.builds(RawRow, st.just(1), texts, st.just([]), st.none() | texts, st.none() | st.lists(texts, max_size=3))


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(row=rows() | class_rows)
def test_what_conversion_refuses_is_an_error_here(row: RawRow) -> None:
    for task in tasks():
        if row_problem(of_kind(row, task), task):  # the converter too looks at what the task is about
            assert any(KINDS[kind].severity == ERROR for kind, _ in faults(of_kind(row, task), task))


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(row=rows() | class_rows)
def test_a_row_mended_once_has_nothing_left_to_mend(row: RawRow) -> None:
    for task in tasks():
        mended, _ = mend(of_kind(row, task), task)
        kinds = {kind for kind, _ in faults(mended, task)}
        assert kinds & {"empty-entity", "repeated-entity", "edges", "control", "options-repeat", "surrogate"} == set()
        again, done = mend(mended, task)
        assert (again, dict(done)) == (mended, {})
