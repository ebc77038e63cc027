import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CELTIC, CELTIC_TEXT, real
from tools.data.raw.row import BadRow, FileReading, RawRow, misplaced
from tools.data.readers.cluener import read_cluener
from tools.example import Entity


def read(path: Path, *rows: Any) -> list[RawRow | BadRow]:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return list(read_cluener(path, FileReading()))


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
    assert misplaced(row) == []


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        ("{broken\n", "json", "not JSON"),
        ("[1]\n", "type", "a JSON object is needed"),
        ({"label": {}}, "type", "no 'text'"),
        ({"text": None, "label": {}}, "type", "'text' must be a string, it is None"),
        ({"text": "x"}, "unannotated", "isn't annotated"),
        ({"text": "x", "label": None}, "unannotated", "isn't annotated"),
        ({"text": "x", "label": []}, "type", "'label' must map"),
        ({"text": "x", "label": {"name": []}}, "type", "'label' must map"),
        ({"text": "x", "label": {"name": {"x": [0, 0]}}}, "type", "the spans of 'x' (name) must be [[start, end], …], they are [0, 0]"),
        ({"text": "x", "label": {"name": {"x": []}}}, "type", "spans of 'x'"),
        ({"text": "x", "label": {"name": {"x": [["0", "0"]]}}}, "type", "spans of 'x'"),
        ({"text": "x", "label": {"name": {"x": [[0, 0, 0]]}}}, "type", "spans of 'x'"),
        ({"text": "x", "label": {"name": {"x": [[0.0, 0.0]]}}}, "type", "spans of 'x'"),
        ({"text": "x", "label": {"name": {"x": [[True, False]]}}}, "type", "spans of 'x'"),
        ({"text": "x", "label": {"name": {"x": [[0, 10**30]]}}}, "type", "spans of 'x'"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_is_still_read(tmp_path: Path, row: Any, kind: str, reason: str) -> None:
    first, second = read(tmp_path / "a.jsonl", row, {"text": "好", "label": {}})
    assert second == RawRow(2, "好", [])
    assert isinstance(first, BadRow)
    assert (first.line, first.kind, reason in first.reason) == (1, kind, True), first


@pytest.mark.parametrize(
    ("spans", "entity"),
    [
        ({"乙丙": [[1, 3]]}, Entity("name", "乙丙", 1, 4)),
        ({"丙": [[-1, -1]]}, Entity("name", "丙", -1, 0)),
        ({"": [[1, 0]]}, Entity("name", "", 1, 1)),
    ],
)
def test_offsets_that_disagree_with_the_text_pass_for_the_caller_to_check(tmp_path: Path, spans: Any, entity: Entity) -> None:
    [row] = read(tmp_path / "a.jsonl", {"text": "甲乙丙", "label": {"name": spans}})
    assert row == RawRow(1, "甲乙丙", [entity])
    assert misplaced(row) != []


def test_the_real_training_split_has_the_official_counts() -> None:
    rows = list(read_cluener(real("cluener/train.jsonl"), FileReading()))
    good = [row for row in rows if isinstance(row, RawRow)]
    assert (len(rows), len(good)) == (10_748, 10_748)
    assert sum(len(row.entities) for row in good) == 23_971
    assert sum(len({(e.label, e.text) for e in row.entities}) for row in good) == 23_338
    assert not any(misplaced(row) for row in good)
