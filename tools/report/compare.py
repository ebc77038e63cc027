"""Compares runs: is the difference more than chance, and which rows were won and lost? Without runs: the leaderboard of a task.

In: evaluations (score.json, predictions.jsonl, predictions.meta.json) and their examples. Out: a table; under --out compare.json and compare.jsonl (the rows won
and lost), or leaderboard.md and leaderboard.csv. Scores of different task versions, splits, examples or prompts are never compared in silence.

    python -m tools.report.compare tiny-qwen2-sample-ner-lora-sft:base tiny-qwen2-sample-ner-lora-sft --out data/outputs/compare
    python -m tools.report.compare --task sample
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.answers.parse import Pair
from tools.conf.task import TASKS, Task, find_task
from tools.errors import WANTING, ToolError, all_at_once, run
from tools.example import Example, read_examples
from tools.files import Transaction, need_file, sha256, write_json
from tools.predict.predictions import FILE, read_predictions
from tools.report.evaluations import MUST_BE_EQUAL, OUTPUTS, Evaluation, differences, find_evaluations, named_evaluation
from tools.score.protocols import NO_LABEL
from tools.score.rows import known_labels, rows

if TYPE_CHECKING:
    from numpy import ndarray

SAMPLES = 5000
SEED = 42
LEVEL = 0.95
CHUNK = 200  # resamples at a time, to bound memory
SHOW = 5
METHOD = "paired bootstrap over rows"


@dataclass(frozen=True)
class Counted:
    """One system's answers, row by row: label → [tp, fp, fn], and the pairs that it predicted."""

    counts: list[dict[str, list[int]]]
    predicted: list[list[Pair]]
    classes: bool = False  # of a classification task

    def errors(self) -> list[int]:
        """False positives and false negatives of each row; a class is right or wrong, and no answer no better than a wrong one."""
        return [sum(fn if self.classes else fp + fn for _, fp, fn in row.values()) for row in self.counts]

    def total(self) -> tuple[int, int, int]:
        """tp, fp, fn of all rows and labels."""
        cells = [cell for row in self.counts for cell in row.values()]
        return sum(cell[0] for cell in cells), sum(cell[1] for cell in cells), sum(cell[2] for cell in cells)


def count(task: Task, examples: Sequence[Example], predictions: Path) -> Counted:
    """Count a predictions file by the protocol 'set', row by row. Raises ToolError (1) when its ids aren't the examples'."""
    answers, known = read_predictions(predictions), {example.id for example in examples}
    if strange := next((id for id in answers if id not in known), None):
        raise ToolError(f"{predictions}: the id '{strange}' isn't among the examples; they don't belong together.", WANTING)
    counts, predicted = [], []
    for row in rows(task, examples, answers):
        cells: dict[str, list[int]] = {}
        gold, answer, names = set(row.gold), set(row.predicted), frozenset(known_labels(task, row.example))
        for pair in gold | answer:
            cell = cells.setdefault(pair[0] if pair[0] in names else NO_LABEL, [0, 0, 0])
            cell[0 if pair in gold and pair in answer else 1 if pair in answer else 2] += 1
        counts.append(cells)
        predicted.append(row.predicted)
    return Counted(counts, predicted, task.kind == "classification")


def paired_bootstrap(first: Counted, second: Counted, labels: Sequence[str], samples: int = SAMPLES, seed: int = SEED) -> dict[str, Any]:
    """'micro', 'macro' and 'labels' → {a, b, delta, low, high, p}: F1 of both, their difference b - a with its 95 % interval, and the p-value.

    The rows of the test set are drawn with replacement, the same for both systems, and both F1 are counted anew (Koehn 2004, Statistical Significance Tests for
    Machine Translation Evaluation). The interval is the percentile interval of the difference. The p-value is that of Berg-Kirkpatrick, Burkett and Klein 2012 (An
    Empirical Investigation of Statistical Significance in NLP, algorithm 1), two-sided: how often the resampled difference is as far from the observed one as that
    is from 0, (1 + number) / (1 + samples) so that it is never 0 (Davison and Hinkley 1997, section 4.2).

    Rows with equal counts are drawn together, by a multinomial over the distinct ones: the same distribution, faster, and the order of rows doesn't matter.
    """
    import numpy as np

    columns = [*labels, NO_LABEL]
    table = np.concatenate([_array(first, columns), _array(second, columns)], axis=1)
    patterns, times = np.unique(table, axis=0, return_counts=True)
    observed = _f1(table.sum(axis=0)[None], len(columns))[0]
    rng, drawn = np.random.default_rng(seed), []
    for start in range(0, samples, CHUNK):
        weights = rng.multinomial(len(table), times / len(table), size=min(CHUNK, samples - start))
        drawn.append(_f1(weights @ patterns, len(columns)))
    resampled = np.concatenate(drawn)
    found = [_difference(observed[:, k], resampled[:, :, k]) for k in range(len(labels) + 2)]
    return {"micro": found[0], "macro": found[1], "labels": dict(zip(labels, found[2:], strict=True))}


def _array(counted: Counted, columns: Sequence[str]) -> ndarray:
    """(rows, labels x 3) integers."""
    import numpy as np

    place, array = {label: k for k, label in enumerate(columns)}, np.zeros((len(counted.counts), len(columns), 3), dtype=np.int64)
    for number, row in enumerate(counted.counts):
        for label, cell in row.items():
            array[number, place[label]] = cell
    return array.reshape(len(array), -1)


def _f1(sums: ndarray, width: int) -> ndarray:
    """(samples, 2 systems, micro and macro and each label) from (samples, 2 x labels x 3) sums; macro over the labels that occur, as the scorer has it."""
    import numpy as np

    tp, fp, fn = np.moveaxis(sums.reshape(len(sums), 2, width, 3), -1, 0)

    def ratio(part: ndarray, whole: ndarray) -> ndarray:
        return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)

    below = 2 * tp + fp + fn
    each, occurring = ratio(2 * tp, below)[..., :-1], (below > 0)[..., :-1]
    micro, macro = ratio(2 * tp.sum(-1), below.sum(-1)), ratio((each * occurring).sum(-1), occurring.sum(-1))
    return np.concatenate([micro[..., None], macro[..., None], each], axis=-1)


def _difference(observed: ndarray, resampled: ndarray) -> dict[str, float]:
    import numpy as np

    delta, deltas = float(observed[1] - observed[0]), resampled[:, 1] - resampled[:, 0]
    low, high = np.quantile(deltas, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    as_far = int((np.abs(deltas - delta) >= abs(delta) - 1e-12).sum())
    return {
        **{"a": float(observed[0]), "b": float(observed[1]), "delta": delta},
        **{"low": float(low), "high": float(high), "p": (1 + as_far) / (1 + len(deltas))},
    }


def compare(task: Task, examples: Path, evaluations: Sequence[Evaluation], samples: int = SAMPLES, seed: int = SEED) -> dict[str, Any]:
    """Each evaluation against the first: compare.json's content, with the rows won and lost under 'changed' of each comparison.

    A row is won where the second has fewer errors (false positives + false negatives; of a class, one or none), lost where it has more. Raises ToolError (1)
    for evaluations that differ in anything that MUST_BE_EQUAL, and for other examples than theirs.
    """
    if len(evaluations) < 2:
        raise ToolError('two runs are needed, e.g. RUNS="a b"; none at all prints the leaderboard.')
    if samples < 1:
        raise ToolError("--samples must be at least 1.")
    first, *others = evaluations
    all_at_once([_refusal(first, other) for other in others if differences(first, other)], WANTING)
    need_file(examples, f"To write it: make data TASK={task.name}; or name the file with --examples.")
    if sha256(examples) != first.meta["examples_sha256"]:
        raise ToolError(f"{examples}: not the examples that {first.name} was evaluated on any more. Evaluate again: {first.again}", WANTING)
    gold = list(read_examples(examples))
    if not gold:
        raise ToolError(f"{examples}: no examples in it.", WANTING)
    counted = [count(task, gold, one.folder / FILE) for one in evaluations]
    labels = task.labels or sorted({label for one in counted for row in one.counts for label in row} - {NO_LABEL})
    return {
        "task": task.name,
        **{key: first.meta[key] for key in MUST_BE_EQUAL if key != "task"},
        **{"rows": len(gold), "method": METHOD, "samples": samples, "seed": seed, "level": LEVEL, "first": first.name},
        "notes": _notes(task, evaluations, counted),
        "comparisons": [
            {
                "second": other.name,
                **paired_bootstrap(counted[0], theirs, labels, samples, seed),
                **_changes(gold, counted[0], theirs),
            }
            for other, theirs in zip(others, counted[1:], strict=True)
        ],
    }


def _refusal(first: Evaluation, other: Evaluation) -> str:
    return (
        f"{first.name} and {other.name} can't be compared: {'; '.join(differences(first, other))}. "
        f"Evaluate both again on the files as they are now: {first.again}; {other.again}"
    )


def _notes(task: Task, evaluations: Sequence[Evaluation], counted: Sequence[Counted]) -> list[str]:
    found = []
    if task.version != evaluations[0].meta["task_version"]:
        found.append(f"{task.path} is at version {task.version} now, these predictions are of version {evaluations[0].meta['task_version']}")
    for one, recount in zip(evaluations, counted, strict=True):
        recorded = tuple(one.score["micro"].get(key) for key in ("tp", "fp", "fn"))
        if recorded != recount.total():
            found.append(
                f"{one.folder / 'score.json'} counts (tp, fp, fn) {recorded}, its predictions now {recount.total()}; the table shows the latter"
            )
    return found


def _changes(gold: Sequence[Example], first: Counted, second: Counted) -> dict[str, Any]:
    """How many rows were won, lost and left alike, and the won and lost ones."""
    before, after = first.errors(), second.errors()
    changed = [
        {
            "id": example.id,
            "outcome": "won" if after[k] < before[k] else "lost",
            "errors": [before[k], after[k]],
            "text": example.text,
            "gold": example.pairs(),
            "first": first.predicted[k],
            "second": second.predicted[k],
        }
        for k, example in enumerate(gold)
        if before[k] != after[k]
    ]
    won = sum(row["outcome"] == "won" for row in changed)
    return {"won": won, "lost": len(changed) - won, "alike": len(gold) - len(changed), "changed": changed}


def show(result: dict[str, Any], few: int = SHOW) -> str:
    """The comparisons as tables, each with its first won and lost rows."""
    lines = [
        f"{result['task']} {result['split']}, task version {result['task_version']}, {result['rows']:,} rows; "
        f"95 % interval and two-sided p by {METHOD} ({result['samples']:,} samples, seed {result['seed']}); p of labels not corrected for their number"
    ]
    lines += [f"note: {note}" for note in result["notes"]]
    for one in result["comparisons"]:
        lines += ["", f"a  {result['first']}", f"b  {one['second']}", ""]
        figures = [*((_short(label, 40), d) for label, d in one["labels"].items()), ("Micro Avg.", one["micro"]), ("Macro Avg.", one["macro"])]
        width = max(_width(name) for name, _ in figures)
        lines.append(f"{_pad('Label', width)}  {'F1 a':>7} {'F1 b':>7} {'b - a':>8}   {'95 % interval':^20} {'p':>7}")
        for name, d in figures:
            interval = f"[{d['low']:+.4f}, {d['high']:+.4f}]"
            lines.append(f"{_pad(name, width)}  {d['a']:7.4f} {d['b']:7.4f} {d['delta']:+8.4f}   {interval:^20} {d['p']:7.4f}")
        lines.append(f"rows that b has fewer errors in: {one['won']:,}, more: {one['lost']:,}, as many: {one['alike']:,}")
        for outcome in ("won", "lost"):
            for row in [row for row in one["changed"] if row["outcome"] == outcome][:few]:
                lines.append(f"{outcome} {row['id']}  {_short(row['text'], 60)}")
                lines += [f"       {name:<5} {_short(_pairs(row[key]), 100)}" for name, key in (("gold", "gold"), ("a", "first"), ("b", "second"))]
    return "\n".join(lines)


def _pairs(pairs: Sequence[Pair]) -> str:
    return ", ".join(f"{text} [{label}]" if text else label for label, text in pairs) or "–"


def _short(text: str, limit: int) -> str:
    """One line of a terminal: what could move the cursor or turn the line is written as an escape."""
    line = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text[:limit])
    return line + ("…" if len(text) > limit else "")


def _width(text: str) -> int:
    """Columns in a terminal; Chinese takes two."""
    from unicodedata import east_asian_width

    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def save(result: dict[str, Any], out: Path) -> None:
    """Write compare.json (the figures) and compare.jsonl (one line a row won or lost, with gold and both predictions) into `out`."""
    with Transaction() as new:
        handle = new.open(out / "compare.jsonl")
        for one in result["comparisons"]:
            for row in one["changed"]:
                handle.write(json.dumps({"a": result["first"], "b": one["second"], **row}, ensure_ascii=False) + "\n")
    figures = [{key: value for key, value in one.items() if key != "changed"} for one in result["comparisons"]]
    write_json(out / "compare.json", {**result, "comparisons": figures})


COLUMNS = ("Run", "Micro F1", "95 % interval", "Macro F1", "Unseen F1", "Rows", "Base model")


def leaderboard(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """The evaluations in blocks that may be compared, the newest task version first; in a block the highest micro F1 first."""

    def order(one: Evaluation) -> tuple[Any, ...]:
        version = one.meta["task_version"]
        return one.meta["task"], -version if isinstance(version, int) else 0, *map(str, one.key[1:]), -one.score["micro"]["f1"], one.name

    return [list(block) for _, block in groupby(sorted(evaluations, key=order), key=lambda one: one.key)]


def _heading(block: Sequence[Evaluation], before: Sequence[Evaluation] | None) -> str:
    meta = block[0].meta
    heading = f"{meta['task']} {meta['split']}: task version {meta['task_version']}, examples {str(meta['examples_sha256'])[:8]}, prompt {str(meta['prompt_sha256'])[:8]}"
    if before and before[0].meta["task"] == meta["task"]:
        heading += f" – not comparable with the block above: {'; '.join(differences(before[0], block[0]))}"
    return heading


def _cells(one: Evaluation) -> list[str]:
    interval, unseen = (one.score.get("intervals") or {}).get("micro"), (one.score.get("unseen") or {}).get("f1")
    return [
        one.name,
        f"{one.score['micro']['f1']:.4f}",
        f"{interval[0]:.4f}–{interval[1]:.4f}" if interval else "–",
        f"{one.score['macro']['f1']:.4f}",
        f"{unseen:.4f}" if unseen is not None else "–",
        f"{one.score['rows']:,}",
        str(one.meta.get("base_model", "–")),
    ]


def show_leaderboard(blocks: Sequence[Sequence[Evaluation]], problems: Sequence[str] = (), markdown: bool = False) -> str:
    """The blocks as text or markdown tables, each under a heading that says what it is of and why it stands apart; `problems` are listed at the end."""
    lines: list[str] = []
    for number, block in enumerate(blocks):
        heading = _heading(block, blocks[number - 1] if number else None)
        table = [list(COLUMNS), *map(_cells, block)]
        if markdown:
            lines += [f"## {heading}", "", _bar(table[0]), _bar(["---"] * len(COLUMNS)), *map(_bar, table[1:]), ""]
        else:
            widths = [max(_width(row[k]) for row in table) for k in range(len(COLUMNS))]
            lines += [heading, *("  ".join(_pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table), ""]
    if problems:
        lines += ["Left out:", *(f"- {problem}" for problem in problems)]
    return "\n".join(lines).rstrip()


def _bar(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def save_leaderboard(blocks: Sequence[Sequence[Evaluation]], problems: Sequence[str], out: Path) -> None:
    """Write leaderboard.md and leaderboard.csv into `out`; the CSV says in each line what must be equal for two lines to be compared."""
    with Transaction() as new:
        new.open(out / "leaderboard.md").write(show_leaderboard(blocks, problems, markdown=True) + "\n")
        table = csv.writer(new.open(out / "leaderboard.csv"), lineterminator="\n")
        table.writerow([*MUST_BE_EQUAL, "run", "variant", "micro_f1", "low", "high", "macro_f1", "unseen_f1", "rows", "base_model", "folder"])
        for one in (one for block in blocks for one in block):
            low, high = (one.score.get("intervals") or {}).get("micro") or ("", "")
            unseen = (one.score.get("unseen") or {}).get("f1", "")
            scores = [one.score["micro"]["f1"], low, high, one.score["macro"]["f1"], unseen, one.score["rows"]]
            table.writerow([*one.key, one.run, one.variant, *scores, one.meta.get("base_model", ""), one.folder])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.report.compare", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="<run>, <run>:base, <run>:merged, <run>:checkpoint-40 …, or an evaluation's folder (make: RUNS=…)"
    )
    parser.add_argument("--task", metavar="T", help="default: the one that the runs have; leaderboard: all")
    parser.add_argument("--split", help="default: the one that the runs have; leaderboard: all")
    parser.add_argument("--outputs", type=Path, default=OUTPUTS, metavar="DIR", help=f"where the runs are (default: {OUTPUTS})")
    parser.add_argument("--examples", type=Path, metavar="FILE", help="default: data/dataset/examples/<task>_<split>.jsonl")
    parser.add_argument("--samples", type=int, default=SAMPLES, metavar="N", help=f"of the bootstrap (default: {SAMPLES})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the bootstrap (default: {SEED})")
    parser.add_argument("--show", type=int, default=SHOW, metavar="N", help=f"how many won and lost rows to print (default: {SHOW})")
    parser.add_argument("--out", type=Path, metavar="DIR", help="gets compare.json and compare.jsonl, or leaderboard.md and leaderboard.csv")
    args = parser.parse_args()
    if args.samples < 1 or args.seed < 0 or args.show < 0:
        raise ToolError("--samples must be at least 1, --seed and --show at least 0.")
    if args.runs:
        _compare(args)
    else:
        _leaderboard(args)


def _compare(args: argparse.Namespace) -> None:
    evaluations = [named_evaluation(word, args.outputs, args.task, args.split) for word in args.runs]
    task = find_task(str(evaluations[0].meta["task"]))
    examples = args.examples or task.examples(str(evaluations[0].meta["split"]))
    result = compare(task, examples, evaluations, args.samples, args.seed)
    print(show(result, args.show))
    if args.out:
        save(result, args.out)
        print(f"→ {args.out / 'compare.json'}, {args.out / 'compare.jsonl'}")


def _leaderboard(args: argparse.Namespace) -> None:
    evaluations, problems = find_evaluations(args.outputs, args.task, args.split)
    if not evaluations:
        known = ", ".join(sorted(path.stem for path in TASKS.glob("*.yaml")))
        asked = f" of {args.task}{' ' + args.split if args.split else ''} (tasks: {known})" if args.task else ""
        all_at_once([f"{args.outputs}: no evaluation{asked} in it. To make one: make eval CONF=conf/<run>.yaml", *problems])
    blocks = leaderboard(evaluations)
    print(show_leaderboard(blocks, problems))
    if args.out:
        save_leaderboard(blocks, problems, args.out)
        print(f"→ {args.out / 'leaderboard.md'}, {args.out / 'leaderboard.csv'}")


if __name__ == "__main__":
    run(main)
