"""One text, asked of a served model: its entities with their places in the text, or its class with a probability for each option.

In: a task, a text, and a server. Out: an Annotation, which holds the model's own words too. Prompt, parser and alignment are those of training and scoring.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tools.answers.parse import Pair
from tools.chat.prompt import options
from tools.conf.task import Task
from tools.example import Example
from tools.predict.client import asking
from tools.predict.predictions import Prediction
from tools.predict.questions import SAMPLING, questions
from tools.predict.server import Server
from tools.score.protocols import Span, occurrences
from tools.score.rows import rows
from tools.serve.http import client_options
from tools.text import neutralise

if TYPE_CHECKING:
    import aiohttp

PATIENCE_S = 3.0  # somebody waits at the page
PROBES = 16  # options that are probed at once
ROW = "row"  # the id of a text that is alone


@dataclass(frozen=True)
class Annotation:
    """What a model says of a text. `spans` are sorted by start, the longer first; `nowhere` are the pairs whose string doesn't stand in the text.

    A classification's `label` is one of its options, or the model's own word; `probabilities` are its options', where they were asked for. `failures` are
    those of tools.score.rows.Row.
    """

    text: str
    prediction: Prediction
    spans: list[Span] = field(default_factory=list)
    nowhere: list[Pair] = field(default_factory=list)
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()

    def entities(self) -> list[dict[str, Any]]:
        """The canonical example's entities; `text` is cut from the text as it was given."""
        return [{"label": label, "text": self.text[start:end], "start": start, "end": end} for label, start, end in self.spans]


def example(text: str, options: Sequence[str] | None = None, id: str = ROW) -> Example:
    """A text that nobody has annotated."""
    return Example(id, text, [], options=list(options) if options else None)


def understood(task: Task, one: Example, prediction: Prediction) -> Annotation:
    """What an answer says of its text, read and aligned as the scorer does it: each string stands at all its occurrences."""
    [row] = rows(task, [one], {one.id: prediction})
    if task.kind == "classification":
        label = row.predicted[0][0] if row.predicted else None
        return Annotation(one.text, prediction, label=label, failures=row.failures)
    # The prompt's control tokens were neutralised, which keeps every offset.
    seen = neutralise(one.text)
    places = {pair: occurrences(pair[1], seen) for pair in row.predicted}
    spans = {(label, start, end) for (label, _), found in places.items() for start, end in found}
    nowhere = [pair for pair, found in places.items() if not found]
    return Annotation(one.text, prediction, sorted(spans, key=lambda span: (span[1], -span[2], span[0])), nowhere, failures=row.failures)


def outermost(spans: Sequence[Span]) -> list[Span]:
    """The spans that can be marked side by side, from the left: of those that overlap the longest, of those the first."""
    taken: list[tuple[int, int, str]] = []  # (start, end, label) from the left: none overlaps another
    for label, start, end in sorted(spans, key=lambda span: (span[1] - span[2], span[1])):
        at = bisect(taken, (start, end, label))
        if (at == 0 or taken[at - 1][1] <= start) and (at == len(taken) or end <= taken[at][0]):
            taken.insert(at, (start, end, label))
    return [(label, start, end) for start, end, label in taken]


def pieces(text: str, spans: Sequence[Span], names: dict[str, str]) -> list[tuple[str, str | None]]:
    """The whole text in order, as (piece, name of its label or None); of spans that overlap only the outermost."""
    made: list[tuple[str, str | None]] = []
    end = 0
    for label, start, stop in outermost(spans):
        made += [(text[end:start], None)] if end < start else []
        made.append((text[start:stop], names.get(label, label)))
        end = stop
    return made + ([(text[end:], None)] if end < len(text) or not made else [])


async def ask(server: Server, model: str, task: Task, one: Example) -> Annotation:
    """A model's annotation of one text; a class comes with its options' probabilities. A text that the server refuses has `prediction.error`.

    Raises ToolError (1) when the server is gone.
    """
    [asked] = questions(task, [one], "free")
    found: list[Prediction] = []
    await asking(server, model, [asked], SAMPLING, 1, found.append, PATIENCE_S)
    made = understood(task, one, found[0])
    if task.kind != "classification" or found[0].error:
        return made
    return replace(made, probabilities=await probabilities(server, model, asked.messages, options(task, one)))


async def probabilities(server: Server, model: str, messages: list[dict[str, str]], names: Sequence[str]) -> dict[str, float]:
    """How likely the model finds each option as the whole answer to a chat, normalised over the options; {} where the server can't tell.

    An option's share is exp of the sum of its tokens' log-probabilities behind the chat, the token that ends the answer among them, so that an option which begins
    another one isn't favoured.
    """
    import aiohttp

    if not names:
        return {}
    settings = client_options(server.url)
    connector = aiohttp.TCPConnector(limit=PROBES)
    async with aiohttp.ClientSession(connector=connector, trust_env=settings["trust_env"], headers=settings["headers"]) as session:
        root = server.url.removesuffix("/v1")
        try:
            asked = (await _post(session, f"{root}/tokenize", {"model": model, "messages": messages}))["tokens"]
            sums = await asyncio.gather(*(_log_probability(session, root, model, messages, asked, name) for name in names))
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError, IndexError, TypeError, ValueError):
            return {}
    highest = max(sums)
    shares = [math.exp(one - highest) for one in sums]
    return {name: share / sum(shares) for name, share in zip(names, shares, strict=True)}


async def _log_probability(
    session: aiohttp.ClientSession, root: str, model: str, messages: list[dict[str, str]], asked: list[int], option: str
) -> float:
    answer = (await _post(session, f"{root}/tokenize", {"model": model, "prompt": option, "add_special_tokens": False}))["tokens"]
    chat = {"model": model, "messages": [*messages, {"role": "assistant", "content": option}], "add_generation_prompt": False}
    whole = (await _post(session, f"{root}/tokenize", chat))["tokens"]
    ids = [*asked, *answer]
    if whole[: len(ids)] == ids:  # else the template writes an answer in another way, and nothing is known of its end
        ids = whole[: len(ids) + 1]
    body = {"model": model, "prompt": ids, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
    places = (await _post(session, f"{root}/v1/completions", body))["choices"][0]["prompt_logprobs"]
    return sum(float(places[i][str(ids[i])]["logprob"]) for i in range(len(asked), len(ids)))


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> Any:
    async with session.post(url, json=body) as answer:
        answer.raise_for_status()
        return await answer.json()


async def length(server: Server, model: str, messages: list[dict[str, str]]) -> tuple[int, int] | None:
    """(tokens of a chat, tokens that fit into the server's context), or None where the server doesn't say."""
    import aiohttp

    settings = client_options(server.url)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=settings["trust_env"], headers=settings["headers"]) as session:
        try:
            said = await _post(session, f"{server.url.removesuffix('/v1')}/tokenize", {"model": model, "messages": messages})
            return int(said["count"]), int(said["max_model_len"])
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError, TypeError, ValueError):
            return None
