"""Gold and prediction side by side, row by row: what the scorer counts and the report shows.

In: a task, its examples, predictions. Out: one Row an example; an answer is parsed here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tools.answers import Pair
from tools.answers.classes import parse_class
from tools.answers.parse import parse
from tools.conf.task import Task
from tools.example import Example
from tools.predict.predictions import Prediction
from tools.text import neutralise


@dataclass(slots=True, unsafe_hash=True)  # as if frozen, but faster to make, and millions are made
class Row:
    """One example with what was predicted for it.

    `gold` and `predicted` are the unique (label, string) pairs, a class's string empty; labels are the task's own, a predicted one that isn't known is as the
    model wrote it. Strings are as the model saw them, control tokens neutralised. `rules` names what the parser needed, `failures` holds 'missing',
    'unparsable' and 'truncated', all of which leave a prediction that is empty, or shorter than it should be.
    """

    example: Example
    prediction: Prediction | None
    gold: list[Pair]
    predicted: list[Pair]
    rules: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


def rows(task: Task, examples: Iterable[Example], predictions: Mapping[str, Prediction]) -> Iterator[Row]:
    """Every example, in order; one without a prediction, or with one that can't be parsed, has an empty prediction and says so in `failures`."""
    for example in examples:
        prediction = predictions.get(example.id)
        gold = [(label, neutralise(text)) for label, text in example.pairs()]
        if prediction is None or prediction.output is None:
            yield Row(example, prediction, gold, [], failures=("missing",))
            continue
        options = known_labels(task, example)
        parsed = (
            parse(prediction.output, task, neutralise(example.text)) if task.kind == "ner" else parse_class(prediction.output, task, list(options))
        )
        failures = ("truncated",) * (prediction.finish_reason == "length" or parsed.cut) + ("unparsable",) * (parsed.pairs is None)
        yield Row(example, prediction, gold, parsed.pairs or [], parsed.rules, failures)


def known_labels(task: Task, example: Example) -> Iterable[str]:
    """The labels that an answer to this example may use: the task's, or the example's own options."""
    return task.names.keys() or dict.fromkeys([*(example.options or ()), *([example.label] if example.label is not None else [])])
