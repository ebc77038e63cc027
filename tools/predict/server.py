"""Finds the server that predictions come from, or starts one of our own for the time of a prediction.

In: a run, one of its models and an address. Out: a server that serves this model.

    ./ner eval conf/tiny-qwen2-sample-ner-lora-sft.yaml --which merged --url http://127.0.0.1:8000/v1
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from tools.conf.run import Run
from tools.errors import WANTING, ToolError
from tools.process import Child
from tools.serve.gate import is_refusal
from tools.serve.http import TIMEOUT_S, fetch
from tools.serve.serve import PAUSE_S
from tools.variant import Variant


@dataclass(frozen=True)
class Server:
    """An OpenAI-compatible server. `url` ends in /v1; `models` are its cards of /v1/models; `engine` is such as 'vllm 0.32.0'.

    `started` is when it was started, in seconds since 1970, or None; `process` is the server's own where we started it.
    """

    url: str
    models: list[dict[str, Any]]
    engine: str
    started: float | None = None
    process: subprocess.Popen[bytes] | None = None


class StillStarting(Exception):
    """A server that `serve` started hasn't been through its probes yet."""


@contextmanager
def serving(run: Run, variant: Variant, url: str | None, port: int, checkpoints: bool = False) -> Iterator[Server]:
    """Yields the server at `url`; without one, the server at `port` of this machine, started for `variant` where none answers, stopped when the block ends.

    A server that is started holds every checkpoint too when `checkpoints`. Raises ToolError when `url` doesn't answer, when something else listens at the port,
    or when vLLM doesn't start.
    """
    address = (url or f"http://127.0.0.1:{port}/v1").rstrip("/")
    if server := find_ready(address):
        yield server
        return
    if url:
        raise ToolError(f"{url}: no server answers there. Start one: make serve CONF={run.path}, or leave --url out.")
    words = ["--which", variant.word, *(["--checkpoints"] if checkpoints else []), "--port", str(port)]
    command = [sys.executable, "-m", "tools", "serve", str(run.path), *run.overrides, *words]
    with Child(command) as process:
        while not (server := find_ready(address)):
            if (code := process.poll()) is not None:
                raise ToolError(f"the server for {run.path} did not start; the reason stands above.", code)
            time.sleep(PAUSE_S)
        yield replace(server, process=process)


def find_ready(url: str) -> Server | None:
    """Returns the server at `url` as soon as its own probes are through, or None when nothing listens there. Raises ToolError as `find` does.

    A server that `serve` started refuses everybody else until then, wherever it runs.
    """
    told = False
    while True:
        try:
            return find(url)
        except StillStarting:
            if not told:
                print(f"{url}: the server is starting; waiting until its probes are through …", flush=True)
            told = True
            time.sleep(PAUSE_S)


def find(url: str) -> Server | None:
    """Returns the server at `url`, or None when nothing listens there. Raises StillStarting, and ToolError for an answer that isn't an OpenAI-compatible server's."""
    root = url.removesuffix("/v1")
    try:
        models = json.loads(fetch(f"{url}/models"))["data"]
        version, metrics = _optional(f"{root}/version"), _optional(f"{root}/metrics")
        engine = f"vllm {json.loads(version)['version']}" if version else "unknown"
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        if isinstance(error, HTTPError) and is_refusal(error.code, error.headers.keys()):
            raise StillStarting from None
        if isinstance(error, HTTPError) and error.code in (401, 403):
            raise ToolError(f"{url}: the server wants an API key; export VLLM_API_KEY=<its key>.") from None
        cause = error.reason if type(error) is URLError else error
        if isinstance(error, TimeoutError):  # it is connected, and says nothing
            raise ToolError(
                f"{url}: no answer within {TIMEOUT_S:.0f} s. Is that machine busy with something else? Call this again.", WANTING
            ) from None
        if cause is not error and not isinstance(cause, ssl.SSLError):
            return None
        kind = type(cause).__name__
        raise ToolError(f"{url}: something answers, but not as an OpenAI-compatible server ({kind}). Another port: PORT=…") from None
    started = re.search(r"^process_start_time_seconds (\S+)$", metrics, re.MULTILINE)
    return Server(url, models, engine, float(started[1]) if started else None)


def model_name(server: Server, variant: Variant) -> str:
    """Returns the name of a variant at a server. Raises ToolError when the server serves something else under it, or an older one."""
    name, cards = variant.served_name, {card["id"]: card for card in server.models}
    again = f"Stop it and call this again, or: {variant.command('serve')} PORT=…"
    if name not in cards:
        raise ToolError(f"{server.url} serves another run ({', '.join(cards)}), not {name}. {again}")
    if variant.is_base:
        return name
    root = Path(str(cards[name].get("root") or ""))
    if variant.is_merged != (not cards[name].get("parent")):
        is_now = "base + adapter" if variant.is_merged else "the merged model"
        raise ToolError(f"{server.url} serves {name} as {is_now}, not as {'a merged model' if variant.is_merged else 'an adapter'}. {again}")
    if not root.exists():
        return name  # another machine's folder
    if root.resolve() != variant.folder.resolve():
        raise ToolError(f"{server.url} serves {name} from {root}, this run's is {variant.folder}. {again}")
    weights = variant.folder / "config.json" if variant.is_merged else variant.weights
    if weights.exists() and server.started and server.started < weights.stat().st_mtime:
        raise ToolError(f"{server.url} was started before {weights} was written: it serves an older one. {again}")
    return name


def _optional(url: str) -> str:
    """Returns the answer to a GET, or an empty string where the server refuses it."""
    try:
        return fetch(url).decode(errors="replace")
    except HTTPError:
        return ""
