"""Asking vLLM's own application within its process."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tools.extract.inside import Inside


def test_a_question_that_is_under_way_when_the_server_is_stopped_ends() -> None:
    ended = []

    async def hanging(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(scope["path"])

    async def stopped() -> None:
        inside, server = Inside(hanging), SimpleNamespace(should_exit=False)
        inside.owner = SimpleNamespace(state=SimpleNamespace(server=server))
        asked = asyncio.create_task(inside.post("/v1/chat/completions", {}))
        await asyncio.sleep(0)
        server.should_exit = True
        await asked

    with pytest.raises(ConnectionError, match="being stopped"):
        asyncio.run(stopped())
    assert ended == ["/v1/chat/completions"]


def test_an_applications_error_is_raised() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError(scope["method"])

    with pytest.raises(ValueError, match="GET"):
        asyncio.run(Inside(broken).get("/health"))
