"""vLLM's application as far as the service asks it, with a model that says what a test wants; and requests to the service in front of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from tools.chat import prompt
from tools.chat.thinking import Thinking
from tools.chat.windows import Reach
from tools.conf.task import Task, find_task
from tools.example import Example
from tools.extract import service
from tools.extract.confidence import Calibration
from tools.extract.inside import Inside
from tools.extract.runs import Model
from tools.extract.slots import Slots
from tools.serve.served import ServedRun

Say = Callable[[str], Any]  # the text as the model sees it → its answer, or a (status, body) of the test's own
REACH = Reach(40, 24)
TOO_LONG = (
    "This model's maximum context length is 64 tokens. However, your prompt contains 99 input tokens. Please reduce the length of the input prompt."
)


START, END = 1, 3  # tokens of a toy chat: of an answer's start, and of its end. Any other token is a character.


def log_probability(token: int) -> float:
    """What the toy model gives each token of a prompt."""
    return -(token % 7) / 10


class Counted:
    """Stands for the Prometheus counters, whose library only vLLM's environment has."""

    def __init__(self, slots: Slots) -> None:
        self.requests, self.refusals, self.answers = list[int](), list[str](), list[Any]()

    def request(self, status: int) -> None:
        self.requests.append(status)

    def refusal(self, reason: str) -> None:
        self.refusals.append(reason)

    def answer(self, model: Model, answer: Any) -> None:
        self.answers.append(answer)

    def text(self) -> bytes:
        return b"# HELP ner_factory_extract_requests_total ours\n"


class ToyModel:
    """Counts what it is asked, at once and in all, and which requests ended because the client had left."""

    def __init__(self, say: Say, task: Task | None = None) -> None:
        self.say, self.task = say, task or find_task("sample")
        self.head, self.tail = prompt.renderer(self.task)(Example("", "\0", [], options=["\1"])).split("\0")
        self.now, self.most, self.aborted, self.keys = 0, 0, list[str](), list[str | None]()
        self.bodies, self.pause, self.is_well = list[dict[str, Any]](), 0.0, True

    def shown(self, body: dict[str, Any]) -> str:
        """The text in a chat's user turn."""
        user = str(body["messages"][-1]["content"])
        return user[user.index("句子：") + len("句子：") :] if "句子：" in self.head else user.removeprefix(self.head).removesuffix(self.tail)

    async def chat(self, body: dict[str, Any]) -> JSONResponse:
        text = self.shown(body)
        self.bodies.append(body)
        self.now, self.most = self.now + 1, max(self.most, self.now + 1)
        try:
            if self.pause:
                await asyncio.sleep(self.pause)
            said = self.say(text)
        except asyncio.CancelledError:
            self.aborted.append(text)
            raise
        finally:
            self.now -= 1
        if isinstance(said, tuple):
            return JSONResponse(said[1], said[0])
        tokens = [{"token": character, "logprob": -0.01} for character in said]
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}, "logprobs": {"content": tokens}}
        return JSONResponse({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})

    def application(self) -> FastAPI:
        """An application like vLLM's: its handlers do their work in a task of its own, which ends only when it is told that the client has left."""
        app = FastAPI()
        app.state.model = self

        @app.post("/v1/chat/completions")
        async def chat(raw_request: Request) -> Any:
            body = await raw_request.json()
            self.keys.append(raw_request.headers.get("authorization"))
            work = asyncio.create_task(raw_request.app.state.model.chat(body))
            gone = asyncio.create_task(_gone(raw_request))
            done, pending = await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)  # as vLLM's with_cancellation
            for task in pending:
                task.cancel()
            return work.result() if work in done else None

        @app.post("/tokenize")
        async def tokenize(body: dict[str, Any]) -> Any:
            if "prompt" in body:
                return {"tokens": [*map(ord, body["prompt"])]}
            *chat, last = [[*map(ord, turn["content"])] for turn in body["messages"]]
            if body["messages"][-1]["role"] == "assistant":
                return {"tokens": [*(token for turn in chat for token in turn), START, *last, END]}
            return {"tokens": [*(token for turn in [*chat, last] for token in turn), START]}

        @app.post("/v1/completions")
        async def completions(body: dict[str, Any]) -> Any:
            return {"choices": [{"prompt_logprobs": [{str(token): {"logprob": log_probability(token)}} for token in body["prompt"]]}]}

        @app.get("/health")
        async def health() -> Any:
            return PlainTextResponse("", 200 if self.is_well else 503)

        @app.get("/metrics")
        async def metrics() -> Any:
            return PlainTextResponse("# HELP vllm:num_requests_running theirs\nvllm:num_requests_running 0.0\n")

        @app.get("/v1/models")
        async def models() -> Any:
            return {"data": [{"id": "toy"}]}

        return app

    async def quick(self, scope: Any, receive: Any, send: Any) -> None:
        """The same chat without FastAPI, for thousands of texts."""
        await (await self.chat(json.loads((await receive())["body"])))(scope, receive, send)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def model(
    task: str | Task = "sample",
    name: str = "toy-run",
    reach: Reach | None = REACH,
    calibration: Calibration | None = None,
    uncalibrated: str = "the run was never calibrated. To calibrate it: ./ner calibrate conf/toy-run.yaml",
) -> Model:
    """A served model of a task."""
    found = find_task(task) if isinstance(task, str) else task
    served = ServedRun(name, "conf/toy-run.yaml", [], "adapter", found.name, Thinking(), reach, 512)
    facts = {"model": name, "task": found.name, "prompt_sha256": "0" * 64, "calibrated": calibration is not None}
    return Model(served, found, calibration, "" if calibration else uncalibrated, facts)


class Client:
    """Asks the service in front of a toy model, in process."""

    def __init__(self, toy: ToyModel, models: Sequence[Model] = (), at_once: int = 8, is_quick: bool = False) -> None:
        self.slots = Slots(at_once)
        inner = toy.quick if is_quick else toy.application()
        inside = Inside(inner)
        if not is_quick:
            inside.owner = inner  # as vLLM's outermost part puts itself into each scope
        self.app = service.application(inside, list(models) or [model()], self.slots)

    async def asked(self, method: str = "POST", path: str = "/extract", **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://toy") as client:
            return await client.request(method, path, timeout=None, **options)

    def ask(self, **body: Any) -> Any:
        """The answer to a request, which must be a good one."""
        answer = asyncio.run(self.asked(json=body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def problem(self, status: int, **options: Any) -> dict[str, Any]:
        """The problem of a request, which must have this status and the form of RFC 9457."""
        answer = asyncio.run(self.asked(**options))
        found: dict[str, Any] = answer.json()
        assert (answer.status_code, found["status"]) == (status, status), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert found["title"] and found["detail"] and found["reason"] and found["type"] == "about:blank"
        return found


def written(*pairs: tuple[str, str]) -> str:
    """An answer in the sample task's trained form, of (label, string) pairs."""
    return json.dumps([{"text": text, "label": label} for label, text in pairs], ensure_ascii=False)


def classes(tmp_path: Path, labels: Sequence[str]) -> Task:
    """A classification task with these labels; none: each row has options of its own."""
    (tmp_path / "classes.txt").write_text("从{options}中选一个。\n句子：{text}\n", encoding="utf-8")
    return find_task("sample").changed(
        kind="classification", names=dict(zip(labels, labels, strict=True)), prompt=tmp_path / "classes.txt", path=tmp_path / "toy-classes.yaml"
    )
