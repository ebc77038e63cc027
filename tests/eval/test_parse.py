from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf import load_task
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
def test_an_answer_is_pairs_or_unparsable(write_task: Callable[..., Path], output: str, pairs: list[tuple[str, str]] | None) -> None:
    assert parse(output, load_task(write_task())).pairs == pairs


def test_the_tasks_own_field_names_are_read(write_task: Callable[..., Path]) -> None:
    task = load_task(write_task(answer={"label": "entity_label", "text": "entity_text"}))
    assert parse('[{"entity_text": "中国", "entity_label": "GPE"}]', task).pairs == [("GPE", "中国")]
