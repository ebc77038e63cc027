"""Compares merged and quantised models with the adapter that they were made from: the same rows through each, how many answers agree, and the cost in F1.

In: a trained run with a merged model, and quantised ones where they are there. Out: predictions and scores of each, parity.json in data/outputs/<run>/; exit
code 1 beyond the bound.

    ./ner parity conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev --bound 0.02
"""

from __future__ import annotations

import argparse
from typing import TypedDict

from tools.conf.run import Run, run_from
from tools.conf.task import Task, find_task
from tools.errors import WANTING, ToolError, all_at_once
from tools.evaluate.evaluate import evaluated
from tools.files import write_json
from tools.predict.engines import Options
from tools.predict.predictions import FILE, read_predictions
from tools.predict.questions import Asking
from tools.score.score_file import Score
from tools.text import share
from tools.variant import QUANTIZATIONS, Variant

BOUND = 0.02  # of micro F1: merging rounds every weight to bf16, which alone changes some answers


class Compared(TypedDict):
    """One model against the adapter. `model` is its word, `difference` its micro F1 less the adapter's."""

    model: str
    rows: int
    same_answers: int
    micro_f1: float
    difference: float


class Parity(TypedDict):
    """parity.json. `adapter` is the word of the adapter that the models were made from."""

    run: str
    task: str
    split: str
    bound: float
    adapter: str
    adapter_micro_f1: float
    models: list[Compared]
    passed: bool


def parity(run: Run, task: Task, split: str, port: int, concurrency: int, bound: float) -> Parity:
    """Predicts and scores the split with each model and with the adapter that they were made from; writes parity.json and returns its content.

    A model whose answers are there and up to date isn't asked again. Raises ToolError for a run without a merged model, and for a stale model.
    """
    models = need_models(run)
    adapter, *others = [Asking(run, task, split, variant) for variant in (models[0].source(), *models)]
    scores = {asking.variant: evaluated(asking, Options(port=port, concurrency=concurrency)) for asking in (adapter, *others)}
    rows = [_compared(adapter, other, scores) for other in others]
    result = Parity(
        run=run.name,
        task=task.name,
        split=split,
        bound=bound,
        adapter=adapter.variant.word,
        adapter_micro_f1=scores[adapter.variant]["micro"]["f1"],
        models=rows,
        passed=all(abs(row["difference"]) <= bound for row in rows),
    )
    write_json(run.output_dir / "parity.json", result)
    return result


def need_models(run: Run) -> list[Variant]:
    """Returns the merged model and the quantised ones that are there. Raises ToolError with every model that is missing or stale."""
    merged = run.variant("merged")
    quantized = [run.variant(f"merged-{method}") for method in QUANTIZATIONS]
    found = [merged, *(variant for variant in quantized if (variant.folder / "config.json").is_file())]
    problems = []
    for variant in found:
        try:
            variant.need()
        except ToolError as problem:
            problems.append(str(problem))
    all_at_once(problems)
    return found


def _compared(adapter: Asking, other: Asking, scores: dict[Variant, Score]) -> Compared:
    answers, others = (read_predictions(asking.folder / FILE) for asking in (adapter, other))
    f1 = scores[other.variant]["micro"]["f1"]
    return Compared(
        model=other.variant.word,
        rows=len(answers),
        same_answers=sum(id in others and others[id].output == answer.output for id, answer in answers.items()),
        micro_f1=f1,
        difference=f1 - scores[adapter.variant]["micro"]["f1"],
    )


def table(result: Parity) -> str:
    """Returns the models as a table, the adapter first."""
    lines = [
        f"{'model':<14} {'same answers':>16} {'micro F1':>9} {'against the adapter':>20}",
        f"{result['adapter']:<14} {'':>16} {result['adapter_micro_f1']:>9.4f}",
    ]
    for row in result["models"]:
        same = f"{row['same_answers']:,} of {row['rows']:,}"
        beyond = f"  beyond {result['bound']}" if abs(row["difference"]) > result["bound"] else ""
        lines.append(f"{row['model']:<14} {same:>16} {row['micro_f1']:>9.4f} {row['difference']:>+20.4f}{beyond}")
    return "\n".join(lines)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own options."""
    parser.add_argument("--bound", type=share, default=BOUND, help=f"the largest difference of micro F1 that passes (default: {BOUND})")


def main(args: argparse.Namespace) -> None:
    """Compares the run's merged and quantised models with their adapter. Raises ToolError (1) beyond the bound."""
    run = run_from(args)
    result = parity(run, find_task(args.task or run.task), args.split, args.port, args.concurrency, args.bound)
    print(f"\n{table(result)}\n→ {run.output_dir / 'parity.json'}")
    if not result["passed"]:
        worst = max(result["models"], key=lambda row: abs(row["difference"]))
        adapter = run.name if result["adapter"] == "adapter" else f"{run.name}:{result['adapter']}"
        raise ToolError(
            f"{run.path}: {worst['model']} is {worst['difference']:+.4f} of micro F1 away from the adapter, more than {args.bound}. Look at the rows:"
            f' make compare ARGS="{adapter} {run.name}:{worst["model"]}"',
            WANTING,
        )
