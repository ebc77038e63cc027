"""Refuses a run that is worse than a baseline beyond chance: exit code 1, so that a CI job stops there. Asks no model.

In: a run that was evaluated, and a baseline: another evaluation, or a score.json that was kept. Out: micro F1 and each label's F1 of both, their difference, its
interval and p-value, and gate.json in data/outputs/<run>/; exit code 1 where micro F1 or a label is worse.

    ./ner gate conf/tiny-qwen2-sample-ner-lora-sft.yaml --baseline tiny-qwen2-sample-ner-lora-sft:base
    ./ner gate conf/tiny-qwen2-sample-ner-lora-sft.yaml --baseline baselines/sample/score.json --alpha 0.01
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TypedDict

from tools.conf.run import run_from
from tools.conf.task import Task, find_task
from tools.errors import WANTING, ToolError
from tools.example import read_examples
from tools.files import sha256, write_json
from tools.predict.predictions import FILE
from tools.report.baseline import Baseline, need_same_rows, sums
from tools.report.compare import labels_of, need_comparable, need_same_examples, notes_on
from tools.report.evaluations import Evaluation, eval_command, read_evaluation
from tools.report.paired import SAMPLES, SEED, array_of, count
from tools.report.worse import ALPHA, FOUND, Sums, Tested, TestedTogether, paired, unpaired
from tools.score.bootstrap import FEW_ROWS
from tools.score.counts import NO_LABEL
from tools.score.score_file import FILE as SCORE
from tools.text import columns, one_line, padded, whole_number
from tools.variant import Variant

NAME = "gate.json"
PAIRED = "paired, row by row: bootstrap for micro F1, randomisation for the labels"
UNPAIRED = "unpaired, from the intervals of both scores: the baseline's predictions aren't kept"


class GateResult(TypedDict):
    """gate.json. `baseline` is its folder; `findable` the loss of micro F1 that such a test finds in 95 of 100 cases."""

    run: str
    which: str
    baseline: str
    task: str
    task_version: int
    split: str
    rows: int
    test: str
    alpha: float
    samples: int
    seed: int
    notes: list[str]
    micro: Tested
    labels: list[Tested]
    findable: float
    passed: bool


def gate(
    task: Task, run: Evaluation, baseline: Baseline, examples: Path, alpha: float = ALPHA, samples: int = SAMPLES, seed: int = SEED
) -> tuple[GateResult, list[Tested]]:
    """Holds a run's evaluation against the baseline; returns the content of gate.json, and what is worse.

    Raises ToolError where they can't be compared (1), and where the baseline is the run's own evaluation (2).
    """
    if baseline.folder.resolve() == run.folder.resolve():
        raise ToolError(
            f"{run.folder}: the baseline is the evaluation itself, which is never worse. Name another one, such as {run.variant.run}:base."
        )
    if baseline.whole:
        found, notes = _paired(task, baseline.whole, run, examples, (alpha, samples, seed))
    else:
        found, notes = _unpaired(baseline, run, alpha)
    worse = found.worse
    result = GateResult(
        run=run.variant.run,
        which=run.variant.word,
        baseline=str(baseline.folder),
        task=task.name,
        task_version=run.meta.task_version,
        split=run.meta.split,
        rows=run.score["rows"],
        test=PAIRED if baseline.whole else UNPAIRED,
        alpha=alpha,
        samples=samples,
        seed=seed,
        notes=notes,
        micro=found.micro,
        labels=found.labels,
        findable=found.findable,
        passed=not worse,
    )
    return result, worse


def _paired(task: Task, baseline: Evaluation, run: Evaluation, examples: Path, how: tuple[float, int, int]) -> tuple[TestedTogether, list[str]]:
    both = (baseline, run)
    need_comparable(baseline, [run])
    need_same_examples(task, run, examples)
    gold = list(read_examples(examples))
    counted = [count(task, gold, one.folder / FILE) for one in both]
    labels = labels_of(task, counted)
    first, second = (array_of(one, [*labels, NO_LABEL]) for one in counted)
    return paired(first, second, labels, *how), notes_on(task, both, counted)


def _unpaired(baseline: Baseline, run: Evaluation, alpha: float) -> tuple[TestedTogether, list[str]]:
    need_same_rows(baseline, run)
    before, after = sums(baseline.score, baseline.folder), sums(run.score, run.folder)
    names, nothing = dict.fromkeys((*after, *before)), Sums(0, 0, 0, 0.0, 0.0)
    notes = ["losses are missed that a paired test finds: keep predictions.jsonl and predictions.meta.json beside the baseline's score.json"]
    if not baseline.meta:
        notes.append("that the baseline has the same examples and the same prompt isn't known; rows and gold items are the same")
    if run.score["rows"] < FEW_ROWS:
        notes.append(f"few rows, {run.score['rows']:,}: their intervals are too narrow")
    first, second = ({name: one.get(name, nothing) for name in names} for one in (before, after))
    return unpaired(first, second, alpha), notes


def need_evaluation(variant: Variant, task: Task, split: str) -> Evaluation:
    """Returns the evaluation of a run's model. Raises ToolError where there is none (2), and where it is of other weights than those that are here (1)."""
    folder, again = variant.evaluation(task.name, split), eval_command(variant, split)
    if not (folder / SCORE).is_file():
        raise ToolError(f"{folder}: no evaluation in it. To make one: {again}")
    found = read_evaluation(folder)
    recorded = found.meta.merged_sha256 if variant.is_merged else found.meta.adapter_sha256
    if recorded and variant.weights.is_file() and sha256(variant.weights) != recorded:
        raise ToolError(f"{folder}: it was made with another model than the one in {variant.folder}. Evaluate again: {again}", WANTING)
    return found


def table(result: GateResult) -> str:
    """Returns what was tested and how, each label and micro F1 as a table, and what loss could have been found."""
    lines = [
        f"{result['task']} {result['split']}, task version {result['task_version']}, {result['rows']:,} rows",
        f"baseline  {result['baseline']}",
        f"run       {result['run']}{'' if result['which'] == 'adapter' else ':' + result['which']}",
        f"test      {result['test']}; one-sided p, corrected (Holm), level {result['alpha']}",
        *(f"note: {note}" for note in result["notes"]),
        "",
    ]
    shown = [(one_line(one["label"], 40), one) for one in (*result["labels"], result["micro"])]
    width = max(columns(name) for name, _ in shown)
    lines.append(f"{padded('Label', width)}  {'baseline':>8} {'run':>7} {'change':>8}   {'95 % interval':^20} {'p':>7}  verdict")
    for name, one in shown:
        between = f"[{one['low']:+.4f}, {one['high']:+.4f}]"
        figures = f"{one['baseline']:8.4f} {one['run']:7.4f} {one['difference']:+8.4f}   {between:^20} {one['p']:7.4f}"
        lines.append(f"{padded(name, width)}  {figures}  {one['verdict']}")
    return "\n".join([*lines, "", _reach(result)])


def _reach(result: GateResult) -> str:
    if not result["findable"] and not result["micro"]["difference"]:
        return "In every row, both have as many items right and as many wrong."
    return (
        f"A loss of {result['findable']:.4f} of micro F1 would be found in {FOUND:.0%} of such tests, a smaller one less often: "
        "that no loss was found doesn't say that there is none."
    )


def complaint(conf: Path, result: GateResult, worse: list[Tested], run: Evaluation) -> str:
    """Returns the message of a run that is worse: what, by how much, and the command that shows the rows."""
    losses = [
        f"{one_line(one['label'], 40)} by {-one['difference']:.4f} ({one['baseline']:.4f} → {one['run']:.4f}, p {one['p']:.4f})" for one in worse
    ]
    if result["test"] == PAIRED:
        then = f'To see the rows lost: make compare ARGS="{result["baseline"]} {run.folder}"'
    else:
        then = f"To see the run's mistakes: {run.variant.command('report')}"
    return f"{conf}: worse than {result['baseline']} beyond chance: {'; '.join(losses)}. {then}"


def level(word: str) -> float:
    """Returns a level between 0 and 0.5, as argparse reads it."""
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value < 0.5:
        raise argparse.ArgumentTypeError(f"'{word}' isn't between 0 and 0.5")
    return value


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own options."""
    parser.add_argument(
        "--baseline",
        metavar="RUN",
        help="needed: <run>, <run>:<variant>, an evaluation's folder, or a score.json that was kept without its predictions",
    )
    parser.add_argument(
        "--alpha", type=level, default=ALPHA, metavar="P", help=f"the share of false alarms, micro F1 and all labels together (default: {ALPHA})"
    )
    parser.add_argument("--examples", type=Path, metavar="FILE", help="default: examples/<task>_<split>.jsonl beside the run's `dataset_dir`")
    parser.add_argument(
        "--samples", type=whole_number(100, 1_000_000), default=SAMPLES, metavar="N", help=f"samples of the bootstrap (default: {SAMPLES})"
    )
    parser.add_argument("--seed", type=whole_number(0, 2**32 - 1), default=SEED, metavar="N", help=f"seed of the bootstrap (default: {SEED})")


def main(args: argparse.Namespace) -> None:
    """Holds the run against the baseline, and writes gate.json. Raises ToolError (1) where micro F1 or a label is worse."""
    run = run_from(args)
    task = find_task(args.task or run.task)
    if not args.baseline:
        raise ToolError('no baseline is named. To name one: ARGS="--baseline <run>", <run>:<variant>, an evaluation\'s folder, or a score.json.')
    evaluation = need_evaluation(run.variant(args.which), task, args.split)
    baseline = Baseline.of(args.baseline, run.output_dir.parent, task.name, args.split)
    examples = args.examples or task.examples(args.split, evaluation.dataset)
    result, worse = gate(task, evaluation, baseline, examples, args.alpha, args.samples, args.seed)
    write_json(run.output_dir / NAME, result)
    print(f"{table(result)}\n→ {run.output_dir / NAME}")
    if worse:
        raise ToolError(complaint(run.path, result, worse, evaluation), WANTING)
    print(f"passed: no loss against {result['baseline']} that is more than chance")
