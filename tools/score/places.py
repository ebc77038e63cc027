"""Finds the spans of gold and predicted strings in a text, side by side for the protocols.

In: one Row. Out: its Sides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tools.answers import Pair, Span
from tools.score.rows import Row, occurrences
from tools.text import neutralise


@dataclass(slots=True)
class Sides:
    """Gold and prediction of one row, side by side.

    `known` are the labels that the answer may use. `predicted_spans` are the places of the predicted strings. `nowhere` has the label of each predicted string that is
    not in the text: such a string has no place, and counts as one spurious item by every protocol of places.
    """

    known: Collection[str]
    gold: set[Pair]
    predicted: set[Pair]
    gold_spans: set[Span]
    predicted_spans: set[Span]
    nowhere: list[str]


def sides(row: Row, known: Collection[str], first: bool = False) -> Sides:
    """Returns a row's sides. Each predicted string stands at its own places, else at all its occurrences in the text, or only at the `first`."""
    example, predicted = row.example, set(row.predicted)
    if example.label is not None:
        spans, nowhere = set[Span](), list[str]()
    elif row.spans is None:
        spans, nowhere = place(predicted, neutralise(example.text), first)
    else:
        seen = neutralise(example.text)
        placed = {(label, seen[start:end]) for label, start, end in row.spans}
        spans, nowhere = set(row.spans), [label for label, string in predicted if (label, string) not in placed]
    return Sides(known, set(row.gold), predicted, {(entity.label, entity.start, entity.end) for entity in example.entities}, spans, nowhere)


def place(pairs: Iterable[Pair], text: str, first: bool = False) -> tuple[set[Span], list[str]]:
    """Returns the pairs' spans in the text, at all occurrences of their strings or at the `first`, and the labels of the pairs without any."""
    spans: set[Span] = set()
    nowhere: list[str] = []
    for label, string in pairs:
        start = text.find(string) if string else -1
        if start < 0:
            nowhere.append(label)
            continue
        end = start + len(string)
        spans.add((label, start, end))
        if not first and text.find(string, end) >= 0:
            spans.update([(label, *both) for both in occurrences(string, text)])
    return spans, nowhere
