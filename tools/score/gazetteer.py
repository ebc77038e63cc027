"""Keeps the training entities as a plain list: the strings that a model has seen, and the floor under a NER score. A model below the floor is broken.

In: the training examples, then any text. Out: the (label, string) pairs that the list finds in it.

    ./ner score conf/task/clue.yaml --train data/dataset/examples/clue_train.jsonl …
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tools.answers import Pair
from tools.example import Example, read_examples
from tools.text import neutralise

SHORTEST, LONGEST = 2, 64  # characters of an entry; the upper bound keeps the search linear, and no name is that long


def seen_strings(train: Path) -> frozenset[str]:
    """Returns the entity strings of a training split's examples file as the model saw them: control tokens neutralised, as in every Row."""
    return frozenset(neutralise(entity.text) for example in read_examples(train) for entity in example.entities)


class Gazetteer:
    """Finds entries in a text by the longest match from the left, and gives each its label.

    An entry is an entity string of 2 to 64 characters that is annotated in at least half of its occurrences in the training texts; its label is its most frequent one.
    """

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self._lengths = _lengths(labels)

    @classmethod
    def of(cls, train: Iterable[Example]) -> Gazetteer:
        """Returns the gazetteer of training examples; their order doesn't matter."""
        annotated: Counter[Pair] = Counter()
        texts = []
        for example in train:
            texts.append(neutralise(example.text))
            annotated.update((entity.label, neutralise(entity.text)) for entity in example.entities)
        spans: Counter[str] = Counter()
        best: dict[str, tuple[int, str]] = {}
        for (label, string), times in annotated.items():
            if SHORTEST <= len(string) <= LONGEST:
                spans[string] += times
                best[string] = max(best.get(string, (0, "")), (times, label))
        occurs = _occurrences(spans, texts)
        return cls({string: best[string][1] for string, times in spans.items() if 2 * times >= occurs[string]})

    def find(self, text: str) -> list[Pair]:
        """Returns the unique (label, string) pairs in a text, from the left. Of several entries at one place the longest wins; the search goes on behind it."""
        found: dict[Pair, None] = {}
        position, last, labels, lengths = 0, len(text) - SHORTEST, self.labels, self._lengths
        while position <= last:
            step = 1
            for length in lengths.get(text[position : position + SHORTEST], ()):
                string = text[position : position + length]
                if string in labels:
                    found[labels[string], string] = None
                    step = len(string)
                    break
            position += step
        return list(found)


def _lengths(entries: Iterable[str]) -> dict[str, list[int]]:
    """Returns the first two characters of entries → the lengths of the entries that begin so, longest first."""
    found: dict[str, set[int]] = {}
    for entry in entries:
        found.setdefault(entry[:SHORTEST], set()).add(len(entry))
    return {beginning: sorted(lengths, reverse=True) for beginning, lengths in found.items()}


def _occurrences(entries: Iterable[str], texts: Iterable[str]) -> Counter[str]:
    """Counts each entry's occurrences in the texts, those inside longer entries included."""
    wanted, occurs = set(entries), Counter[str]()
    lengths = _lengths(wanted)
    for text in texts:
        for position in range(len(text) - SHORTEST + 1):
            for length in lengths.get(text[position : position + SHORTEST], ()):
                string = text[position : position + length]
                if len(string) == length and string in wanted:
                    occurs[string] += 1
    return occurs
