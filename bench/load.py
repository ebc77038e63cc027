"""Loads the service with many clients, while its server is killed and started in between; or measures what log-probabilities cost.

In: a trained run and its examples. Out: a Markdown page in bench/results/. A client takes 503, a refused and a lost connection for "try again"; everything else that isn't a right
answer is an error. The exit code is 1 where there was one.

    .venv/train/bin/python -m bench.load conf/tiny-qwen2-sample-ner-lora-sft.yaml
    .venv/train/bin/python -m bench.load conf/tiny-qwen2-sample-ner-lora-sft.yaml --overhead
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from bench.chain import machine
from bench.predict import post_all
from tools.conf.run import Run, load_run
from tools.conf.task import find_task
from tools.demo import free_port
from tools.errors import WANTING, ToolError
from tools.errors import run as run_tool
from tools.example import read_examples
from tools.files import write_text
from tools.predict.questions import LOGPROBS, SAMPLING, Asking
from tools.predict.server import find_ready, model_name, serving
from tools.process import Child
from tools.serve.http import client_options
from tools.serve.serve import need_free
from tools.text import whole_number
from tools.train.machine import gpus

MOST = 4  # texts of a request
PAUSE_S = 1.0  # before the next try, where the server names no other


@dataclass
class Load:
    """What the clients saw. `waits` counts tries that were put off, by reason; `seconds` are those of each answered request, its tries included."""

    seconds: list[float] = field(default_factory=list)
    texts: int = 0
    entities: int = 0
    waits: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


async def client(root: str, texts: list[str], chance: random.Random, until: float, load: Load) -> None:
    """Asks for some texts, again and again, until a moment of time.monotonic()."""
    import aiohttp

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1800), **client_options(root)) as session:
        while time.monotonic() < until:
            started, some = time.monotonic(), chance.sample(texts, chance.randint(1, MOST))
            while (answer := await once(session, root, some, load)) is None:
                pass
            load.seconds.append(time.monotonic() - started)
            load.texts += len(some)
            for text, found in zip(some, answer, strict=True):
                load.entities += len(found["entities"])
                if any(text[one["start"] : one["end"]] != one["text"] for one in found["entities"]):
                    load.errors["an entity isn't where it stands"] += 1


async def once(session: Any, root: str, texts: list[str], load: Load) -> list[dict[str, Any]] | None:
    """Returns the answers to one try; None, behind a pause, where it is to be made again. An error gives answers without entities."""
    import aiohttp

    pause = PAUSE_S
    try:
        async with session.post(f"{root}/extract", json={"texts": texts}) as answer:
            if answer.status == 200:
                return list((await answer.json())["results"])
            if answer.status != 503:
                load.errors[f"HTTP {answer.status}: {(await answer.text())[:200]}"] += 1
                return [{"entities": []} for _ in texts]
            load.waits["503"] += 1
            pause = float(answer.headers.get("Retry-After", PAUSE_S))
    except aiohttp.ClientConnectorError:
        load.waits["connection refused"] += 1
    except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError):
        load.waits["connection lost"] += 1
    await asyncio.sleep(pause)
    return None


def started(run: Run, port: int) -> Child:
    """Returns the server's command, not started yet."""
    return Child([sys.executable, "-m", "tools", "serve", str(run.path), *run.overrides, "--port", str(port)])


def kill(server: subprocess.Popen[bytes], port: int) -> None:
    """Kills a server's command outright, and returns when its port is free."""
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    while True:
        try:
            need_free("127.0.0.1", port, "")
            return
        except ToolError:
            time.sleep(0.2)


async def loaded(run: Run, port: int, texts: list[str], clients: int, seconds: float) -> tuple[Load, float]:
    """Returns what the clients saw, and for how long the server was away: it is killed at a third of the time, and started again at once."""
    root, load = f"http://127.0.0.1:{port}", Load()
    with started(run, port) as first:
        await asyncio.to_thread(ready, root, first)
        until = time.monotonic() + seconds
        work = [asyncio.create_task(client(root, texts, random.Random(number), until, load)) for number in range(clients)]
        await asyncio.sleep(seconds / 3)
        gone = time.monotonic()
        await asyncio.to_thread(kill, first, port)
    with started(run, port) as second:
        await asyncio.to_thread(ready, root, second)
        away = time.monotonic() - gone
        await asyncio.gather(*work)
    return load, away


def ready(root: str, server: subprocess.Popen[bytes]) -> None:
    """Returns when the server answers. Raises ToolError where its command ends before."""
    while find_ready(f"{root}/v1") is None:
        if server.poll() is not None:
            raise ToolError("the server didn't start; the reason stands above.", WANTING)
        time.sleep(0.2)


def load_page(run: Run, load: Load, away: float, clients: int, seconds: float) -> str:
    """Returns the Markdown page of a load."""
    waits = ", ".join(f"{reason} {times:,}" for reason, times in sorted(load.waits.items())) or "none"
    cuts = statistics.quantiles(load.seconds, n=100) if len(load.seconds) > 1 else [0.0] * 99
    lines = [
        f"# {run.name} under load",
        "",
        f"{device()}. Made by `.venv/train/bin/python -m bench.load`: {clients} clients for {seconds:.0f} s, 1 to {MOST} texts a request; the server was killed and started in between.",
        "",
        "| | |",
        "|---|---|",
        f"| requests answered | {len(load.seconds):,} |",
        f"| errors | {load.errors.total():,} |",
        f"| put off and tried again | {waits} |",
        f"| server away, s | {away:.0f} |",
        f"| seconds a request: median, 95 of 100, 99 of 100, longest | {cuts[49]:.2f}, {cuts[94]:.2f}, {cuts[98]:.2f}, {max(load.seconds, default=0.0):.2f} |",
        f"| texts a second, while the server was there | {load.texts / max(1.0, seconds - away):.1f} |",
        f"| entities, each where it stands | {load.entities:,} |",
    ]
    return "\n".join([*lines, *(f"| error: {reason} | {times:,} |" for reason, times in load.errors.items())]) + "\n"


def overhead_page(asking: Asking, turns: int, under_way: int, limit: int | None) -> str:
    """Measures rows a second with and without log-probabilities, turn by turn on one server, and returns the Markdown page."""
    run, chats = asking.run, [question.messages for question in asking.questions()[:limit]]
    texts = [one.text for one in islice(read_examples(asking.source), limit)]
    tried: dict[str, list[float]] = {}
    with serving(run, asking.variant, None, free_port()) as server:
        common = {"model": model_name(server, asking.variant), **SAMPLING, **asking.thinking.body}
        root = server.url.removesuffix("/v1")
        ways: dict[str, tuple[str, list[dict[str, Any]]]] = {
            "chat, without log-probabilities": (f"{server.url}/chat/completions", [{**common, "messages": chat} for chat in chats]),
            "chat, with log-probabilities": (f"{server.url}/chat/completions", [{**common, **LOGPROBS, "messages": chat} for chat in chats]),
            "`/extract`, a text a request": (f"{root}/extract", [{"text": text} for text in texts]),
        }
        for turn in range(turns + 1):  # the first fills the caches
            for way, (url, bodies) in ways.items():
                seconds = asyncio.run(post_all(url, bodies, under_way))
                print(f"{way}: {len(bodies) / seconds:.1f} rows/s", flush=True)
                if turn:
                    tried.setdefault(way, []).append(len(bodies) / seconds)
    plain = statistics.median(tried["chat, without log-probabilities"])
    lines = [
        f"# What log-probabilities cost with {run.name}",
        "",
        f"{device()}. Made by `.venv/train/bin/python -m bench.load --overhead`: {len(chats)} rows, {under_way} under way, medians of {turns} turns, one way after the other on one server.",
        "",
        "| | rows/s | of the first |",
        "|---|---|---|",
        *(f"| {way} | {statistics.median(rates):.1f} | {statistics.median(rates) / plain:.3f} |" for way, rates in tried.items()),
    ]
    return "\n".join(lines) + "\n"


def device() -> str:
    """Returns the GPU's name, or the machine's."""
    return gpus()[0].name if gpus() else machine()


def main() -> int:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.load", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("conf", type=Path, metavar="conf/<run>.yaml")
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value")
    parser.add_argument("--clients", type=int, default=64, help="default: 64")
    parser.add_argument("--seconds", type=float, default=120, help="default: 120")
    parser.add_argument("--overhead", action="store_true", help="measure what log-probabilities cost instead")
    parser.add_argument("--turns", type=int, default=3, help="of --overhead (default: 3)")
    parser.add_argument("--split", default="dev", help="default: dev")
    parser.add_argument("--rows", type=whole_number(1, 1_000_000), metavar="N", help="the first N rows (default: all)")
    args = parser.parse_args()
    run, results = load_run(args.conf, args.overrides), Path("bench/results")
    asking = Asking(run, find_task(run.task), args.split, run.variant("adapter"))
    if args.overhead:
        page, failed, name = overhead_page(asking, args.turns, args.clients, args.rows), False, f"logprobs-{run.name}"
    else:
        texts = [one.text for one in islice(read_examples(asking.source), args.rows)]
        load, away = asyncio.run(loaded(run, free_port(), texts, args.clients, args.seconds))
        page, failed, name = load_page(run, load, away, args.clients, args.seconds), bool(load.errors), "load"
    write_text(results / f"{name}.md", page)
    print(f"\n{page}")
    return WANTING if failed else 0


if __name__ == "__main__":
    run_tool(main)
