"""Scores predictions: per-label precision, recall and F1, as CLUENER's official script and its published tables count.

In: a task, its examples, predictions. Out: `score.json` (integers first, every ratio derived from them), `score.csv`, and the table.

    python -m tools.score.score conf/task/clue.yaml --examples data/dataset/examples/clue_dev.jsonl --predictions FILE --out DIR

What each protocol counts is in tools/score/protocols.py, what the intervals mean in tools/score/bootstrap.py, what the floor is in tools/score/gazetteer.py.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.answers.parse import parse_plain
from tools.conf.task import Task, load_task
from tools.errors import WANTING, ToolError, run
from tools.example import Example, as_example, read_examples
from tools.files import Transaction, need_file, parse_object, quick_loads, sha256, write_json
from tools.predict.predictions import Prediction, as_prediction
from tools.score import bootstrap
from tools.score.gazetteer import Gazetteer
from tools.score.join import Chunk, Joined, chunks, join, no_collection, processes_for, spread
from tools.score.protocols import (
    FIVEFOLD,
    NO_LABEL,
    OCCURRENCES,
    PRIMARY,
    PROTOCOLS,
    Matched,
    Outcome,
    Sides,
    by_set,
    outcomes,
    place,
    ratio,
    sides,
    totals,
)
from tools.score.protocols import Counts as Counts
from tools.score.protocols import occurrences as occurrences
from tools.score.rows import Row, known_labels, rows
from tools.text import neutralise

if TYPE_CHECKING:
    from pandas import DataFrame

NO_ANSWER = "(no answer)"
STRICT = "strict"
FAILURES = ("unparsable", "truncated", "missing", "unknown_label", "ungrounded")


@dataclass(frozen=True)
class Setting:
    """What is counted beside the protocols: `seen` are the training split's entity strings, `gazetteer` its floor; `first` takes only first occurrences."""

    task: Task
    seen: frozenset[str] | None = None
    gazetteer: Gazetteer | None = None
    first: bool = False

    @cached_property
    def outcomes(self) -> Callable[[Sides], tuple[Outcome, ...]]:
        """What tells a row's outcomes by the protocols that its kind can be counted by: a class has no place."""
        return outcomes if self.task.kind == "ner" else lambda row: (by_set(row),)

    def known(self, example: Example) -> Collection[str]:
        """The labels that an answer to the example may use."""
        return self.task.names or frozenset(known_labels(self.task, example))


@dataclass
class Tally:
    """An evaluation's integers. `together` says how often rows had each outcome by the protocols in their order; `unseen` counts pairs whose string is no
    entity in train.

    `strict` counts answers that needed no rule, `parsing` the others by rule, `confusion` classification rows by (gold, predicted) class.
    """

    rows: int = 0
    together: Counter[tuple[Outcome, ...]] = field(default_factory=Counter)
    floor: Counter[Outcome] = field(default_factory=Counter)
    unseen: Counts = field(default_factory=Counts)
    failures: Counter[str] = field(default_factory=Counter)
    strict: int = 0
    parsing: Counter[str] = field(default_factory=Counter)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, row: Row, setting: Setting) -> None:
        """Count one row by every protocol."""
        self.rows += 1
        known = setting.known(row.example)
        both = sides(row, known, setting.first)
        self.together[setting.outcomes(both)] += 1
        self._add_known(both, setting, row.example.text)
        self._add_failures(row, known, len(both.nowhere))
        if row.example.label is not None:
            self.confusion[row.example.label, _class(row, known)] += 1

    def add_plain(self, rows: Sequence[tuple[Sides, str]], setting: Setting) -> None:
        """Count rows, each with its text, of whose answers no more is to be said than what is on their sides."""
        self.rows += len(rows)
        self.strict += len(rows)
        self.together.update([setting.outcomes(both) for both, _ in rows])
        if ungrounded := sum([len(both.nowhere) for both, _ in rows]):
            self.failures["ungrounded"] += ungrounded
        if setting.seen is not None:
            for both, text in rows:
                self._add_known(both, setting, text)

    def _add_known(self, both: Sides, setting: Setting, text: str) -> None:
        """Count one row in the light of the training split."""
        if setting.seen is not None:
            self._add_unseen(both.gold, both.predicted, setting.seen)
        if setting.gazetteer:
            floor = Sides(both.known, both.gold, set(setting.gazetteer.find(neutralise(text))), set(), set(), [])
            self.floor[by_set(floor)] += 1

    def outcomes(self) -> dict[str, dict[Outcome, int]]:
        """By protocol, how often each outcome of a row was met."""
        found: dict[str, dict[Outcome, int]] = {}
        protocols = len(next(iter(self.together), ()))  # a class is counted by the first alone
        for column, protocol in enumerate(list(PROTOCOLS)[:protocols]):
            times_of = found[protocol] = {}
            for some, times in self.together.items():
                times_of[some[column]] = times_of.get(some[column], 0) + times
        return found

    def merge(self, other: Tally) -> None:
        """Add what another tally counted."""
        self.rows += other.rows
        self.strict += other.strict
        for name in ("together", "floor", "failures", "parsing", "confusion"):
            getattr(self, name).update(getattr(other, name))
        mine, theirs = self.unseen, other.unseen
        self.unseen = Counts(mine.tp + theirs.tp, mine.fp + theirs.fp, mine.fn + theirs.fn)

    def _add_unseen(self, gold: set[tuple[str, str]], predicted: set[tuple[str, str]], seen: frozenset[str]) -> None:
        for pair in gold | predicted:
            if pair[1] not in seen:
                self.unseen.add(pair in predicted, pair in gold)

    def _add_failures(self, row: Row, known: Collection[str], ungrounded: int) -> None:
        for label, _ in row.predicted:
            if label not in known:
                self.failures["unknown_label"] += 1
        if ungrounded:
            self.failures["ungrounded"] += ungrounded
        for name in row.failures:
            self.failures[name] += 1
        if row.rules or "missing" in row.failures or "unparsable" in row.failures:
            self.parsing.update(row.rules)
        else:
            self.strict += 1


def _class(row: Row, known: Collection[str]) -> str:
    """The class that a row's answer names, as the confusion matrix calls it."""
    if not row.predicted:
        return NO_ANSWER
    label = row.predicted[0][0]
    return label if label in known else NO_LABEL


def tally(examples: Iterable[Example], predictions: Mapping[str, Prediction], task: Task, seen: frozenset[str] = frozenset()) -> Tally:
    """Count every example. One without a prediction, or with one that can't be parsed, is an empty prediction and is counted as a failure too.

    A predicted label that the task (or a classification row's options) doesn't have is a false positive under NO_LABEL. The model saw control tokens
    neutralised, so strings are compared that way. Raises ToolError (1) for a gold label that the task doesn't have.
    """
    counts, setting = Tally(), Setting(task, seen)
    for row in rows(task, examples, predictions):
        _check_gold(row, setting, f"example '{row.example.id}'")
        counts.add(row, setting)
    return counts


def _check_gold(row: Row, setting: Setting, where: str) -> None:
    known, task = setting.known(row.example), setting.task
    for label, _ in row.gold:
        if label not in known:
            raise ToolError(
                f"{where}: {task.path} has no label '{label}'. They don't belong together; make data TASK={task.name} writes the examples.", WANTING
            )


def tally_files(setting: Setting, examples: Path, predictions: Path) -> Tally:
    """Count two files' rows, on all cores where they are large. Raises ToolError (1) when they don't belong together, or for a line that can't be read."""

    names = str(examples), str(predictions)

    def count(some: Iterable[Chunk]) -> Tally:
        counts = Tally()
        for chunk in some:
            plain = []
            for line in chunk.lines():
                if found := _plain(line[1], line[3], setting):
                    plain.append(found)
                else:
                    counts.add(_row(line, setting, *names), setting)
            counts.add_plain(plain, setting)
        return counts

    counts = Tally()
    for path in (examples, predictions):
        need_file(path)
    with no_collection():  # in the processes that are copies of this one neither
        for part in spread(count, _shown(chunks(join(examples, predictions))), processes_for(examples, predictions)):
            counts.merge(part)
    return counts


def _shown(some: Iterable[Chunk]) -> Iterator[Chunk]:
    """The chunks, with a progress bar for those who wait."""
    from tqdm import tqdm

    with tqdm(desc="scoring", unit=" rows", disable=None, leave=False) as bar:
        for chunk in some:
            yield chunk
            bar.update(len(chunk.example_numbers))


def _plain(gold: bytes, answer: bytes, setting: Setting) -> tuple[Sides, str] | None:
    """A row of a NER task without any irregularity, for `Tally.add_plain`; None for any other, which `_row` reads or refuses. Made for speed: most rows are such."""
    if setting.task.kind != "ner":
        return None
    try:
        example, prediction = quick_loads(gold), quick_loads(answer)
        text, output = example["text"], prediction["output"]
        entities = [(e["label"], e["text"], e["start"], e["end"]) for e in example["entities"]]
        regular = type(text) is type(output) is type(example["id"]) is str and prediction["id"] == example["id"] and "label" not in example
        cut = prediction.get("finish_reason") == "length"
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    if not regular or cut or "<" in text:
        return None
    known, gold_pairs, gold_spans = setting.task.names, set(), set()
    for label, string, start, end in entities:
        if not (type(label) is type(string) is str and type(start) is type(end) is int and label in known) or "<" in string:
            return None
        gold_pairs.add((label, string))
        gold_spans.add((label, start, end))
    if (pairs := parse_plain(output, setting.task)) is None:
        return None
    predicted = set(pairs)
    spans, nowhere = place(predicted, text, setting.first)
    return Sides(known, gold_pairs, predicted, gold_spans, spans, nowhere), text


def _row(line: Joined, setting: Setting, examples: str, predictions: str) -> Row:
    number, gold, answer_number, answer = line
    where = f"{examples}:{number}"
    example = as_example(parse_object(gold, where), where)
    answers = {}
    if answer:
        place = f"{predictions}:{answer_number}"
        prediction = as_prediction(parse_object(answer, place), place)
        if prediction.id != example.id:
            raise ToolError(f"{place}: a line with two ids.", WANTING)
        answers[example.id] = prediction
    row = next(rows(setting.task, (example,), answers))
    _check_gold(row, setting, where)
    return row


def score(counts: Tally, task: Task, split: str, with_unseen: bool, samples: int = bootstrap.SAMPLES, seed: int = bootstrap.SEED) -> dict[str, Any]:
    """score.json's content. Macro is the unweighted mean over the labels that occur in gold or prediction: for CLUENER's dev set, all ten."""
    by_protocol = counts.outcomes()
    found = {protocol: totals(some) for protocol, some in {PRIMARY: {}, **by_protocol}.items()}
    names = task.labels or sorted(label for label in found[PRIMARY][0] if label != NO_LABEL)
    averages = {protocol: _averages(*found[protocol], names, protocol in FIVEFOLD) for protocol in found}
    main = averages.pop(PRIMARY)
    return {
        "task": task.name,
        "version": task.version,
        "split": split,
        "protocol": PRIMARY,
        "rows": counts.rows,
        **main,
        "span": averages["span"]["micro"] if "span" in averages else Counts().to_dict(),
        **({"unseen": counts.unseen.to_dict()} if with_unseen else {}),
        "protocols": averages,
        "intervals": bootstrap.intervals(by_protocol.get(PRIMARY, {}), samples, seed),
        **(_classes(counts) if task.kind == "classification" else {}),
        **({"floor": _floor(counts.floor, names)} if counts.floor else {}),
        **({"published": task.published} if task.published else {}),
        "failures": {name: counts.failures[name] for name in FAILURES},
        "parsing": {STRICT: counts.strict, **dict(sorted(counts.parsing.items()))},
    }


def _averages(by_label: Mapping[str, Matched], every: Matched, names: Iterable[str], fivefold: bool = False) -> dict[str, Any]:
    """{"labels": {label: …}, "micro": …, "macro": …} of one protocol's integers."""
    shown = {name: by_label.get(name, Matched()) for name in names}
    labels = {name: (one if fivefold else one.counts()).to_dict() for name, one in shown.items()}
    occurring = [labels[name] for name, one in shown.items() if one != Matched()]
    macro = {key: sum(row[key] for row in occurring) / len(occurring) if occurring else 0.0 for key in ("precision", "recall", "f1")}
    return {"labels": labels, "micro": (every if fivefold else every.counts()).to_dict(), "macro": {**macro, "labels": len(occurring)}}


def _floor(outcomes: Mapping[Outcome, int], names: Iterable[str]) -> dict[str, Any]:
    averages = _averages(*totals(outcomes), names)
    return {"method": "gazetteer of the train entities", **{average: averages[average]["f1"] for average in ("micro", "macro")}}


def _classes(counts: Tally) -> dict[str, Any]:
    """What only classification has: accuracy, the confusion matrix (gold → predicted → rows, where there are any), and answers outside the options."""
    confusion: dict[str, dict[str, int]] = {}
    for (gold, predicted), times in sorted(counts.confusion.items()):
        confusion.setdefault(gold, {})[predicted] = times
    right = sum(times for (gold, predicted), times in counts.confusion.items() if gold == predicted)
    outside = sum(times for (_, predicted), times in counts.confusion.items() if predicted == NO_LABEL)
    return {"accuracy": ratio(right, counts.rows), "confusion": confusion, "outside_options": outside}


def evaluate(
    task: Task,
    examples: Path,
    predictions: Path,
    out: Path,
    train: Path | None = None,
    occurrences: str = OCCURRENCES[0],
    samples: int = bootstrap.SAMPLES,
    seed: int = bootstrap.SEED,
) -> dict[str, Any]:
    """Score a predictions file, write score.json and score.csv into `out`, and return score.json's content.

    `train`, an examples file, adds "unseen", the score on entities whose string is no entity there, and "floor", what a list of its entities reaches;
    `occurrences` says where a predicted string stands: at 'all' its places in the text or at the 'first'. `samples` and `seed` are the bootstrap's. Raises
    ToolError (1) when predictions and examples don't belong together.
    """
    train = train if task.kind == "ner" else None  # a class isn't a string that could be unseen
    known = list(read_examples(train)) if train else []
    setting = Setting(
        task,
        seen=frozenset(neutralise(entity.text) for example in known for entity in example.entities) if train else None,
        gazetteer=Gazetteer.of(known) if train else None,
        first=occurrences == "first",
    )
    del known
    split = examples.stem.removeprefix(f"{task.name}_")
    counts = tally_files(setting, examples, predictions)
    result = {**score(counts, task, split, train is not None, samples, seed), "predictions_sha256": sha256(predictions)}
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
    """The table as the CLUENER document prints it (with support), and lines for how sure it is, what it compares with, and what went wrong, if anything did."""
    frame = table(result)[["Label", "Precision", "Recall", "F1", "Support"]]
    text = frame.astype(object).where(frame.notna(), "-")
    text.loc[text["Label"] == "Macro Avg.", ["Precision", "Recall"]] = "-"  # a mean of ratios isn't a ratio of anything
    lines = [text.to_string(index=False, float_format=lambda value: f"{value:.4f}"), f"rows {result['rows']:,}{_beside(result)}"]
    bounds = result["intervals"]
    lines.append(
        f"{bounds['level']:.0%} interval of F1: micro {_range(bounds['micro'])}, macro {_range(bounds['macro'])} ({bounds['samples']:,} bootstrap samples of the rows)"
    )
    if floor := result.get("floor"):
        lines.append(f"floor, a plain list of the train entities: micro F1 {floor['micro']:.4f}, macro F1 {floor['macro']:.4f}")
    lines += _published(result)
    if failed := [f"{name} {count:,}" for name, count in result["failures"].items() if count]:
        lines.append(f"failures, all counted as errors: {', '.join(failed)}")
    if rules := [f"{rule} {count:,}" for rule, count in result["parsing"].items() if count and rule != STRICT]:
        lines.append(f"answers in the trained form {result['parsing'][STRICT]:,}; others, by what it took to read them: {', '.join(rules)}")
    return "\n".join(lines)


def _beside(result: Mapping[str, Any]) -> str:
    """The other protocols' micro F1, a classification's accuracy, and the score on unseen entities."""
    figures = {f"{name} F1": protocol["micro"]["f1"] for name, protocol in result["protocols"].items()}
    figures |= {"accuracy": result["accuracy"]} if "accuracy" in result else {}
    figures |= {"unseen F1": result["unseen"]["f1"]} if "unseen" in result else {}
    return "".join(f"  {name} {value:.4f}" for name, value in figures.items())


def _range(bounds: Iterable[float]) -> str:
    return "–".join(f"{bound:.4f}" for bound in bounds)


def _published(result: Mapping[str, Any]) -> list[str]:
    """A line a split and metric, since only figures of the same split and metric compare."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in result.get("published", []):
        groups.setdefault((one["split"], one["metric"]), []).append(f"{one['model']} {one['f1']:.4f}")
    return [f"published {metric} F1 on {result['task']} {split}: {', '.join(figures)}" for (split, metric), figures in groups.items()]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.score.score", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("task", type=Path, metavar="conf/task/<task>.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="override the task's own")
    parser.add_argument("--examples", type=Path, required=True, metavar="FILE", help="the gold: data/dataset/examples/<task>_<split>.jsonl")
    parser.add_argument("--predictions", type=Path, required=True, metavar="FILE", help="what tools.predict.predict wrote")
    parser.add_argument("--train", type=Path, metavar="FILE", help="the training examples: adds the score on entities unseen there, and the floor")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets score.json and score.csv")
    parser.add_argument(
        "--occurrences", choices=OCCURRENCES, default=OCCURRENCES[0], help="where a predicted string stands in the text (default: all)"
    )
    parser.add_argument("--samples", type=int, default=bootstrap.SAMPLES, metavar="N", help=f"bootstrap samples (default: {bootstrap.SAMPLES})")
    parser.add_argument("--seed", type=int, default=bootstrap.SEED, metavar="N", help=f"the bootstrap's (default: {bootstrap.SEED})")
    args = parser.parse_args()
    if args.samples < 1 or args.seed < 0:
        parser.error("--samples must be 1 or more, --seed 0 or more")
    task = load_task(args.task, args.overrides)
    result = evaluate(task, args.examples, args.predictions, args.out, args.train, args.occurrences, args.samples, args.seed)
    print(f"{show(result)}\n→ {args.out / 'score.json'}")


if __name__ == "__main__":
    run(main)
