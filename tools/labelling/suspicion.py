"""Learns what a wrong label looks like, from labels that it damages itself, and says how much each place looks so.

In: the evidence about a task's rows. Out: a score from 0 to 1 for each candidate: of places with such evidence, the share that is wrong where RATE of the labels are. Rows are
damaged in memory (tools/labelling/damage.py), so it is known which of their places are wrong; gradient boosting (scikit-learn's HistGradientBoostingClassifier) learns to tell
these from the others. Labels that were wrong before count as right there, so a row is judged by what was learned from other rows.

    ./ner suspects conf/task/sample.yaml
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tools.errors import WANTING, ToolError
from tools.example import Example
from tools.labelling.damage import Damage, damaged
from tools.labelling.string_evidence import JudgedPlace, ModelAnswer, StringEvidence
from tools.train.part import fold_of

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier as Model

ROWS = 20_000  # that are damaged at most
RATE = 0.05  # of their entities
COPIES = (6, 10)  # that are damaged, each otherwise: the fewer rows there are, the more
AT_ONCE = 5_000  # candidates that are judged together
LEAST = 50  # damaged places without which nothing can be learned
SKIPPED = 6  # of so many undamaged rows of a copy one is learned from
PARTS = 3  # of the rows; a place is judged by what was learned from the other parts, for a row's own labels always count as right in what is learned from it
Answers = Mapping[str, ModelAnswer]  # an example's id → a model's answer
Copy = tuple[list[Example], list[list[Damage]]]


class Lesson(NamedTuple):
    """A vector of evidence, whether it is of a damaged place, how often it counts, and the part of its row."""

    vector: list[float]
    wrong: bool
    weight: float
    part: int


class Suspicion:
    """What was learned of a task's rows: the evidence, and what it looks like where a label is wrong."""

    def __init__(self, read: Callable[[], Iterable[Example]], answers: Answers) -> None:
        """Reads the examples three times, and learns. `answers` are a model's, for those examples that it wasn't trained on. Raises ToolError (1) where there is too little to learn from."""
        rows = sample(read(), ROWS)
        number = min(max(COPIES[0], ROWS // max(1, len(rows))), COPIES[1])
        copies = [damaged(rows, RATE, seed) for seed in range(number)]
        self.evidence = StringEvidence(read, [example for copy, _ in copies for example in copy])
        self._answers = answers
        lessons = self._lessons(rows, copies)
        learned = [_learned([lesson for lesson in lessons if lesson.part != part]) for part in range(PARTS)]
        self._models = [model for model in learned if model]
        if len(self._models) < PARTS:
            entities = sum(len(row.entities) for row in rows)
            # Each copy damages RATE of them, all parts but one are learned from, and a quarter, the dropped ones, is hardly ever a candidate.
            needed = LEAST / (RATE * number * (PARTS - 1) / PARTS * 0.75)
            raise ToolError(
                f"{entities:,} entities are too few to learn what a wrong label looks like; some {needed:.0f} are needed. Nothing was judged. Read the labels one by one, or annotate more first.",
                WANTING,
            )

    def judged(self, examples: Iterable[Example]) -> Iterator[tuple[Example, JudgedPlace, float]]:
        """Yields each candidate of the examples with its score."""
        waiting = list[tuple[Example, JudgedPlace]]()
        for example in examples:
            waiting += [(example, one) for one in self.evidence.candidates(example, example, self._answers.get(example.id))]
            if len(waiting) >= AT_ONCE:
                yield from self._with_scores(waiting)
                waiting = []
        yield from self._with_scores(waiting)

    def _with_scores(self, found: list[tuple[Example, JudgedPlace]]) -> Iterator[tuple[Example, JudgedPlace, float]]:
        parts, scores = [fold_of(example, PARTS) for example, _ in found], [0.0] * len(found)
        for part, model in enumerate(self._models):
            places = [place for place, own in enumerate(parts) if own == part]
            if places:
                for place, (_, score) in zip(places, model.predict_proba([found[place][1].vector for place in places]), strict=True):
                    scores[place] = float(score)
        for (example, one), score in zip(found, scores, strict=True):
            yield example, one, score

    def _lessons(self, rows: Sequence[Example], copies: Sequence[Copy]) -> list[Lesson]:
        """Returns what is learned from: all candidates of the damaged rows, and those of one in SKIPPED of the others, which count so many times."""
        lessons = []
        for turn, (copy, damage) in enumerate(copies):
            for number, (own, example, done) in enumerate(zip(rows, copy, damage, strict=True)):
                if done or (number + turn) % SKIPPED == 0:
                    part, weight = fold_of(own, PARTS), 1.0 if done else float(SKIPPED)
                    for one in self.evidence.candidates(example, own, self._answers.get(own.id)):
                        lessons.append(Lesson(one.vector, any(is_found(one, each) for each in done), weight, part))
        return lessons


def is_found(candidate: JudgedPlace, damage: Damage) -> bool:
    """Returns whether a candidate points at a damaged entity: at what stands there now, or at an empty place where a dropped one stood."""
    if damage.now:
        return candidate.now == damage.now
    return damage.before is not None and candidate.now is None and candidate.key[1] < damage.before[2] and damage.before[1] < candidate.key[2]


def sample(examples: Iterable[Example], size: int) -> list[Example]:
    """Returns at most `size` of the examples, each equally likely (reservoir sampling; Vitter 1985, algorithm R). The same examples give the same sample."""
    chance, kept = random.Random(0), list[Example]()
    for number, example in enumerate(examples):
        if number < size:
            kept.append(example)
        elif (place := chance.randrange(number + 1)) < size:
            kept[place] = example
    return kept


def _learned(lessons: Sequence[Lesson]) -> Model | None:
    """Returns the fitted model; None where too few damaged places are among the candidates."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    vectors, wrong, weights, _ = zip(*lessons, strict=True) if lessons else ((), (), (), ())
    if sum(wrong) < LEAST:
        return None
    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=20, l2_regularization=1.0, early_stopping=False, random_state=0
    )
    return model.fit(vectors, wrong, sample_weight=weights)
