from typing import Any

import pytest

from tools.data.raw.row import RawRow, misplaced, shown
from tools.example import Entity


def wrong(text: str, *entities: Entity) -> list[Entity]:
    return misplaced(RawRow(1, text, list(entities)))


def test_strings_that_stand_at_their_offsets_are_not_misplaced() -> None:
    assert wrong("甲乙丙丁", Entity("name", "乙丙", 1, 3), Entity("name", "甲乙丙丁", 0, 4)) == []
    assert wrong("") == []


@pytest.mark.parametrize(
    ("string", "start", "end"),
    [
        ("乙丙", 1, 4),
        ("丁", 3, 5),  # past the end
        ("丁", -1, 4),
        ("丁", -1, 0),
        ("", 2, 2),  # empty
        ("", 3, 1),  # backwards
        ("", 9, 12),
    ],
)
def test_an_entity_that_stands_elsewhere_is_misplaced(string: str, start: int, end: int) -> None:
    entity = Entity("name", string, start, end)
    assert wrong("甲乙丙丁", Entity("name", "甲", 0, 1), entity) == [entity]


@pytest.mark.parametrize(
    "value", ["字" * 10**6, list(range(10**6)), {"a": [[[[[[[[]]]]]]]]}, "一\n二\u2028", "\ud800", {str(i): "字" * 90 for i in range(9)}, 10**400]
)
def test_a_message_stays_one_short_line_whatever_it_quotes(value: Any) -> None:
    assert len(shown(value)) <= 150
    assert len(shown(value).splitlines()) == 1
    shown(value).encode()
