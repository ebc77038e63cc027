"""Predicts and scores in one go: what `make eval` calls.

In: a trained run. Out: predictions, scores and report.html in data/outputs/<run>/eval/<task>_<split>/, with `-base`, `-merged` or `-merged-awq` behind it
for those models.

    python -m tools.evaluate.evaluate conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev
    python -m tools.evaluate.evaluate conf/peft/tiny-qwen2-sample-ner-ptuning.yaml --engine hf
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tools.conf.run import Run, run_from
from tools.conf.task import Task, find_task
from tools.errors import run
from tools.predict.predict import add_options, check_options, finished, need_examples, predict, predict_here
from tools.predict.predictions import folder
from tools.predict.server import Server, serving
from tools.report import report
from tools.score.score import evaluate, show


def predict_and_score(
    this: Run, task: Task, split: str, server: Server, which: str, concurrency: int, decoding: str = "free", fresh: bool = False
) -> dict[str, Any]:
    """Predict a split, score it, print the table; returns score.json's content. Entities unseen in train are scored apart where its examples are there."""
    out = folder(this, task, split, which, decoding)
    return score(this, task, split, which, predict(this, task, split, server, which, out, concurrency, decoding, fresh))


def score(this: Run, task: Task, split: str, which: str, predictions: Path) -> dict[str, Any]:
    """Score the predictions of a split beside their file, write the report, and print the table; returns score.json's content."""
    out, train = predictions.parent, task.examples("train", this.dataset)
    examples, seen = need_examples(this, task, split), train if train.is_file() and split != "train" else None
    result = evaluate(task, examples, predictions, out, seen)
    page = report.write(task, examples, out, seen)
    print(f"\n{this.name} ({which}) on {task.name} {split}\n{show(result)}\n→ {out / 'score.json'}, {page}", flush=True)
    return result


def _without_server(this: Run, task: Task, args: argparse.Namespace) -> None:
    out = folder(this, task, args.split, args.model, args.decoding)
    if args.limit:  # some rows aren't a split: they have a folder of their own, and no score
        out = out.with_name(f"{out.name}-first-{args.limit}")
    predictions = predict_here(this, task, args, out)
    if args.limit:
        print(f"predicted, not scored: {predictions}")
    else:
        score(this, task, args.split, args.model, predictions)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.evaluate.evaluate", description=(__doc__ or "").split("\n\n")[0])
    add_options(parser)
    args = parser.parse_args()
    check_options(parser, args)
    this = run_from(args)
    task = find_task(args.task or this.task)
    need_examples(this, task, args.split)
    out = folder(this, task, args.split, args.model, args.decoding)
    if not args.fresh and not args.debug and not args.limit and (predictions := finished(this, task, args.split, args.model, out, args.decoding)):
        print(f"every row was answered before by this model ({predictions}); FRESH=1 asks again")
        score(this, task, args.split, args.model, predictions)
        return
    if args.engine != "vllm":
        _without_server(this, task, args)
        return
    with serving(this, args.model, args.url, args.port) as server:
        predict_and_score(this, task, args.split, server, args.model, args.concurrency, args.decoding, args.fresh)


if __name__ == "__main__":
    run(main)
