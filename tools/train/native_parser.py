"""Asks the engine's own parser about a run: settings that exclude each other, packages that a setting needs, and what this machine can't do.

In: a run. Out: the engine's two objections, to the run on any machine and to the run on this one; '' for none. Importing LLaMA-Factory takes ten seconds,
so a child process does it, and keeps its output.

    .venv/train/bin/python -m tools.train.native_parser llamafactory data/outputs/<run>/run.yaml
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tools.chat.formats import format_of
from tools.chat.token_ids import slow_ids
from tools.conf.overlays import load_yaml
from tools.conf.run import Run
from tools.errors import ToolError
from tools.errors import run as run_tool
from tools.train.engines.engine_table import ENGINES
from tools.train.machine import visible_gpus

ROW = {"instruction": "系统", "input": "甲", "output": "[]"}
# These depend on how many processes are started, and by what.
LAUNCHED = ("deepspeed", "fsdp", "fsdp_config", "ray_num_workers", "ray_init_kwargs", "ddp_backend")


class Objections(NamedTuple):
    """`anywhere`: the engine would refuse the run on every machine. `here`: it would refuse it on this machine alone."""

    anywhere: str = ""
    here: str = ""


def ask(run: Run) -> Objections:
    """Returns what the run's engine objects to, as messages that name the run."""
    engine = ENGINES[run.engine]
    with TemporaryDirectory(prefix="ner-parse-") as folder:
        values = {key: value for key, value in run.values.items() if key not in LAUNCHED}
        # An output folder that exists must not be refused.
        values |= {"output_dir": folder, "overwrite_output_dir": True, "resume_from_checkpoint": None}
        file = Path(folder) / "run.json"  # JSON is YAML
        file.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        command = [sys.executable, "-m", "tools.train.native_parser", run.engine, str(file)]
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]  # LLaMA-Factory refuses several GPUs in one process
        env = {**os.environ, **({"CUDA_VISIBLE_DEVICES": first} if visible_gpus() > 1 else {})}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    last = next(reversed((done.stdout or done.stderr).strip().splitlines()), f"exit code {done.returncode}")
    refuses = f"{run.path}: {engine.title} refuses the run"
    if done.returncode:
        return Objections(f"{refuses}: {last[:500]}")
    anywhere, here = json.loads(last)
    hint = "" if visible_gpus() else " Without a GPU, use_cpu=true trains on the CPU."
    return Objections(anywhere and f"{refuses}: {anywhere[:500]}", here and f"{refuses} on this machine: {here[:500]}{hint}")


def objections(engine: str, values: dict[str, Any]) -> Objections:
    """Returns the engine's own words about `values`, parsed once for a CPU, which every machine has, and once as they are."""
    portable = {key: value for key, value in values.items() if key != "pure_bf16"} | {"use_cpu": True}
    anywhere = _refusal(engine, portable) or _refusal_of_rows(values)
    return Objections(anywhere, "" if anywhere else _refusal(engine, values))


def _refusal(engine: str, values: dict[str, Any]) -> str:
    try:
        ENGINES[engine].parse(values)
    except Exception as error:  # of any kind: the training would end with it too
        return " ".join(f"{error}".split()) or type(error).__name__
    return ""


def _refusal_of_rows(values: dict[str, Any]) -> str:
    """Returns why LLaMA-Factory can't encode a row, '' where it can. It wants a processor that works for a template with pictures, and loads it with the data."""
    run = Run(Path("run"), values)
    form = format_of(run)
    if form is None or not form.plugin:
        return ""
    try:
        slow_ids(run)(ROW)
    except ToolError as error:
        return str(error).removeprefix(f"{run.path}: ")
    return ""


def main() -> None:
    """Prints the objections as a JSON list."""
    from omegaconf import OmegaConf

    engine, path = sys.argv[1:]
    found = objections(engine, dict(OmegaConf.to_container(load_yaml(Path(path)))))  # type: ignore[arg-type]
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    run_tool(main)
