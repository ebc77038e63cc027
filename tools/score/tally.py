"""Counts an evaluation's rows: the integers that every ratio in score.json is derived from.

In: a task, its examples, predictions. Out: a Tally. Most answers are in exactly the trained form and take a short way; the others are parsed and checked one by one.

    ./ner score conf/task/<task>.yaml --examples FILE --predictions FILE --out DIR
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path

from tools.answers.trained import parse_plain
from tools.conf.task import Task
from tools.errors import WANTING, ToolError
from tools.example import Example, as_example, several_labels
from tools.files import need_file, parse_object, quick_loads
from tools.predict.predictions import as_prediction
from tools.score.counts import NO_LABEL, Counts, Outcome
from tools.score.gazetteer import Gazetteer
from tools.score.join import Joined, chunks, join
from tools.score.places import Sides, place, sides
from tools.score.pool import no_collection, processes_for, spread
from tools.score.protocols import PROTOCOLS, by_set, outcomes
from tools.score.rows import Row, known_labels, rows
from tools.text import neutralise

NO_ANSWER = "(no answer)"
NO_CLASS = "no_class"  # stands for a rule: a readable answer that no rule makes one of the classes


@dataclass(frozen=True)
class Setting:
    """What to count beside the protocols: `seen` are the training split's entity strings, `gazetteer` its floor. `first` places a predicted string only once.

    `thought` is what training put before each answer.
    """

    task: Task
    seen: frozenset[str] | None = None
    gazetteer: Gazetteer | None = None
    first: bool = False
    thought: str = ""

    @cached_property
    def outcomes(self) -> Callable[[Sides], tuple[Outcome, ...]]:
        """Returns a row's outcomes by the protocols that fit the task's kind: a class has no place, so only the first does."""
        return outcomes if self.task.kind == "ner" else lambda row: (by_set(row),)

    def known(self, example: Example) -> Collection[str]:
        """Returns the labels that an answer to the example may use."""
        return self.task.names or frozenset(known_labels(self.task, example))


@dataclass
class Tally:
    """An evaluation's integers.

    `together` has the number of rows by their outcomes in the protocols' order, `floor` by the gazetteer's outcome. `unseen` counts the pairs whose string is no
    entity in train. `trained` is the number of answers in the trained form; `loose` has the other rows by their outcome in the primary protocol, and `parsing` the rules
    that their answers needed.
    `confusion` has classification rows by (gold, predicted) class.
    """

    rows: int = 0
    together: Counter[tuple[Outcome, ...]] = field(default_factory=Counter)
    floor: Counter[Outcome] = field(default_factory=Counter)
    unseen: Counts = field(default_factory=Counts)
    failures: Counter[str] = field(default_factory=Counter)
    trained: int = 0
    loose: Counter[Outcome] = field(default_factory=Counter)
    parsing: Counter[str] = field(default_factory=Counter)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, row: Row, setting: Setting) -> None:
        """Counts one row by every protocol."""
        self.rows += 1
        known = setting.known(row.example)
        both = sides(row, known, setting.first)
        outcome = setting.outcomes(both)
        self.together[outcome] += 1
        self._add_known(both, setting, row.example.text)
        self._add_failures(row, both)
        if _is_trained(row, known):
            self.trained += 1
        else:
            self.loose[outcome[0]] += 1  # PROTOCOLS has the primary one first
            self.parsing.update(row.rules or ((NO_CLASS,) if row.predicted else ()))
        if row.example.label is not None:
            self.confusion[row.example.label, _class(row, known)] += 1

    def add_plain(self, rows: Sequence[tuple[Sides, str]], setting: Setting) -> None:
        """Counts rows, each with its text, whose answers are in the trained form and have known labels only."""
        self.rows += len(rows)
        self.trained += len(rows)
        self.together.update([setting.outcomes(both) for both, _ in rows])
        if ungrounded := sum([len(both.nowhere) for both, _ in rows]):
            self.failures["ungrounded"] += ungrounded
        if setting.seen is not None:
            for both, text in rows:
                self._add_known(both, setting, text)

    def outcomes(self) -> dict[str, dict[Outcome, int]]:
        """Returns the number of rows by outcome, for each protocol."""
        found: dict[str, dict[Outcome, int]] = {}
        for some, times in self.together.items():
            for protocol, outcome in zip(PROTOCOLS, some, strict=False):  # a class is counted by the first alone
                times_of = found.setdefault(protocol, {})
                times_of[outcome] = times_of.get(outcome, 0) + times
        return found

    def merge(self, other: Tally) -> None:
        """Adds another tally's counts."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, one.name, mine + theirs)

    def _add_known(self, both: Sides, setting: Setting, text: str) -> None:
        """Counts one row's unseen pairs, and what the gazetteer finds in it."""
        if setting.seen is not None:
            for pair in both.gold | both.predicted:
                if pair[1] not in setting.seen:
                    self.unseen.add(pair in both.predicted, pair in both.gold)
        if setting.gazetteer:
            floor = Sides(both.known, both.gold, set(setting.gazetteer.find(neutralise(text))), set(), set(), [])
            self.floor[by_set(floor)] += 1

    def _add_failures(self, row: Row, both: Sides) -> None:
        self.failures.update(row.failures)
        if unknown := sum(label not in both.known for label, _ in row.predicted):
            self.failures["unknown_label"] += unknown
        if both.nowhere:
            self.failures["ungrounded"] += len(both.nowhere)


def _is_trained(row: Row, known: Collection[str]) -> bool:
    """Returns whether an answer has the trained form: no rule was needed, and a class is one that the answer may use."""
    readable = not row.rules and "missing" not in row.failures and "unparsable" not in row.failures
    return readable and (row.example.label is None or all(label in known for label, _ in row.predicted))


def _class(row: Row, known: Collection[str]) -> str:
    """Returns an answer's class as the confusion matrix names it."""
    if not row.predicted:
        return NO_ANSWER
    label = row.predicted[0][0]
    return label if label in known else NO_LABEL


def tally(setting: Setting, examples: Path, predictions: Path) -> Tally:
    """Counts two files' rows, on all cores where the files are large.

    An example without a readable prediction is an empty prediction and a failure. A predicted label that the task (or a classification row's options) doesn't have is a
    false positive under NO_LABEL. Raises ToolError (1) for files that don't belong together, a line that can't be read, and a gold label that the task doesn't have.
    """

    def count(lines: list[Joined]) -> Tally:
        counts, plain = Tally(), []
        for line in lines:
            if found := _plain(line[1], line[3], setting):
                plain.append(found)
            else:
                counts.add(_row(line, setting, examples, predictions), setting)
        counts.add_plain(plain, setting)
        return counts

    from tqdm import tqdm

    processes = processes_for(need_file(examples), need_file(predictions))
    every = Tally()
    with no_collection(), tqdm(desc="scoring", unit=" rows", disable=None, leave=False) as bar:  # forked processes don't collect either
        for part in spread(count, chunks(join(examples, predictions)), processes):
            every.merge(part)
            bar.update(part.rows)
    return every


def _plain(gold: bytes, answer: bytes, setting: Setting) -> tuple[Sides, str] | None:
    """Returns a NER row without any irregularity, for `Tally.add_plain`; None for every other row, which `_row` reads or refuses. Most rows are plain: this is fast."""
    if setting.task.kind != "ner" or setting.task.answer.format != "json":
        return None
    try:
        example, prediction = quick_loads(gold), quick_loads(answer)
        text, output = example["text"], prediction["output"]
        entities = [(e["label"], e["text"], e["start"], e["end"]) for e in example["entities"]]
        regular = type(text) is type(output) is type(example["id"]) is str and prediction["id"] == example["id"] and "label" not in example
        cut = prediction.get("finish_reason") == "length" or "windows" in prediction
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    if not regular or cut or "<" in text or not output.startswith(setting.thought):
        return None
    known, gold_pairs, gold_spans = setting.task.names, set(), set()
    for label, string, start, end in entities:
        if not (type(label) is type(string) is str and type(start) is type(end) is int and label in known) or "<" in string:
            return None
        if start < 0 or text[start:end] != string or not string:
            return None
        gold_pairs.add((label, string))
        gold_spans.add((label, start, end))
    if (pairs := parse_plain(output[len(setting.thought) :], setting.task)) is None:
        return None
    predicted = set(pairs)
    spans, nowhere = place(predicted, text, setting.first)
    return Sides(known, gold_pairs, predicted, gold_spans, spans, nowhere), text


def _row(line: Joined, setting: Setting, examples: Path, predictions: Path) -> Row:
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
    task = setting.task
    row = next(rows(task, (example,), answers, setting.thought))
    known = setting.known(example)
    if strange := [label for label, _ in row.gold if label not in known]:
        if example.label and len(parts := re.split(r"\s*[,，、;；|/#\s]\s*", example.label)) > 1 and all(part in known for part in parts):
            raise several_labels(parts, where)
        raise ToolError(
            f"{where}: {task.path} has no label '{strange[0]}'. They don't belong together; make data TASK={task.name} writes the examples.", WANTING
        )
    return row
