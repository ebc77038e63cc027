"""The topics dataset: the same bytes from the same seed, no text twice, and a dev split that asks for more than remembering."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from make import topics
from make.entities import MAKERS
from make.sample import SLOT
from make.topic_sentences import CLAUSES

from tools.conf.task import find_task

DATASET = Path(__file__).parents[2] / "data" / "dataset"


def read(split: str) -> list[tuple[str, str]]:
    """A split's (text, topic)."""
    rows = map(json.loads, (DATASET / f"topics.{split}.jsonl").read_text(encoding="utf-8").splitlines())
    return [(row["text"], row["label"]) for row in rows]


def pattern(clause: str) -> re.Pattern[str]:
    """What a clause looks like with its places filled in."""
    return re.compile(".+?".join(map(re.escape, re.split(r"\{[a-z]+\d*\}", clause))))


def test_the_generator_writes_the_files_in_the_repository_byte_for_byte(tmp_path: Path) -> None:
    topics.write(tmp_path, seed=42)
    for split in topics.SPLITS:
        assert (tmp_path / f"topics.{split}.jsonl").read_bytes() == (DATASET / f"topics.{split}.jsonl").read_bytes()


@pytest.mark.parametrize(("split", "count"), [("train", 2000), ("dev", 300)])
def test_a_split_has_its_rows_and_no_text_twice(split: str, count: int) -> None:
    texts = [text for text, _ in read(split)]
    assert len(texts) == len(set(texts)) == count
    assert all(8 <= len(text) <= 60 for text in texts)


def test_no_sentence_is_in_both_splits() -> None:
    assert not {text for text, _ in read("train")} & {text for text, _ in read("dev")}


@pytest.mark.parametrize("split", ["train", "dev"])
def test_the_topics_are_the_tasks_labels_and_about_equally_frequent(split: str) -> None:
    found = Counter(topic for _, topic in read(split))
    assert list(CLAUSES) == find_task("topics").labels
    assert set(found) == set(CLAUSES)
    assert min(found.values()) > 0.6 * sum(found.values()) / len(CLAUSES)


def test_some_dev_sentences_are_made_of_clauses_that_train_has_not() -> None:
    held_out = [pattern(clause) for clauses in CLAUSES.values() for clause in clauses[-topics.HELD_OUT :]]
    found = {split: sum(any(one.search(text) for one in held_out) for text, _ in read(split)) / len(read(split)) for split in topics.SPLITS}
    assert found["train"] == 0
    assert 0.1 < found["dev"] < 0.3


def test_no_kind_of_name_gives_the_topic_away() -> None:
    topics_of = {kind: {topic for topic, clauses in CLAUSES.items() if any(kind in SLOT.findall(clause) for clause in clauses)} for kind in MAKERS}
    assert all(len(topics_of[kind]) >= 2 for kind in ("name", "organization", "scene", "company", "movie", "government", "address", "game"))


def test_every_topic_has_as_many_clauses_and_each_names_known_labels_only() -> None:
    assert {len(set(clauses)) for clauses in CLAUSES.values()} == {24}
    slots = {slot for clauses in CLAUSES.values() for clause in clauses for slot in SLOT.findall(clause)}
    assert slots <= set(MAKERS) | {"n", "m"}
