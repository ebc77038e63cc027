"""Answers with an OpenAI-compatible server, many questions at once, and outlives the faults of servers and networks: the engine 'vllm'.

In: questions and a server. Out: one call of `keep` a question, as soon as its answer is there. A failing connection, a timeout, a body that breaks off, 429 and
5xx are tried again with growing pauses; another 4xx is that row's error. When nothing is answered any more, the client stops.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --url http://127.0.0.1:8000/v1 --concurrency 128 --out DIR
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tools.errors import WANTING, ToolError
from tools.predict.engines import Engine, Options
from tools.predict.foreign import need_trained_prompt
from tools.predict.predictions import Keep, Prediction
from tools.predict.questions import Asking, Question
from tools.predict.server import Server, model_name, serving
from tools.serve.gate import is_refusal
from tools.serve.http import client_options

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_S, SLOWER = 600.0, 2  # for one answer, at least; and how many times the first row's a row's share of the time may be
TRIES = 6  # of a row that the server answers with 429 or 5xx, or not to the end
PATIENCE_S = 120.0  # without any answer from anywhere, before the server counts as gone: long enough to start a small model anew
HEAD_START_S = 30.0  # for the first row's answer, before the others are asked
PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0  # between tries: doubled each time, and shortened by chance, so that not all come back at once
REFUSED_ROWS = 8  # rows given up one after another, at least, before the server counts as broken


class Again(Exception):
    """A failure that may pass. `lost`: the connection failed; `after`: the seconds that the server asks to wait."""

    def __init__(self, message: str, lost: bool = False, after: float = 0.0) -> None:
        super().__init__(message)
        self.lost, self.after = lost, after


@contextmanager
def ready(asking: Asking, options: Options) -> Iterator[Engine]:
    """Yields the engine of the server at `options.url`, or at `options.port` of this machine, started where none answers.

    Raises ToolError (1) where a server that we didn't start makes another prompt of the first question than training did.
    """
    with serving(asking.run, asking.variant, options.url, options.port) as server:
        engine = engine_of(server, asking, options.concurrency)
        if server.process is None and (first := next(asking.each(), None)):
            need_trained_prompt(server, engine.model, asking.run, first.messages)
        yield engine


def engine_of(server: Server, asking: Asking, concurrency: int) -> Engine:
    """Returns the engine of a server, asked `concurrency` rows at a time. Raises ToolError where it serves another model."""
    name, common = model_name(server, asking.variant), asking.sampling | asking.thinking.body
    return Engine(name, server.engine, server.url, lambda asked, keep: ask_all(server, name, asked, common, concurrency, keep))


def ask_all(server: Server, model: str, asked: Sequence[Question], common: dict[str, Any], concurrency: int, keep: Keep) -> None:
    """Asks every question, at most `concurrency` at a time, and calls `keep` for each answer; a row that the server refuses has an error instead.

    `common` is what every request has beside its chat: sampling parameters, and the body of the run's Thinking.
    Raises ToolError (1) when the server is gone, or refuses row after row; answers that came before are kept.
    """
    asyncio.run(asking(server, model, asked, common, concurrency, keep))


async def asking(
    server: Server, model: str, asked: Sequence[Question], common: dict[str, Any], concurrency: int, keep: Keep, patience: float | None = None
) -> None:
    """Asks as `ask_all` does, within an event loop that runs. A cancellation ends every request at once. `patience`, in seconds, replaces PATIENCE_S."""
    import aiohttp

    waiting, workers, started = iter(asked), min(concurrency, len(asked)), time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), **client_options(server.url)) as session:
        client = _Client(session, server, {"model": model, **common}, concurrency, patience or PATIENCE_S, TIMEOUT_S)

        async def work() -> None:
            for question in waiting:
                keep(await client.ask(question))
            client.tried.set()  # also where no row could be sent

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(work())
                # One row goes ahead: the server computes the part of the prompt that all rows share, and keeps it. Rows that came together would each compute it.
                with suppress(TimeoutError):
                    await asyncio.wait_for(client.tried.wait(), HEAD_START_S)
                # A slow machine needs as long for all of them as for one after the other.
                client.limit = max(TIMEOUT_S, SLOWER * workers * (time.monotonic() - started))
                for _ in range(workers - 1):
                    group.create_task(work())
        except* ToolError as problems:
            raise problems.exceptions[0] from None


@dataclass
class _Client:
    """Asks one question at a time; `body` is what every request has. `given_up` counts the rows that were refused since the last answer.

    `limit` is the seconds for one answer, which includes the time that it waits behind others.
    `tried` is set when the first request has ended, well or not.
    """

    session: aiohttp.ClientSession
    server: Server
    body: dict[str, Any]
    concurrency: int
    patience: float
    limit: float
    last_answer: float = field(default_factory=time.monotonic)
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    given_up: int = 0

    async def ask(self, question: Question) -> Prediction:
        """Returns one row's answer, or its error after TRIES tries."""
        body = self.body | {"messages": question.messages} | ({"structured_outputs": question.constraint} if question.constraint else {})
        data = json.dumps(body, ensure_ascii=False)
        try:
            encoded = data.encode()
        except UnicodeEncodeError as error:  # a lone surrogate
            return Prediction(question.id, None, error=f"the text can't be sent: {error.reason}")
        tries, blamed = 0, 0
        while True:
            tries += 1
            try:
                try:
                    prediction = await self._once(question.id, encoded)
                finally:
                    self.tried.set()
                self.last_answer, self.given_up = time.monotonic(), 0
                return prediction
            except Again as problem:
                # A lost connection is this row's fault only where the server is there for others.
                if not problem.lost or await self._is_there():
                    blamed += 1
                else:
                    self._need_server(problem)
                if blamed >= TRIES:
                    return self._give_up(question.id, problem)
                pause = min(PAUSE_S * 2 ** min(tries - 1, 10), LONGEST_PAUSE_S) * random.uniform(0.5, 1)
                await asyncio.sleep(max(pause, min(problem.after, self.patience)))

    async def _once(self, id: str, data: bytes) -> Prediction:
        """Makes one request. Raises Again for a failure that may pass."""
        import aiohttp

        started, limit = time.perf_counter(), aiohttp.ClientTimeout(total=self.limit, sock_connect=30)
        try:
            async with self.session.post(
                f"{self.server.url}/chat/completions", data=data, headers={"Content-Type": "application/json"}, timeout=limit
            ) as answer:
                status, after, text = answer.status, answer.headers.get("Retry-After", ""), await answer.read()
                starting = is_refusal(status, answer.headers)
        except aiohttp.ClientPayloadError:
            raise Again("the answer broke off") from None
        except TimeoutError:
            raise Again(f"no answer within {self.limit:,.0f} s", lost=True) from None
        except (aiohttp.ClientConnectionError, OSError) as error:
            raise Again(str(error) or type(error).__name__, lost=True) from None
        if status == 429 or status >= 500:
            raise Again(f"HTTP {status}: {_message(text)}", lost=starting, after=float(after) if after.isdigit() else 0.0)
        if status != 200:
            return Prediction(id, None, error=f"HTTP {status}: {_message(text)}")
        return completion(id, text, round(time.perf_counter() - started, 4))

    def _need_server(self, problem: Again) -> None:
        """Raises ToolError (1) when the server's own process has ended, or no row has had an answer for `patience` seconds."""
        process = self.server.process
        if process is not None and process.poll() is not None:
            raise ToolError(f"{self.server.url}: the server ended with exit code {process.returncode}.", WANTING)
        if time.monotonic() - self.last_answer > self.patience:
            raise ToolError(f"{self.server.url}: no answer for {self.patience:.0f} s ({problem}).", WANTING)

    async def _is_there(self) -> bool:
        import aiohttp

        try:
            async with self.session.get(f"{self.server.url}/models", timeout=aiohttp.ClientTimeout(total=10)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False

    def _give_up(self, id: str, problem: Again) -> Prediction:
        self.given_up += 1
        if self.given_up >= max(REFUSED_ROWS, self.concurrency):
            raise ToolError(f"{self.server.url}: {self.given_up} rows in a row weren't answered in {TRIES} tries each ({problem}).", WANTING)
        return Prediction(id, None, error=f"{problem} ({TRIES} tries)"[:500])


def completion(id: str, text: bytes, latency_s: float) -> Prediction:
    """Returns the prediction in a chat completion's body, with its tokens where log-probabilities were asked for.

    Raises Again for an answer that the server gave up, and for a body that isn't JSON: a proxy may answer 200 with anything, and a body without its length may break off
    unnoticed.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Again(f"HTTP 200, but not JSON: {text[:200].decode(errors='replace')!r}") from None
    try:
        choice, usage = value["choices"][0], value.get("usage") or {}
        content, end = choice["message"]["content"], choice.get("finish_reason")
        if not isinstance(content, str | None):
            raise TypeError
        if not content and end != "length" and (choice["message"].get("reasoning") or choice["message"].get("reasoning_content")):
            return Prediction(id, None, error="HTTP 200, and the server took the whole answer for a thought: start it without --reasoning-parser")
        if end == "abort":  # vLLM's word for an answer that it gave up, as when it is stopped
            raise Again("the server ended the answer before its end")
        counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
        asked = choice.get("logprobs")
        tokens = tuple((one["token"], one["logprob"]) for one in asked["content"]) if asked else None
        return Prediction(id, content or "", end, prompt_tokens=counts[0], completion_tokens=counts[1], latency_s=latency_s, tokens=tokens)
    except (AttributeError, IndexError, KeyError, TypeError):
        return Prediction(id, None, error=f"HTTP 200, but not a chat completion: {str(value)[:200]!r}")


def _message(text: bytes) -> str:
    """Returns the server's own words: vLLM answers {"error": {"message": …}}."""
    try:
        return str(json.loads(text)["error"]["message"])[:400]
    except (ValueError, KeyError, TypeError, RecursionError):
        return text[:200].decode(errors="replace")
