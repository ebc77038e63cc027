"""Reads an answer as entities with their places and confidence, or as a class; asks a served model about one text.

In: a task, a text, and a prediction or a server. Out: an Annotation, with the model's raw answer. Prompt, windows, parser and alignment are those of training and scoring.

    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import asyncio
import json
import math
from bisect import bisect
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from typing import Any

from tools.answers import Pair, Span
from tools.chat.probe import Post, log_probability
from tools.chat.prompt import options
from tools.chat.thinking import Thinking
from tools.chat.windows import Reach, Window
from tools.conf.task import Task
from tools.example import Example
from tools.extract.confidence import Calibration, raw_confidences
from tools.predict.client import asking
from tools.predict.predictions import Prediction, WindowAnswer
from tools.predict.questions import LOGPROBS, SAMPLING, combined, questions
from tools.predict.server import Server
from tools.score.rows import read_window, rows
from tools.serve.http import fetch
from tools.text import neutralise

PATIENCE_S = 3.0  # a user waits at the page
AT_ONCE = 16  # windows of one text that are asked at once
PROBES = 16  # options that are probed at once
PROBE_S = 60.0  # for one probe
SILENT = Thinking()  # of a run whose chats carry nothing and whose answers begin at once
Told = Callable[[int, int], None]
UNTOLD = (OSError, HTTPException, ArithmeticError, LookupError, TypeError, ValueError)  # of a server that doesn't answer a probe as vLLM does


@dataclass(frozen=True)
class Manner:
    """The manner in which a model is asked and its answers are read: its run's decision on thoughts, lengths of text and sampling parameters, and its calibration.

    A text that is longer than `reach` is asked in windows.
    """

    thinking: Thinking = SILENT
    reach: Reach | None = None
    sampling: dict[str, Any] = field(default_factory=lambda: SAMPLING)
    calibration: Calibration | None = None


PLAIN = Manner()


@dataclass(frozen=True, slots=True)
class Found:
    """An entity that a model found: `text` is cut from the text as it was given. `confidence` is in [0, 1], or None where it isn't known."""

    label: str
    text: str
    start: int
    end: int
    confidence: float | None = None


@dataclass(frozen=True)
class Selection:
    """Which entities a request wants: those with one of `labels`, the task's own (all where None), and at least `threshold` of confidence (where not None)."""

    labels: frozenset[str] | None = None
    threshold: float | None = None

    def takes(self, label: str, confidence: float | None) -> bool:
        """Returns whether an entity is wanted. One without a confidence doesn't reach a threshold."""
        if self.labels is not None and label not in self.labels:
            return False
        return self.threshold is None or (confidence is not None and confidence >= self.threshold)


@dataclass(frozen=True)
class Annotation:
    """A model's answer about a text. `entities` are sorted by start, the longer first; `nowhere` are the pairs whose string isn't in the text.

    A classification's `label` is one of its options, or the word that the model wrote instead; `probabilities` maps options to probabilities, where they were
    asked for. `failures` are those of tools.score.rows.Row.
    """

    text: str
    prediction: Prediction
    entities: list[Found] = field(default_factory=list)
    nowhere: list[Pair] = field(default_factory=list)
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()

    @property
    def spans(self) -> list[Span]:
        """The entities' labels and places."""
        return [(one.label, one.start, one.end) for one in self.entities]

    def selected(self, wanted: Selection) -> Annotation:
        """Returns the annotation with the wanted entities alone."""
        return replace(self, entities=[one for one in self.entities if wanted.takes(one.label, one.confidence)])


def understood(task: Task, one: Example, prediction: Prediction, thinking: Thinking = SILENT, calibration: Calibration | None = None) -> Annotation:
    """Returns an answer read and aligned as the scorer does it: each string stands at its own places, else at all its occurrences.

    An entity's confidence is the probability of its own tokens, as `calibration` corrects it; None where the prediction has no tokens, or isn't in the trained form.
    """
    [row] = rows(task, [one], {one.id: prediction}, thinking.thought)
    if task.kind == "classification":
        label = row.predicted[0][0] if row.predicted else None
        return Annotation(one.text, prediction, label=label, failures=row.failures)
    if prediction.output is None:
        return Annotation(one.text, prediction, failures=row.failures)
    seen = neutralise(one.text)  # as in the prompt; every offset stays
    whole = WindowAnswer(Window(0, len(seen), 0, len(seen)), prediction.output, prediction.finish_reason, prediction.tokens)
    read = [read_window(task, one.text, part, thinking.thought) for part in prediction.parts or (whole,)]
    found: dict[Span, float | None] = {}
    for part in read:
        certain = raw_confidences(task, one.text, part.part, thinking.thought)
        for span in part.spans:
            raw = certain.get((span[0], seen[span[1] : span[2]]))
            found[span] = calibration.confidence(raw) if calibration and raw is not None else raw
    ordered = sorted(found, key=lambda span: (span[1], -span[2], span[0]))
    entities = [Found(label, one.text[start:end], start, end, found[label, start, end]) for label, start, end in ordered]
    return Annotation(one.text, prediction, entities, list(dict.fromkeys(pair for part in read for pair in part.nowhere)), failures=row.failures)


def outermost(spans: Sequence[Span]) -> list[Span]:
    """Returns spans that don't overlap, from the left: of those that overlap the longest, of equally long ones the first."""
    taken: list[tuple[int, int, str]] = []  # (start, end, label) from the left
    for label, start, end in sorted(spans, key=lambda span: (span[1] - span[2], span[1])):
        at = bisect(taken, (start, end, label))
        if (at == 0 or taken[at - 1][1] <= start) and (at == len(taken) or end <= taken[at][0]):
            taken.insert(at, (start, end, label))
    return [(label, start, end) for start, end, label in taken]


async def ask(server: Server, model: str, task: Task, one: Example, manner: Manner = PLAIN, told: Told = lambda done, total: None) -> Annotation:
    """Returns a model's annotation of one text, a class with its options' probabilities. A text that the server refuses has `prediction.error`.

    `told` is called with the number of windows that are answered, and of all. Raises ToolError (1) when the server is gone.
    """
    thinking = manner.thinking
    asked = list(questions(task, [one], "free", reach=manner.reach))
    found: dict[str, Prediction] = {}

    def keep(prediction: Prediction) -> None:
        found[prediction.id] = prediction
        told(len(found), len(asked))

    told(0, len(asked))
    await asking(server, model, asked, manner.sampling | LOGPROBS | thinking.body, AT_ONCE, keep, PATIENCE_S)
    made = await asyncio.to_thread(
        understood, task, one, combined(asked, found), thinking, manner.calibration
    )  # a long text keeps nobody else waiting
    if task.kind != "classification" or made.prediction.error:
        return made
    return replace(made, probabilities=await asyncio.to_thread(probabilities, server, model, asked[0].messages, options(task, one), thinking))


def probabilities(
    server: Server | Post, model: str, messages: list[dict[str, str]], names: Sequence[str], thinking: Thinking = SILENT
) -> dict[str, float]:
    """Returns the probability of each option as the whole answer to a chat, normalised over the options; {} where the server, or what posts to it, gives none.

    An option's share is exp of the sum of its tokens' log-probabilities behind the chat. The token that ends the answer counts too, so that an option which
    begins another one isn't favoured.
    """
    post, body = _poster(server) if isinstance(server, Server) else server, {"model": model, **thinking.body}
    try:
        asked: list[int] = post("/tokenize", {**body, "messages": messages})["tokens"]
        with ThreadPoolExecutor(PROBES) as pool:
            sums = list(
                pool.map(lambda name: log_probability(post, model, asked, _answer_ids(post, body, messages, asked, thinking.before + name)), names)
            )
        shares = [math.exp(one - max(sums)) for one in sums]
        return {name: share / sum(shares) for name, share in zip(names, shares, strict=True)}
    except UNTOLD:
        return {}


def _answer_ids(post: Post, body: dict[str, Any], messages: list[dict[str, str]], asked: list[int], option: str) -> list[int]:
    """Returns the token ids of an option as the answer to a chat, with the token that ends it where the chat template keeps the option's own tokens.

    A template may put an empty thought between the chat and an answer that was trained without one.
    """
    answer: list[int] = post("/tokenize", {"model": body["model"], "prompt": option, "add_special_tokens": False})["tokens"]
    chat = {**body, "messages": [*messages, {"role": "assistant", "content": option}], "add_generation_prompt": False}
    whole: list[int] = post("/tokenize", chat)["tokens"]
    ends = range(len(whole) - 1, len(asked) + len(answer) - 1, -1) if whole[: len(asked)] == asked else range(0)
    end = next((end for end in ends if whole[end - len(answer) : end] == answer), len(whole))
    return [*answer, *whole[end : end + 1]]


def length(server: Server, model: str, messages: list[dict[str, str]], thinking: Thinking = SILENT) -> tuple[int, int] | None:
    """Returns (tokens of a chat, tokens that the server's context holds), or None where the server gives neither."""
    try:
        counted = _poster(server)("/tokenize", {"model": model, "messages": messages, **thinking.body})
        return int(counted["count"]), int(counted["max_model_len"])
    except UNTOLD:
        return None


def _poster(server: Server) -> Post:
    root = server.url.removesuffix("/v1")
    return lambda path, body: json.loads(fetch(root + path, body, PROBE_S))
