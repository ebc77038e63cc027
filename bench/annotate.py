"""Simulates annotation: span F1 by the number of annotated rows, with the rows in the order of `./ner annotate` against rows by chance.

In: annotated files in CLUENER's format; without one the project's sample. Their annotation plays the annotator: it is hidden until a row is chosen. Out: F1 for each order
and number of rows, in bench/results/annotate.md. The model is bench.stand_in's linear tagger, which learns in seconds, and not a language model; the order comes from the
verb's own code.

    .venv/train/bin/python -m bench.annotate
    OMP_NUM_THREADS=1 .venv/train/bin/python -m bench.annotate data/dataset/sample.train.jsonl /path/to/cluener/train.jsonl
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch

from bench.chain import machine
from bench.real import table
from bench.stand_in import Encoded, Reading, StandIn, encoded
from tools.data.raw.row import FileReading, RawRow
from tools.data.readers.cluener import read_cluener
from tools.errors import run as run_tool
from tools.example import Example
from tools.files import need_file, write_text
from tools.labelling.order import Candidate, ordered
from tools.score.counts import Counts
from tools.text import whole_number

SAMPLE = Path("data/dataset/sample.train.jsonl")
HELD_OUT, POOL = 1000, 6000  # rows
ROUNDS = 4  # the first is by chance in every order; each doubles the rows
SEEDS = 3
Order = Callable[[Sequence[Encoded], StandIn, int], list[int]]  # unannotated rows, a model and a number → the numbers of that many rows


@dataclass(frozen=True)
class Point:
    """A model's F1, and what was read for it: rows, their characters and their entities."""

    f1: float
    rows: int
    characters: int
    entities: int


@dataclass(frozen=True)
class Corpus:
    """A file's rows: those that are held out, the others, and the labels."""

    name: str
    held: list[Encoded]
    others: list[Encoded]
    labels: list[str]


def corpus(path: Path) -> Corpus:
    """Reads a file. The last 1,000 rows are held out, or the last quarter of a smaller file."""
    rows = [Example(str(row.line), row.text, row.entities) for row in read_cluener(need_file(path), FileReading()) if isinstance(row, RawRow)]
    made = [encoded(row) for row in rows]
    held = min(HELD_OUT, len(made) // 4)
    labels = sorted({entity.label for row in rows for entity in row.entities})
    return Corpus("/".join(path.parts[-2:]), made[-held:], made[:-held], labels)


def errors(reading: Reading) -> float:
    """Returns the expected errors of a reading, as `./ner annotate` counts them: 1 - p for each entity, or for the whole reading where it has none."""
    return sum(1 - p for p in reading.spans.values() or [reading.whole])


def by_the_verb(rows: Sequence[Encoded], model: StandIn, most: int) -> list[int]:
    """Orders rows as `./ner annotate` does."""
    return ordered([Candidate(row.example.text, errors(one)) for row, one in zip(rows, model.read(rows), strict=True)], most)


def by_errors(rows: Sequence[Encoded], model: StandIn, most: int) -> list[int]:
    """Orders rows by their expected errors alone."""
    return _highest([errors(one) for one in model.read(rows)], most)


def by_the_lowest(rows: Sequence[Encoded], model: StandIn, most: int) -> list[int]:
    """Orders rows by the confidence of their least sure entity."""
    return _highest([1 - min(one.spans.values(), default=one.whole) for one in model.read(rows)], most)


def by_the_normalised(rows: Sequence[Encoded], model: StandIn, most: int) -> list[int]:
    """Orders rows by the probability of the whole reading, normalised by the text's length: MNLP (Shen et al. 2018)."""
    return _highest([-math.log(max(one.whole, 1e-300)) / len(row.features) for row, one in zip(rows, model.read(rows), strict=True)], most)


def by_length(rows: Sequence[Encoded], model: StandIn, most: int) -> list[int]:
    """Orders rows by their length alone: what an order gains by choosing long texts."""
    return _highest([len(row.features) for row in rows], most)


def by_chance(rows: Sequence[Encoded], model: StandIn, most: int) -> list[int]:
    """Takes the rows as they come: they were mixed before."""
    return list(range(most))


def _highest(values: Sequence[float], most: int) -> list[int]:
    return sorted(range(len(values)), key=lambda number: -values[number])[:most]


ORDERS: dict[str, Order] = {
    "by chance": by_chance,
    "`./ner annotate`: expected errors, then variety": by_the_verb,
    "expected errors alone": by_errors,
    "lowest confidence of an entity": by_the_lowest,
    "MNLP, normalised by length": by_the_normalised,
    "longest text": by_length,
}


def curve(found: Corpus, order: Order, seed: int) -> list[Point]:
    """Returns the points of one order: each round a new model is trained on all rows so far, and chooses as many again."""
    rest = random.Random(seed).sample(found.others, min(POOL, len(found.others)))
    size = 200 if len(rest) == POOL else 100
    rows, rest = rest[:size], rest[size:]
    points: list[Point] = []
    while True:
        model = StandIn(found.labels).fit(rows, seed)
        points.append(Point(f1(found.held, model), len(rows), sum(len(row.features) for row in rows), sum(len(row.example.entities) for row in rows)))
        if len(points) == ROUNDS:
            return points
        chosen = order(rest, model, len(rows))
        rows = [*rows, *(rest[number] for number in chosen)]
        taken = set(chosen)
        rest = [row for number, row in enumerate(rest) if number not in taken]


def f1(rows: Sequence[Encoded], model: StandIn) -> float:
    """Returns the micro F1 of spans: label, start and end."""
    counts = Counts()
    for row, reading in zip(rows, model.read(rows), strict=True):
        gold = {(one.label, one.start, one.end) for one in row.example.entities}
        for span in gold | reading.spans.keys():
            counts.add(span in reading.spans, span in gold)
    return float(counts.to_dict()["f1"])


def section(found: Corpus, curves: dict[str, list[list[Point]]]) -> list[str]:
    """Returns a file's tables: F1, and what was read in all rows of the last round."""
    first = next(iter(curves.values()))[0]
    rows = [["rows in the order", *(f"{point.rows:,}" for point in first), "characters", "entities"]]
    for name, some in curves.items():
        last = [points[-1] for points in some]
        read = [f"{mean(point.characters for point in last):,.0f}", f"{mean(point.entities for point in last):,.0f}"]
        rows.append([name, *(_spread([points[at].f1 for points in some]) for at in range(ROUNDS)), *read])
    pool = min(POOL, len(found.others))
    return [f"## {found.name}", "", f"{pool:,} rows to choose from, {len(found.held):,} held out.", "", *table(rows), ""]


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def report(sections: Sequence[str], seeds: int, seconds: float) -> str:
    """Returns the Markdown page."""
    return "\n".join(
        [
            "# Which texts to annotate next",
            "",
            f"{machine()}; one core, {seconds / 60:.0f} minutes of its time. Made by `.venv/train/bin/python -m bench.annotate`. Span F1 on the held-out rows: the mean of {seeds} seeds (lowest–highest).",
            "The model is a stand-in: a linear tagger of character windows (`bench/stand_in.py`) that learns in seconds, and far below a language model. A language model's confidences may order",
            "texts better or worse. Each seed draws the rows to choose from, and the first round's rows, which are the same in all orders. Each round trains a new model on all rows so far, and the",
            "order chooses as many again. Characters and entities are those of all rows of the last round: what an annotator would have read and marked.",
            "",
            *sections,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.annotate", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("files", nargs="*", type=Path, default=[SAMPLE], metavar="FILE", help=f"annotated, in CLUENER's format (default: {SAMPLE})")
    parser.add_argument("--seeds", type=whole_number(1, 100), default=SEEDS, metavar="N", help=f"default: {SEEDS}")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), metavar="DIR", help="the page's folder (default: bench/results)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sections: list[str] = []
    for path in args.files:
        found = corpus(path)
        curves: dict[str, list[list[Point]]] = {name: [] for name in ORDERS}
        for name, order in ORDERS.items():
            for seed in range(args.seeds):
                curves[name].append(curve(found, order, seed))
                print(found.name, name, seed, " ".join(f"{point.f1:.4f}" for point in curves[name][-1]), flush=True)
        sections += section(found, curves)
    page = report(sections, args.seeds, time.process_time())
    write_text(args.out / "annotate.md", page)
    print(f"\n{page}\n→ {args.out / 'annotate.md'}")


if __name__ == "__main__":
    run_tool(main)
