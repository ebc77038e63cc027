import pytest

from tools.data.raw.fields import Unusable
from tools.data.raw.row import FileReading
from tools.data.readers.span_mentions import PARTS, Mention, Spelling, mentions, spelling

TEXT = "赵小云住在无锡"


@pytest.mark.parametrize("name", PARTS["start"].split()[:12])
def test_case_and_dashes_dont_count_in_a_parts_name(name: str) -> None:
    for spelled in (name.upper(), f"{name[:1]}_{name[1:]}", name.title()):
        assert spelling((spelled, "end", "label")) == Spelling(spelled, "end", "", "", "label", "")


@pytest.mark.parametrize(
    ("keys", "label", "text"),
    [
        (("start", "end", "type", "entity"), "type", "entity"),
        (("start", "end", "entity", "word"), "entity", "word"),
        (("start", "end", "entity_group", "score", "word"), "entity_group", "word"),
        (("label", "text"), "label", "text"),
        (("类型", "实体"), "类型", "实体"),
        (("start", "end"), "", ""),
    ],
)
def test_entity_is_a_string_beside_a_type_and_a_label_beside_a_string(keys: tuple[str, ...], label: str, text: str) -> None:
    found = spelling(keys)
    assert (found.label, found.text) == (label, text)


def test_the_tasks_words_come_before_the_table() -> None:
    assert spelling(("from", "start", "end", "label", "kind"), (("start", "from"), ("label", "kind"))) == Spelling("from", "end", "", "", "kind", "")


def test_a_span_of_several_labels_is_several_mentions() -> None:
    found = mentions({"start": 0, "end": 3, "labels": ["人名", "员工"]}, TEXT, FileReading())
    assert found == [Mention("人名", 0, 3, None), Mention("员工", 0, 3, None)]


def test_a_number_is_a_label_only_where_the_task_names_it() -> None:
    reading = FileReading(numbers=["人名", "地点"])
    assert mentions([0, 3, 1], TEXT, reading) == mentions({"start": 0, "end": 3, "label": 1}, TEXT, reading) == [Mention("地点", 0, 3, None)]
    for value in ({"start": 0, "end": 3, "label": 2}, {"start": 0, "end": 3, "label": True}, {"start": 0, "end": 3, "label": None}):
        with pytest.raises(Unusable):
            mentions(value, TEXT, reading)
