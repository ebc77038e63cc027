"""Measures how well a calibration holds on rows that it wasn't made of: random halves of a calibrated split, many times.

In: a run that was calibrated; its answers are in its calibration folder, and nobody is asked. Out: a Markdown page in bench/results/. Each time the curve and its thresholds are
learned on one half of the rows, and judged on the other: the ECE before and after, how often a promised precision held, and the recall that it cost. The last column resamples the
rows of the other half, with replacement, 100 times each.

    .venv/train/bin/python -m bench.calibrate conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy

from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.errors import ToolError
from tools.errors import run as run_tool
from tools.example import read_examples
from tools.extract.calibrate import RISK, Judged, corrected, judged, learned
from tools.extract.calibrate import bins as binned
from tools.extract.confidence import PRECISIONS, asking_to_calibrate, calibration_file
from tools.files import write_text
from tools.predict.predict import finished
from tools.predict.predictions import read_predictions
from tools.predict.questions import need_examples
from tools.score.bootstrap import resample
from tools.text import share, whole_number
from tools.variant import variant_word

TIMES, SEED = 100, 42


@dataclass
class Promise:
    """A promised precision on the other halves: whether it held in each where it was made, in which share of its resamples, and the recall that it cost."""

    held: list[bool] = field(default_factory=list)
    resamples: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)


@dataclass
class Measured:
    """The ECE on each other half, before and after, and the promises by precision."""

    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)
    promises: dict[float, Promise] = field(default_factory=dict)


def measure(found: Judged, times: int, precisions: Sequence[float]) -> Measured:
    """Returns what `times` random halves of the rows show about the other halves."""
    made, random = Measured(promises={precision: Promise() for precision in precisions}), numpy.random.default_rng(SEED)
    for number in range(times):
        mixed = random.permutation(len(found.ids))
        old, new = (found.part(sorted(rows.tolist())) for rows in numpy.array_split(mixed, 2))
        curve = learned(old)
        confidence = corrected(curve, new.raw)
        made.before.append(error(new.raw, new.right))
        made.after.append(error(confidence, new.right))
        for precision, promise in made.promises.items():
            if (threshold := curve.threshold(precision)) is not None:
                judge(promise, precision, new, confidence >= threshold, number)
    return made


def error(confidence: numpy.ndarray, right: numpy.ndarray) -> float:
    """Returns the ECE, without its interval."""
    return sum(one.entities * abs(one.said - one.right) for one in binned(confidence, right)) / len(right)


def judge(promise: Promise, precision: float, new: Judged, kept: numpy.ndarray, seed: int) -> None:
    """Adds to a promise what one other half shows of it. A half in which nothing is kept breaks no promise."""
    rows = len(new.ids)
    table = numpy.stack([numpy.bincount(new.row[kept], new.right[kept], rows), numpy.bincount(new.row[kept], minlength=rows)], 1)
    right, all_kept = table.sum(0)
    promise.held.append(bool(right >= precision * all_kept))
    drawn = resample(numpy.ones(rows, dtype=numpy.int64), table, 100, seed)
    promise.resamples.append(float((drawn[:, 0] >= precision * drawn[:, 1]).mean()))
    promise.lost.append(float(new.right.sum() - right) / max(1, sum(new.gold)))


def page(name: str, found: Judged, made: Measured) -> str:
    """Returns the Markdown page."""
    times = len(made.after)
    lines = [
        f"# Calibrating {name}",
        "",
        f"Made by `.venv/train/bin/python -m bench.calibrate`: {len(found.raw):,} entities with a confidence in {len(found.ids):,} rows, {int(found.right.sum()):,} of them right. {times} times a random"
        f" half of the rows was learned on and the other half judged. A promise may fail in {RISK:.0%} of new halves.",
        "",
        "| ECE on the other half | mean | highest |",
        "|---|---|---|",
        f"| before | {numpy.mean(made.before):.3f} | {max(made.before):.3f} |",
        f"| after | {numpy.mean(made.after):.3f} | {max(made.after):.3f} |",
        "",
        "| precision | promised | held | recall lost, mean | held in resamples of the other half, mean |",
        "|---|---|---|---|---|",
    ]
    for precision, promise in made.promises.items():
        figures = f"{sum(promise.held)} | {numpy.mean(promise.lost):.3f} | {numpy.mean(promise.resamples):.2f}" if promise.held else "- | - | -"
        lines.append(f"| {precision:.2f} | {len(promise.held)} of {times} | {figures} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.calibrate", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("conf", type=Path, metavar="conf/<run>.yaml")
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value")
    parser.add_argument("--which", type=variant_word, default="adapter", metavar="MODEL", help="default: adapter")
    parser.add_argument("--task", metavar="NAME", help="default: the task that the run trains")
    parser.add_argument("--split", default="dev", help="default: dev")
    parser.add_argument("--times", type=whole_number(2, 10_000), default=TIMES, metavar="N", help=f"halves (default: {TIMES})")
    parser.add_argument("--precisions", type=share, nargs="+", default=PRECISIONS, metavar="P", help=f"default: {' '.join(map(str, PRECISIONS))}")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), metavar="DIR", help="the page's folder (default: bench/results)")
    args = parser.parse_args()
    run = load_run(args.conf, args.overrides)
    asking = asking_to_calibrate(run, find_task(args.task or run.task), args.split, run.variant(args.which))
    predictions = finished(asking, calibration_file(asking.variant, asking.task.name).with_suffix(""))
    if predictions is None:
        raise ToolError(f"{run.path}: no answers with log-probabilities to {args.split}. To ask for them: ./ner calibrate {run.path}")
    examples = read_examples(need_examples(run, asking.task, args.split))
    found = judged(asking.task, examples, read_predictions(predictions), asking.thinking)
    text = page(f"{run.name} ({args.which})", found, measure(found, args.times, args.precisions))
    file = args.out / f"calibrate-{run.name}.md"
    write_text(file, text)
    print(f"{text}\n→ {file}")


if __name__ == "__main__":
    run_tool(main)
