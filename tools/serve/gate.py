"""Keeps a server's clients waiting until its probes are through: every path answers 503 before, `/health` too.

In: an ASGI request within vLLM's process. Out: vLLM's answer, or 503 with Retry-After and the header STARTING. Rows that were asked before would keep the probes
waiting. It runs in vLLM's environment, so it imports only Starlette, which vLLM's server uses too.

    NER_FACTORY_PORT=8000 NER_FACTORY_PROBE=… .venv/serve/bin/python -m tools.serve.api_server … --middleware tools.serve.gate.Gate
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

CLAIM = "ner-factory-{}-starting"  # an abstract socket's name, one a port, which `serve` holds while it loads and probes; it is gone with its process
PORT, PROBE = "NER_FACTORY_PORT", "NER_FACTORY_PROBE"  # environment variables: the port, and the word that a probe carries
WORD = "X-NER-Factory-Probe"  # the header that carries it
STARTING = "X-NER-Factory-Starting"  # the header of a refusal
RETRY_S = 5
REFUSAL = {"error": {"message": "the server is starting: its probes aren't through yet", "code": 503}}
HEADERS = {"Retry-After": str(RETRY_S), STARTING: "1"}


def is_starting(port: int | str) -> bool:
    """Returns whether a `serve` on this machine is still loading or probing its server at a port."""
    try:
        names = Path("/proc/net/unix").read_text().splitlines()
    except OSError:  # a kernel that hides it: a gate that can't see may not stay shut
        return False
    return any(line.endswith(f" @{CLAIM.format(port)}") for line in names)


def is_refusal(status: int, headers: Iterable[str]) -> bool:
    """Returns whether an answer is a gate's, of a server that will be ready by itself."""
    return status == 503 and STARTING.lower() in map(str.lower, headers)  # servers write a header's name in either case


class Gate:
    """ASGI middleware (asgi.readthedocs.io, version 3) that lets only probes through while the server is starting."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.port, self.word, self.is_open = app, os.environ[PORT], os.environ[PROBE].encode(), False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        from starlette.responses import JSONResponse
        from starlette.websockets import WebSocketClose

        self.is_open = self.is_open or not is_starting(self.port)
        if self.is_open or scope["type"] not in ("http", "websocket") or self._is_probe(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(1013)(scope, receive, send)  # try again later (IANA's registry of WebSocket close codes)
        else:
            await JSONResponse(REFUSAL, 503, HEADERS)(scope, receive, send)

    def _is_probe(self, scope: Scope) -> bool:
        said = next((value for name, value in scope["headers"] if name == WORD.lower().encode()), b"")
        return secrets.compare_digest(said, self.word)
