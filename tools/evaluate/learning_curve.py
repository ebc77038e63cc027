"""Draws a run's learning curve: trains it on nested shares of its rows, scores each, and says what twice the data should bring.

In: a run that trains one task's `train` split, and a split to ask. Out: in data/outputs/<run>/curve/ a folder for each training, curve.json and curve.png. What is trained and
asked already isn't done again, so an interrupt loses nothing that was finished; after each seed the curve so far is written.

    ./ner curve conf/tiny-qwen2-sample-ner-lora-sft.yaml
    ./ner curve conf/tiny-qwen2-sample-ner-lora-sft.yaml --shares 12.5 25 50 100 --seeds 42
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from tools.conf.run import PEFT_METHODS, Run, run_from
from tools.conf.task import Task, find_task
from tools.data.doctor.plots import COLOURS
from tools.data.repeats import digest
from tools.errors import ToolError, all_at_once
from tools.evaluate.evaluate import evaluated
from tools.evaluate.power_law import Bounded, Forecast, estimate, forecast, redrawn, shown
from tools.example import Example, read_examples
from tools.files import replacing_file, write_json
from tools.predict.engines import Options
from tools.predict.predictions import FILE
from tools.predict.questions import Asking, need_examples
from tools.predict.server import find_ready
from tools.report.paired import count
from tools.text import whole_number
from tools.train import manifest
from tools.train.arguments import with_defaults
from tools.train.distributed import usual
from tools.train.part import need_own_data, trained_part
from tools.variant import FINISHED

if TYPE_CHECKING:
    import numpy
    from matplotlib.axes import Axes

SHARES = (10.0, 25.0, 50.0, 100.0)  # %
SEEDS = 3  # the run's own, and the next ones


class Point(TypedDict):
    """One share of the rows. `entities` counts unique (label, string) pairs, the mean over the seeds' rows; `f1` is the mean micro F1, `seeds` each seed's own."""

    share: float
    rows: int
    entities: int
    f1: Bounded
    seeds: dict[str, float]


class LearningCurve(TypedDict):
    """curve.json."""

    run: str
    task: str
    split: str
    asked: int  # rows of the split
    points: list[Point]
    forecast: Forecast


@dataclass(frozen=True)
class Plotted:
    """What a curve is made of: a run, its task, the split that is asked, the rows that the run trains on, shares in per cent and seeds."""

    run: Run
    task: Task
    split: str
    rows: list[Example]
    shares: Sequence[float]
    seeds: Sequence[int]

    @property
    def folder(self) -> Path:
        """The folder of the curve and of its parts."""
        return self.run.output_dir / "curve"

    def size(self, share: float) -> int:
        """Returns the number of rows of a share."""
        return round(len(self.rows) * share / 100)

    def part(self, seed: int, share: float) -> Path:
        """Returns the folder of one training."""
        return self.folder / f"seed-{seed}" / f"{share:g}"


def curve(run: Run, task: Task, split: str, shares: Sequence[float], seeds: Sequence[int], options: Options) -> LearningCurve:
    """Trains and scores every part, seed by seed, and returns curve.json's content; writes it, the picture and the table after each seed.

    Raises ToolError for a run, shares or seeds that give no curve, before anything is trained.
    """
    plotted = need_plottable(run, task, split, shares, seeds)
    asked = list(read_examples(need_examples(run, task, split)))
    unfinished = [(seed, share) for seed in seeds for share in shares if not (plotted.part(seed, share) / run.name / FINISHED).is_file()]
    if unfinished and options.engine == "vllm":
        need_free_port(options.port)
    print(cost(plotted, unfinished), flush=True)
    counted: list[list[numpy.ndarray]] = []
    number = 0
    for seed in seeds:
        counted.append([])
        for share in shares:
            number += 1
            print(f"\n{number} of {len(seeds) * len(shares)}: seed {seed}, {share:g} % ({plotted.size(share):,} rows)", flush=True)
            counted[-1].append(scored(plotted, seed, share, asked, options))
        result = learned(plotted, counted, len(asked))
        draw(result, plotted.folder / "curve.png")
        write_json(plotted.folder / "curve.json", result)
        print(f"\n{table(result)}\n\n{says(result)}", flush=True)
    return result


def need_plottable(run: Run, task: Task, split: str, shares: Sequence[float], seeds: Sequence[int]) -> Plotted:
    """Returns what the curve is made of. Raises ToolError with everything that is wrong with it."""
    need_own_data(run, task)
    if split == "train":
        raise ToolError("--split train: a model answers the rows that it was trained on better than new ones. Name a split that was held out.")
    rows = list(read_examples(need_examples(run, task, "train")))[: run.values.get("max_samples")]
    plotted = Plotted(run, task, split, rows, shares, seeds)
    problems = [*_share_problems(plotted)]
    if len({*seeds}) < len(seeds):
        problems.append(f"--seeds {_words(seeds)}: a seed stands twice.")
    if (method := run.values.get("finetuning_type")) in ("full", "freeze"):
        problems.append(f"{run.path}: finetuning_type: {method}: leaves no adapter that could be asked.")
    all_at_once(problems)
    return plotted


def _share_problems(plotted: Plotted) -> Iterator[str]:
    shares, values = plotted.shares, with_defaults(plotted.run)
    if len(shares) < 2 or list(shares) != sorted({*shares}):
        yield f"--shares {_words(shares)}: must rise, and be two at least."
    batch = int(values["per_device_train_batch_size"]) * int(values["gradient_accumulation_steps"]) * usual(plotted.run).total
    for share in shares:
        if (size := plotted.size(share)) < batch:
            yield f"--shares {share:g}: {share:g} % of {len(plotted.rows):,} rows are {size:,}, fewer than one batch of {batch}. Name larger shares."


def need_free_port(port: int) -> None:
    """Raises ToolError where a server runs at the port: each part needs one of its own there, which would be known only after the first training."""
    if find_ready(url := f"http://127.0.0.1:{port}/v1"):
        raise ToolError(f"{url}: a server runs there, and each part needs one of its own. Stop it, or name another port: --port N (make: PORT=…)")


def _words(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def cost(plotted: Plotted, unfinished: Sequence[tuple[int, float]]) -> str:
    """Returns what is to be trained, in trainings of the run itself, and the time of that where the run was trained in one go."""
    every = len(plotted.seeds) * len(plotted.shares)
    if not unfinished:
        return f"all {every} parts are trained already"
    steps = int(with_defaults(plotted.run)["max_steps"])
    times = sum(1.0 if steps > 0 else plotted.size(share) / len(plotted.rows) for _, share in unfinished)
    seconds = trained_in(plotted.run)
    took = f": the run itself took {_duration(seconds)}, so about {_duration(times * seconds)}" if seconds else ""
    there = f"; {every - len(unfinished)} are trained already" if len(unfinished) < every else ""
    return (
        f"{len(unfinished)} trainings, together {times:.2f} times the run's own on {len(plotted.rows):,} rows{took}; a server is started for each{there}."
        " To stop: Ctrl-C; the same command goes on."
    )


def trained_in(run: Run) -> float | None:
    """Returns the seconds that the run's own training took; None where it isn't trained, or was interrupted."""
    record = manifest.read(run.output_dir)
    if record is None or record.exit_code != 0 or record.resumed_from or record.ended is None:
        return None
    return (datetime.fromisoformat(record.ended) - datetime.fromisoformat(record.started)).total_seconds()


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def subset(rows: Sequence[Example], size: int, seed: int) -> list[Example]:
    """Returns `size` rows in their order: the first by a hash of seed and text. A smaller subset of the same seed is part of a larger one."""
    order = sorted(range(len(rows)), key=lambda row: (digest(str(seed), rows[row].text), row))
    return [rows[row] for row in sorted(order[:size])]


def scored(plotted: Plotted, seed: int, share: float, asked: Sequence[Example], options: Options) -> numpy.ndarray:
    """Trains a part, asks it, and returns 2 tp and 2 tp + fp + fn of each asked row, (rows, 2). What is done and up to date isn't done again."""
    import numpy

    task, split = plotted.task, plotted.split
    splits = {"train": subset(plotted.rows, plotted.size(share), seed), split: asked}
    part = trained_part(plotted.run, task, plotted.part(seed, share), splits, [f"seed={seed}"])
    asking = Asking(part, task, split, part.variant("adapter"))
    evaluated(asking, options)
    counts = count(task, list(read_examples(need_examples(part, task, split))), asking.folder / FILE).counts
    sums = [(sum(one.tp for one in row.values()), sum(one.fp + one.fn for one in row.values())) for row in counts]
    return numpy.array([(2 * right, 2 * right + wrong) for right, wrong in sums])


def learned(plotted: Plotted, counted: Sequence[Sequence[numpy.ndarray]], asked: int) -> LearningCurve:
    """Returns the curve of the counts of each seed and share."""
    import numpy

    counts = numpy.array([list(seed) for seed in counted]).transpose(2, 0, 1, 3)
    means, sums, seeds = redrawn(counts), counts.sum(axis=0), plotted.seeds[: len(counted)]
    points = [
        Point(
            share=share,
            rows=plotted.size(share),
            entities=round(sum(_entities(plotted, seed, share) for seed in seeds) / len(seeds)),
            f1=estimate(means[:, place]),
            seeds={str(seed): float(sums[row, place, 0] / max(1, sums[row, place, 1])) for row, seed in enumerate(seeds)},
        )
        for place, share in enumerate(plotted.shares)
    ]
    ahead = forecast([point["rows"] for point in points], means)
    return LearningCurve(run=plotted.run.name, task=plotted.task.name, split=plotted.split, asked=asked, points=points, forecast=ahead)


def _entities(plotted: Plotted, seed: int, share: float) -> int:
    return sum(len(row.pairs()) for row in subset(plotted.rows, plotted.size(share), seed))


def table(result: LearningCurve) -> str:
    """Returns the points as a table."""
    lines = [f"{'share':>7} {'rows':>8} {'entities':>9} {'micro F1':>9} {'95 % interval':>15} {'over the seeds':>15}"]
    for point in result["points"]:
        f1, each = point["f1"], point["seeds"].values()
        spread = f"{min(each):.4f}–{max(each):.4f}" if len(each) > 1 else "-"
        between = f"{f1['low']:.4f}–{f1['high']:.4f}"
        lines.append(f"{point['share']:>5g} % {point['rows']:>8,} {point['entities']:>9,} {f1['value']:>9.4f} {between:>15} {spread:>15}")
    return "\n".join(lines)


def says(result: LearningCurve) -> str:
    """Returns in plain words what twice the data should bring, or why that can't be told, and what the intervals leave out."""
    ahead, points = result["forecast"], result["points"]
    lines = [*{"": _forecast_lines, "flat": _flat_lines, "misfit": _misfit_lines}[ahead["refusal"]](points, ahead)]
    if len(seeds := [*points[0]["seeds"]]) == 1:
        more = _words([int(seeds[0]) + number for number in range(SEEDS)])
        lines.append(f"One seed: how much one training differs from the next by chance isn't in the intervals. To see it: --seeds {more}")
    return "\n".join(lines)


def _forecast_lines(points: Sequence[Point], ahead: Forecast) -> Iterator[str]:
    noise = ", no more than noise" if ahead["gain"]["low"] <= 0 else ""
    yield f"Twice the data ({ahead['rows']:,} rows): F1 {shown(ahead['f1'])}, {shown(ahead['gain'], '+')} over {points[-1]['rows']:,} rows{noise}."
    yield "That is an extrapolation: it holds for more rows of the same kind, annotated and trained in the same way."
    if len(points) == 2:
        yield "A power law runs through any two points: only a third shows whether these lie on one."


def _flat_lines(points: Sequence[Point], ahead: Forecast) -> Iterator[str]:
    rise = shown(ahead["rise"], "+")
    yield f"No forecast: the curve doesn't rise: F1 on {points[-1]['rows']:,} rows less that on {points[0]['rows']:,} is {rise}."


def _misfit_lines(points: Sequence[Point], ahead: Forecast) -> Iterator[str]:
    point, miss = max(zip(points, ahead["misses"], strict=True), key=lambda one: abs(one[1]["value"]))
    yield f"No forecast: no power law runs through these points: at {point['rows']:,} rows it is off by {shown(miss, '+')}."
    if len(points) > 2:
        fewer = _words([point["share"] for point in points[1:]])
        yield f"The smallest shares may teach too little to lie on one. To leave the first out, without training again: --shares {fewer}"


def draw(result: LearningCurve, path: Path) -> None:
    """Draws the points with their intervals, the law with its band, and twice the data, as a PNG."""
    from matplotlib.figure import Figure  # pyplot would keep global state

    points, ahead = result["points"], result["forecast"]
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    each = [(point["rows"], f1) for point in points for f1 in point["seeds"].values()]
    if len(each) > len(points):
        axes.plot(*zip(*each, strict=True), "x", color=COLOURS[1], markersize=5, zorder=3, label="each seed")
    _draw_bounded(axes, [(point["rows"], point["f1"]) for point in points], "mean, 95 %")
    if not ahead["refusal"]:
        rows, f1, low, high = zip(*ahead["band"], strict=True)
        axes.plot(rows, f1, color=COLOURS[0], linewidth=1, label="power law")
        axes.fill_between(rows, low, high, color=COLOURS[4], alpha=0.25, linewidth=0)
        _draw_bounded(axes, [(ahead["rows"], ahead["f1"])], "twice the rows, foretold", face="white")
    axes.set(xlabel="rows in train", ylabel=f"micro F1 on {result['task']} {result['split']} ({result['asked']:,} rows)", title=result["run"])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    with replacing_file(path) as new:
        figure.savefig(new, format="png", dpi=150, metadata={"Software": None})


def _draw_bounded(axes: Axes, points: Sequence[tuple[int, Bounded]], label: str, face: str = COLOURS[0]) -> None:
    values, lows, highs = zip(*((one["value"], one["low"], one["high"]) for _, one in points), strict=True)
    bars = [[value - low for value, low in zip(values, lows, strict=True)], [high - value for value, high in zip(values, highs, strict=True)]]
    axes.errorbar([rows for rows, _ in points], values, bars, fmt="o", color=COLOURS[0], capsize=3, label=label, mfc=face)


def _share(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"'{word}' is no share of the rows: above 0, 100 at most, in per cent")
    return value


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own options."""
    every = " ".join(f"{share:g}" for share in SHARES)
    parser.add_argument(
        "--shares", type=_share, nargs="+", default=SHARES, metavar="P", help=f"shares of the training rows, rising (default: {every})"
    )
    parser.add_argument(
        "--seeds", type=whole_number(0, 2**32 - 1), nargs="+", metavar="N", help="each trains every share (default: the run's seed and the next two)"
    )


def main(args: argparse.Namespace) -> None:
    """Draws the curve."""
    run = run_from(args)
    own = int(with_defaults(run)["seed"])
    engine = "hf" if run.values.get("finetuning_type") in PEFT_METHODS else "vllm"
    options = Options(engine=engine, port=args.port, concurrency=args.concurrency) if engine == "vllm" else Options(engine=engine)
    curve(run, find_task(run.task), args.split, args.shares, args.seeds or range(own, own + SEEDS), options)
    print(f"→ {run.output_dir / 'curve' / 'curve.json'}, {run.output_dir / 'curve' / 'curve.png'}")
