"""The server that predictions come from: one that runs already, or one of our own for the time of an evaluation.

In: a run and an address. Out: the address of a server that serves this very run.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tools.conf.run import Run
from tools.errors import ToolError
from tools.process import Child
from tools.variant import CHECKPOINT, QUANTIZATIONS

# Beside these a run's checkpoints can be asked, by their folder's name.
MODELS = ("adapter", "base", "best", "merged", *(f"merged-{method}" for method in QUANTIZATIONS))


@dataclass(frozen=True)
class Server:
    """An OpenAI-compatible server. `url` ends in /v1; `engine` is what /version says, e.g. 'vllm 0.32.0'; `started` is when, in seconds since 1970, if known.

    `process` is the server's own, where we started it.
    """

    url: str
    models: list[dict[str, Any]]
    engine: str
    started: float | None = None
    process: subprocess.Popen[bytes] | None = None


@contextmanager
def serving(run: Run, which: str, url: str | None, port: int) -> Iterator[Server]:
    """The server at `url`; without one, the server at 127.0.0.1:`port`, started for `which` of MODELS where none answers, stopped when the block ends.

    Raises ToolError when `url` doesn't answer, when something else listens at the port, or when vLLM doesn't start.
    """
    address = (url or f"http://127.0.0.1:{port}/v1").rstrip("/")
    if server := find(address):
        yield server
        return
    if url:
        raise ToolError(f"{url}: no server answers there. Start one: make serve CONF={run.path}, or leave --url out.")
    command = [sys.executable, "-m", "tools.serve.serve", str(run.path), *run.overrides, *_flags(which), "--port", str(port)]
    with Child(command) as process:
        while not (server := find(address)):
            if (code := process.poll()) is not None:
                raise ToolError(f"the server for {run.path} did not start; why stands above.", code)
            time.sleep(0.5)
        yield replace(server, process=process)


def _flags(which: str) -> list[str]:
    """tools.serve.serve's flags for one of MODELS, or for all checkpoints; base and adapter are served together."""
    if which in ("adapter", "base"):
        return []
    if which in ("best", "checkpoints"):
        return [f"--{which}"]
    return ["--merged"] if which == "merged" else ["--quantized", which.removeprefix("merged-")]


def find(url: str) -> Server | None:
    """The server at `url`, or None when nothing listens there. Raises ToolError when what answers isn't an OpenAI-compatible server."""
    import httpx

    try:
        with httpx.Client(**client_options(url), timeout=10) as client:
            answer = client.get(f"{url}/models")
            if answer.status_code in (401, 403):
                raise ToolError(f"{url}: the server wants an API key; export VLLM_API_KEY=<its key>.")
            models = answer.json()["data"]
            version = client.get(f"{url.removesuffix('/v1')}/version")
            engine = f"vllm {version.json()['version']}" if version.status_code == httpx.codes.OK else "unknown"
            metrics = client.get(f"{url.removesuffix('/v1')}/metrics").text
    except (httpx.ConnectError, httpx.ConnectTimeout):
        return None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{url}: something answers, but not as an OpenAI-compatible server ({type(error).__name__}). Another port: PORT=…") from None
    started = re.search(r"^process_start_time_seconds (\S+)$", metrics, re.MULTILINE)
    return Server(url, models, engine, float(started[1]) if started else None)


def client_options(url: str) -> dict[str, Any]:
    """httpx's options for `url`: the key from VLLM_API_KEY, and no proxy between us and this machine."""
    import os

    import httpx

    key = os.environ.get("VLLM_API_KEY")
    local = httpx.URL(url).host in ("127.0.0.1", "localhost", "::1")
    return {"trust_env": not local, "headers": {"Authorization": f"Bearer {key}"} if key else {}}


def model_name(server: Server, run: Run, which: str) -> str:
    """What `which` of MODELS, or a checkpoint, of the run is called at the server. Raises ToolError when the server serves something else."""
    name = {"base": run.trained().base_name}.get(which, f"{run.name}@{which.rpartition('-')[2]}" if CHECKPOINT.fullmatch(which) else run.name)
    cards = {card["id"]: card for card in server.models}
    serves = ", ".join(cards)
    merged = which.startswith("merged")
    variable = {"merged": " MERGED=1", "best": " BEST=1"}.get(which, f" QUANTIZED={which.removeprefix('merged-')}" if merged else "")
    again = f"Stop it and call this again, or: make serve CONF={run.path}{variable} PORT=…"
    if name not in cards:
        raise ToolError(f"{server.url} serves another run ({serves}), not {name}. {again}")
    card, root = cards[name], str(cards[name].get("root") or "")
    if which != "base" and merged != (not card.get("parent")):
        is_now = "base + adapter" if merged else "the merged model"
        raise ToolError(f"{server.url} serves {name} as {is_now}, not as {'a merged model' if merged else 'an adapter'}. {again}")
    expected = _folder(run, which)
    if expected and Path(root).exists() and Path(root).resolve() != expected.resolve():
        raise ToolError(f"{server.url} serves {name} from {root}, this run's is {expected}. {again}")
    weights = expected / ("config.json" if merged else "adapter_model.safetensors") if expected else None
    if weights and Path(root).exists() and weights.exists() and server.started and server.started < weights.stat().st_mtime:
        raise ToolError(f"{server.url} was started before {weights} was written: it serves an older one. {again}")
    return name


def _folder(run: Run, which: str) -> Path | None:
    """Where the weights of `which` are; None for the base model."""
    if which == "base":
        return None
    return run.output_dir / which if which.startswith("merged") else run.adapter(which)
