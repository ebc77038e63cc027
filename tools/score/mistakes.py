"""Sorts a row's errors into kinds of mistake, for the report.

In: a Row (gold and prediction side by side). Out: its mistakes. Each false positive and each false negative is in exactly one.

    ./ner report conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from tools.answers import Pair
from tools.score.rows import Row, occurrences
from tools.text import neutralise

FAILED = ("missing", "truncated", "unparsable")  # failures of a whole answer, which explain its absent pairs
# In the order in which they are tried: a mistake is the first that fits.
KINDS = ("wrong_label", "unknown_label", "ungrounded", "wrong_boundary", "wrong_boundary_and_label", "spurious", *FAILED, "missed")


@dataclass(frozen=True, slots=True)
class Mistake:
    """A false positive (`gold` is None), a false negative (`predicted` is None), or one of each that belong together. `kind` is one of KINDS."""

    kind: str
    gold: Pair | None
    predicted: Pair | None


def mistakes(row: Row, known: Container[str]) -> list[Mistake]:
    """Returns the mistakes of a row: those with `predicted` are its false positives, those with `gold` its false negatives. `known` are the labels that it may use.

    wrong_label: the string is a missed gold string, under another label.
    unknown_label: the label isn't known, whatever the string.
    ungrounded: the string isn't in the text.
    wrong_boundary: an occurrence overlaps one of a missed gold string with the same label; wrong_boundary_and_label: with another label.
    spurious: none of these.
    missing, truncated, unparsable: a gold pair without a prediction, in a row with this failure; missed: in any other row.

    A prediction and a gold pair belong together one to one: equal strings first, then the same label before another, then the longest overlap.
    """
    found, extra, left = _same_string(row, known)
    text, inside = neutralise(row.example.text), list[Pair]()
    for pair in extra:
        if pair[0] not in known:
            found.append(Mistake("unknown_label", None, pair))
        elif pair[1] not in text:
            found.append(Mistake("ungrounded", None, pair))
        else:
            inside.append(pair)
    partners = _overlapping(inside, left, text)
    for pair in inside:
        gold = partners.get(pair)
        kind = "spurious" if gold is None else "wrong_boundary" if gold[0] == pair[0] else "wrong_boundary_and_label"
        found.append(Mistake(kind, gold, pair))
    taken = set(partners.values())
    why = next((failure for failure in FAILED if failure in row.failures), "missed")
    return found + [Mistake(why, pair, None) for pair in left if pair not in taken]


def _same_string(row: Row, known: Container[str]) -> tuple[list[Mistake], list[Pair], list[Pair]]:
    """Returns the mistakes of the label alone, then the other false positives and the other false negatives."""
    gold, predicted = set(row.gold), set(row.predicted)
    missed: dict[str, list[Pair]] = {}
    for pair in dict.fromkeys(row.gold):
        if pair not in predicted:
            missed.setdefault(pair[1], []).append(pair)
    found, extra = [], []
    wrong = [pair for pair in dict.fromkeys(row.predicted) if pair not in gold]
    for pair in sorted(wrong, key=lambda pair: pair[0] not in known):  # known labels choose first
        if missed.get(pair[1]):
            kind = "wrong_label" if pair[0] in known else "unknown_label"
            found.append(Mistake(kind, missed[pair[1]].pop(0), pair))
        else:
            extra.append(pair)
    return found, extra, [pair for pair in dict.fromkeys(row.gold) if pair in missed.get(pair[1], ())]


def _overlapping(predicted: list[Pair], gold: list[Pair], text: str) -> dict[Pair, Pair]:
    """Returns predicted pair → the gold pair that it overlaps, one to one."""
    places = {pair: occurrences(pair[1], text) for pair in (*predicted, *gold)}
    candidates = [
        (mine[0] != theirs[0], -size, i, k)
        for k, theirs in enumerate(gold)
        for i, mine in enumerate(predicted)
        if (size := overlap(places[mine], places[theirs]))
    ]
    partners, taken = dict[Pair, Pair](), set[Pair]()
    for _, _, i, k in sorted(candidates):
        if predicted[i] not in partners and gold[k] not in taken:
            partners[predicted[i]] = gold[k]
            taken.add(gold[k])
    return partners


def overlap(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> int:
    """Returns the largest number of characters that a span of one list shares with a span of the other. Each list is ordered and free of overlaps."""
    best = i = k = 0
    while i < len(some) and k < len(others):
        best = max(best, min(some[i][1], others[k][1]) - max(some[i][0], others[k][0]))
        if some[i][1] <= others[k][1]:
            i += 1
        else:
            k += 1
    return best


def counted(found: Iterable[Mistake]) -> dict[str, tuple[int, int]]:
    """Returns kind → (false positives, false negatives)."""
    counts: dict[str, tuple[int, int]] = {}
    for one in found:
        fp, fn = counts.get(one.kind, (0, 0))
        counts[one.kind] = (fp + (one.predicted is not None), fn + (one.gold is not None))
    return counts
