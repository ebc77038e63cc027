"""Tags entities with a linear model of character windows: a cheap stand-in where a language model can't be trained dozens of times.

In: examples. Out: for each text the likeliest entities, the probability of each, and that of the whole reading. A few hundred rows are learned in seconds on one core. The
features are hashed character n-grams around each character, the tags BIES; among the legal sequences of tags Viterbi finds the likeliest, and forward–backward the
probability of each entity (Rabiner 1989).

    .venv/train/bin/python -m bench.annotate /path/to/cluener/train.jsonl
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from tools.answers import Span
from tools.example import Example

BUCKETS = 1 << 18  # of hashed features
REACH = 3  # characters on each side
EPOCHS, RATE, BATCH = 4, 0.15, 512  # the batch is in characters
AT_ONCE = 512  # texts that are read together
NEVER = -1e9  # the logarithm of an illegal step


@dataclass(frozen=True)
class Encoded:
    """An example with the features of each of its characters: a tensor of bucket numbers, one row a character."""

    example: Example
    features: torch.Tensor


@dataclass(frozen=True)
class Reading:
    """The likeliest entities of a text, with the probability of each, and that of the whole sequence of tags."""

    spans: dict[Span, float]
    whole: float


def encoded(example: Example) -> Encoded:
    """Returns an example with its features: 1- to 4-grams within REACH of each character, each with its place."""
    text = "\2" * REACH + example.text + "\3" * REACH
    shapes = [(at, size) for size in (1, 2, 3, 4) for at in range(-REACH, REACH + 1) if at + size <= REACH + 1 and (size < 3 or -size < at)]
    rows = [[_bucket(f"{size}{at}{text[place + at : place + at + size]}") for at, size in shapes] for place in range(REACH, len(text) - REACH)]
    return Encoded(example, torch.tensor(rows, dtype=torch.int32).reshape(len(example.text), len(shapes)))


def _bucket(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) % BUCKETS


class StandIn:
    """The tagger. Its tags are O, then B, I, E and S of each label: those of a kind stand together, in the labels' order."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        size = len(self.labels)
        self.begin, self.inside, self.end, self.single = (slice(1 + size * kind, 1 + size * (kind + 1)) for kind in range(4))
        tags = torch.arange(1 + 4 * size)
        self.closed = torch.cat([tags[:1], tags[self.end], tags[self.single]])  # behind these, no entity is open
        self.fresh = torch.cat([tags[:1], tags[self.begin], tags[self.single]])  # these may follow them
        self.table = torch.zeros(BUCKETS, len(tags))  # the weights

    def fit(self, rows: Sequence[Encoded], seed: int) -> StandIn:
        """Learns the rows' tags, each character by itself, and returns the tagger."""
        order, table = torch.Generator().manual_seed(seed), self.table.zero_()
        features = torch.cat([row.features for row in rows]).long()
        gold = torch.cat([self._gold(row.example) for row in rows])
        seen = torch.zeros(BUCKETS)  # Adagrad's sum of squared gradients, one a feature
        for _ in range(EPOCHS):
            for some in torch.randperm(len(features), generator=order).split(BATCH):
                slope = torch.softmax(self._scores(features[some]), -1)
                slope[torch.arange(len(some)), gold[some]] -= 1
                each, times = features[some].flatten(), features.shape[1]
                seen.index_add_(0, each, slope.square().mean(1).repeat_interleave(times))
                table.index_add_(0, each, -RATE * slope.repeat_interleave(times, 0) / seen[each].sqrt().clamp_min(1e-10)[:, None])
        return self

    def _scores(self, features: torch.Tensor) -> torch.Tensor:
        """Returns the tags' scores at some characters: the sum of their features' weights."""
        return torch.nn.functional.embedding_bag(features, self.table, mode="sum")

    def _gold(self, example: Example) -> torch.Tensor:
        """Returns the tag of each character. Of overlapping entities the longest counts."""
        tags = torch.zeros(len(example.text), dtype=torch.long)
        for entity in sorted(example.entities, key=lambda one: one.start - one.end):
            if entity.label in self.labels and not tags[entity.start : entity.end].any():
                for place, tag in enumerate(self._tags(self.labels.index(entity.label), entity.end - entity.start), entity.start):
                    tags[place] = tag
        return tags

    def _tags(self, label: int, length: int) -> list[int]:
        """Returns the tags of an entity."""
        begin, inside, end, single = (kind.start + label for kind in (self.begin, self.inside, self.end, self.single))
        return [single] if length == 1 else [begin, *[inside] * (length - 2), end]

    def read(self, rows: Sequence[Encoded]) -> list[Reading]:
        """Returns a reading of each row, in order."""
        made: dict[int, Reading] = {}
        by_length = sorted(range(len(rows)), key=lambda number: len(rows[number].features))
        for first in range(0, len(rows), AT_ONCE):
            some = by_length[first : first + AT_ONCE]
            made.update(zip(some, self._read([rows[number] for number in some]), strict=True))
        return [made[number] for number in range(len(rows))]

    def _read(self, rows: Sequence[Encoded]) -> Iterator[Reading]:
        """Yields the readings of some rows, whose sequences are computed together."""
        lengths = [len(row.features) for row in rows]
        scores = torch.log_softmax(self._scores(torch.cat([row.features for row in rows])), -1)
        steps = torch.full((len(rows), max(lengths), scores.shape[1]), NEVER)
        steps[:, :, 0] = 0.0  # behind a text's end there is nothing
        for number, part in enumerate(scores.split(lengths)):
            steps[number, : len(part)] = part
        ahead, behind = self._forward(steps), self._backward(steps)
        total = torch.logsumexp(ahead[:, -1, self.closed], -1)
        paths, best = self._viterbi(steps)
        for number, path in enumerate(paths.tolist()):
            lattice = steps[number], ahead[number], behind[number]
            spans = {span: math.exp(min(0.0, self._score(span, *lattice) - float(total[number]))) for span in self._spans(path)}
            yield Reading(spans, math.exp(min(0.0, float(best[number] - total[number]))))

    def _forward(self, steps: torch.Tensor) -> torch.Tensor:
        """Returns for each place and tag the logarithm of the sum over all ways to it."""
        made = torch.full_like(steps, NEVER)
        made[:, 0, self.fresh] = steps[:, 0, self.fresh]
        for place in range(1, steps.shape[1]):
            before, now = made[:, place - 1], steps[:, place]
            made[:, place, self.fresh] = torch.logsumexp(before[:, self.closed], -1)[:, None] + now[:, self.fresh]
            is_open = torch.logaddexp(before[:, self.begin], before[:, self.inside])
            made[:, place, self.inside], made[:, place, self.end] = is_open + now[:, self.inside], is_open + now[:, self.end]
        return made

    def _backward(self, steps: torch.Tensor) -> torch.Tensor:
        """Returns for each place and tag the logarithm of the sum over all ways on from it."""
        made = torch.full_like(steps, NEVER)
        made[:, -1, self.closed] = 0.0
        for place in range(steps.shape[1] - 2, -1, -1):
            after = made[:, place + 1] + steps[:, place + 1]
            made[:, place, self.closed] = torch.logsumexp(after[:, self.fresh], -1)[:, None].expand(-1, len(self.closed))
            made[:, place, self.begin] = made[:, place, self.inside] = torch.logaddexp(after[:, self.inside], after[:, self.end])
        return made

    def _viterbi(self, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the likeliest legal sequence of tags of each row, and its logarithm."""
        tags, back = torch.arange(steps.shape[2]), []
        best = torch.full_like(steps[:, 0], NEVER)
        best[:, self.fresh] = steps[:, 0, self.fresh]
        for place in range(1, steps.shape[1]):
            now, came, new = steps[:, place], torch.zeros_like(best, dtype=torch.long), torch.full_like(best, NEVER)
            top, at = best[:, self.closed].max(-1)
            new[:, self.fresh], came[:, self.fresh] = top[:, None] + now[:, self.fresh], self.closed[at][:, None].expand(-1, len(self.fresh))
            goes_on = best[:, self.inside] > best[:, self.begin]
            top, at = torch.where(goes_on, best[:, self.inside], best[:, self.begin]), torch.where(goes_on, tags[self.inside], tags[self.begin])
            for kind in (self.inside, self.end):
                new[:, kind], came[:, kind] = top + now[:, kind], at
            back.append(came)
            best = new
        top, at = best[:, self.closed].max(-1)
        path = [self.closed[at]]
        for came in reversed(back):
            path.append(came.gather(1, path[-1][:, None])[:, 0])
        return torch.stack(path[::-1], 1), top

    def _spans(self, path: Sequence[int]) -> Iterator[Span]:
        """Yields the entities of a legal sequence of tags."""
        start, size = 0, len(self.labels)
        for place, tag in enumerate(path):
            kind, label = divmod(tag - 1, size) if tag else (-1, 0)
            if kind in (0, 3):
                start = place
            if kind in (2, 3):
                yield self.labels[label], start, place + 1

    def _score(self, span: Span, steps: torch.Tensor, ahead: torch.Tensor, behind: torch.Tensor) -> float:
        """Returns the logarithm of the sum over all sequences that hold an entity."""
        label, start, end = span
        tags = self._tags(self.labels.index(label), end - start)
        inner = sum((steps[place, tag] for place, tag in enumerate(tags[1:], start + 1)), torch.tensor(0.0))
        return float(ahead[start, tags[0]] + inner + behind[end - 1, tags[-1]])
