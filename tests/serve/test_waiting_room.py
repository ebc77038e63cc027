"""The room in which clients wait until a server listens at their port."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError
from urllib.request import Request

import pytest

from tests.serve.test_serving_page import vllm
from tools.demo import free_port
from tools.serve import waiting_room as module
from tools.serve.gate import RETRY_S, is_refusal
from tools.serve.http import fetch
from tools.serve.waiting_room import waiting_room


@pytest.fixture(autouse=True)
def no_long_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Refusing, "timeout", 1.0)


@pytest.mark.parametrize("body", [None, {"text": "字" * 1_000_000}])
def test_every_request_is_told_to_come_back(body: dict[str, str] | None) -> None:
    port = free_port()
    with waiting_room("127.0.0.1", port):
        for path in ("/health", "/v1/models", "/extract"):
            with pytest.raises(HTTPError) as refused:
                fetch(f"http://127.0.0.1:{port}{path}", body)
            assert is_refusal(refused.value.code, refused.value.headers.keys())
            assert refused.value.headers["Retry-After"] == str(RETRY_S)
            assert "starting" in json.loads(refused.value.read())["error"]["message"]
    with pytest.raises(OSError, match="refused"):
        fetch(f"http://127.0.0.1:{port}/health")


def test_a_client_that_is_connected_when_the_room_closes_has_its_answer() -> None:
    port = free_port()
    with socket.socket() as client:
        with waiting_room("127.0.0.1", port):
            client.connect(("127.0.0.1", port))
        client.sendall(b"GET /health HTTP/1.1\r\nHost: toy\r\n\r\n")
        assert client.makefile("rb").readline() == b"HTTP/1.1 503 Service Unavailable\r\n"


class Ready(BaseHTTPRequestHandler):
    """A server that is ready."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Sharing(HTTPServer):
    allow_reuse_port = True


@pytest.fixture
def port() -> Iterator[int]:
    yield free_port()


def test_a_server_that_shares_the_port_takes_over(port: int) -> None:
    with waiting_room("127.0.0.1", port), Sharing(("127.0.0.1", port), Ready) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        answers = set[int]()
        for _ in range(200):  # the kernel gives each of both a part of the connections
            try:
                fetch(f"http://127.0.0.1:{port}/health")
                answers.add(200)
            except HTTPError as refused:
                answers.add(refused.code)
        assert answers == {200, 503}
        server.shutdown()


def test_a_taken_port_is_an_error(port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(OSError, match="in use"), waiting_room("127.0.0.1", port):
            pass


def test_vllm_still_has_what_its_server_is_changed_and_watched_by() -> None:
    source = vllm("entrypoints/launchers/api_server/entry.py")
    assert "setup_server(args, reuse_port=False)" in source and "from ..launcher import serve_http, setup_server" in source
    assert "async def run_server(args, **uvicorn_kwargs)" in source and "uvloop.run(run_server(args))" in source
    launcher = vllm("entrypoints/launchers/launcher.py")
    assert "sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)" in launcher
    assert (
        "config = uvicorn.Config(app, **uvicorn_kwargs)" in launcher
        and "app.state.server = server" in launcher
        and "server.should_exit = True" in launcher
    )


def test_a_request_may_have_any_method(port: int) -> None:
    with waiting_room("127.0.0.1", port):
        for method in ("HEAD", "PUT", "DELETE", "OPTIONS"):
            with pytest.raises(HTTPError, match="503"):
                fetch_by(method, f"http://127.0.0.1:{port}/")


def fetch_by(method: str, url: str) -> None:
    from urllib.request import ProxyHandler, build_opener

    build_opener(ProxyHandler({})).open(Request(url, method=method), timeout=10)
