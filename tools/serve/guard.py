"""Asks for the key on every path. vLLM's own check covers /v1 and a few other paths; /invocations would generate for anybody.

In: an ASGI request within vLLM's process. Out: vLLM's answer, or 401. It runs in vLLM's environment, so it imports only Starlette, which vLLM's server uses too.

    VLLM_API_KEY=… .venv/serve/bin/python -m tools.serve.api_server … --middleware tools.serve.guard.Guard
"""

from __future__ import annotations

import hashlib
import os
import secrets

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

OPEN = ("/health", "/ping")  # asked by load balancers, which hold no key


class Guard:
    """ASGI middleware (asgi.readthedocs.io, version 3) that answers only OPEN without `Authorization: Bearer <VLLM_API_KEY>`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.wanted = hashlib.sha256(os.environ["VLLM_API_KEY"].encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it. A browser's preflight (OPTIONS) carries no key and gets no data."""
        if scope["type"] not in ("http", "websocket") or scope.get("method") == "OPTIONS" or scope["path"] in OPEN or self._has_key(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)  # policy violation (RFC 6455)
        else:
            await JSONResponse({"error": "Unauthorized"}, 401)(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        said = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, key = said.partition(b" ")
        return scheme.lower() == b"bearer" and secrets.compare_digest(hashlib.sha256(key).digest(), self.wanted)
