from typing import Any

import pytest

from tools.data.readers.row import RawRow, offset_problem, shown
from tools.example import Entity


def problem(text: str, *entities: Entity) -> str:
    return offset_problem(RawRow(1, text, list(entities)))


def test_strings_that_stand_at_their_offsets_are_no_problem() -> None:
    assert problem("甲乙丙丁", Entity("name", "乙丙", 1, 3), Entity("name", "甲乙丙丁", 0, 4)) == ""
    assert problem("") == ""


@pytest.mark.parametrize(
    ("entity", "message"),
    [
        (Entity("name", "乙丙", 1, 4), "'乙丙' (name) isn't at [1, 4); the text there is '乙丙丁'."),
        (Entity("name", "丁", 3, 5), "'丁' (name) isn't at [3, 5); the text there is '丁'."),  # past the end
        (Entity("name", "丁", -1, 4), "'丁' (name) isn't at [-1, 4); the text there is '甲乙丙丁'."),
        (Entity("name", "丁", -1, 0), "'丁' (name) isn't at [-1, 0); the text there is ''."),
        (Entity("name", "", 2, 2), "'' (name) isn't at [2, 2); the text there is ''."),  # empty
        (Entity("name", "", 3, 1), "'' (name) isn't at [3, 1); the text there is ''."),  # backwards
        (Entity("name", "", 9, 12), "'' (name) isn't at [9, 12); the text there is ''."),
    ],
)
def test_an_entity_that_is_elsewhere_is_named_with_what_is_there(entity: Entity, message: str) -> None:
    assert problem("甲乙丙丁", Entity("name", "甲", 0, 1), entity) == message


@pytest.mark.parametrize(
    "value", ["字" * 10**6, list(range(10**6)), {"a": [[[[[[[[]]]]]]]]}, "一\n二\u2028", "\ud800", {str(i): "字" * 90 for i in range(9)}, 10**400]
)
def test_a_message_stays_one_short_line_whatever_it_quotes(value: Any) -> None:
    assert len(shown(value)) <= 150
    assert len(shown(value).splitlines()) == 1
    shown(value).encode()
