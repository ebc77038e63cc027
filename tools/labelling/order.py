"""Orders unlabelled texts by what annotating them would teach a model: first those that it is least sure of, each worth less when what it holds was chosen before.

In: texts, each with the number of errors that the model's annotation of it is expected to have. Out: the texts' numbers, the first to annotate first.

A text's worth is its expected errors times its novelty. The novelty is the part of its character 1- and 2-grams, weighted by TF-IDF, that chosen texts don't hold; a gram
that n of them hold counts DECAY**n. So the second copy of a boilerplate sentence is worth little, however unsure the model is of it. This is the trade of relevance against
redundancy of maximal marginal relevance (Carbonell & Goldstein 1998), written as coverage (Lin & Bilmes 2011): a worth only falls while more is chosen, so a stale one is an
upper bound, and the best text is found without weighing all of them anew at each step (lazy greedy, Minoux 1978). Settles 2009 surveys the field.

    ./ner annotate texts.jsonl --run conf/tiny-qwen2-sample-ner-lora-sft.yaml --limit 200
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRAMS = (1, 2)  # lengths of the n-grams, in characters
DECAY = 0.5  # what a gram is worth after each chosen text that holds it


class Candidate(NamedTuple):
    """A text, and the errors that the model's annotation of it is expected to have; None where its answer can't be read: such a text comes before all others."""

    text: str
    errors: float | None


def ordered(candidates: Sequence[Candidate], most: int | None = None) -> list[int]:
    """Returns the numbers of the candidates in the order in which to annotate them; no more than `most`. Of equals the first comes first: equal calls give equal orders."""
    if not candidates:
        return []
    grams = Grams([one.text for one in candidates])
    bounds = [(*_worth(one, 1.0), number) for number, one in enumerate(candidates)]
    heapq.heapify(bounds)
    chosen: list[int] = []
    wanted = len(bounds) if most is None else min(most, len(bounds))
    while len(chosen) < wanted:
        *bound, number = bounds[0]
        worth = _worth(candidates[number], grams.novelty(number))
        if worth > tuple(bound):  # it was an upper bound from before
            heapq.heapreplace(bounds, (*worth, number))
            continue
        heapq.heappop(bounds)
        grams.choose(number)
        chosen.append(number)
    return chosen


def _worth(one: Candidate, novelty: float) -> tuple[bool, float]:
    """Returns what a heap sorts by, the smallest first: unread texts, then the highest worth."""
    return one.errors is not None, -(1.0 if one.errors is None else one.errors) * novelty


class Grams:
    """The character n-grams of some texts, and how much of each gram's worth is left after the texts that were chosen."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Weighs each text's grams by TF-IDF; the weights of a text add up to 1."""
        import numpy as np
        from sklearn.feature_extraction.text import TfidfVectorizer

        weights = TfidfVectorizer(analyzer="char", ngram_range=GRAMS, lowercase=False, norm="l1").fit_transform(texts).tocsr()
        self._weights: NDArray[np.float64] = weights.data
        self._grams: NDArray[np.int32] = weights.indices
        self._ends: list[int] = weights.indptr.tolist()
        self._left = np.ones(weights.shape[1])

    def novelty(self, number: int) -> float:
        """Returns the part of a text that is new, from 0 to 1: each gram's weight times what is left of it. Rounded, so that equals are equal."""
        own = slice(self._ends[number], self._ends[number + 1])
        return round(float(self._weights[own] @ self._left[self._grams[own]]), 9)

    def choose(self, number: int) -> None:
        """Counts a text as chosen: its grams are worth less from now on."""
        self._left[self._grams[self._ends[number] : self._ends[number + 1]]] *= DECAY
