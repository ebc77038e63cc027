"""The sample dataset: exact spans, mostly unseen dev entities, and the same bytes from the same seed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from make import sample
from make.entities import MAKERS
from make.sentences import CLAUSES, PLAIN

REPO = Path(__file__).parents[2]
DATASET = REPO / "data" / "dataset"


def read(split: str) -> list[dict[str, Any]]:
    """A split's rows."""
    return [json.loads(line) for line in (DATASET / f"sample.{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def strings(rows: list[dict[str, Any]]) -> set[str]:
    """The different strings that are entities."""
    return {string for row in rows for spans in row["label"].values() for string in spans}


def test_the_generator_writes_the_files_in_the_repository_byte_for_byte(tmp_path: Path) -> None:
    sample.write(tmp_path, seed=42)
    for split in sample.SPLITS:
        assert (tmp_path / f"sample.{split}.jsonl").read_bytes() == (DATASET / f"sample.{split}.jsonl").read_bytes()


@pytest.mark.parametrize(("split", "count"), [("train", 2000), ("dev", 300)])
def test_a_split_has_its_rows_and_no_text_twice(split: str, count: int) -> None:
    texts = [row["text"] for row in read(split)]
    assert len(texts) == len(set(texts)) == count
    assert all(8 <= len(text) <= 60 for text in texts)


def test_no_sentence_is_in_both_splits() -> None:
    assert not {row["text"] for row in read("train")} & {row["text"] for row in read("dev")}


def test_most_dev_entities_are_unseen_in_train() -> None:
    dev = strings(read("dev"))
    assert len(dev - strings(read("train"))) / len(dev) >= 0.85


@pytest.mark.parametrize("split", ["train", "dev"])
def test_spans_are_exact_and_every_occurrence_is_annotated(split: str) -> None:
    for row in read(split):
        for spans in row["label"].values():
            for string, places in spans.items():
                assert [first for first, _ in places] == [match.start() for match in re.finditer(f"(?={re.escape(string)})", row["text"])]
                assert all(row["text"][first : last + 1] == string for first, last in places)


@pytest.mark.parametrize("split", ["train", "dev"])
def test_all_ten_labels_are_there_and_no_string_has_two_in_a_row(split: str) -> None:
    rows = read(split)
    assert {label for row in rows for label in row["label"]} == set(MAKERS)
    for row in rows:
        found = [string for spans in row["label"].values() for string in spans]
        assert len(found) == len(set(found))


@pytest.mark.parametrize("split", ["train", "dev"])
def test_rows_have_none_one_and_many_entities(split: str) -> None:
    counts = [sum(map(len, row["label"].values())) for row in read(split)]
    assert 0.05 <= counts.count(0) / len(counts) <= 0.11
    assert set(counts) >= {0, 1, 2, 3, 4, 5}
    assert max(counts) <= 6


def test_hard_cases_are_there() -> None:
    rows = read("train")
    texts = [row["text"] for row in rows]
    assert any('"' in text for text in texts)
    assert any("\\" in text for text in texts)
    assert any("“" in text for text in texts)
    assert any('"' in string for string in strings(rows))
    assert any("\\" in string for string in strings(rows))
    assert any(len(places) > 1 for row in rows for spans in row["label"].values() for places in spans.values())


def test_there_are_many_clauses_and_each_names_known_labels_only() -> None:
    assert len(set(CLAUSES)) >= 120
    slots = {slot for clause in CLAUSES for slot in sample.SLOT.findall(clause)}
    assert slots == set(MAKERS) | {"n", "m"}
    assert {slot for clause in PLAIN for slot in sample.SLOT.findall(clause)} <= {"n", "m"}
