"""Puts gold and prediction side by side, row by row, for the scorer and the report.

In: a task, its examples, predictions. Out: one Row an example. Answers are parsed here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tools.answers import Pair, Span
from tools.answers.classes import parse_class
from tools.answers.parse import Parsed, parse
from tools.conf.task import Task
from tools.example import Example
from tools.predict.predictions import Prediction, WindowAnswer
from tools.text import neutralise

NO_THOUGHT = "no_thought"  # stands for a rule: an answer without the empty thought that training put before each


@dataclass(slots=True, unsafe_hash=True)  # as if frozen, but faster to make, and millions are made
class Row:
    """One example and its prediction.

    `gold` and `predicted` are the unique (label, string) pairs; a class has an empty string. Labels are the task's own; an unknown predicted one is as the model wrote
    it. Strings are as the model saw them, control tokens neutralised. `rules` are the parser's rules that the answer needed, and NO_THOUGHT. `failures` may hold 'missing',
    'unparsable' and 'truncated': each leaves a prediction that is empty or too short. `spans` are the places of the predicted pairs where the answer gives them, or where
    the text was asked in windows; None where a string stands at all its occurrences.
    """

    example: Example
    prediction: Prediction | None
    gold: list[Pair]
    predicted: list[Pair]
    rules: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    spans: tuple[Span, ...] | None = None


@dataclass(frozen=True, slots=True)
class WindowRead:
    """A part's answer, read: its parsed form, the spans that its window answers for, and the pairs whose string its window doesn't hold. Spans count from the text's start."""

    part: WindowAnswer
    parsed: Parsed
    spans: tuple[Span, ...]
    nowhere: tuple[Pair, ...]


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
        if prediction.parts:
            yield _windowed(task, example, prediction, gold, thought)
            continue
        options = known_labels(task, example)
        output = prediction.output.removeprefix(thought)
        unthought = () if prediction.output.startswith(thought) else (NO_THOUGHT,)
        cut = prediction.finish_reason == "length"
        parsed = parse(output, task, neutralise(example.text), cut) if task.kind == "ner" else parse_class(output, task, list(options))
        failures = ("truncated",) * (cut or parsed.cut) + ("unparsable",) * (parsed.pairs is None)
        yield Row(example, prediction, gold, parsed.pairs or [], (*parsed.rules, *unthought), failures, parsed.spans)


def read_window(task: Task, text: str, part: WindowAnswer, thought: str = "") -> WindowRead:
    """Returns the answer about one window of a text, read: each string stands at its own places in the window, else at all its occurrences there."""
    window = part.window
    seen = neutralise(text[window.start : window.end])
    parsed = parse(part.output.removeprefix(thought), task, seen, part.finish_reason == "length")
    given = None if parsed.spans is None else {(label, seen[start:end]) for label, start, end in parsed.spans}
    found = list(parsed.spans or ())
    nowhere = []
    for pair in parsed.pairs or ():
        if given is not None and pair in given:
            continue
        places = [] if given is not None else occurrences(pair[1], seen)
        found += [(pair[0], start, end) for start, end in places]
        nowhere += [] if places else [pair]
    moved = [(label, start + window.start, end + window.start) for label, start, end in found]
    return WindowRead(part, parsed, tuple(span for span in dict.fromkeys(moved) if window.owns(span[1])), tuple(nowhere))


def occurrences(string: str, text: str) -> list[tuple[int, int]]:
    """Returns (start, end) of every non-overlapping occurrence of `string` in `text`, from the left; none for an empty string."""
    places, start = [], text.find(string) if string else -1
    while start >= 0:
        end = start + len(string)
        places.append((start, end))
        start = text.find(string, end)
    return places


def _windowed(task: Task, example: Example, prediction: Prediction, gold: list[Pair], thought: str) -> Row:
    """Returns the row of a text that was asked in windows: the spans that each window answers for, together."""
    read, seen = [read_window(task, example.text, part, thought) for part in prediction.parts], neutralise(example.text)
    spans = tuple(dict.fromkeys(span for one in read for span in one.spans))
    pairs = dict.fromkeys([(label, seen[start:end]) for label, start, end in spans] + [pair for one in read for pair in one.nowhere])
    rules = dict.fromkeys(rule for one in read for rule in one.parsed.rules)
    rules |= {} if all(part.output.startswith(thought) for part in prediction.parts) else {NO_THOUGHT: None}
    cut = any(one.part.finish_reason == "length" or one.parsed.cut for one in read)
    failures = ("truncated",) * cut + ("unparsable",) * any(one.parsed.pairs is None for one in read)
    return Row(example, prediction, gold, list(pairs), tuple(rules), failures, spans)


def known_labels(task: Task, example: Example) -> Iterable[str]:
    """Returns the labels that an answer to this example may use: the task's, or the example's own options."""
    return task.names.keys() or dict.fromkeys([*(example.options or ()), *([example.label] if example.label is not None else [])])
