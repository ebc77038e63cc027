"""The best checkpoint by F1 and not by loss: one server holds every checkpoint of a run as an adapter, and each answers the split.

In: a trained run with checkpoints. Out: predictions and scores of each in data/outputs/<run>/eval/, best.json and best.png in data/outputs/<run>/;
`make export`, `make serve` and `make eval` take the best one with BEST=1.

    python -m tools.evaluate.best conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.conf.run import Run, run_from
from tools.conf.task import Task, find_task
from tools.errors import WANTING, ToolError, run
from tools.evaluate.evaluate import predict_and_score
from tools.files import read_json, replacing_file, write_json
from tools.predict.predict import add_server_options, need_examples
from tools.predict.server import serving

METRICS = ("micro", "macro")


def best(this: Run, task: Task, split: str, metric: str, port: int, concurrency: int) -> dict[str, Any]:
    """Score every checkpoint, write best.json and best.png, and return best.json's content; among equals the earliest is best.

    Raises ToolError for a run without checkpoints.
    """
    steps = need_checkpoints(this)
    need_examples(this, task, split)
    losses, rows = eval_losses(this), []
    with serving(this, "checkpoints", None, port) as server:
        for step in steps:
            score = predict_and_score(this, task, split, server, f"checkpoint-{step}", concurrency)
            unseen = score["unseen"]["f1"] if "unseen" in score else None
            rows.append({"step": step, **{name: score[name]["f1"] for name in METRICS}, "unseen": unseen, "eval_loss": losses.get(step)})
    chosen = max(rows, key=lambda row: (row[metric], -row["step"]))
    result = {
        "run": this.name,
        "task": task.name,
        "split": split,
        "metric": f"{metric}_f1",
        "checkpoint": f"checkpoint-{chosen['step']}",
        "steps": rows,
    }
    draw(result, this.output_dir / "best.png")
    write_json(this.best_record, result)
    return result


def need_checkpoints(this: Run) -> list[int]:
    """The steps of the run's checkpoints, in order. Raises ToolError where there is none that has an adapter, or one that fits no model on the disk."""
    steps = sorted(step for step, folder in this.checkpoints() if (folder / "adapter_model.safetensors").is_file())
    if not steps:
        raise ToolError(
            f"{this.output_dir}: no checkpoints in it. Train with some, and start over if the run is finished: make train CONF={this.path} FRESH=1"
            ' ARGS="save_strategy=steps save_steps=…"',
            WANTING,
        )
    for step in steps:
        this.need_plain(this.adapter(f"checkpoint-{step}"))
    return steps


def eval_losses(this: Run) -> dict[int, float]:
    """step → loss on the held-out rows, as the newest trainer_state.json recorded it; empty for a run without evaluation."""
    states = [this.output_dir, *(folder for _, folder in sorted(this.checkpoints(), reverse=True))]
    path = next((folder / "trainer_state.json" for folder in states if (folder / "trainer_state.json").is_file()), None)
    history = read_json(path).get("log_history", []) if path else []
    return {int(entry["step"]): float(entry["eval_loss"]) for entry in history if "eval_loss" in entry}


def table(result: dict[str, Any]) -> str:
    """The checkpoints under each other, the best one marked."""
    lines = [f"{'step':>8} {'micro F1':>9} {'macro F1':>9} {'unseen F1':>9} {'eval loss':>9}"]
    for row in result["steps"]:
        values = " ".join(f"{row[name]:>9.4f}" if row[name] is not None else f"{'-':>9}" for name in (*METRICS, "unseen", "eval_loss"))
        lines.append(f"{row['step']:>8} {values}{'  ← best' if result['checkpoint'] == 'checkpoint-' + str(row['step']) else ''}")
    return "\n".join(lines)


def draw(result: dict[str, Any], path: Path) -> None:
    """F1 and eval loss over the steps, as a PNG."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(7, 4), layout="constrained")
    axes, rows = figure.subplots(), result["steps"]
    steps = [row["step"] for row in rows]
    for name in METRICS:
        axes.plot(steps, [row[name] for row in rows], marker="o", label=f"{name} F1")
    axes.set_xlabel("step")
    axes.set_ylabel(f"F1 on {result['task']} {result['split']}")
    axes.axvline(int(result["checkpoint"].rpartition("-")[2]), color="grey", linestyle=":", label="best")
    if any(row["eval_loss"] is not None for row in rows):
        losses = axes.twinx()
        losses.plot(steps, [row["eval_loss"] for row in rows], marker="x", color="tab:red", label="eval loss")
        losses.set_ylabel("eval loss", color="tab:red")
    axes.set_title(result["run"])
    axes.legend(loc="best")
    with replacing_file(path) as new:
        figure.savefig(new, format="png", dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.evaluate.best", description=(__doc__ or "").split("\n\n")[0])
    add_server_options(parser)
    parser.add_argument("--metric", choices=METRICS, default="micro", help="which F1 decides (default: micro)")
    args = parser.parse_args()
    this = run_from(args)
    result = best(this, find_task(args.task or this.task), args.split, args.metric, args.port, args.concurrency)
    print(f"\n{table(result)}\n→ {this.best_record}, {this.output_dir / 'best.png'}  next: make export CONF={this.path} BEST=1")


if __name__ == "__main__":
    run(main)
