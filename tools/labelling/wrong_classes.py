"""Finds classes that are probably wrong, by confident learning on the answers of models that weren't trained on the rows.

In: a classification task's examples with a model's answers. Out: suspects of kind `class`, the worst first. A model says one class, with the probability of its answer's tokens;
what is left is shared evenly by the other classes. Source: cleanlab's find_label_issues (Northcutt, Jiang & Chuang, Confident Learning, JAIR 70, 2021).

    ./ner suspects conf/task/topics.yaml --run conf/tiny-qwen2-topics-cls-lora-sft.yaml --folds 5
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tools.example import Example
from tools.extract.annotate import Annotation
from tools.extract.confidence import whole_confidence
from tools.labelling.held_out import Read
from tools.labelling.suspect import Marked, Suspect, Why
from tools.predict.predictions import Prediction

UNSURE = 0.5  # in place of a probability that an answer doesn't give
LEAST_ROWS = 5  # of a class, without which nothing is said of it


def class_suspects(reads: Iterable[Read], split_of: dict[str, str]) -> list[Suspect]:
    """Returns the suspects among examples with a class, the worst first. `split_of` maps ids to splits; rows without a readable answer aren't judged."""
    import numpy
    from cleanlab.filter import find_label_issues

    answered = [(example, read) for example, read in reads if read.label is not None]
    classes = _classes([example for example, _ in answered])
    judged = [(example, read) for example, read in answered if example.label in classes]
    if len(classes) < 2:
        return []
    labels = numpy.array([classes.index(str(example.label)) for example, _ in judged])
    shares = numpy.array([_shares(read, classes) for _, read in judged])
    order = find_label_issues(labels, shares, return_indices_ranked_by="self_confidence", n_jobs=1)
    return [_suspect(judged[place], float(shares[place, labels[place]]), split_of) for place in order.tolist()]


def _classes(examples: Sequence[Example]) -> list[str]:
    labels = [str(example.label) for example in examples]
    return [label for label in sorted(set(labels)) if labels.count(label) >= LEAST_ROWS]


def _shares(read: Annotation, classes: Sequence[str]) -> list[float]:
    """Returns the probability of each class: that of the answer, and equal parts of what is left. Of an answer that is no class, equal parts of all."""
    if read.label not in classes:
        return [1 / len(classes)] * len(classes)
    said = probability(read.prediction)
    return [said if label == read.label else (1 - said) / (len(classes) - 1) for label in classes]


def probability(prediction: Prediction) -> float:
    """Returns the probability of an answer's tokens; UNSURE where they aren't known."""
    known = whole_confidence(prediction.output or "", prediction.tokens)
    return UNSURE if known is None else known


def _suspect(read: Read, share: float, split_of: dict[str, str]) -> Suspect:
    example, said = read
    model = {"label": said.label, "text": "", "start": 0, "end": 0, "confidence": round(probability(said.prediction), 4)}
    return Suspect(
        example.id, split_of[example.id], round(1 - share, 4), "class", Marked(str(example.label)), Marked(str(said.label)), Why(model=model)
    )
