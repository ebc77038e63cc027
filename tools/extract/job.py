"""Asks a served model about the texts of one request, many windows at once, and answers text by text.

In: a Model, texts, and vLLM's application in this process. Out: (number of the text, answer or Problem) of each text, as soon as it is there. A window that vLLM refuses as too
long is asked in halves. When nobody waits any more, vLLM's work for it ends too.

    ./ner serve conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

from tools.chat.prompt import options
from tools.chat.windows import Window, halves
from tools.example import Example
from tools.extract.annotate import Selection, probabilities
from tools.extract.forms import Classification, Extraction
from tools.extract.inside import Header, Inside, Reply
from tools.extract.problems import Problem
from tools.extract.runs import Model
from tools.extract.slots import Slots
from tools.predict.client import Again, completion
from tools.predict.predictions import Prediction
from tools.predict.questions import LOGPROBS, SAMPLING, SEAM, Question

CHAT = "/v1/chat/completions"
TOO_LONG = re.compile(r"maximum (?:context|model) length|reduce the length of the input")  # vLLM's words for a prompt that its context doesn't hold
FEW = 4000  # characters that are cut or read without a thread of their own


@dataclass
class PendingText:
    """One text of a request: its questions in order, and the predictions that are there."""

    number: int
    example: Example
    asked: list[Question]
    missing: int
    found: dict[str, Prediction] = field(default_factory=dict)
    has_failed: bool = False


@dataclass(frozen=True)
class Job:
    """The work of one request. `headers` carry the client's key."""

    model: Model
    inside: Inside
    slots: Slots
    texts: list[PendingText]
    wanted: Selection
    headers: list[Header]

    @property
    def windows(self) -> int:
        """The number of questions."""
        return sum(len(text.asked) for text in self.texts)

    async def answers(self) -> AsyncGenerator[tuple[int, Extraction | Classification | Problem], None]:
        """Yields the answer about each text as soon as it is there, or why there is none. Ends all work when it is closed."""
        done = asyncio.Queue[tuple[int, Extraction | Classification | Exception]]()
        waiting = iter([(text, question) for text in self.texts for question in text.asked])
        workers = [asyncio.create_task(self._work(waiting, done)) for _ in range(min(self.slots.a_request, self.windows))]
        try:
            for text in self.texts:
                if not text.asked:
                    done.put_nowait((text.number, await self._answer(text)))
            for _ in self.texts:
                number, answer = await done.get()
                if isinstance(answer, Exception) and not isinstance(answer, Problem):
                    raise answer
                yield number, answer
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, waiting: Iterator[tuple[PendingText, Question]], done: asyncio.Queue[tuple[int, Any]]) -> None:
        """Asks one question after the other. The rest of a text that has failed isn't asked."""
        for text, question in waiting:
            if text.has_failed:
                continue
            try:
                answered = await self._ask(text.example, question)
                if answered[0][0] is not question:  # it was too long, and was asked in smaller windows
                    at = text.asked.index(question)
                    text.asked[at : at + 1] = [smaller for smaller, _ in answered]
                text.found.update((one.id, prediction) for one, prediction in answered)
                text.missing -= 1
                if not text.missing:
                    done.put_nowait((text.number, await self._answer(text)))
            except Exception as error:  # the request's, not this worker's
                if not text.has_failed:
                    text.has_failed = True
                    done.put_nowait((text.number, error))

    async def _ask(self, example: Example, question: Question) -> list[tuple[Question, Prediction]]:
        """Returns a question and its answer, or those of the smaller windows where vLLM refuses it as too long. Raises Problem where vLLM gives no answer."""
        served = self.model.served
        body = {
            "model": self.model.name,
            "messages": question.messages,
            **SAMPLING,
            **LOGPROBS,
            "max_tokens": served.answer_tokens,
            **served.thinking.body,
        }
        async with self.slots.place():
            started = time.perf_counter()
            reply = await self._post(CHAT, body)
        if reply.status == 400 and TOO_LONG.search(reply.body.decode(errors="replace")):
            return [pair for smaller in self._halves(example, question) for pair in await self._ask(example, smaller)]
        await self._need_answer(reply)
        try:
            prediction = completion(question.id, reply.body, round(time.perf_counter() - started, 4))
        except Again:  # the engine gave the answer up, or it isn't whole
            raise down() from None
        if prediction.output is None:
            raise _unanswered("it isn't a chat completion")
        return [(question, prediction)]

    async def _post(self, path: str, body: dict[str, Any]) -> Reply:
        try:
            return await self.inside.post(path, body, self.headers)
        except ConnectionError:
            raise down() from None

    async def _need_answer(self, reply: Reply) -> None:
        """Raises Problem for a refusal of vLLM's. Its words aren't passed on: they may repeat what was sent."""
        if reply.status in (401, 403):
            raise Problem(reply.status, "no_key", "the model's API wants a key: Authorization: Bearer <key>")
        if reply.status in (429, 503) or (reply.status >= 500 and (await self.inside.get("/health")).status != 200):
            raise down()
        if reply.status != 200:
            raise _unanswered(f"it has HTTP {reply.status}")

    def _halves(self, example: Example, question: Question) -> list[Question]:
        """Returns the questions about the halves of a window. Raises Problem for what can't be halved: a class is one of the whole text."""
        window = question.window or Window(0, len(example.text), 0, len(example.text))
        if self.model.task.kind != "ner" or window.end - window.start < 2:
            raise Problem(413, "too_long", "the prompt with this text is longer than the model's context (max-model-len)")
        joint = SEAM if question.window is None else "."
        return [self.model.question(example, f"{question.id}{joint}{number}", part) for number, part in enumerate(halves(example.text, window))]

    async def _answer(self, text: PendingText) -> Extraction | Classification:
        """Returns the answer about a text whose questions are all answered."""
        if self.model.task.kind == "classification":
            shares = await self._probabilities(text) if text.asked else {}
            return self.model.classification(text.example, text.asked, text.found, shares)
        read = self.model.extraction
        if len(text.example.text) <= FEW:
            return read(text.example, text.asked, text.found, self.wanted)
        return await asyncio.to_thread(read, text.example, text.asked, text.found, self.wanted)  # other requests go on meanwhile

    async def _probabilities(self, text: PendingText) -> dict[str, float]:
        """Returns the probability of each option. The steps of tools.extract.annotate run in threads, and each asks vLLM in this loop."""
        loop, asked, has_left = asyncio.get_running_loop(), list[Future[Any]](), False

        async def ask(path: str, body: dict[str, Any]) -> Any:
            async with self.slots.place():
                reply = await self._post(path, body)
            await self._need_answer(reply)
            return json.loads(reply.body)

        def post(path: str, body: dict[str, Any]) -> Any:
            if has_left:
                raise ValueError("nobody waits for it")
            future = asyncio.run_coroutine_threadsafe(ask(path, body), loop)
            asked.append(future)
            try:
                return future.result()
            except (Exception, CancelledError) as error:  # told as probabilities that aren't there
                raise ValueError(type(error).__name__) from None

        names = options(self.model.task, text.example)
        try:
            return await asyncio.to_thread(probabilities, post, self.model.name, text.asked[0].messages, names, self.model.served.thinking)
        finally:
            has_left = True
            for future in list(asked):
                future.cancel()


def texts_of(model: Model, texts: list[str], own_options: list[str] | None) -> list[PendingText]:
    """Returns a request's texts with their questions."""
    examples = [Example(str(number), text, [], options=own_options) for number, text in enumerate(texts)]
    asked = [model.questions(example) for example in examples]
    return [PendingText(number, example, some, len(some)) for number, (example, some) in enumerate(zip(examples, asked, strict=True))]


def _unanswered(why: str) -> Problem:
    return Problem(502, "model_failed", f"the model's engine gave no answer that can be used: {why}")


def down() -> Problem:
    """Returns the problem of a server that is being stopped or started."""
    return Problem(503, "model_down", "the model's engine takes no request at this moment: it is being stopped or started")
