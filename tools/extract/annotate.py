"""Asks a served model about one text: for its entities with their places, or for its class with a probability for each option.

In: a task, a text and a server. Out: an Annotation, with the model's raw answer. Prompt, parser and alignment are those of training and scoring.

    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import asyncio
import json
import math
from bisect import bisect
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from typing import Any

from tools.answers import Pair
from tools.chat.probe import Post, log_probability
from tools.chat.prompt import options
from tools.chat.thinking import Thinking
from tools.conf.task import Task
from tools.example import Entity, Example
from tools.predict.client import asking
from tools.predict.predictions import Prediction
from tools.predict.questions import SAMPLING, questions
from tools.predict.server import Server
from tools.score.places import Span, occurrences
from tools.score.rows import rows
from tools.serve.http import fetch
from tools.text import neutralise

PATIENCE_S = 3.0  # a user waits at the page
PROBES = 16  # options that are probed at once
PROBE_S = 60.0  # for one probe
SILENT = Thinking()  # of a run whose chats carry nothing and whose answers begin at once
UNTOLD = (OSError, HTTPException, ArithmeticError, LookupError, TypeError, ValueError)  # of a server that doesn't answer a probe as vLLM does


@dataclass(frozen=True)
class Annotation:
    """A model's answer about a text. `spans` are sorted by start, the longer first; `nowhere` are the pairs whose string isn't in the text.

    A classification's `label` is one of its options, or the word that the model wrote instead; `probabilities` maps options to probabilities, where they were
    asked for. `failures` are those of tools.score.rows.Row.
    """

    text: str
    prediction: Prediction
    spans: list[Span] = field(default_factory=list)
    nowhere: list[Pair] = field(default_factory=list)
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()

    def entities(self) -> list[Entity]:
        """Returns the spans as entities; their texts are cut from the text as it was given."""
        return [Entity(label, self.text[start:end], start, end) for label, start, end in self.spans]


def understood(task: Task, one: Example, prediction: Prediction, thinking: Thinking = SILENT) -> Annotation:
    """Returns an answer read and aligned as the scorer does it: each string stands at all its occurrences."""
    [row] = rows(task, [one], {one.id: prediction}, thinking.thought)
    if task.kind == "classification":
        label = row.predicted[0][0] if row.predicted else None
        return Annotation(one.text, prediction, label=label, failures=row.failures)
    seen = neutralise(one.text)  # as in the prompt; every offset stays
    places = {pair: occurrences(pair[1], seen) for pair in row.predicted}
    spans = {(label, start, end) for (label, _), found in places.items() for start, end in found}
    nowhere = [pair for pair, found in places.items() if not found]
    return Annotation(one.text, prediction, sorted(spans, key=lambda span: (span[1], -span[2], span[0])), nowhere, failures=row.failures)


def outermost(spans: Sequence[Span]) -> list[Span]:
    """Returns spans that don't overlap, from the left: of those that overlap the longest, of equally long ones the first."""
    taken: list[tuple[int, int, str]] = []  # (start, end, label) from the left
    for label, start, end in sorted(spans, key=lambda span: (span[1] - span[2], span[1])):
        at = bisect(taken, (start, end, label))
        if (at == 0 or taken[at - 1][1] <= start) and (at == len(taken) or end <= taken[at][0]):
            taken.insert(at, (start, end, label))
    return [(label, start, end) for start, end, label in taken]


def pieces(text: str, spans: Sequence[Span], names: dict[str, str]) -> list[tuple[str, str | None]]:
    """Returns the whole text in order as (piece, name of its label or None); only the outermost spans are marked."""
    made: list[tuple[str, str | None]] = []
    end = 0
    for label, start, stop in outermost(spans):
        made += [(text[end:start], None)] if end < start else []
        made.append((text[start:stop], names.get(label, label)))
        end = stop
    return made + ([(text[end:], None)] if end < len(text) or not made else [])


async def ask(server: Server, model: str, task: Task, one: Example, thinking: Thinking = SILENT) -> Annotation:
    """Returns a model's annotation of one text, a class with its options' probabilities. A text that the server refuses has `prediction.error`.

    `thinking` is the decision of the model's run on thoughts.

    Raises ToolError (1) when the server is gone.
    """
    [asked] = questions(task, [one], "free")
    found: list[Prediction] = []
    await asking(server, model, [asked], SAMPLING | thinking.body, 1, found.append, PATIENCE_S)
    made = understood(task, one, found[0], thinking)
    if task.kind != "classification" or found[0].error:
        return made
    return replace(made, probabilities=await asyncio.to_thread(probabilities, server, model, asked.messages, options(task, one), thinking))


def probabilities(server: Server, model: str, messages: list[dict[str, str]], names: Sequence[str], thinking: Thinking = SILENT) -> dict[str, float]:
    """Returns the probability of each option as the whole answer to a chat, normalised over the options; {} where the server gives none.

    An option's share is exp of the sum of its tokens' log-probabilities behind the chat. The token that ends the answer counts too, so that an option which
    begins another one isn't favoured.
    """
    post, body = _poster(server), {"model": model, **thinking.body}
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
