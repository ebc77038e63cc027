"""Asks a server on HTTP: a GET, or a POST of JSON, with the key from VLLM_API_KEY, and without a proxy where the server is on this machine.

In: an address and a body. Out: the answer. The client of many questions is tools/predict/client.py.

    VLLM_API_KEY=… ./ner eval conf/tiny-qwen2-sample-ner-lora-sft.yaml --url http://127.0.0.1:8000/v1
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from tools.chat.probe import Post
from tools.errors import WANTING, ToolError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TIMEOUT_S = 30.0
START_S = 300.0  # a probe's patience beside what its tokens take


def client_options(url: str) -> dict[str, Any]:
    """Returns aiohttp's options for a session with the server at `url`: 'trust_env', which is False for this machine, and 'headers' with the key."""
    key = os.environ.get("VLLM_API_KEY")
    return {"trust_env": urlsplit(url).hostname not in LOOPBACK, "headers": {"Authorization": f"Bearer {key}"} if key else {}}


def fetch(url: str, body: dict[str, Any] | None = None, timeout_s: float = TIMEOUT_S, headers: Mapping[str, str] = {}) -> bytes:
    """Returns the answer to a GET, or to a POST of `body` as JSON. Raises urllib's OSErrors, http.client's HTTPException, and ValueError for a broken URL."""
    options = client_options(url)
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **options["headers"], **headers})
    opener = urllib.request.build_opener(*([] if options["trust_env"] else [urllib.request.ProxyHandler({})]))
    with opener.open(request, timeout=timeout_s) as answer:
        return bytes(answer.read())


def root_of(host: str, port: int) -> str:
    """Returns the URL at which a server that listens at `host` answers on this machine, such as http://127.0.0.1:8000."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


@dataclass(frozen=True)
class Patience:
    """How long a probe may take: the first request of a GPU compiles kernels, and each token costs as many operations as the weights have bytes in 16 bits.

    `size` is the weights' bytes; `speed`, in operations a second, is far below what any machine of the kind does.
    """

    size: int
    speed: float

    def seconds(self, tokens: int) -> float:
        """Returns the seconds for a request that computes so many tokens."""
        return START_S + tokens * self.size / self.speed


class ServerFault(ToolError):
    """A probe that the server couldn't answer, whose cause stands in the server's log; the exit code is WANTING."""

    def __init__(self, message: str) -> None:
        super().__init__(message, WANTING)


def poster(root: str, patience: Patience = Patience(0, 1), headers: Mapping[str, str] = {}) -> Post:
    """Returns a function (path, body) → answer that posts JSON to the server at `root`. It raises ToolError (1) where the server refuses.

    It raises ServerFault where the server fails, or takes too long.
    """

    def post(path: str, body: dict[str, Any]) -> Any:
        tokens = len(body.get("prompt", ()))
        limit = patience.seconds(tokens)
        try:
            return json.loads(fetch(root + path, body, limit, headers))
        except urllib.error.HTTPError as error:
            words = error.read()[:300].decode(errors="replace")
            message = f"{path}: the server refuses the probe with HTTP {error.code}: {words}"
            raise (ServerFault(message) if error.code >= 500 else ToolError(message, WANTING)) from None
        except (OSError, HTTPException) as error:
            if isinstance(getattr(error, "reason", error), TimeoutError):
                asked = f"{tokens:,} tokens of {body.get('model')}, {patience.size / 1e9:.1f} GB of weights"
                raise ServerFault(
                    f"{path}: the probe waited {limit:,.0f} s for {asked}, and no answer came. Is the machine busy, or short of memory?"
                ) from None
            raise ServerFault(f"{path}: the server doesn't answer the probe ({error}).") from None

    return post
