import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CELTIC, CELTIC_TEXT, real
from tools.data.readers.cluener import read_cluener
from tools.data.readers.row import BadRow, RawRow
from tools.example import Entity


def read(path: Path, *rows: Any) -> list[RawRow | BadRow]:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return list(read_cluener(path))


def test_inclusive_ends_become_exclusive_and_order_is_the_files(tmp_path: Path) -> None:
    [row] = read(tmp_path / "a.jsonl", CELTIC)
    assert row == RawRow(
        1,
        CELTIC_TEXT,
        [
            Entity("organization", "苏格兰", 5, 8),
            Entity("organization", "奥尔堡", 34, 37),
            Entity("organization", "凯尔特人", 41, 45),
            Entity("organization", "凯尔特人", 0, 4),
        ],
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{broken\n", "not JSON"),
        ("[1]\n", "a JSON object is needed"),
        ({"label": {}}, "no 'text'"),
        ({"text": None, "label": {}}, "no 'text'"),
        ({"text": "x"}, "isn't annotated"),
        ({"text": "x", "label": []}, "'label' must map"),
        ({"text": "x", "label": {"name": []}}, "'label' must map"),
        ({"text": "x", "label": {"name": {"": [[0, 0]]}}}, "without text"),
        ({"text": "x", "label": {"name": {"x": [0, 0]}}}, "spans of 'x'"),
        ({"text": "x", "label": {"name": {"x": []}}}, "spans of 'x'"),
        ({"text": "x", "label": {"name": {"x": [["0", "0"]]}}}, "spans of 'x'"),
        ({"text": "x", "label": {"name": {"x": [[True, False]]}}}, "spans of 'x'"),
        ({"text": "甲乙丙", "label": {"name": {"乙丙": [[1, 3]]}}}, "isn't at [1, 3]"),  # past the end of the text
        ({"text": "甲乙丙丁", "label": {"name": {"乙丙": [[1, 3]]}}}, "'乙丙' (name) isn't at [1, 3]; the text there is '乙丙丁'"),
        ({"text": "甲乙丙", "label": {"name": {"丙": [[-1, -1]]}}}, "isn't at [-1, -1]"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_is_still_read(tmp_path: Path, row: Any, reason: str) -> None:
    first, second = read(tmp_path / "a.jsonl", row, {"text": "好", "label": {}})
    assert second == RawRow(2, "好", [])
    assert isinstance(first, BadRow)
    assert (first.line, reason in first.reason) == (1, True), first.reason


def test_the_real_training_split_has_the_official_counts() -> None:
    rows = list(read_cluener(real("cluener/train.jsonl")))
    assert all(isinstance(row, RawRow) for row in rows)
    good = [row for row in rows if isinstance(row, RawRow)]
    assert len(good) == 10_748
    assert sum(len(row.entities) for row in good) == 23_971
    assert sum(len({(e.label, e.text) for e in row.entities}) for row in good) == 23_338
