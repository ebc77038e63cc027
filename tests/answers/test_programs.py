"""Answers that are programs: what they assert, and what they only do."""

import pytest

from tools.answers.parse import parse
from tools.answers.programs import as_objects, is_program
from tools.conf.task import find_task

SENTENCE = "郑小芹在泉州开了一家茶馆。"


@pytest.mark.parametrize(
    ("output", "pairs"),
    [
        ('```python\nimport json\nprint(json.dumps([{"label": "name", "text": "郑小芹"}]))\n```', [("name", "郑小芹")]),
        ('```python\ndef ner(text):\n    found = {"name": [], "address": []}\n    return found\n```', None),
        ("for word, tag in cut(text):\n    if tag == 'nr':\n        print('name', word)", None),
        ('print("[]")', None),
        ('import re\nrules = {"name": "[a-z]+", "address": ".*州"}', None),
    ],
)
def test_a_program_asserts_the_values_that_the_sentence_has(output: str, pairs: list[tuple[str, str]] | None) -> None:
    assert parse(output, find_task("clue"), SENTENCE).pairs == pairs


def test_words_of_an_answer_are_no_program() -> None:
    assert not any(map(is_program, ["class name: 郑小芹", "If there is none: []", "For example: 泉州", "returns: []"]))


def test_calls_become_objects() -> None:
    assert as_objects('E(text="郑小芹", label="name")', str.isdecimal) == '{"text": "郑小芹", "label": "name"}'
    assert as_objects('Name(span="郑小芹")', str.istitle) == '{"Name": {"span": "郑小芹"}}'
    assert as_objects("f(x)", str.istitle) == "f(x)"
