"""Counts the strings that are wrong most often, and the labels that the task doesn't have.

In: the mistakes of each row. Out: for the report, each label's most frequent false positives and false negatives, and unknown labels with a block for the task's `aliases`.

    ./ner report conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import TypedDict

from tools.answers import Pair
from tools.conf.task import Task
from tools.score.mistakes import Mistake
from tools.text import fold

STRINGS = 6  # of a label
UNKNOWN_LABELS = 30
STRING_CHARS = 200
LONGEST_ALIAS = 40  # characters; a longer label is a sentence
LEAST_ALIAS = 3  # strings that gold must have under one label: fewer may be chance


class Frequent(TypedDict):
    """A label's most frequent wrong strings, each with its number of rows."""

    label: str
    extra: list[list[str | int]]
    missed: list[list[str | int]]


class UnknownLabel(TypedDict):
    """A label that the task doesn't have: how many pairs have it, and the label that gold has most often for their strings, `same` times."""

    label: str
    count: int
    gold: str | None
    same: int


class Unknown(TypedDict):
    """The most frequent unknown labels, the number of others, and `aliases`, YAML for the task's file; '' where no label is surely an alias."""

    labels: list[UnknownLabel]
    left: int
    aliases: str


@dataclass
class WrongStrings:
    """Counts over all rows. `belongs` has, for an unknown label, the gold labels of the strings that it was given to."""

    extra: Counter[Pair] = field(default_factory=Counter)
    missed: Counter[Pair] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    belongs: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, found: Iterable[Mistake], known: Container[str]) -> None:
        """Counts one row's mistakes. `known` are the labels that its answer may use."""
        for one in found:
            if one.gold:
                self.missed[one.gold] += 1
            if one.predicted and one.predicted[0] in known:
                self.extra[one.predicted] += 1
            elif one.predicted:
                self.unknown[one.predicted[0]] += 1
                if one.gold:
                    self.belongs[one.predicted[0], one.gold[0]] += 1

    def frequent(self, labels: Iterable[str]) -> list[Frequent]:
        """Returns the labels that have a wrong string, in this order. A class has no string."""

        extra, missed = _by_label(self.extra), _by_label(self.missed)
        found: list[Frequent] = [{"label": label, "extra": _most(extra.get(label)), "missed": _most(missed.get(label))} for label in labels]
        return [one for one in found if one["extra"] or one["missed"]]

    def unknown_labels(self, task: Task) -> Unknown:
        """Returns the labels that the task doesn't have, the most frequent first."""
        found = [self._unknown(label, count) for label, count in self.unknown.most_common(UNKNOWN_LABELS)]
        shown: list[UnknownLabel] = [{**one, "label": cut(one["label"])} for one in found]
        return {"labels": shown, "left": len(self.unknown) - len(found), "aliases": aliases(task, found)}

    def _unknown(self, label: str, count: int) -> UnknownLabel:
        golds = Counter({gold: times for (unknown, gold), times in self.belongs.items() if unknown == label})
        gold, same = next(iter(golds.most_common(1)), (None, 0))
        return {"label": label, "count": count, "gold": gold, "same": same}


def _by_label(counts: Counter[Pair]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for (label, string), times in counts.items():
        if string:
            found.setdefault(label, Counter())[string] = times
    return found


def _most(counts: Counter[str] | None) -> list[list[str | int]]:
    return [[cut(string), times] for string, times in counts.most_common(STRINGS)] if counts else []


def aliases(task: Task, found: Iterable[UnknownLabel]) -> str:
    """Returns `aliases` as YAML: the task's own, and each unknown label that was given mostly to strings which gold has under one label, LEAST_ALIAS at least."""
    taken = {fold(word) for word in task.spellings} | task.sentinels
    merged, proposed = {label: list(words) for label, words in task.aliases.items()}, False
    for one in found:
        word, gold = one["label"].strip(), one["gold"]
        agrees = one["same"] >= LEAST_ALIAS and 2 * one["same"] > one["count"]
        if gold and agrees and word.isprintable() and 0 < len(word) <= LONGEST_ALIAS and fold(word) not in taken:
            taken.add(fold(word))
            merged.setdefault(gold, []).append(word)
            proposed = True
    lines = [f"  {json.dumps(label, ensure_ascii=False)}: {json.dumps(words, ensure_ascii=False)}" for label, words in merged.items()]
    return "\n".join(["aliases:", *lines]) if proposed else ""


def cut(text: str) -> str:
    """Returns at most STRING_CHARS characters of a text."""
    return text if len(text) <= STRING_CHARS else f"{text[:STRING_CHARS]}…"
