import json
from pathlib import Path
from typing import Any

import pytest

from tools.data.raw.number_names import names_beside

NAMES = ["O", "B-病", "I-病"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataset_infos.json", {"a": {"features": {"other": {"names": ["x"]}, "tags": {"feature": {"names": NAMES}}}}}),
        ("dataset_info.json", {"features": [{"name": "tags", "sequence": {"class_label": {"names": {"0": "O", "1": "B-病", "2": "I-病"}}}}]}),
        ("label2id.json", {"O": 0, "I-病": 2, "B-病": 1}),
        ("id2label.json", {"0": "O", "1": "B-病", "2": "I-病"}),
        ("config.json", {"architectures": ["x"], "id2label": {"0": "O", "1": "B-病", "2": "I-病"}}),
    ],
)
def test_the_names_are_in_the_order_of_their_numbers(tmp_path: Path, name: str, value: Any) -> None:
    (tmp_path / name).write_text(json.dumps(value), encoding="utf-8")
    assert names_beside(tmp_path / "train.jsonl", "tags") == (NAMES, name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dataset_infos.json", '{"features": {"other": {"names": ["x"]}}}'),
        ("label2id.json", '{"O": 0, "B-病": 0}'),
        ("label2id.json", '{"O": 1, "B-病": 2}'),
        ("labels.json", "[1, 2]"),
        ("labels.json", "[" * 100_000),
        ("README.md", "no front matter"),
        ("README.md", "---\n- [\n---\n"),
    ],
)
def test_a_file_that_doesnt_tell_names_nothing(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert names_beside(tmp_path / "train.jsonl", "tags") == ([], "")
