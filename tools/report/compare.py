"""Compares evaluations row by row: the difference of F1 with its interval and p-value, and the rows won and lost. Without runs it prints a task's leaderboard.

In: evaluations (score.json, predictions.jsonl, predictions.meta.json) and their examples. Out: a table, and below --out compare.json and compare.jsonl (the rows
won and lost), or leaderboard.md and leaderboard.csv. Scores of different task versions, splits, examples or prompts are refused.

    ./ner compare tiny-qwen2-sample-ner-lora-sft:base tiny-qwen2-sample-ner-lora-sft
    ./ner compare --task sample
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from tools.answers import Pair
from tools.conf.task import TASKS, Task, find_task
from tools.errors import WANTING, ToolError, all_at_once
from tools.example import Example, read_examples
from tools.files import Transaction, need_file, sha256, write_json
from tools.predict.predictions import FILE
from tools.report.evaluations import OUTPUTS, Evaluation, differences, find_evaluations, leaderboard, named_evaluation, save_leaderboard, table
from tools.report.paired import METHOD, SAMPLES, SEED, Counted, Difference, count, paired_bootstrap
from tools.score.bootstrap import FEW_ROWS, LEVEL
from tools.score.counts import NO_LABEL
from tools.score.score_file import Score
from tools.text import columns, one_line, padded, whole_number

SHOW = 5
STRICT = "Strict Micro"
OUT = OUTPUTS / "compare"


class Changed(TypedDict):
    """A row that one system answers with fewer errors than the other. `errors` are the first's and the second's."""

    id: str
    outcome: str
    errors: list[int]
    text: str
    gold: list[Pair]
    first: list[Pair]
    second: list[Pair]


class Strict(TypedDict):
    """The micro F1 of a system's answers in the trained form alone, and how many of its rows have such an answer."""

    f1: float
    trained: int
    rows: int


class Comparison(TypedDict):
    """One evaluation against the first. `changed` are the rows won and lost; compare.json leaves them out, compare.jsonl holds them.

    `strict` has the first's and the second's strict figures, None where an older score.json lacks them.
    """

    second: str
    strict: list[Strict | None]
    micro: Difference
    macro: Difference
    labels: dict[str, Difference]
    won: int
    lost: int
    alike: int
    changed: list[Changed]


class Result(TypedDict):
    """The content of compare.json. `first` is the name of the evaluation that all others are compared with."""

    task: str
    task_version: int
    split: str
    examples_sha256: str
    prompt_sha256: str
    rows: int
    method: str
    samples: int
    seed: int
    level: float
    first: str
    notes: list[str]
    comparisons: list[Comparison]


def compare(task: Task, examples: Path, evaluations: Sequence[Evaluation], samples: int = SAMPLES, seed: int = SEED) -> Result:
    """Compares each evaluation with the first. A row is won where the second has fewer errors, and lost where it has more.

    Raises ToolError (1) for evaluations that differ in anything of MUST_BE_EQUAL, and for examples that aren't theirs.
    """
    if len(evaluations) < 2:
        raise ToolError('compare takes two runs or more: make compare ARGS="<run> <run>". Without a run it prints the leaderboard.')
    first, *others = evaluations
    need_comparable(first, others)
    need_same_examples(task, first, examples)
    gold = list(read_examples(examples))
    counted = [count(task, gold, one.folder / FILE) for one in evaluations]
    labels = labels_of(task, counted)
    return {
        "task": task.name,
        "task_version": first.meta.task_version,
        "split": first.meta.split,
        "examples_sha256": first.meta.examples_sha256,
        "prompt_sha256": str(first.meta.prompt_sha256),
        "rows": len(gold),
        "method": METHOD,
        "samples": samples,
        "seed": seed,
        "level": LEVEL,
        "first": first.name,
        "notes": notes_on(task, evaluations, counted),
        "comparisons": [
            _comparison((first, other), gold, (counted[0], theirs), labels, samples, seed) for other, theirs in zip(others, counted[1:], strict=True)
        ],
    }


def need_comparable(first: Evaluation, others: Sequence[Evaluation]) -> None:
    """Raises ToolError (1) with every evaluation that differs from the first in anything of MUST_BE_EQUAL."""
    refusals = [
        f"{first.name} and {other.name} can't be compared: {'; '.join(different)}. "
        f"Evaluate both again on the present files: {first.again}; {other.again}"
        for other in others
        if (different := differences(first, other))
    ]
    all_at_once(refusals, WANTING)


def need_same_examples(task: Task, first: Evaluation, examples: Path) -> None:
    """Raises ToolError for a file of examples that isn't there, and for one that the evaluation wasn't made on (1)."""
    need_file(examples, f"To write it: make data TASK={task.name}; or name the file with --examples.")
    if sha256(examples) != first.meta.examples_sha256:
        raise ToolError(
            f"{examples}: these aren't the examples that {first.name} was evaluated on. Name those with --examples, or evaluate again: {first.again}",
            WANTING,
        )


def labels_of(task: Task, counted: Sequence[Counted]) -> list[str]:
    """Returns the task's labels; for a task whose rows have their own, those that occur."""
    return list(task.labels) or sorted({label for one in counted for row in one.counts for label in row} - {NO_LABEL})


def _comparison(
    both: tuple[Evaluation, Evaluation], gold: Sequence[Example], counted: tuple[Counted, Counted], labels: Sequence[str], samples: int, seed: int
) -> Comparison:
    first, second = counted
    micro, macro, each = paired_bootstrap(first, second, labels, samples, seed)
    changed = [
        Changed(
            id=example.id,
            outcome="won" if after < before else "lost",
            errors=[before, after],
            text=example.text,
            gold=example.pairs(),
            first=mine,
            second=theirs,
        )
        for example, before, after, mine, theirs in zip(gold, first.errors(), second.errors(), first.predicted, second.predicted, strict=True)
        if before != after
    ]
    won = sum(row["outcome"] == "won" for row in changed)
    return {
        "second": both[1].name,
        "strict": [_strict_of(one.score) for one in both],
        "micro": micro,
        "macro": macro,
        "labels": each,
        "won": won,
        "lost": len(changed) - won,
        "alike": len(gold) - len(changed),
        "changed": changed,
    }


def _strict_of(score: Score) -> Strict | None:
    if "strict" not in score or "answers" not in score:
        return None
    return {"f1": score["strict"]["micro"]["f1"], "trained": score["answers"]["trained"], "rows": score["rows"]}


def notes_on(task: Task, evaluations: Sequence[Evaluation], counted: Sequence[Counted]) -> list[str]:
    """Returns what makes a comparison's figures doubtful, a sentence each."""
    found, version = [], evaluations[0].meta.task_version
    if task.version != version:
        found.append(f"{task.path} is at version {task.version} now, these predictions are of version {version}")
    if (rows := len(counted[0].counts)) < FEW_ROWS:
        found.append(f"few rows, {rows:,}: their intervals are too narrow")
    for one, recount in zip(evaluations, counted, strict=True):
        recorded = tuple(one.score["micro"].get(key) for key in ("tp", "fp", "fn"))
        if recorded != recount.total():
            found.append(f"{one.folder / 'score.json'} counts (tp, fp, fn) {recorded}, this table counts {recount.total()} in its predictions")
    return found


def show(result: Result, few: int = SHOW) -> str:
    """Returns the comparisons as tables, each with its first `few` won and lost rows."""
    lines = [
        f"{result['task']} {result['split']}, task version {result['task_version']}, {result['rows']:,} rows; "
        f"95 % interval and two-sided p by {METHOD} ({result['samples']:,} samples, seed {result['seed']}); p isn't corrected for the number of labels"
    ]
    lines += [f"note: {note}" for note in result["notes"]]
    for one in result["comparisons"]:
        lines += ["", f"a  {result['first']}", f"b  {one['second']}", "", *_figures(one)]
        lines.append(f"rows that b has fewer errors in: {one['won']:,}, more: {one['lost']:,}, as many: {one['alike']:,}")
        for outcome in ("won", "lost"):
            for row in [row for row in one["changed"] if row["outcome"] == outcome][:few]:
                lines.append(f"{outcome} {row['id']}  {one_line(row['text'], 60)}")
                lines += [f"       {name:<5} {_pairs(pairs)}" for name, pairs in (("gold", row["gold"]), ("a", row["first"]), ("b", row["second"]))]
    return "\n".join(lines)


def _figures(one: Comparison) -> list[str]:
    figures = [*((one_line(label, 40), found) for label, found in one["labels"].items()), ("Micro Avg.", one["micro"]), ("Macro Avg.", one["macro"])]
    width = max(columns(name) for name in (STRICT, *dict(figures)))
    lines = [f"{padded('Label', width)}  {'F1 a':>7} {'F1 b':>7} {'b - a':>8}   {'95 % interval':^20} {'p':>7}"]
    for name, d in figures:
        interval = f"[{d['low']:+.4f}, {d['high']:+.4f}]"
        lines.append(f"{padded(name, width)}  {d['a']:7.4f} {d['b']:7.4f} {d['delta']:+8.4f}   {interval:^20} {d['p']:7.4f}")
    a, b = one["strict"]
    if a and b:
        trained = f"answers in the trained form alone: {a['trained']:,} and {b['trained']:,} of {b['rows']:,}"
        lines.append(f"{padded(STRICT, width)}  {a['f1']:7.4f} {b['f1']:7.4f} {b['f1'] - a['f1']:+8.4f}   {trained}")
    return lines


def _pairs(pairs: Sequence[Pair]) -> str:
    return one_line(", ".join(f"{text} [{label}]" if text else label for label, text in pairs) or "–", 100)


def save(result: Result, out: Path) -> None:
    """Writes compare.json (the figures) and compare.jsonl (one line a row won or lost, with gold and both predictions) into `out`."""
    with Transaction() as new:
        handle = new.open(out / "compare.jsonl")
        for one in result["comparisons"]:
            for row in one["changed"]:
                handle.write(json.dumps({"a": result["first"], "b": one["second"], **row}, ensure_ascii=False) + "\n")
    figures = [{key: value for key, value in one.items() if key != "changed"} for one in result["comparisons"]]
    write_json(out / "compare.json", {**result, "comparisons": figures})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the evaluations, and how they are compared."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="<run>, <run>:<variant> such as <run>:base or <run>:merged-awq, <run>:schema (schema decoding), or an evaluation's folder",
    )
    parser.add_argument("--task", metavar="NAME", help="default: the task of the runs; leaderboard: all tasks")
    parser.add_argument("--split", metavar="NAME", help="default: the split of the runs; leaderboard: all splits")
    parser.add_argument("--outputs", type=Path, default=OUTPUTS, metavar="DIR", help=f"the folder of the runs (default: {OUTPUTS})")
    parser.add_argument("--examples", type=Path, metavar="FILE", help="default: examples/<task>_<split>.jsonl beside the first run's `dataset_dir`")
    parser.add_argument(
        "--samples", type=whole_number(1, 1_000_000), default=SAMPLES, metavar="N", help=f"samples of the bootstrap (default: {SAMPLES})"
    )
    parser.add_argument("--seed", type=whole_number(0, 2**32 - 1), default=SEED, metavar="N", help=f"seed of the bootstrap (default: {SEED})")
    parser.add_argument("--show", type=whole_number(0, 1_000_000), default=SHOW, metavar="N", help=f"won and lost rows to print (default: {SHOW})")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"the folder of the files (default: {OUT})")


def main(args: argparse.Namespace) -> None:
    """Compares the named evaluations, or prints the leaderboard; writes the files."""
    (_compare if args.runs else _leaderboard)(args)


def _compare(args: argparse.Namespace) -> None:
    evaluations = [named_evaluation(word, args.outputs, args.task, args.split) for word in args.runs]
    meta = evaluations[0].meta
    task = find_task(meta.task)
    result = compare(task, args.examples or task.examples(meta.split, evaluations[0].dataset), evaluations, args.samples, args.seed)
    print(show(result, args.show))
    save(result, args.out)
    print(f"→ {args.out / 'compare.json'}, {args.out / 'compare.jsonl'}")


def _leaderboard(args: argparse.Namespace) -> None:
    evaluations, problems = find_evaluations(args.outputs, args.task, args.split)
    if not evaluations:
        known = ", ".join(sorted(path.stem for path in TASKS.glob("*.yaml")))
        asked = f" of {args.task}{' ' + args.split if args.split else ''} (tasks: {known})" if args.task else ""
        all_at_once([f"{args.outputs}: no evaluation{asked} in it. To make one: make eval CONF=conf/<run>.yaml", *problems])
    blocks = leaderboard(evaluations)
    print(table(blocks, problems))
    save_leaderboard(blocks, problems, args.out)
    print(f"→ {args.out / 'leaderboard.md'}, {args.out / 'leaderboard.csv'}")
