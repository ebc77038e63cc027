"""Finds the best checkpoint by F1 and not by loss: one server holds every checkpoint of a run as an adapter, and each answers the split.

In: a trained run with checkpoints. Out: predictions and scores of each in data/outputs/<run>/eval/, best.json and best.png in data/outputs/<run>/;
export, serve and eval take the best one with --which best.

    ./ner best conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypedDict

from tools.conf.run import Run, run_from
from tools.conf.task import Task, find_task
from tools.errors import WANTING, ToolError
from tools.evaluate.evaluate import evaluated
from tools.files import read_json, replacing_file
from tools.predict.engines import Options
from tools.predict.questions import Asking, need_examples
from tools.predict.server import serving
from tools.serve.preflight import whole_checkpoints
from tools.variant import Variant

METRICS = ("micro", "macro")


class Step(TypedDict):
    """One checkpoint's F1, micro, macro and on entities unseen in train, and the loss on the held-out rows; None where there is none."""

    step: int
    micro: float
    macro: float
    unseen: float | None
    eval_loss: float | None


class Best(TypedDict):
    """best.json. Variant.write_best adds the hash of the adapter."""

    run: str
    task: str
    split: str
    metric: str
    checkpoint: str
    steps: list[Step]


def best(run: Run, task: Task, split: str, metric: str, port: int, concurrency: int) -> Best:
    """Scores every checkpoint, writes best.png and best.json, and returns best.json's content; among equals the earliest is best.

    Raises ToolError for a run without checkpoints, and for a PiSSA run.
    """
    found = need_checkpoints(run)
    need_examples(run, task, split)
    losses, steps = eval_losses(run), list[Step]()
    with serving(run, run.variant("adapter"), None, port, checkpoints=True) as server:
        for step, variant in found.items():
            score = evaluated(Asking(run, task, split, variant), Options(url=server.url, concurrency=concurrency))
            unseen = score["unseen"]["f1"] if "unseen" in score else None
            steps.append(Step(step=step, micro=score["micro"]["f1"], macro=score["macro"]["f1"], unseen=unseen, eval_loss=losses.get(step)))
    chosen = max(steps, key=lambda one: (one[metric], -one["step"]))  # type: ignore[literal-required]
    result = Best(run=run.name, task=task.name, split=split, metric=f"{metric}_f1", checkpoint=f"checkpoint-{chosen['step']}", steps=steps)
    draw(result, run.output_dir / "best.png")
    run.variant("adapter").write_best(dict(result))
    return result


def need_checkpoints(run: Run) -> dict[int, Variant]:
    """Returns step → checkpoint, in order. Raises ToolError where there are none, and for a PiSSA run."""
    found = whole_checkpoints(run)
    if not found:
        raise ToolError(
            f"{run.output_dir}: no checkpoints in it. Train with some, and start over if the run is finished: make train CONF={run.path}"
            ' ARGS="save_strategy=steps save_steps=… --fresh"',
            WANTING,
        )
    return found


def eval_losses(run: Run) -> dict[int, float]:
    """Returns step → loss on the held-out rows from the newest trainer_state.json; empty for a run without evaluation."""
    states = [run.output_dir, *(folder for _, folder in sorted(run.checkpoints(), reverse=True))]
    path = next((folder / "trainer_state.json" for folder in states if (folder / "trainer_state.json").is_file()), None)
    history = read_json(path).get("log_history", []) if path else []
    return {int(entry["step"]): float(entry["eval_loss"]) for entry in history if "eval_loss" in entry}


def table(result: Best) -> str:
    """Returns the checkpoints as a table, the best one marked."""
    lines = [f"{'step':>8} {'micro F1':>9} {'macro F1':>9} {'unseen F1':>9} {'eval loss':>9}"]
    for one in result["steps"]:
        values = (one["micro"], one["macro"], one["unseen"], one["eval_loss"])
        shown = " ".join(f"{'-':>9}" if value is None else f"{value:>9.4f}" for value in values)
        lines.append(f"{one['step']:>8} {shown}{'  ← best' if result['checkpoint'] == 'checkpoint-' + str(one['step']) else ''}")
    return "\n".join(lines)


def draw(result: Best, path: Path) -> None:
    """Draws F1 and eval loss over the steps, as a PNG."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(7, 4), layout="constrained")
    axes, steps = figure.subplots(), [one["step"] for one in result["steps"]]
    for metric in METRICS:
        axes.plot(steps, [one[metric] for one in result["steps"]], marker="o", label=f"{metric} F1")  # type: ignore[literal-required]
    axes.set_xlabel("step")
    axes.set_ylabel(f"F1 on {result['task']} {result['split']}")
    axes.axvline(int(result["checkpoint"].rpartition("-")[2]), color="grey", linestyle=":", label="best")
    losses = [(one["step"], one["eval_loss"]) for one in result["steps"]]
    if any(loss is not None for _, loss in losses):
        right = axes.twinx()
        right.plot(*zip(*losses, strict=True), marker="x", color="tab:red", label="eval loss")
        right.set_ylabel("eval loss", color="tab:red")
    axes.set_title(result["run"])
    axes.legend(loc="best")
    with replacing_file(path) as new:
        figure.savefig(new, format="png", dpi=150)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own options."""
    parser.add_argument("--metric", choices=METRICS, default="micro", help="which F1 decides (default: micro)")


def main(args: argparse.Namespace) -> None:
    """Finds the best checkpoint and prints all of them."""
    run = run_from(args)
    result, chosen = best(run, find_task(args.task or run.task), args.split, args.metric, args.port, args.concurrency), run.variant("best")
    print(f"\n{table(result)}\n→ {chosen.record}, {run.output_dir / 'best.png'}  next: {chosen.command('export')}")
