"""A server that does as a test says, and a toy run and task to ask it for."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.conf.run import Run
from tools.conf.task import Task, load_task
from tools.data.convert import convert
from tools.serve.gate import STARTING

ADAPTER = {"id": "toy-run", "parent": "base", "root": "elsewhere"}


class Faulty(ThreadingHTTPServer):
    """An HTTP server that answers as the test says: `reply` maps the user turn to (status, content)."""

    def __init__(self, cards: list[dict[str, Any]], reply: Callable[[str], tuple[int, Any]], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.cards, self.reply, self.requests = cards, reply, list[dict[str, Any]]()
        self.started: float | None = None
        self.starting = False  # its probes aren't through
        self.cards_fail = False  # from now on nothing is said about the models
        self.logprob: float | None = -0.01  # None: it says nothing of probabilities
        self.others: Callable[[str, dict[str, Any]], Any] | None = None  # answers a POST to any path but the chat's

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # who asked has gone
            super().handle_error(request, client_address)

    def answer(self, request: dict[str, Any]) -> tuple[int, Any]:
        return self.reply(request["messages"][1]["content"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Faulty

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.server.cards_fail:
            self.send(500, "")
        elif self.path == "/metrics" and self.server.started:
            self.send(200, f"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {self.server.started}\n")
        else:
            self.send(200, {"data": self.server.cards} if self.path == "/v1/models" else {"version": "0"})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        if not self.path.endswith("/chat/completions"):
            body = self.server.others(self.path, request) if self.server.others else None
            self.send(404 if body is None else 200, body)
            return
        status, content = self.server.answer(request)
        if status == 0:  # hang up
            self.close_connection = True
            return
        if not isinstance(content, str):  # a body of the test's own
            self.send(status, content)
            return
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        if request.get("logprobs") and self.server.logprob is not None:  # a token a character, each with the server's own probability
            choice["logprobs"] = {"content": [{"token": character, "logprob": self.server.logprob} for character in content]}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
        self.send(status, body if status == 200 else {"error": {"message": content}})

    def send(self, status: int, body: Any) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(503 if self.server.starting else status)
        if self.server.starting:
            self.send_header(STARTING.lower(), "1")  # as uvicorn writes it
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def start() -> Iterator[Callable[..., Faulty]]:
    running: list[Faulty] = []

    def run(cards: list[dict[str, Any]], reply: Callable[[str], tuple[int, Any]] = lambda text: (200, "[]")) -> Faulty:
        server = Faulty(cards, reply)
        running.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    yield run
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def run_(tmp_path: Path) -> Run:
    return Run(
        tmp_path / "toy-run.yaml",
        {"model_name_or_path": "models/base", "output_dir": str(tmp_path / "toy-run"), "dataset_dir": str(tmp_path / "alpaca")},
    )


@pytest.fixture
def task(write_task: Callable[..., Path], tmp_path: Path) -> Task:
    toy = load_task(write_task([{"text": f"第{n}句", "label": {}} for n in range(1, 8)]))
    convert(toy, tmp_path)
    return toy
