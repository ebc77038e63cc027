"""Writes the sample dataset: made-up Chinese sentences with made-up entities, in CLUENER's own format.

In: a seed. Out: `sample.train.jsonl` and `sample.dev.jsonl`, one `{"text": …, "label": {label: {entity: [[first, last]]}}}` a line, `last` being the
place of the entity's last character. The same seed writes the same bytes.

    PYTHONPATH=.:models/tiny-qwen2 .venv/train/bin/python -m make.sample --out data/dataset
"""

from __future__ import annotations

import json
import random
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from make.entities import MAKERS
from make.sentences import CLAUSES, OPENERS, PLAIN
from tools.files import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOT = re.compile(r"\{([a-z]+)\d*\}")
SHORTEST, LONGEST = 8, 60
MOST_ENTITIES = 6
# The share of sentences with 0, 1, 2, and 3 or more entities that is kept. With one entity in most sentences a tiny model can learn the sample.
KEPT = (0.75, 1.0, 0.5, 0.3)
SPLITS = {"train": 2000, "dev": 300}
# Entities that recur, as some do in real text; the others are invented for each place.
FAMOUS_PER_LABEL = 12
FAMOUS_SHARE = 0.1

Entities = dict[str, dict[str, list[list[int]]]]


def famous_entities(rng: random.Random) -> dict[str, list[str]]:
    """Returns the recurring entities of every label."""
    return {label: [make(rng) for _ in range(FAMOUS_PER_LABEL)] for label, make in MAKERS.items()}


def outline(rng: random.Random) -> str:
    """Returns a sentence whose places are still open: one or two clauses, with an opener, a mark between and a mark at the end."""
    kind = rng.random()
    if kind < 0.09:
        clauses = rng.sample(PLAIN, rng.randint(1, 2))
    elif kind < 0.52:
        clauses = [rng.choice(CLAUSES)]
    elif kind < 0.78:
        clauses = [rng.choice(CLAUSES), rng.choice(PLAIN)]
        rng.shuffle(clauses)
    else:
        clauses = rng.sample(CLAUSES, 2)
    if len(clauses) == 2:
        clauses[1] = renumber(clauses[1])
    opener = rng.choice(OPENERS) if rng.random() < 0.25 else ""
    return opener + rng.choice(("，", "，", "。", "；", "！", " ")).join(clauses) + rng.choice(("。", "。", "。", "！", "", "", "……"))


def renumber(clause: str) -> str:
    """Returns the clause with other numbers at its places, so that a second clause gets other entities than the first."""
    return re.sub(r"\{([a-z]{3,})(\d*)\}", lambda slot: f"{{{slot[1]}{int(slot[2] or 1) + 3}}}", clause)


def fill(rng: random.Random, text: str, famous: dict[str, list[str]]) -> tuple[str, Entities]:
    """Fills a text's places from the left. Returns the sentence, and the places of its entities."""
    chosen: dict[str, str] = {}
    entities: Entities = {}
    parts: list[str] = []
    start = end = 0
    for slot in SLOT.finditer(text):
        kind = slot[1]
        parts.append(text[end : slot.start()])
        start += len(parts[-1])
        end = slot.end()
        if slot[0] not in chosen:
            chosen[slot[0]] = filling(rng, kind, famous)
        parts.append(chosen[slot[0]])
        if kind in MAKERS:
            entities.setdefault(kind, {}).setdefault(parts[-1], []).append([start, start + len(parts[-1]) - 1])
        start += len(parts[-1])
    return "".join([*parts, text[end:]]), entities


def filling(rng: random.Random, kind: str, famous: dict[str, list[str]]) -> str:
    """Returns a number or an entity for one place."""
    if kind in ("n", "m"):
        return str(rng.randint(2, 98) if kind == "n" else rng.randint(1, 9))
    return rng.choice(famous[kind]) if rng.random() < FAMOUS_SHARE else MAKERS[kind](rng)


def is_exact(text: str, entities: Entities) -> bool:
    """Returns whether every occurrence of an entity's string is annotated, and no string has two labels or lies within another."""
    strings = [string for spans in entities.values() for string in spans]
    if len(strings) != len(set(strings)) or any(one != other and one in other for one in strings for other in strings):
        return False
    return all(occurrences(text, string) == [first for first, _ in places] for spans in entities.values() for string, places in spans.items())


def occurrences(text: str, string: str) -> list[int]:
    """Returns the places where the string begins in the text, overlaps included."""
    return [start for start in range(len(text)) if text.startswith(string, start)]


def rows(seed: int) -> Iterator[tuple[str, Entities]]:
    """Yields rows without end, no text twice."""
    rng = random.Random(seed)
    famous = famous_entities(rng)
    seen: set[str] = set()
    while True:
        text, entities = fill(rng, outline(rng), famous)
        count = sum(map(len, entities.values()))
        fits = SHORTEST <= len(text) <= LONGEST and count <= MOST_ENTITIES and rng.random() < KEPT[min(count, len(KEPT) - 1)]
        if fits and text not in seen and is_exact(text, entities):
            seen.add(text)
            yield text, entities


def write(out: Path, seed: int) -> None:
    """Writes all splits, which appear together."""
    rows_left = rows(seed)
    with Transaction() as new:
        for split, count in SPLITS.items():
            file = new.open(out / f"sample.{split}.jsonl")
            for text, entities in islice(rows_left, count):
                file.write(json.dumps({"text": text, "label": entities}, ensure_ascii=False) + "\n")


def command(prog: str, description: str | None, write: Callable[[Path, int], None]) -> None:
    """Runs the command of a module that makes a dataset: `write` gets the folder and the seed."""
    import argparse

    parser = argparse.ArgumentParser(prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder that the splits go to")
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args()
    write(args.out, args.seed)


if __name__ == "__main__":
    command(prog="python -m make.sample", description=__doc__, write=write)
