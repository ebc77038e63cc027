from pathlib import Path

import pytest

from tools.errors import ToolError
from tools.example import Entity, Example, read_examples


def test_an_example_survives_being_written_and_read(tmp_path: Path) -> None:
    example = Example("t-dev-000001", '他说"走"\\', [Entity("name", '"走"', 2, 5)])
    (tmp_path / "e.jsonl").write_text(example.to_json() + "\n", encoding="utf-8")
    assert list(read_examples(tmp_path / "e.jsonl")) == [example]


def test_pairs_are_unique_and_keep_their_order() -> None:
    example = Example("x", "甲乙甲", [Entity("b", "乙", 1, 2), Entity("a", "甲", 0, 1), Entity("a", "甲", 2, 3)])
    assert example.pairs() == [("b", "乙"), ("a", "甲")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"id": "a", "text": "x"}', "e.jsonl:1: not an example"),
        ('{"id": "a", "text": 3, "entities": []}', "must be strings"),
        ('{"id": "a", "text": "x", "entities": [{"label": "n", "text": "x", "start": [0], "end": 1}]}', "must be whole numbers"),
        ('{"id": "a", "text": "x", "entities": [{"label": "n"}]}', "e.jsonl:1: not an example"),
        (
            '{"id": "a", "text": "xyz", "entities": [{"label": "n", "text": "y", "start": 0, "end": 1}]}',
            r"e.jsonl:1: .*text\[0:1\] is 'x', but the entity's text is 'y'; it stands at \[1, 2\).*`end` is exclusive.*make data",
        ),
        ('{"id": "a", "text": "xyz", "entities": [{"label": "n", "text": "z", "start": -1, "end": 3}]}', r"text\[-1:3\] is '', but"),
        ('{"id": "a", "text": "xyz", "entities": [{"label": "n", "text": "z", "start": 2, "end": 9}]}', r"text\[2:9\] is 'z', but"),
        (
            '{"id": "a", "text": "xyz", "entities": [{"label": "n", "text": "", "start": 2, "end": 2}]}',
            r"text\[2:2\] is '', but the entity's text is ''; it stands nowhere",
        ),
        ('{"id": "a", "text": "xyz", "entities": [{"label": "n", "text": "x", "start": false, "end": true}]}', "must be whole numbers"),
        ('{"id": "a", "text": "x", "entities": {"label": "n"}}', "e.jsonl:1: not an example"),
        ('{"id": "a", "text": "x", "entities": 3}', "e.jsonl:1: not an example"),
        ('{"id": "a", "text": "x", "label": "y", "options": 3}', "options must be a list"),
        ('{"id": "a", "text": "x", "label": "y", "options": "xy"}', "options must be a list"),
        ('{"id": "a", "text": "x", "label": "y", "options": [1]}', "must be strings"),
        ('{"id": "a", "text": "x", "label": null}', "must be strings"),
        ('{"id": "a", "text": "x", "label": ["体育", "财经"]}', r"e.jsonl:1: its labels are \['体育', '财经'\]; .* has one"),
        ('{"id": "a", "text": "x", "labels": ["体育"]}', r"e.jsonl:1: its labels are \['体育'\]"),
        ('{"id": "a", "text": "x", "entities": []}\n{"id": "a", "text": "y", "entities": []}', "e.jsonl:2: the id 'a' stands twice"),
    ],
)
def test_what_is_no_example_is_named(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "e.jsonl").write_text(lines)
    with pytest.raises(ToolError, match=message):
        list(read_examples(tmp_path / "e.jsonl"))
