"""Scores predictions: precision, recall and F1 by label, as CLUENER's official script counts.

In: a task, its examples, predictions. Out: `score.json` (integers first, every ratio derived from them), `score.csv`, and a table.

tools/score/protocols.py defines the protocols, bootstrap.py the intervals, and gazetteer.py the floor.

    ./ner score conf/task/sample.yaml --examples data/dataset/examples/sample_dev.jsonl --predictions FILE --out DIR
    ./ner score conf/task/sample.yaml aliases.name='[person]' --examples FILE --predictions FILE --out DIR
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from math import fsum
from pathlib import Path
from typing import Any, cast

from tools.conf.task import Task, load_task
from tools.example import read_examples
from tools.files import sha256, write_text
from tools.predict.predictions import thought_of
from tools.score import bootstrap
from tools.score.counts import NO_LABEL, Counts, Matched, ratio, totals
from tools.score.gazetteer import Gazetteer, seen_strings
from tools.score.protocols import FIVEFOLD, OCCURRENCES, PRIMARY
from tools.score.score_file import FILE, Answers, Few, Figures, ProtocolFigures, PublishedFigure, Score, StrictFigures, write_score
from tools.score.table import show, table
from tools.score.tally import Setting, Tally, tally
from tools.text import whole_number


def evaluate(
    task: Task,
    examples: Path,
    predictions: Path,
    out: Path,
    train: Path | None = None,
    occurrences: str = OCCURRENCES[0],
    samples: int = bootstrap.SAMPLES,
    seed: int = bootstrap.SEED,
) -> Score:
    """Scores a predictions file, writes score.json and score.csv into `out`, and returns the score.

    `train`, an examples file, adds "unseen", the score on entities whose string is no entity there, and "floor", what a list of its entities reaches.
    `occurrences` places a predicted string at 'all' its places in the text or at the 'first'. `samples` and `seed` are the bootstrap's. Raises ToolError (1) for
    predictions and examples that don't belong together. The record beside the predictions tells what training put before each answer.
    """
    train = train if task.kind == "ner" else None  # a class isn't a string that could be unseen
    setting = Setting(
        task,
        seen=seen_strings(train) if train else None,
        gazetteer=Gazetteer.of(read_examples(train)) if train else None,
        first=occurrences == "first",
        thought=thought_of(predictions),
    )
    split = examples.stem.removeprefix(f"{task.name}_")
    result = score(tally(setting, examples, predictions), setting, split, samples, seed)
    result["predictions_sha256"] = sha256(predictions)
    write_text(out / "score.csv", table(result).to_csv(index=False))
    write_score(out, result)
    return result


def score(counts: Tally, setting: Setting, split: str, samples: int = bootstrap.SAMPLES, seed: int = bootstrap.SEED) -> Score:
    """Returns the score of a tally. Macro is the unweighted mean over the labels that occur in gold or prediction: for CLUENER's dev set, all ten."""
    task, by_protocol = setting.task, counts.outcomes()
    found = {protocol: totals(some) for protocol, some in {PRIMARY: {}, **by_protocol}.items()}
    names = task.labels or sorted(label for label in found[PRIMARY][0] if label != NO_LABEL)
    averages = {protocol: _averages(*some, names, protocol in FIVEFOLD) for protocol, some in found.items()}
    main: Any = averages.pop(PRIMARY)
    result: Score = {
        "task": task.name,
        "version": task.version,
        "split": split,
        "protocol": PRIMARY,
        "rows": counts.rows,
        "labels": main["labels"],
        "micro": main["micro"],
        "macro": main["macro"],
        "strict": _strict(*found[PRIMARY], counts, names),
        "answers": _answers(counts),
        "span": (found["span"][1].counts() if "span" in found else Counts()).to_dict(),
        "protocols": averages,
        "intervals": bootstrap.intervals(by_protocol.get(PRIMARY, {}), samples, seed, classes=task.kind == "classification"),
        "failures": {
            "unparsable": counts.failures["unparsable"],
            "truncated": counts.failures["truncated"],
            "missing": counts.failures["missing"],
            "unknown_label": counts.failures["unknown_label"],
            "ungrounded": counts.failures["ungrounded"],
        },
        "parsing": dict(sorted(counts.parsing.items())),
    }
    result["intervals"]["few"] = _few(result)
    if setting.seen is not None:
        result["unseen"] = counts.unseen.to_dict()
    if task.kind == "classification":
        _add_classes(result, counts)
    if counts.floor:
        floor = _averages(*totals(counts.floor), names)
        result["floor"] = {"method": "gazetteer of the train entities", "micro": floor["micro"]["f1"], "macro": floor["macro"]["f1"]}
    if task.published:
        result["published"] = [cast(PublishedFigure, one.model_dump()) for one in task.published]
    return result


def _strict(by_label: Mapping[str, Matched], every: Matched, counts: Tally, names: Iterable[str]) -> StrictFigures:
    """Returns the figures where every answer outside the trained form counts as empty: its hits are misses, its false positives are none."""
    loose_by_label, loose = totals(counts.loose)

    def left(whole: Matched, gone: Matched) -> Matched:
        return Matched(correct=whole.correct - gone.correct, missed=whole.missed + gone.correct, spurious=whole.spurious - gone.spurious)

    figures = _averages({label: left(one, loose_by_label.get(label, Matched())) for label, one in by_label.items()}, left(every, loose), names)
    return {"micro": cast(Figures, figures["micro"]), "macro": figures["macro"]}


def _answers(counts: Tally) -> Answers:
    unreadable, missing = counts.failures["unparsable"], counts.failures["missing"]
    return {"trained": counts.trained, "tolerant": counts.rows - counts.trained - unreadable - missing, "unreadable": unreadable, "missing": missing}


def _few(result: Score) -> Few:
    """Returns what of a score is too few for its intervals."""
    labels = [
        label for label in result["intervals"]["labels"] if label in result["labels"] and result["labels"][label]["support"] < bootstrap.FEW_GOLD
    ]
    return {"rows": result["rows"] < bootstrap.FEW_ROWS, "labels": labels}


def _averages(by_label: Mapping[str, Matched], every: Matched, names: Iterable[str], fivefold: bool = False) -> ProtocolFigures:
    """Returns one protocol's figures from its integers."""
    shown = {name: by_label.get(name, Matched()) for name in names}
    labels = {name: (one if fivefold else one.counts()).to_dict() for name, one in shown.items()}
    occurring: list[Any] = [labels[name] for name, one in shown.items() if one != Matched()]

    def mean(key: str) -> float:
        return fsum(row[key] for row in occurring) / len(occurring) if occurring else 0.0

    return {
        "labels": labels,
        "micro": (every if fivefold else every.counts()).to_dict(),
        "macro": {"precision": mean("precision"), "recall": mean("recall"), "f1": mean("f1"), "labels": len(occurring)},
    }


def _add_classes(result: Score, counts: Tally) -> None:
    """Adds a classification's own figures: accuracy, the confusion matrix (gold → predicted → rows, where there are any), and answers outside the options."""
    confusion: dict[str, dict[str, int]] = {}
    for (gold, predicted), times in sorted(counts.confusion.items()):
        confusion.setdefault(gold, {})[predicted] = times
    right = sum(times for (gold, predicted), times in counts.confusion.items() if gold == predicted)
    result["accuracy"] = ratio(right, counts.rows)
    result["confusion"] = confusion
    result["outside_options"] = sum(times for (_, predicted), times in counts.confusion.items() if predicted == NO_LABEL)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the task, the files, and the options of protocols and bootstrap."""
    parser.add_argument("task", type=Path, metavar="conf/task/<task>.yaml", help="the task (make: TASK=…)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="laid over the task's file")
    parser.add_argument("--examples", type=Path, required=True, metavar="FILE", help="the gold: data/dataset/examples/<task>_<split>.jsonl")
    parser.add_argument("--predictions", type=Path, required=True, metavar="FILE", help="the answers that ./ner predict wrote")
    parser.add_argument("--train", type=Path, metavar="FILE", help="the training examples: adds the score on entities unseen there, and the floor")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets score.json and score.csv")
    parser.add_argument(
        "--occurrences", choices=OCCURRENCES, default=OCCURRENCES[0], help="where a predicted string stands in the text (default: all)"
    )
    parser.add_argument(
        "--samples", type=whole_number(1, 1_000_000), default=bootstrap.SAMPLES, metavar="N", help=f"bootstrap samples (default: {bootstrap.SAMPLES})"
    )
    parser.add_argument(
        "--seed", type=whole_number(0, 2**32 - 1), default=bootstrap.SEED, metavar="N", help=f"the bootstrap's (default: {bootstrap.SEED})"
    )


def main(args: argparse.Namespace) -> None:
    """Scores a predictions file and prints the table."""
    task = load_task(args.task, args.overrides)
    result = evaluate(task, args.examples, args.predictions, args.out, args.train, args.occurrences, args.samples, args.seed)
    print(f"{show(result)}\n→ {args.out / FILE}")
