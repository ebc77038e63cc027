"""Predicts a split, scores it and writes the report.

In: a trained run. Out: predictions, score.json and report.html in data/outputs/<run>/eval/<task>_<split>/, with `-base`, `-merged` or another variant's word
behind it for the run's other models, and `-schema` for that decoding.

    ./ner eval conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev
    ./ner eval conf/peft/tiny-qwen2-sample-ner-ptuning.yaml --engine hf
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.conf.run import run_from
from tools.conf.task import find_task
from tools.predict.engines import Options
from tools.predict.predict import add_engine_options, check_options, finished, options_from, predict
from tools.predict.questions import Asking, need_examples
from tools.report import report
from tools.score.score import evaluate
from tools.score.score_file import FILE, Score
from tools.score.table import show


def evaluated(asking: Asking, options: Options) -> Score:
    """Predicts, scores, prints the table, and returns the score. Predictions that are there and up to date aren't made again."""
    if predictions := None if options.fresh else finished(asking, asking.folder):
        print(f"every row was answered before by this model ({predictions}); ./ner eval … --fresh asks again", flush=True)
    return score(asking, predictions or predict(asking, asking.folder, options))


def score(asking: Asking, predictions: Path) -> Score:
    """Scores predictions beside their file, writes the report, prints the table, and returns the score.

    Entities whose string isn't in the training split are scored apart where that split's examples are there.
    """
    run, task, out = asking.run, asking.task, predictions.parent
    examples, train = need_examples(run, task, asking.split), task.examples("train", run.dataset)
    seen = train if train.is_file() and asking.split != "train" else None
    result = evaluate(task, examples, predictions, out, seen)
    page = report.write(task, examples, out)
    print(f"\n{run.name} ({asking.variant.word}) on {task.name} {asking.split}\n{show(result)}\n→ {out / FILE}, {page}", flush=True)
    return result


add_options = add_engine_options


def main(args: argparse.Namespace) -> None:
    """Evaluates one of the run's models on a split."""
    run, options = run_from(args), options_from(args)
    asking = Asking(run, find_task(args.task or run.task), args.split, run.variant(args.which), args.decoding)
    check_options(asking, options)
    if options.limit:  # a few rows aren't a split: they have a folder of their own, and no score
        out = asking.folder.with_name(f"{asking.folder.name}-first-{options.limit}")
        print(f"predicted, not scored: {predict(asking, out, options)}")
        return
    evaluated(asking, options)
