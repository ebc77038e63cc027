"""Puts gold and prediction side by side, row by row, for the scorer and the report.

In: a task, its examples, predictions. Out: one Row an example. Answers are parsed here and nowhere else.
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

NO_THOUGHT = "no_thought"  # stands for a rule: an answer without the empty thought that training put before each


@dataclass(slots=True, unsafe_hash=True)  # as if frozen, but faster to make, and millions are made
class Row:
    """One example and its prediction.

    `gold` and `predicted` are the unique (label, string) pairs; a class has an empty string. Labels are the task's own; an unknown predicted one is as the model wrote
    it. Strings are as the model saw them, control tokens neutralised. `rules` are the parser's rules that the answer needed, and NO_THOUGHT. `failures` may hold 'missing',
    'unparsable' and 'truncated': each leaves a prediction that is empty or too short.
    """

    example: Example
    prediction: Prediction | None
    gold: list[Pair]
    predicted: list[Pair]
    rules: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


def rows(task: Task, examples: Iterable[Example], predictions: Mapping[str, Prediction], thought: str = "") -> Iterator[Row]:
    """Yields a row for every example, in order. Without a readable answer its prediction is empty, and `failures` names the reason.

    `thought` is what training put before each answer (tools.chat.thinking): an answer without it isn't in the trained form.
    """
    for example in examples:
        prediction = predictions.get(example.id)
        gold = [(label, neutralise(text)) for label, text in example.pairs()]
        if prediction is None or prediction.output is None:
            yield Row(example, prediction, gold, [], failures=("missing",))
            continue
        options = known_labels(task, example)
        output = prediction.output.removeprefix(thought)
        unthought = () if prediction.output.startswith(thought) else (NO_THOUGHT,)
        parsed = parse(output, task, neutralise(example.text)) if task.kind == "ner" else parse_class(output, task, list(options))
        failures = ("truncated",) * (prediction.finish_reason == "length" or parsed.cut) + ("unparsable",) * (parsed.pairs is None)
        yield Row(example, prediction, gold, parsed.pairs or [], (*parsed.rules, *unthought), failures)


def known_labels(task: Task, example: Example) -> Iterable[str]:
    """Returns the labels that an answer to this example may use: the task's, or the example's own options."""
    return task.names.keys() or dict.fromkeys([*(example.options or ()), *([example.label] if example.label is not None else [])])
