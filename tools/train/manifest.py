"""The record of a run: what went in, on what machine, with which versions, how it ended.

In: a run. Out: `data/outputs/<run>/manifest.json`, written when the run starts and again when it ends.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tools import conf
from tools.conf.run import Run, dataset_names
from tools.errors import ToolError
from tools.files import read_json, sha256, write_json
from tools.train.machine import gpus

NAME = "manifest.json"
PACKAGES = ("llamafactory", "torch", "transformers", "peft", "trl", "datasets", "accelerate")


def start(run: Run, command: list[str], checkpoint: Path | None = None) -> dict[str, Any]:
    """Write the manifest of an attempt that begins now, going on from `checkpoint` if there is one; returns it. Earlier attempts stay listed in it."""
    path = run.output_dir / NAME
    earlier = read_json(path).get("attempts", []) if path.is_file() else []
    attempt = {"started": _now(), "ended": None, "exit_code": None, "resumed_from": checkpoint.name if checkpoint else None}
    manifest = {
        "run": run.name,
        "command": shlex.join(command),
        "commit": _commit(),
        **attempt,
        "sha256": inputs(run),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": {
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "gpus": [f"{gpu.name}, {gpu.memory >> 20} MiB, {gpu.driver}" for gpu in gpus()],
        },
        "attempts": [*earlier, attempt],
    }
    write_json(path, manifest)
    return manifest


def end(run: Run, manifest: dict[str, Any], exit_code: int) -> None:
    """Add how the attempt ended."""
    how = {"ended": _now(), "exit_code": exit_code}
    *earlier, attempt = manifest["attempts"]
    write_json(run.output_dir / NAME, {**manifest, **how, "attempts": [*earlier, {**attempt, **how}]})


def inputs(run: Run) -> dict[str, str]:
    """The files that decide the result, with their SHA-256: the resolved run, its Alpaca files, and the task's prompt where the datasets name a task."""
    folder = Path(str(run.values.get("dataset_dir", "data")))
    info = read_json(folder / "dataset_info.json") if (folder / "dataset_info.json").is_file() else {}
    names = [*dataset_names(run.values.get("dataset")), *dataset_names(run.values.get("eval_dataset"))]
    files = [run.resolved, *(folder / info[name]["file_name"] for name in names if "file_name" in info.get(name, {}))]
    with suppress(ToolError):  # a run on the user's own datasets has no task here
        files.append(conf.find_task(run.task).prompt)
    return {str(path): sha256(path) for path in files if path.is_file()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The checkout's commit, with '+' behind it when tracked files differ from it."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"], capture_output=True, text=True, check=False, cwd=conf.ROOT
        )
    except OSError:
        return None
    return described.stdout.strip() or None
