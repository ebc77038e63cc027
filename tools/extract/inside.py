"""Asks vLLM's own application within its process: no socket, no second connection to be lost, and a request that can be taken back.

In: an ASGI application, a path and a body. Out: its Reply; a ConnectionError where there is none. vLLM ends the work for a client when it is told that the client has left; a task that is merely cancelled would
leave that work behind, since vLLM does it in a task of its own.

    ./ner serve conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LEAVE_S = 5.0  # for the application to end the work that nobody waits for
LOOK_S = 0.5  # between two looks whether the server is being stopped
Header = tuple[bytes, bytes]


class Reply(NamedTuple):
    """An application's answer."""

    status: int
    headers: list[Header]
    body: bytes


class Inside:
    """An application that is asked in process. `owner` is the application's outermost part, which its handlers look for in a request's scope."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.owner = app, None

    @property
    def is_stopping(self) -> bool:
        """Whether vLLM's server was told to stop. Its engine has ended then, and a question that is under way is never answered."""
        return bool(getattr(getattr(getattr(self.owner, "state", None), "server", None), "should_exit", False))

    async def get(self, path: str, headers: Sequence[Header] = ()) -> Reply:
        """Returns the answer to a GET."""
        return await self._call("GET", path, b"", headers)

    async def post(self, path: str, body: dict[str, Any], headers: Sequence[Header] = ()) -> Reply:
        """Returns the answer to a POST of JSON. A cancellation tells the application that its client has left, and waits until it has ended the work."""
        return await self._call("POST", path, json.dumps(body, ensure_ascii=False).encode(), [(b"content-type", b"application/json"), *headers])

    async def _call(self, method: str, path: str, body: bytes, headers: Sequence[Header]) -> Reply:
        left, unread, started, sent = asyncio.Event(), [body], list[MutableMapping[str, Any]](), list[bytes]()

        async def receive() -> MutableMapping[str, Any]:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
            else:
                sent.append(message.get("body", b""))

        work = asyncio.ensure_future(self.app(self._scope(method, path, len(body), headers), receive, send))
        try:
            while not (await asyncio.wait([work], timeout=LOOK_S))[0]:
                if self.is_stopping:
                    work.cancel()
                    await asyncio.wait([work], timeout=LOOK_S)
                    raise ConnectionError(f"{path}: the server is being stopped")
        except asyncio.CancelledError:
            left.set()
            await asyncio.wait([work], timeout=LEAVE_S)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            raise
        work.result()
        if not started:
            raise ConnectionError(f"{path}: no answer within the server")
        return Reply(started[0]["status"], list(started[0].get("headers", ())), b"".join(sent))

    def _scope(self, method: str, path: str, length: int, headers: Sequence[Header]) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), (b"content-length", str(length).encode()), *headers],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 80),
            "state": {},
            **({"app": self.owner} if self.owner is not None else {}),
        }
