"""Writes the topics dataset: made-up Chinese sentences, each with its topic, for text classification.

In: a seed. Out: `topics.train.jsonl` and `topics.dev.jsonl`, one `{"text": …, "label": topic}` a line. The same seed writes the same bytes.

    PYTHONPATH=.:models/tiny-qwen2 .venv/train/bin/python -m make.topics --out data/dataset
"""

from __future__ import annotations

import json
import random
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from make.sample import command, famous_entities, fill, renumber
from make.sentences import OPENERS, PLAIN
from make.topic_sentences import CLAUSES
from tools.files import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST, LONGEST = 8, 60
SPLITS = {"train": 2000, "dev": 300}
HELD_OUT = 4  # the last clauses of each topic, which are in dev only: they show how well unseen sentences are classified
# Clauses that fit beside a clause of any topic.
BESIDE = [clause for clause in PLAIN if "比赛" not in clause]


def clauses_of(topic: str, split: str) -> list[str]:
    """Returns the clauses of a split's sentences: all of them in dev, all but HELD_OUT in train."""
    return CLAUSES[topic][:-HELD_OUT] if split == "train" else CLAUSES[topic]


def outline(rng: random.Random, clauses: list[str]) -> str:
    """Returns a sentence whose places are still open: one or two clauses of a topic, or one beside a clause without a topic."""
    kind = rng.random()
    if kind < 0.4:
        chosen = [rng.choice(clauses)]
    elif kind < 0.75:
        chosen = [rng.choice(clauses), rng.choice(BESIDE)]
        rng.shuffle(chosen)
    else:
        chosen = rng.sample(clauses, 2)
    if len(chosen) == 2:
        chosen[1] = renumber(chosen[1])
    opener = rng.choice(OPENERS) if rng.random() < 0.25 else ""
    return opener + rng.choice(("，", "。", "；")).join(chosen) + rng.choice(("。", "。", "！", ""))


def rows(rng: random.Random, split: str, famous: dict[str, list[str]], seen: set[str]) -> Iterator[tuple[str, str]]:
    """Yields rows (text, topic) without end, none of them twice or in `seen`."""
    topics = list(CLAUSES)
    while True:
        topic = rng.choice(topics)
        text, _ = fill(rng, outline(rng, clauses_of(topic, split)), famous)
        if SHORTEST <= len(text) <= LONGEST and text not in seen:
            seen.add(text)
            yield text, topic


def write(out: Path, seed: int) -> None:
    """Writes all splits, which appear together."""
    rng = random.Random(seed)
    famous, seen = famous_entities(rng), set[str]()
    with Transaction() as new:
        for split, count in SPLITS.items():
            file = new.open(out / f"topics.{split}.jsonl")
            for text, topic in islice(rows(rng, split, famous, seen), count):
                file.write(json.dumps({"text": text, "label": topic}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    command(prog="python -m make.topics", description=__doc__, write=write)
