"""Scores predictions: per-label precision, recall and F1, as CLUENER's official script and its published tables count.

In: a task, its examples, predictions. Out: `score.json` (integers first, every ratio derived from them), `score.csv`, and the table.

    python -m tools.eval.score conf/task/clue.yaml --examples data/dataset/examples/clue_dev.jsonl --predictions FILE --out DIR
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.conf import Task, load_task
from tools.errors import WANTING, ToolError, run
from tools.eval.predictions import Prediction, read_predictions
from tools.eval.rows import known_labels, rows
from tools.example import Example, neutralise, read_examples
from tools.files import Transaction, write_json

if TYPE_CHECKING:
    from pandas import DataFrame

NO_LABEL = "(unknown label)"
FAILURES = ("unparsable", "truncated", "missing", "unknown_label", "ungrounded")


@dataclass
class Counts:
    """True positives, false positives and false negatives; everything else follows from them."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def add(self, predicted: bool, gold: bool) -> None:
        """Count one item that is in the prediction, in the gold, or in both."""
        self.tp += predicted and gold
        self.fp += predicted and not gold
        self.fn += gold and not predicted

    def to_dict(self) -> dict[str, Any]:
        """The integers, then precision tp/(tp+fp), recall tp/(tp+fn), F1 2tp/(2tp+fp+fn) (0.0 where nothing stands below the line), and support tp+fn."""
        return {
            **{"tp": self.tp, "fp": self.fp, "fn": self.fn},
            "precision": ratio(self.tp, self.tp + self.fp),
            "recall": ratio(self.tp, self.tp + self.fn),
            "f1": ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn),
            "support": self.tp + self.fn,
        }


def ratio(part: int, whole: int) -> float:
    """part / whole, 0.0 when whole is 0."""
    return part / whole if whole else 0.0


@dataclass
class Tally:
    """The integers of a whole evaluation, per label. `unseen` counts only pairs whose string is no entity of the training split."""

    labels: dict[str, Counts]
    span: Counts = field(default_factory=Counts)
    unseen: Counts = field(default_factory=Counts)
    failures: Counter[str] = field(default_factory=Counter)
    rows: int = 0


def tally(examples: Iterable[Example], predictions: Mapping[str, Prediction], task: Task, seen: frozenset[str] = frozenset()) -> Tally:
    """Count every example. One without a prediction, or with one that can't be parsed, is an empty prediction and is counted as a failure too.

    `labels` counts the protocol 'set': per sentence the set of (label, string); a class is one such pair, its string empty. `span` aligns predicted strings to
    all their occurrences in the text and compares (label, start, end). A predicted label that the task (or a classification row's options) doesn't have is a
    false positive under NO_LABEL. The model saw control tokens neutralised, so strings are compared that way.
    """
    counts = Tally({label: Counts() for label in (*task.labels, NO_LABEL)})
    for one in rows(task, examples, predictions):
        counts.rows += 1
        counts.failures.update(one.failures)
        example, known, gold, predicted = one.example, known_labels(task, one.example), set(one.gold), set(one.predicted)
        for label, text in gold | predicted:
            row = counts.labels.setdefault(label if label in known else NO_LABEL, Counts())
            row.add((label, text) in predicted, (label, text) in gold)
            if text not in seen:
                counts.unseen.add((label, text) in predicted, (label, text) in gold)
        counts.failures["unknown_label"] += sum(label not in known for label, _ in predicted)
        sentence = neutralise(example.text)
        counts.failures["ungrounded"] += sum(text not in sentence for _, text in predicted)
        gold_spans = {(entity.label, entity.start, entity.end) for entity in example.entities}
        predicted_spans = {(label, *place) for label, text in predicted for place in occurrences(text, sentence)}
        counts.span.tp += len(gold_spans & predicted_spans)
        counts.span.fp += len(predicted_spans - gold_spans)
        counts.span.fn += len(gold_spans - predicted_spans)
    return counts


def occurrences(string: str, text: str) -> list[tuple[int, int]]:
    """(start, end) of every non-overlapping occurrence of `string` in `text`, from the left; none for an empty string."""
    places, start = [], text.find(string) if string else -1
    while start >= 0:
        places.append((start, start + len(string)))
        start = text.find(string, start + len(string))
    return places


def score(counts: Tally, task: Task, split: str, with_unseen: bool) -> dict[str, Any]:
    """score.json's content. Macro is the unweighted mean over the labels that occur in gold or prediction: for CLUENER's dev set, all ten."""
    names = task.labels or sorted(counts.labels.keys() - {NO_LABEL})
    labels = {label: counts.labels[label].to_dict() for label in names}
    occurring = [row for row in labels.values() if row["tp"] + row["fp"] + row["fn"]]
    macro = {key: sum(row[key] for row in occurring) / len(occurring) if occurring else 0.0 for key in ("precision", "recall", "f1")}
    every = counts.labels.values()
    micro = Counts(sum(c.tp for c in every), sum(c.fp for c in every), sum(c.fn for c in every))
    return {
        "task": task.name,
        "version": task.version,
        "split": split,
        "protocol": "set",
        "rows": counts.rows,
        "labels": labels,
        "micro": micro.to_dict(),
        "macro": {**macro, "labels": len(occurring)},
        "span": counts.span.to_dict(),
        **({"unseen": counts.unseen.to_dict()} if with_unseen else {}),
        "failures": {name: counts.failures[name] for name in FAILURES},
    }


def evaluate(task: Task, examples: Path, predictions: Path, out: Path, train: Path | None = None) -> dict[str, Any]:
    """Score a predictions file, write score.json and score.csv into `out`, and return score.json's content.

    `train`, an examples file, adds "unseen": the score on entities whose string is no entity there. Raises ToolError (1) when predictions and
    examples don't belong together.
    """
    gold = list(read_examples(examples))
    answers = read_predictions(predictions)
    if not gold:
        raise ToolError(f"{examples}: no examples in it.", WANTING)
    known = {example.id for example in gold}
    if strange := [id for id in answers if id not in known]:
        raise ToolError(
            f"{predictions}: {len(strange)} of {len(answers)} ids aren't in {examples}, e.g. '{strange[0]}' (there: '{gold[0].id}'). They don't belong together.",
            WANTING,
        )
    train = train if task.kind == "ner" else None  # a class isn't a string that could be unseen
    seen = frozenset(entity.text for example in read_examples(train) for entity in example.entities) if train else frozenset[str]()
    split = examples.stem.removeprefix(f"{task.name}_")
    result = score(tally(gold, answers, task, seen), task, split, with_unseen=train is not None)
    with Transaction() as new:
        table(result).to_csv(new.open(out / "score.csv"), index=False)
    write_json(out / "score.json", result)
    return result


def table(result: Mapping[str, Any]) -> DataFrame:
    """The score as a table, one row a label, then micro and macro averages: Label, Precision, Recall, F1, Support, TP, FP, FN."""
    from pandas import DataFrame

    def row(name: str, counts: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **{"Label": name, "Precision": counts["precision"], "Recall": counts["recall"], "F1": counts["f1"]},
            **{"Support": counts.get("support"), "TP": counts.get("tp"), "FP": counts.get("fp"), "FN": counts.get("fn")},
        }

    rows = [row(label, counts) for label, counts in result["labels"].items()]
    if unknown := result["failures"]["unknown_label"]:
        rows.append(row(NO_LABEL, Counts(fp=unknown).to_dict()))
    rows += [row("Micro Avg.", result["micro"]), row("Macro Avg.", result["macro"])]
    frame = DataFrame(rows)
    integers = ["Support", "TP", "FP", "FN"]
    return frame.astype(dict.fromkeys(integers, "Int64"))


def show(result: Mapping[str, Any]) -> str:
    """The table as the CLUENER document prints it (with support), and a line for what went wrong, if anything did."""
    frame = table(result)[["Label", "Precision", "Recall", "F1", "Support"]]
    text = frame.astype(object).where(frame.notna(), "-")
    text.loc[text["Label"] == "Macro Avg.", ["Precision", "Recall"]] = "-"  # a mean of ratios isn't a ratio of anything
    lines = [text.to_string(index=False, float_format=lambda value: f"{value:.4f}")]
    lines.append(
        f"rows {result['rows']:,}  span F1 {result['span']['f1']:.4f}" + (f"  unseen F1 {result['unseen']['f1']:.4f}" if "unseen" in result else "")
    )
    if failed := [f"{name} {count:,}" for name, count in result["failures"].items() if count]:
        lines.append(f"failures, all counted as errors: {', '.join(failed)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.eval.score", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("task", type=Path, metavar="conf/task/<task>.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="override the task's own")
    parser.add_argument("--examples", type=Path, required=True, metavar="FILE", help="the gold: data/dataset/examples/<task>_<split>.jsonl")
    parser.add_argument("--predictions", type=Path, required=True, metavar="FILE", help="what tools.eval.predict wrote")
    parser.add_argument("--train", type=Path, metavar="FILE", help="the training examples: adds the score on entities unseen there")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets score.json and score.csv")
    args = parser.parse_args()
    result = evaluate(load_task(args.task, args.overrides), args.examples, args.predictions, args.out, args.train)
    print(f"{show(result)}\n→ {args.out / 'score.json'}")


if __name__ == "__main__":
    run(main)
