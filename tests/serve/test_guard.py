"""The guard of the server's paths, as ASGI's own messages go through it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tools.serve.guard import Guard

KEY = [(b"authorization", b"Bearer s\xc3\xa9cret")]


def answer(path: str, headers: list[tuple[bytes, bytes]] | None = None, **scope: Any) -> list[Mapping[str, Any]]:
    """What is sent for a request: by the application {'type': 'passed'}, else by the guard."""
    sent: list[Mapping[str, Any]] = []

    async def application(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "passed"})

    async def receive() -> None:
        raise AssertionError("nothing is read before the key was seen")

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(Guard(application)({"type": "http", "method": "POST", "path": path, "headers": headers or [], **scope}, receive, send))
    return sent


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "sécret")


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/invocations", "/tokenize", "/metrics", "/docs", "/health/", "/", "//health", "/v1/../health"]
)
def test_no_path_is_answered_without_the_key(path: str) -> None:
    wrong = ([], [(b"authorization", b"Bearer other")], [(b"authorization", b"s\xc3\xa9cret")], [(b"x-api-key", b"s\xc3\xa9cret")])
    for headers in wrong:
        assert [message.get("status") for message in answer(path, headers)] == [401, None]
    assert answer(path, KEY) == [{"type": "passed"}]
    assert answer(path, [(b"authorization", b"bearer s\xc3\xa9cret")]) == [{"type": "passed"}]


def test_health_preflight_and_start_up_need_no_key() -> None:
    assert answer("/health") == answer("/ping") == answer("/v1/models", method="OPTIONS") == answer("", type="lifespan") == [{"type": "passed"}]


def test_a_websocket_without_the_key_is_closed() -> None:
    [message] = answer("/v1/realtime", type="websocket")
    assert (message["type"], message["code"]) == ("websocket.close", 1008)
