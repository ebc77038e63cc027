"""Compares evaluations row by row: the difference of F1 with its interval and p-value, and the rows won and lost. Without runs it prints a task's leaderboard.

In: evaluations (score.json, predictions.jsonl, predictions.meta.json) and their examples. Out: a table, and below --out compare.json and compare.jsonl (the rows
won and lost), or leaderboard.md and leaderboard.csv. Scores of different task versions, splits, examples or prompts are refused.

    ./ner compare tiny-qwen2-sample-ner-lora-sft:base tiny-qwen2-sample-ner-lora-sft
    ./ner compare --task sample
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from tools.answers import Pair
from tools.conf.task import TASKS, Task, find_task
from tools.errors import WANTING, ToolError, all_at_once
from tools.example import Example, read_examples
from tools.files import Transaction, need_file, sha256, write_json
from tools.predict.predictions import FILE, read_predictions
from tools.report.evaluations import OUTPUTS, Evaluation, differences, find_evaluations, leaderboard, named_evaluation, save_leaderboard, table
from tools.score.bootstrap import LEVEL, interval, resample
from tools.score.counts import NO_LABEL, Counts
from tools.score.rows import known_labels, rows
from tools.text import columns, one_line, padded, whole_number

if TYPE_CHECKING:
    from numpy import ndarray

SAMPLES = 5000
SEED = 42
SHOW = 5
METHOD = "paired bootstrap over rows"
OUT = OUTPUTS / "compare"


class Difference(TypedDict):
    """F1 of two systems, b - a with the ends of its 95 % interval, and the two-sided p-value."""

    a: float
    b: float
    delta: float
    low: float
    high: float
    p: float


class Changed(TypedDict):
    """A row that one system answers with fewer errors than the other. `errors` are the first's and the second's."""

    id: str
    outcome: str
    errors: list[int]
    text: str
    gold: list[Pair]
    first: list[Pair]
    second: list[Pair]


class Comparison(TypedDict):
    """One evaluation against the first. `changed` are the rows won and lost; compare.json leaves them out, compare.jsonl holds them."""

    second: str
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


@dataclass(frozen=True)
class Counted:
    """One system's answers, row by row: the counts of each label, and the pairs that it predicted."""

    counts: list[dict[str, Counts]]
    predicted: list[list[Pair]]
    classes: bool = False  # of a classification task

    def errors(self) -> list[int]:
        """Returns the false positives and false negatives of each row. A class counts once: it is right or wrong, and no answer is wrong."""
        return [sum(one.fn if self.classes else one.fp + one.fn for one in row.values()) for row in self.counts]

    def total(self) -> tuple[int, int, int]:
        """Returns tp, fp, fn of all rows and labels."""
        every = sum((one for row in self.counts for one in row.values()), Counts())
        return every.tp, every.fp, every.fn


def count(task: Task, examples: Sequence[Example], predictions: Path) -> Counted:
    """Counts a predictions file by the protocol 'set', row by row. Raises ToolError (1) for an id that no example has."""
    answers, known = read_predictions(predictions), {example.id for example in examples}
    if strange := next((id for id in answers if id not in known), None):
        raise ToolError(f"{predictions}: the id '{strange}' isn't among the examples: they don't belong together.", WANTING)
    counts, predicted = [], []
    for row in rows(task, examples, answers):
        by_label: dict[str, Counts] = defaultdict(Counts)
        gold, answer, names = set(row.gold), set(row.predicted), frozenset(known_labels(task, row.example))
        for pair in gold | answer:
            by_label[pair[0] if pair[0] in names else NO_LABEL].add(pair in answer, pair in gold)
        counts.append(by_label)
        predicted.append(row.predicted)
    return Counted(counts, predicted, task.kind == "classification")


def paired_bootstrap(
    first: Counted, second: Counted, labels: Sequence[str], samples: int = SAMPLES, seed: int = SEED
) -> tuple[Difference, Difference, dict[str, Difference]]:
    """Returns the differences of micro F1, of macro F1, and of each label's F1.

    Each sample draws the rows of the test set with replacement, the same rows for both systems, and counts both F1 anew (Koehn 2004, Statistical Significance
    Tests for Machine Translation Evaluation). The interval is the percentile interval of the difference. The p-value is two-sided (Berg-Kirkpatrick, Burkett and
    Klein 2012, An Empirical Investigation of Statistical Significance in NLP, algorithm 1): the share of samples whose difference is as far from the observed
    difference as the observed difference is from 0. It is (1 + number) / (1 + samples), which is never 0 (Davison and Hinkley 1997, section 4.2).
    """
    import numpy

    names = [*labels, NO_LABEL]
    table = numpy.concatenate([_array(first, names), _array(second, names)], axis=1)
    patterns, times = numpy.unique(table, axis=0, return_counts=True)
    shape = (-1, 2, len(names), 3)  # samples, systems, labels, (tp, fp, fn)
    observed = _f1(table.sum(axis=0).reshape(shape))[0]
    drawn = _f1(resample(times, patterns, samples, seed).reshape(shape))
    micro, macro, *each = (_difference(observed[:, k], drawn[:, :, k]) for k in range(len(labels) + 2))
    return micro, macro, dict(zip(labels, each, strict=True))


def _array(counted: Counted, names: Sequence[str]) -> ndarray:
    """Returns integers of shape (rows, labels x 3): each label's tp, fp and fn."""
    import numpy

    column, array = {label: k for k, label in enumerate(names)}, numpy.zeros((len(counted.counts), len(names), 3), dtype=numpy.int64)
    for number, row in enumerate(counted.counts):
        for label, one in row.items():
            array[number, column[label]] = one.tp, one.fp, one.fn
    return array.reshape(len(array), -1)


def _f1(sums: ndarray) -> ndarray:
    """Returns F1 of shape (samples, systems, micro + macro + labels) from sums of shape (samples, systems, labels, 3). Macro is over the labels that occur."""
    import numpy

    right = 2 * sums[..., 0]
    items = right + sums[..., 1] + sums[..., 2]
    micro = right.sum(-1) / numpy.maximum(items.sum(-1), 1)
    each = (right / numpy.maximum(items, 1))[..., :-1]  # the last column is NO_LABEL
    macro = each.sum(-1) / numpy.maximum((items[..., :-1] > 0).sum(-1), 1)
    return numpy.concatenate([micro[..., None], macro[..., None], each], axis=-1)


def _difference(observed: ndarray, drawn: ndarray) -> Difference:
    import numpy

    delta, deltas = float(observed[1] - observed[0]), drawn[:, 1] - drawn[:, 0]
    low, high = interval(deltas, LEVEL)
    as_far = int((numpy.abs(deltas - delta) >= abs(delta) - 1e-12).sum())
    return Difference(a=float(observed[0]), b=float(observed[1]), delta=delta, low=low, high=high, p=(1 + as_far) / (1 + len(deltas)))


def compare(task: Task, examples: Path, evaluations: Sequence[Evaluation], samples: int = SAMPLES, seed: int = SEED) -> Result:
    """Compares each evaluation with the first. A row is won where the second has fewer errors, and lost where it has more.

    Raises ToolError (1) for evaluations that differ in anything of MUST_BE_EQUAL, and for examples that aren't theirs.
    """
    if len(evaluations) < 2:
        raise ToolError('compare takes two runs or more: make compare ARGS="<run> <run>". Without a run it prints the leaderboard.')
    first, *others = evaluations
    refusals = [
        f"{first.name} and {other.name} can't be compared: {'; '.join(different)}. "
        f"Evaluate both again on the present files: {first.again}; {other.again}"
        for other in others
        if (different := differences(first, other))
    ]
    all_at_once(refusals, WANTING)
    need_file(examples, f"To write it: make data TASK={task.name}; or name the file with --examples.")
    if sha256(examples) != first.meta.examples_sha256:
        raise ToolError(
            f"{examples}: these aren't the examples that {first.name} was evaluated on. Name those with --examples, or evaluate again: {first.again}",
            WANTING,
        )
    gold = list(read_examples(examples))
    counted = [count(task, gold, one.folder / FILE) for one in evaluations]
    labels = task.labels or sorted({label for one in counted for row in one.counts for label in row} - {NO_LABEL})
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
        "notes": _notes(task, evaluations, counted),
        "comparisons": [
            _comparison(other.name, gold, counted[0], theirs, labels, samples, seed) for other, theirs in zip(others, counted[1:], strict=True)
        ],
    }


def _comparison(name: str, gold: Sequence[Example], first: Counted, second: Counted, labels: Sequence[str], samples: int, seed: int) -> Comparison:
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
        "second": name,
        "micro": micro,
        "macro": macro,
        "labels": each,
        "won": won,
        "lost": len(changed) - won,
        "alike": len(gold) - len(changed),
        "changed": changed,
    }


def _notes(task: Task, evaluations: Sequence[Evaluation], counted: Sequence[Counted]) -> list[str]:
    found, version = [], evaluations[0].meta.task_version
    if task.version != version:
        found.append(f"{task.path} is at version {task.version} now, these predictions are of version {version}")
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
    width = max(columns(name) for name, _ in figures)
    lines = [f"{padded('Label', width)}  {'F1 a':>7} {'F1 b':>7} {'b - a':>8}   {'95 % interval':^20} {'p':>7}"]
    for name, d in figures:
        interval = f"[{d['low']:+.4f}, {d['high']:+.4f}]"
        lines.append(f"{padded(name, width)}  {d['a']:7.4f} {d['b']:7.4f} {d['delta']:+8.4f}   {interval:^20} {d['p']:7.4f}")
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
