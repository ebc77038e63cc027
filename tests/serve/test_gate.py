"""The gate before a server whose probes aren't through, as ASGI's own messages go through it."""

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any

import pytest

from tools.serve import gate
from tools.serve.gate import CLAIM, PORT, PROBE, STARTING, WORD, Gate, is_refusal, is_starting

TOKEN = [(WORD.lower().encode(), b"word")]


def answer(app: Gate, path: str = "/v1/models", headers: list[tuple[bytes, bytes]] | None = None, kind: str = "http") -> list[Mapping[str, Any]]:
    """What is sent for a request: by the application {'type': 'passed'}, else by the gate."""
    sent: list[Mapping[str, Any]] = []

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app({"type": kind, "method": "POST", "path": path, "headers": headers or []}, None, send))
    return sent


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate of a port that nobody has."""
    monkeypatch.setenv(PORT, "70001")
    monkeypatch.setenv(PROBE, "word")

    async def application(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "passed"})

    return Gate(application)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/health", "/metrics"])
def test_only_probes_are_answered_until_they_are_through(shut: Gate, path: str) -> None:
    with socket.socket(socket.AF_UNIX) as claim:
        claim.bind(f"\0{CLAIM.format(70001)}")
        assert is_starting(70001) and not is_starting(7000)
        start, body = answer(shut, path)
        said = {name.decode(): value.decode() for name, value in start["headers"]}
        assert (start["status"], said["retry-after"], STARTING.lower() in said) == (503, "5", True)
        assert "starting" in json.loads(body["body"])["error"]["message"]
        assert answer(shut, path, [(WORD.lower().encode(), b"other")])[0]["status"] == 503
        assert answer(shut, path, TOKEN) == answer(shut, "", kind="lifespan") == [{"type": "passed"}]
        [closed] = answer(shut, "/v1/realtime", kind="websocket")
        assert (closed["type"], closed["code"]) == ("websocket.close", 1013)
    assert answer(shut, path) == [{"type": "passed"}]


def test_a_gate_that_is_open_stays_open(shut: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(shut) == [{"type": "passed"}]
    monkeypatch.setattr(gate, "is_starting", lambda port: True)
    assert answer(shut) == [{"type": "passed"}]


def test_another_servers_503_is_no_refusal_of_ours() -> None:
    assert is_refusal(503, {STARTING: "1"}) and is_refusal(503, {STARTING.lower(): "1"})
    assert not is_refusal(503, {"Retry-After": "5"}) and not is_refusal(500, {STARTING: "1"})
