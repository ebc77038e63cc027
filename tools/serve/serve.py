"""Serves a run with vLLM's OpenAI API and our /extract: an adapter beside its base model, the base model alone, or a merged model, quantised or not.

In: a trained run. Out: a server on 127.0.0.1 until Ctrl-C; vLLM's log in data/outputs/<run>/serve-<port>.log. Any other --flag=value goes to vLLM.

    ./ner serve conf/tiny-qwen2-sample-ner-lora-sft.yaml --port 8000
    ./ner serve conf/tiny-qwen2-sample-ner-lora-sft.yaml --which merged --gpu-memory-utilization=0.5
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.chat import probe
from tools.conf.run import Run, load_run, run_from
from tools.errors import WANTING, ToolError
from tools.files import write_text
from tools.process import Child
from tools.serve.gate import CLAIM, PORT, PROBE, WORD
from tools.serve.http import LOOPBACK, Patience, ServerFault, fetch, poster, root_of
from tools.serve.installed import PYTHON, environment, need_vllm, on_cpu, reason
from tools.serve.preflight import plan
from tools.serve.served import SERVED, Served, served, write_served
from tools.serve.waiting_room import waiting_room

SERVER = "tools.serve.api_server"
GATE, GUARD, SERVICE = "tools.serve.gate.Gate", "tools.serve.guard.Guard", "tools.extract.service.Service"
AGAIN = "make serve … PORT"
PAUSE_S = 0.5  # between two looks at the server
CPU_SPEED, GPU_SPEED = 2e9, 1e12  # operations a second that a probe counts on; two cores of a server were seen to do 135e9, an H200 does 1e15


def serve(run: Run, flags: dict[str, Any], extra: Sequence[str] = (), others: Sequence[Run] = (), which: str = "adapter") -> None:
    """Starts vLLM, waits until it answers, probes it, prints its address, and stays until it ends or is interrupted. No vLLM process outlives this call.

    `extra` are further flags of vLLM's; `which` is the word of the run's model that `flags` serve. Raises ToolError (1) where a probe fails, or vLLM ends by itself.
    """
    host, port = _address(flags)
    _need_whole_answers(flags, extra)
    with _hold(port) as claim:
        need_free(host, port, AGAIN)
        need_vllm()
        told, problems = served(run, which, others, flags)
        command, log_path = _command(run, flags, extra, told), run.output_dir / f"serve-{port}.log"
        root, started, word = root_of(host, port), time.monotonic(), secrets.token_urlsafe()
        print("\n".join([*problems, f"starting vLLM for {run.name} (log: {log_path}) …"]), flush=True)
        own = {PORT: str(port), PROBE: word, SERVED: str(_served_path(run, port))}
        with open(log_path, "w", encoding="utf-8") as log, Child(command, {**environment(), **own}, log) as server:
            with waiting_room(host, port):  # its threads begin behind the fork
                _wait(server, root, log_path, {WORD: word})
            print(f"loaded in {time.monotonic() - started:.0f} s; asking it what it was trained for …", flush=True)
            try:
                _probe((run, *others), flags, root, {WORD: word})
            except ServerFault as fault:
                raise ToolError(f"{fault}\n{reason(log_path)}", WANTING) from None
            names = [model["id"] for model in json.loads(fetch(f"{root}/v1/models", headers={WORD: word}))["data"]]
            claim.close()
            print(f"ready in {time.monotonic() - started:.0f} s: {root}/v1  models: {', '.join(names)}")
            print(f"try: curl {root}/v1/models    evaluate: make eval CONF={run.path}    stop: Ctrl-C", flush=True)
            if told.runs:
                print(f"entities: POST {root}/extract  runs: {', '.join(one.model for one in told.runs)}", flush=True)
            code = server.wait()
    raise ToolError(f"vLLM ended by itself with exit code {code}.\n{reason(log_path)}", WANTING)


def need_free(host: str, port: int, again: str) -> None:
    """Raises ToolError for an address that can't be listened at. `again` is the command that takes another port, without the port's number."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise _taken(host, port, getattr(error, "strerror", None) or str(error), again) from None


def _need_whole_answers(flags: Mapping[str, Any], extra: Sequence[str]) -> None:
    """Raises ToolError for a reasoning parser: it takes the empty thought out of an answer that was trained with one, and others whole for a thought."""
    if "reasoning-parser" in {*flags, *(word.lstrip("-").partition("=")[0].replace("_", "-") for word in extra)}:
        raise ToolError(
            "--reasoning-parser: extraction is trained without thoughts, and vLLM would take answers, or a part of each, for thoughts. Leave it out."
        )


def _address(flags: dict[str, Any]) -> tuple[str, int]:
    host, port = str(flags["host"]), int(flags["port"])
    if host not in LOOPBACK and not os.environ.get("VLLM_API_KEY"):
        raise ToolError(f"--host {host}: others could reach the server; export VLLM_API_KEY=<secret> first, or stay on 127.0.0.1.")
    return host, port


def _command(run: Run, flags: dict[str, Any], extra: Sequence[str], told: Served) -> list[str]:
    """Writes vLLM's --config file, and what the service is told, and returns the command that reads them."""
    config = run.output_dir / f"serve-{flags['port']}.yaml"
    write_text(config, "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in flags.items()))
    write_served(_served_path(run, flags["port"]), told)
    layers = [*([SERVICE] if told.runs else []), GATE, *([GUARD] if os.environ.get("VLLM_API_KEY") else [])]  # the last one is asked first
    return [str(PYTHON), "-m", SERVER, "--config", str(config), *(f"--middleware={name}" for name in layers), *extra]


def _served_path(run: Run, port: int) -> Path:
    return run.output_dir / f"serve-{port}.extract.json"


def _hold(port: int) -> socket.socket:
    """Returns a claim on a port. Ours are opened with SO_REUSEPORT: two servers that start together would both get one, and share the requests."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0{CLAIM.format(port)}")
    except OSError:
        claim.close()
        raise _taken("127.0.0.1", port, "another server is starting there", AGAIN) from None
    return claim


def _taken(host: str, port: int, reason: str, again: str) -> ToolError:
    return ToolError(f"{host}:{port}: {reason}. Take another port: {again}={port + 1 if 0 < port < 65535 else 8001}")


def _wait(server: subprocess.Popen[bytes], root: str, log_path: Path, headers: Mapping[str, str]) -> None:
    """Returns when /health answers a probe, however long that takes: a 7B model may need minutes. Raises ToolError when the process ends before."""
    from tqdm import tqdm

    with tqdm(desc="loading", bar_format="{desc}: {elapsed}", disable=None, leave=False) as clock:
        while True:
            if (code := server.poll()) is not None:
                raise ToolError(f"vLLM stopped before it was ready (exit code {code}).\n{reason(log_path)}")
            try:
                fetch(f"{root}/health", headers=headers)
                return
            except OSError:
                clock.update()
                time.sleep(PAUSE_S)


def _probe(runs: Sequence[Run], flags: dict[str, Any], root: str, headers: Mapping[str, str]) -> None:
    """Prints what the probes found for each run that is served."""
    size = sum(path.stat().st_size for path in Path(flags["model"]).glob("*.safetensors"))
    post = poster(root, Patience(size, CPU_SPEED if on_cpu() else GPU_SPEED), headers)
    names = [word.partition("=")[0] for word in flags.get("lora-modules", [])]
    for run in runs:
        own = [name for name in names if name.partition("@")[0] == run.name]
        print("\n".join(probe.probes(run, post, flags["served-model-name"], own)))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own options; any other goes to vLLM."""
    parser.add_argument(
        "--with", nargs="+", default=[], dest="others", type=Path, metavar="conf/<run>.yaml", help="serve these runs' adapters too: one base model"
    )
    parser.add_argument("--host", help="default: conf/serve.yaml's 127.0.0.1; any other demands VLLM_API_KEY in the environment")
    parser.add_argument("--checkpoints", action="store_true", help="serve every checkpoint, as <run>@<step>")


def main(args: argparse.Namespace) -> None:
    """Serves the run until Ctrl-C."""
    run, others = run_from(args), [load_run(path) for path in args.others]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    flags = plan(run, run.variant(args.which), args.port, others, args.checkpoints)
    serve(run, {**flags, "host": args.host} if args.host else flags, args.passed_on, others, args.which)
