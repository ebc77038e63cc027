import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import real
from tools.data.raw.row import BadRow, FileReading, RawRow, misplaced
from tools.data.readers.ccfbdci import read_ccfbdci
from tools.example import Entity

PERSON = {"start_idx": 0, "end_idx": 2, "entity_text": "张三", "entity_label": "PER", "entity_names": ["人名"]}


def read(path: Path, *rows: Any) -> list[RawRow | BadRow]:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return list(read_ccfbdci(path, FileReading()))


def test_ends_are_exclusive_already_and_other_fields_are_passed_over(tmp_path: Path) -> None:
    place = {"start_idx": 3, "end_idx": 5, "entity_text": "北京", "entity_label": "GPE"}
    [row] = read(tmp_path / "a.jsonl", {"text": "张三在北京", "entities": [place, PERSON], "data_source": "CCFBDCI"})
    assert row == RawRow(1, "张三在北京", [Entity("GPE", "北京", 3, 5), Entity("PER", "张三", 0, 2)])
    assert misplaced(row) == []


@pytest.mark.parametrize(
    ("row", "kind", "reason"),
    [
        ({"text": "张三"}, "unannotated", "isn't annotated"),
        ({"text": "张三", "entities": None}, "unannotated", "isn't annotated"),
        ({"entities": []}, "type", "no 'text'"),
        ({"text": ["张三"], "entities": []}, "type", "'text' must be a string, it is ['张三']"),
        ({"text": "张三", "entities": {}}, "type", "'entities' must be a list of objects"),
        ({"text": "张三", "entities": [1]}, "type", "'entities' must be a list of objects"),
        ({"text": "张三", "entities": [{**PERSON, "start_idx": "0"}]}, "type", "'start_idx' must be a whole number, it is '0'"),
        ({"text": "张三", "entities": [{**PERSON, "end_idx": True}]}, "type", "'end_idx' must be a whole number, it is True"),
        ({"text": "张三", "entities": [{**PERSON, "end_idx": 2.0}]}, "type", "'end_idx' must be a whole number"),
        ({"text": "张三", "entities": [{**PERSON, "entity_label": None}]}, "type", "'entity_label' must be a string"),
        ({"text": "张三", "entities": [{"start_idx": 0}]}, "type", "no 'entity_label'"),
    ],
)
def test_a_bad_row_is_named_and_the_next_one_is_still_read(tmp_path: Path, row: Any, kind: str, reason: str) -> None:
    first, second = read(tmp_path / "a.jsonl", row, {"text": "好", "entities": []})
    assert second == RawRow(2, "好", [])
    assert isinstance(first, BadRow)
    assert (first.line, first.kind, reason in first.reason) == (1, kind, True), first


def test_offsets_that_disagree_with_the_text_pass_for_the_caller_to_check(tmp_path: Path) -> None:
    [row] = read(tmp_path / "a.jsonl", {"text": "李四", "entities": [PERSON]})
    assert row == RawRow(1, "李四", [Entity("PER", "张三", 0, 2)])
    assert misplaced(row) == [Entity("PER", "张三", 0, 2)]


def test_the_real_file_has_the_known_counts() -> None:
    rows = list(read_ccfbdci(real("ccfbdci/ccfbdci.jsonl"), FileReading()))
    good = [row for row in rows if isinstance(row, RawRow)]
    assert (len(rows), len(good)) == (15_724, 15_724)
    assert Counter(e.label for row in good for e in row.entities) == {"GPE": 4586, "PER": 3995, "ORG": 3085, "LOC": 915}
    assert sum(not row.entities for row in good) == 9_943
    assert len(good) - len({row.text for row in good}) == 1_237
    assert not any(misplaced(row) for row in good)
