"""Measures how many damaged labels `./ner suspects` finds, and what mending them regains.

In: nothing, for the sample task; and perhaps a CLUENER train file. Out: bench/results/suspects.md. A share of the train entities (--rates) is damaged in four ways by this module's own
code, not by the one that the command learns from: dropped; relabelled, every other label equally likely; cut, by up to half at either end; added, anywhere where no entity
is. A damaged entity is found when a listed suspect points at it. What was wrong before counts as a false alarm, so on real data precision is a lower bound.

A model's answers on the parts that it wasn't trained on (--folds) are evidence too, and it is scored after training on the rows as they are, damaged, and with the found damage
mended: a cheap stand-in, and with --runs the embedded model on the sample, whose trainings and answers are kept in --work.

What no damage explains isn't all wrong: --read draws some of it at random, to be read, from the worst suspects that hold four fifths of the damage. They are written
to read-<task>-<rate>-<seed>.txt in --work.

    .venv/train/bin/python -m bench.suspects --data data/dataset/clue.train.jsonl --runs 3
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path

from make import sample

from bench.annotate import f1
from bench.chain import machine
from bench.real import table
from bench.stand_in import StandIn, encoded
from tools.answers import Span
from tools.conf.run import load_run
from tools.conf.task import Task, find_task
from tools.data.convert import convert
from tools.data.raw.row import FileReading, RawRow
from tools.data.readers import READERS
from tools.demo import CONF, free_port
from tools.errors import run as run_tool
from tools.evaluate.evaluate import evaluated
from tools.example import Entity, Example
from tools.files import Transaction, write_text
from tools.labelling.held_out import held_out
from tools.labelling.string_evidence import ModelAnswer
from tools.labelling.suspect import Suspect
from tools.labelling.suspects import LEAST, Rows, said_by, suspects, why
from tools.predict.engines import Options
from tools.predict.questions import Asking
from tools.text import whole_number
from tools.train.part import fold_of, trained_part, write_part

KINDS = ("dropped", "relabelled", "cut", "added")
RATES = (5,)  # of a hundred entities
SEEDS = (101, 102, 103)
SAMPLE_SEED = 42  # that the sample was made with
HELD_OUT = 1000
NEW_ROWS = 2000  # sentences that the models are scored on
DEEP = 0.03  # score down to which suspects are looked at
GOAL = 0.8  # of the damage: how long is the list that holds it?
AROUND = 25  # characters on each side of a place that is read


@dataclass(frozen=True)
class Harm:
    """A damaged entity of a row: its kind, and the spans before and now."""

    row: str
    kind: str
    before: Span | None
    now: Span | None

    def is_found_by(self, suspect: Suspect) -> bool:
        """Returns whether a suspect points at it."""
        if suspect.id != self.row:
            return False
        now = (suspect.now.label, suspect.now.start, suspect.now.end) if suspect.now else None
        if self.now:
            return now == self.now
        place = suspect.instead
        return now is None and place is not None and self.before is not None and place.start < self.before[2] and self.before[1] < place.end


def harmed(rows: Sequence[Example], rate: int, seed: int) -> tuple[list[Example], list[Harm]]:
    """Returns the rows with `rate` per cent of their entities damaged, and the damage."""
    chance = random.Random(seed)
    every = [(number, entity) for number, row in enumerate(rows) for entity in row.entities]
    labels = sorted({entity.label for _, entity in every})
    entities, done = [list(row.entities) for row in rows], list[Harm]()
    for turn, (number, entity) in enumerate(chance.sample(every, round(rate / 100 * len(every)))):
        kind = KINDS[turn % len(KINDS)]
        if kind == "cut" and len(entity.text) < 2:
            kind = "dropped"
        if kind == "added":
            number, now = _added(rows, entities, every, labels, chance)
        else:
            entities[number].remove(entity)
            now = {
                "dropped": None,
                "relabelled": replace(entity, label=chance.choice([one for one in labels if one != entity.label])),
                "cut": _cut(entity, chance),
            }[kind]
        if now:
            entities[number].append(now)
        done.append(Harm(rows[number].id, kind, None if kind == "added" else _span(entity), _span(now) if now else None))
    return [replace(row, entities=sorted(own, key=lambda one: one.start)) for row, own in zip(rows, entities, strict=True)], done


def _cut(entity: Entity, chance: random.Random) -> Entity:
    less = chance.randint(1, max(1, len(entity.text) // 2))
    start, end = (entity.start + less, entity.end) if chance.random() < 0.5 else (entity.start, entity.end - less)
    return Entity(entity.label, entity.text[start - entity.start : end - entity.start], start, end)


def _added(
    rows: Sequence[Example], entities: list[list[Entity]], every: list[tuple[int, Entity]], labels: list[str], chance: random.Random
) -> tuple[int, Entity]:
    while True:
        number = chance.randrange(len(rows))
        text, length = rows[number].text, len(chance.choice(every)[1].text)
        start = chance.randrange(max(1, len(text) - length))
        end = start + length
        taken = [*entities[number], *rows[number].entities]
        if end <= len(text) and text[start:end].strip() and not any(one.start < end and start < one.end for one in taken):
            return number, Entity(chance.choice(labels), text[start:end], start, end)


def _span(entity: Entity) -> Span:
    return entity.label, entity.start, entity.end


@dataclass(frozen=True)
class Found:
    """What a list of suspects found: of the damage by kind, at precision 0.5 and in the whole list; `mended` are the harms that the whole list points at.

    `to_goal` is the number of the worst suspects that together point at GOAL of the damage, None where all don't; `others` are those of them that point at none.
    """

    damaged: int
    listed: int
    precision: float
    recall: float
    recall_at_half: float
    kinds: dict[str, float]
    mended: list[Harm]
    to_goal: int | None
    others: list[Suspect]
    seconds: float


def found(deep: Sequence[Suspect], done: Sequence[Harm], seconds: float) -> Found:
    """Returns the figures of the suspects with a score of DEEP or more, the worst first. Those of the whole list are of the suspects that the command lists."""
    by_row: dict[str, list[Harm]] = {}
    for harm in done:
        by_row.setdefault(harm.row, []).append(harm)
    listed = sum(one.score >= LEAST for one in deep)
    seen, hits, at_half, mended, precision = dict[Harm, None](), 0, 0.0, list[Harm](), 0.0
    others, to_goal = list[Suspect](), None
    for number, one in enumerate(deep, 1):
        pointed = [harm for harm in by_row.get(one.id, ()) if harm.is_found_by(one)]
        hits += bool(pointed)
        seen.update(dict.fromkeys(pointed))
        if hits >= number / 2:
            at_half = len(seen) / len(done)
        if number == listed:
            mended, precision = list(seen), hits / listed
        if to_goal is None:
            if not pointed:
                others.append(one)
            to_goal = number if len(seen) >= GOAL * len(done) else None
    whole, kinds = Counter(harm.kind for harm in done), Counter(harm.kind for harm in mended)
    shares = {kind: kinds[kind] / whole[kind] for kind in KINDS if whole[kind]}
    return Found(len(done), listed, precision, len(mended) / len(done), at_half, shares, mended, to_goal, others, seconds)


def to_read(figures: Found, rows: Sequence[Example], number: int, seed: int) -> str:
    """Returns `number` of the suspects that no damage explains, drawn at random, each with what the list says and the sentence around it."""
    by_id = {row.id: row for row in rows}
    lines = []
    for turn, one in enumerate(random.Random(seed).sample(figures.others, min(number, len(figures.others))), 1):
        text, place = by_id[one.id].text, one.now or one.instead
        assert place is not None  # a suspect has one of the two
        around = f"{text[max(0, place.start - AROUND) : place.start]}⟦{text[place.start : place.end]}⟧{text[place.end : place.end + AROUND]}"
        marked = ", ".join(f"{entity.text} [{entity.label}]" for entity in by_id[one.id].entities)
        lines += [f"{turn}. {one.score:.2f} {one.kind}: {one.now or '–'} → {one.instead or '–'} ({why(one)})", f"   {around}", f"   {marked}"]
    return "\n".join([f"{len(figures.others):,} of the first {figures.to_goal or 0:,} suspects are explained by no damage.", *lines, ""])


def write_rows(task: Task, splits: dict[str, list[Example]], folder: Path) -> Rows:
    """Writes examples as `make data` does, and returns them."""
    raw = {split: folder / "raw" / f"{split}.jsonl" for split in splits}
    with Transaction() as new:
        for split, path in raw.items():
            new.open(path).writelines(f"{row.to_json()}\n" for row in splits[split])
    read = {"raw": {split: str(path) for split, path in raw.items()}, "reader": "jsonl", "split": None}
    convert(task.model_copy(update=read), folder)
    return Rows(task, {split: task.examples(split, folder) for split in splits})


def examples_of(task: Task, path: Path) -> list[Example]:
    """Returns a CLUENER file's rows as examples of a task's train split."""
    rows = [row for row in READERS["cluener"](path, FileReading()) if isinstance(row, RawRow)]
    return [Example(f"{task.name}-train-{number:06d}", row.text, row.entities) for number, row in enumerate(rows, 1)]


@dataclass(frozen=True)
class Data:
    """Rows of a task that are damaged, and other rows that a model is scored on."""

    name: str
    task: Task
    rows: list[Example]
    test: list[Example]


def with_stand_ins(data: Data, work: Path, rate: int, seed: int, folds: int, read: int) -> tuple[list[tuple[str, Found]], dict[str, float]]:
    """Returns what is found without a model and with a stand-in's answers, and the span F1 of stand-ins that learn the rows as they are, damaged and mended."""
    bad, done = harmed(data.rows, rate, seed)
    written = write_rows(data.task, {"train": bad}, work / f"{data.task.name}-{rate}-{seed}")
    figures = []
    answers = stand_in_answers(data, bad, seed, folds)
    for name, known in (("consistency", {}), (f"and {folds} stand-ins", answers)):
        started = time.perf_counter()
        listed, _ = suspects(written, known, DEEP)
        figures.append((name, found(listed, done, time.perf_counter() - started)))
    if read:
        write_text(work / f"read-{data.task.name}-{rate}-{seed}.txt", to_read(figures[0][1], bad, read, seed))
    test = [encoded(row) for row in data.test]
    learned = {"as they are": data.rows, "damaged": bad, "mended": mended(bad, figures[-1][1].mended)}
    return figures, {name: f1(test, StandIn(data.task.labels).fit([encoded(row) for row in rows], seed)) for name, rows in learned.items()}


def stand_in_answers(data: Data, rows: Sequence[Example], seed: int, folds: int) -> dict[str, ModelAnswer]:
    """Returns what stand-ins say about rows that they didn't learn from, by id."""
    known = {row.id: encoded(row) for row in rows}
    said = {}
    for fold in range(folds):
        model = StandIn(data.task.labels).fit([known[row.id] for row in rows if fold_of(row, folds) != fold], seed)
        own = [known[row.id] for row in rows if fold_of(row, folds) == fold]
        said |= {one.example.id: ModelAnswer(read.spans) for one, read in zip(own, model.read(own), strict=True)}
    return said


def with_run(data: Data, work: Path, rate: int, seed: int, folds: int) -> tuple[Found, dict[str, float]]:
    """Returns what is found with the embedded model's answers, and its F1 on new sentences when it is trained on the rows as they are, damaged and mended."""
    run, options = load_run(CONF), Options(port=free_port())
    task, rows, new = data.task, data.rows, data.test
    bad, done = harmed(rows, rate, seed)
    place = work / f"{task.name}-run-{rate}-{seed}"
    part = write_part(run, task, place / "damaged", {"train": bad, "dev": new})
    answers = said_by(held_out(part, task, "train", folds, options))
    started = time.perf_counter()
    listed, _ = suspects(Rows(task, {"train": task.examples("train", part.dataset)}), answers, DEEP)
    figures = found(listed, done, time.perf_counter() - started)
    scores = {}
    undamaged = work / f"{task.name}-run"  # is trained once for all rates and seeds
    learned = {"as they are": (undamaged, rows), "damaged": (place / "damaged", bad), "mended": (place / "mended", mended(bad, figures.mended))}
    for name, (folder, train) in learned.items():
        one = trained_part(run, task, folder, {"train": train, "dev": new})
        scores[name] = evaluated(Asking(one, task, "dev", one.variant("adapter")), options)["micro"]["f1"]
    return figures, scores


def mended(rows: Sequence[Example], harms: Sequence[Harm]) -> list[Example]:
    """Returns the rows with the given damage undone."""
    by_row: dict[str, list[Harm]] = {}
    for harm in harms:
        by_row.setdefault(harm.row, []).append(harm)
    made = []
    for row in rows:
        entities = dict.fromkeys(map(_span, row.entities))
        for harm in by_row.get(row.id, ()):
            if harm.now:
                entities.pop(harm.now, None)
            if harm.before:
                entities[harm.before] = None
        ordered = sorted(entities, key=lambda span: span[1])
        made.append(replace(row, entities=[Entity(label, row.text[start:end], start, end) for label, start, end in ordered]))
    return made


def new_sentences(task: Task, number: int) -> list[Example]:
    """Returns sentences made up as the sample's are, behind those of its splits."""
    behind = sum(sample.SPLITS.values())
    made = islice(sample.rows(SAMPLE_SEED), behind, behind + number)
    return [Example(f"{task.name}-dev-{at:06d}", text, _entities(found)) for at, (text, found) in enumerate(made, 1)]


def _entities(found: sample.Entities) -> list[Entity]:
    return [
        Entity(label, string, first, last + 1) for label, strings in found.items() for string, places in strings.items() for first, last in places
    ]


def row_of(name: str, evidence: str, rate: int, seed: int, one: Found) -> list[str]:
    """Returns a line of the table."""
    kinds = [f"{one.kinds.get(kind, 0.0):.2f}" for kind in KINDS]
    return [
        name,
        evidence,
        f"{rate}%",
        str(seed),
        f"{one.damaged:,}",
        f"{one.recall_at_half:.2f}",
        f"{one.listed:,}",
        f"{one.precision:.2f}",
        f"{one.recall:.2f}",
        *kinds,
        f"{one.to_goal:,}, of which {len(one.others):,}" if one.to_goal else "not found",
        f"{one.seconds:.0f}",
    ]


HEAD = [
    "data",
    "evidence",
    "damage",
    "seed",
    "damaged",
    "found at precision 0.5",
    f"listed (score ≥ {LEAST})",
    "precision",
    "found",
    *KINDS,
    f"suspects until {GOAL} is found, and those of them that no damage explains",
    "s",
]


def page(lines: list[list[str]], scores: list[list[str]]) -> str:
    """Returns the result page."""
    parts = [
        "# Suspects: damaged labels that are found",
        "",
        f"{machine()}. Made by `.venv/train/bin/python -m bench.suspects`: a share of the train entities is damaged in four ways in turn. A damaged entity is found when a suspect"
        " points at it. What was wrong before counts as a false alarm, so on CLUENER precision is a lower bound. Seconds are of finding alone, wall clock.",
        "",
        *table([HEAD, *lines]),
        "",
        f"The stand-ins are linear taggers (bench/stand_in.py), each of which learned the other parts of the damaged rows. CLUENER's last {HELD_OUT:,} rows are held out; the sample's are"
        f" {NEW_ROWS:,} new sentences. Below is the F1 on them of a model that learned the rows as they are, damaged, and with the damage undone that the list points at: span F1 of a"
        " stand-in, micro-F1 of the embedded model.",
        "",
        *table([["data", "model", "damage", "seed", "as they are", "damaged", "mended", "regained"], *scores]),
    ]
    return "\n".join(parts) + "\n"


def score_line(name: str, model: str, rate: int, seed: int, scores: dict[str, float]) -> list[str]:
    """Returns a line of the table of F1."""
    lost, regained = scores["as they are"] - scores["damaged"], scores["mended"] - scores["damaged"]
    figures = [f"{scores[key]:.4f}" for key in ("as they are", "damaged", "mended")]
    return [name, model, f"{rate}%", str(seed), *figures, f"{regained / lost:.2f}" if lost > 0 else "nothing was lost"]


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.suspects", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, metavar="FILE", help="CLUENER's train file")
    parser.add_argument("--runs", type=whole_number(0, 100), default=0, metavar="N", help="of so many seeds also with the embedded model")
    parser.add_argument("--rates", type=whole_number(1, 100), nargs="+", default=RATES, metavar="PERCENT", help="of the train entities are damaged")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--folds", type=whole_number(2, 20), default=2)
    parser.add_argument(
        "--read", type=whole_number(0, 10_000), default=0, metavar="N", help="suspects without a model that no damage explains, to be read"
    )
    parser.add_argument("--work", type=Path, default=Path("data/outputs/bench-suspects"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), metavar="DIR")
    args = parser.parse_args()
    task = find_task("sample")
    sets = [Data("sample", task, examples_of(task, Path(task.raw["train"])), new_sentences(task, NEW_ROWS))]
    if args.data:
        clue = find_task("clue")
        rows = examples_of(clue, args.data)
        sets.append(Data("CLUENER", clue, rows[:-HELD_OUT], rows[-HELD_OUT:]))
    lines, scores = [], []
    for data in sets:
        for rate, seed in product(args.rates, args.seeds):
            figures, f1s = with_stand_ins(data, args.work, rate, seed, args.folds, args.read)
            lines += [row_of(data.name, name, rate, seed, one) for name, one in figures]
            scores.append(score_line(data.name, "stand-in", rate, seed, f1s))
            print(*lines[-2:], scores[-1], sep="\n", flush=True)
    for rate, seed in product(args.rates, args.seeds[: args.runs]):
        one, f1s = with_run(sets[0], args.work, rate, seed, args.folds)
        lines.append(row_of("sample", f"and {args.folds} embedded models", rate, seed, one))
        scores.append(score_line("sample", "embedded", rate, seed, f1s))
        print(lines[-1], scores[-1], sep="\n", flush=True)
    write_text(args.out / "suspects.md", page(lines, scores))
    print(page(lines, scores))


if __name__ == "__main__":
    run_tool(main)
