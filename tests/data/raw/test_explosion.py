from typing import Any

import pytest

from tools.data.raw.explosion import unpacked
from tools.data.raw.fields import Unusable


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (["好看", {"entities": []}], {"text": "好看", "entities": []}),
        (["好看", {"cats": {"影评": 1.0, "体育": 0}}], {"text": "好看", "cats": {"影评": 1.0, "体育": 0}, "label": "影评"}),
        ({"text": "好看", "accept": ["影评"], "answer": "accept"}, {"text": "好看", "accept": ["影评"], "answer": "accept", "label": "影评"}),
        ({"text": "好看", "label": "影评", "answer": "accept"}, {"text": "好看", "label": "影评", "answer": "accept"}),
        ({"text": "好看", "answer": "四"}, {"text": "好看", "answer": "四"}),
        (["甲", "乙"], ["甲", "乙"]),
        ([1], [1]),
        (None, None),
    ],
)
def test_a_pair_and_an_accepted_choice_become_an_object_and_everything_else_stays(value: Any, row: Any) -> None:
    assert unpacked(value) == row


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        ({"text": "好看", "label": "影评", "answer": "reject"}, ["turned-down"], "took the row out"),
        ({"text": "好看", "spans": [], "answer": "ignore"}, ["turned-down"], "took the row out"),
        ({"text": "好看", "accept": [], "answer": "accept"}, ["unannotated"], "no class in 'accept'"),
        ({"text": "好看", "accept": ["影评", "体育"], "answer": "accept"}, ["several"], "several classes in 'accept'"),
        (["好看", {"cats": {"影评": 0.9, "体育": 0.6}}], ["several"], "several classes in 'cats'"),
    ],
)
def test_a_row_that_was_turned_down_or_has_several_classes_is_named(value: Any, kind: list[str], reason: str) -> None:
    with pytest.raises(Unusable, match=reason) as error:
        unpacked(value)
    assert [*error.value.args[1:]] == kind


def test_a_yes_or_no_to_one_suggested_span_is_no_annotation_of_its_text() -> None:
    with pytest.raises(Unusable, match=r"ner.teach") as error:
        unpacked({"text": "林晓在杭州", "spans": [{"start": 0, "end": 2, "label": "PER"}], "answer": "accept", "_view_id": "ner"})
    assert error.value.args[1] == "named"


def test_a_choice_by_number_is_the_options_text() -> None:
    row = unpacked({"text": "好看", "options": [{"id": 0, "text": "影评"}, {"id": 1, "text": "体育"}], "accept": [1], "answer": "accept"})
    assert row["label"] == "体育"
