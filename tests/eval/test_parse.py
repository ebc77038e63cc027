import pytest

from tools.conf import Answer
from tools.eval.parse import parse


@pytest.mark.parametrize(
    ("output", "pairs"),
    [
        ("[]", []),
        ('[{"label": "name", "text": "叶老桂"}]', [("name", "叶老桂")]),
        ('[{"label":"a","text":"\\"x\\\\"},{"label":"a","text":"\\"x\\\\"}]', [("a", '"x\\')]),
        ('```json\n[{"label": "a", "text": "b"}]\n```', [("a", "b")]),
        ('```[{"label": "a", "text": "b"}]```', [("a", "b")]),
        ('  {"label": "a", "text": "b", "extra": 1}\n', [("a", "b")]),
        ("", None),
        ("没有", None),
        ("3", None),
        ('[{"label": "a"}]', None),
        ('[{"label": "a", "text": 3}]', None),
        ('[{"label": "a", "text": "b"}, "x"]', None),
        ('[{"label": "a", "text": "b"}', None),
        ("__import__('os')", None),
        ("[" * 100_000, None),
        ("9" * 100_000, None),
        ("<script>alert(1)</script>", None),
    ],
)
def test_an_answer_is_pairs_or_unparsable(output: str, pairs: list[tuple[str, str]] | None) -> None:
    assert parse(output, Answer()) == pairs


def test_the_tasks_own_field_names_are_read() -> None:
    assert parse('[{"entity_text": "中国", "entity_label": "GPE"}]', Answer(label="entity_label", text="entity_text")) == [("GPE", "中国")]
