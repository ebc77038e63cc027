"""The gate before a merged or quantised model replaces the adapter: the same rows through each, how many answers agree, and what it costs in F1.

In: a trained run with a merged model, quantised ones with it. Out: predictions and scores of each, parity.json in data/outputs/<run>/; exit code 1 beyond the bound.

    python -m tools.evaluate.parity conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev --bound 0.02
"""

from __future__ import annotations

from typing import Any

from tools.conf.run import Run, run_from
from tools.conf.task import Task, find_task
from tools.errors import WANTING, ToolError, run
from tools.evaluate.evaluate import predict_and_score, score
from tools.files import need_file, write_json
from tools.predict.predict import add_server_options, finished, need_examples
from tools.predict.predictions import FILE, folder, read_predictions
from tools.predict.server import serving
from tools.variant import QUANTIZATIONS

BOUND = 0.02  # of micro F1: merging rounds every weight to bf16, which alone changes some answers


def parity(this: Run, task: Task, split: str, port: int, concurrency: int, bound: float) -> dict[str, Any]:
    """Predict and score the split with the adapter and with each model made from it; write parity.json and return its content.

    A model whose answers are there and up to date isn't asked again. Raises ToolError for a run without a merged model.
    """
    need_file(this.merged / "config.json", f"Nothing to compare with the adapter yet: make export CONF={this.path}")
    need_examples(this, task, split)
    others = ["merged", *(f"merged-{method}" for method in QUANTIZATIONS if (this.quantized(method) / "config.json").is_file())]
    scores = {which: _scored(this, task, split, which, port, concurrency) for which in ("adapter", *others)}
    outputs = {which: _outputs(this, task, split, which) for which in scores}
    rows = [_against(which, scores, outputs) for which in others]
    result = {
        "run": this.name,
        "task": task.name,
        "split": split,
        "bound": bound,
        "adapter_micro_f1": scores["adapter"]["micro"]["f1"],
        "models": rows,
        "passed": all(abs(row["difference"]) <= bound for row in rows),
    }
    write_json(this.output_dir / "parity.json", result)
    return result


def _scored(this: Run, task: Task, split: str, which: str, port: int, concurrency: int) -> dict[str, Any]:
    if predictions := finished(this, task, split, which, folder(this, task, split, which)):
        return score(this, task, split, which, predictions)
    with serving(this, which, None, port) as server:
        return predict_and_score(this, task, split, server, which, concurrency)


def _outputs(this: Run, task: Task, split: str, which: str) -> dict[str, str | None]:
    return {id: found.output for id, found in read_predictions(folder(this, task, split, which) / FILE).items()}


def _against(which: str, scores: dict[str, dict[str, Any]], outputs: dict[str, dict[str, str | None]]) -> dict[str, Any]:
    same = sum(outputs[which].get(id) == output for id, output in outputs["adapter"].items())
    f1 = scores[which]["micro"]["f1"]
    return {
        "model": which,
        "rows": len(outputs["adapter"]),
        "same_answers": same,
        "micro_f1": f1,
        "difference": f1 - scores["adapter"]["micro"]["f1"],
    }


def table(result: dict[str, Any]) -> str:
    """The models under each other, held against the adapter."""
    lines = [
        f"{'model':<14} {'same answers':>16} {'micro F1':>9} {'against the adapter':>20}",
        f"{'adapter':<14} {'':>16} {result['adapter_micro_f1']:>9.4f}",
    ]
    for row in result["models"]:
        same = f"{row['same_answers']:,} of {row['rows']:,}"
        beyond = f"  beyond {result['bound']}" if abs(row["difference"]) > result["bound"] else ""
        lines.append(f"{row['model']:<14} {same:>16} {row['micro_f1']:>9.4f} {row['difference']:>+20.4f}{beyond}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.evaluate.parity", description=(__doc__ or "").split("\n\n")[0])
    add_server_options(parser)
    parser.add_argument("--bound", type=float, default=BOUND, help=f"the largest difference of micro F1 that passes (default: {BOUND})")
    args = parser.parse_args()
    this = run_from(args)
    result = parity(this, find_task(args.task or this.task), args.split, args.port, args.concurrency, args.bound)
    print(f"\n{table(result)}\n→ {this.output_dir / 'parity.json'}")
    if not result["passed"]:
        worst = max(result["models"], key=lambda row: abs(row["difference"]))
        raise ToolError(
            f"{this.path}: {worst['model']} is {worst['difference']:+.4f} of micro F1 away from the adapter, more than {args.bound}. Look at the rows:"
            f' make compare RUNS="{this.name} {this.name}:{worst["model"]}"',
            WANTING,
        )


if __name__ == "__main__":
    run(main)
