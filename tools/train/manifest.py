"""Records a training: what went in, on what machine, with which versions, how it ended.

In: a run. Out: `data/outputs/<run>/manifest.json`, written when an attempt starts and again when it ends. `read` gives it as a Manifest.

    ./ner train conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from dataclasses import asdict, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from tools.conf.run import Run, dataset_names
from tools.conf.task import find_task
from tools.errors import WANTING, ToolError
from tools.files import ROOT, read_json, sha256, write_json
from tools.train.machine import gpus

NAME = "manifest.json"
PACKAGES = ("llamafactory", "torch", "transformers", "peft", "trl", "datasets", "accelerate")


@dataclass(frozen=True)
class Attempt:
    """One training process. `started` and `ended` are ISO times in UTC; `ended` and `exit_code` are None while it runs, and after a kill."""

    started: str = ""
    ended: str | None = None
    exit_code: int | None = None
    resumed_from: str | None = None


@dataclass(frozen=True)
class Machine:
    """The machine of a training. `gpus` are texts of name, memory and driver."""

    platform: str = ""
    cores: int | None = None
    gpus: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Manifest(Attempt):
    """manifest.json. The fields of the newest attempt are its own; `sha256` maps each input file to its hash."""

    run: str = ""
    command: str = ""
    commit: str | None = None
    sha256: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str | None] = field(default_factory=dict)
    machine: Machine = field(default_factory=Machine)
    attempts: list[Attempt] = field(default_factory=list)


def read(output_dir: Path) -> Manifest | None:
    """Returns the manifest of a run's folder; None where LLaMA-Factory trained it without us. Raises ToolError for a file that isn't a manifest."""
    path = output_dir / NAME
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Manifest).validate_python(read_json(path))
    except ValidationError:
        raise ToolError(f"{path}: not the record of a training.", WANTING) from None


def start(run: Run, command: str, checkpoint: Path | None = None) -> Manifest:
    """Writes and returns the manifest of an attempt that begins now and goes on from `checkpoint`, if there is one. Earlier attempts stay in it."""
    attempt = Attempt(started=_now(), resumed_from=checkpoint.name if checkpoint else None)
    earlier = read(run.output_dir) or Manifest()
    manifest = Manifest(
        run=run.name,
        command=command,
        commit=_commit(),
        **asdict(attempt),
        sha256=inputs(run),
        versions={"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        machine=Machine(platform.platform(), os.cpu_count(), [f"{gpu.name}, {gpu.memory >> 20} MiB, {gpu.driver}" for gpu in gpus()]),
        attempts=[*earlier.attempts, attempt],
    )
    write_json(run.output_dir / NAME, asdict(manifest))
    return manifest


def end(run: Run, manifest: Manifest, exit_code: int) -> None:
    """Adds how the attempt ended."""
    *earlier, attempt = manifest.attempts
    attempt = replace(attempt, ended=_now(), exit_code=exit_code)
    write_json(run.output_dir / NAME, asdict(replace(manifest, ended=attempt.ended, exit_code=exit_code, attempts=[*earlier, attempt])))


def inputs(run: Run) -> dict[str, str]:
    """Returns file → SHA-256 of what decides the result: the resolved run, its Alpaca files, and the task's prompt where the datasets name a task."""
    folder = Path(str(run.values.get("dataset_dir", "data")))
    info = read_json(folder / "dataset_info.json") if (folder / "dataset_info.json").is_file() else {}
    names = [*dataset_names(run.values.get("dataset")), *dataset_names(run.values.get("eval_dataset"))]
    files = [run.resolved, *(folder / info[name]["file_name"] for name in names if "file_name" in info.get(name, {}))]
    with suppress(ToolError):  # a run on the user's own datasets has no task here
        files.append(find_task(run.task).prompt)
    return {str(path): sha256(path) for path in files if path.is_file()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(name: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(name)
    return None


def _commit() -> str | None:
    """Returns the checkout's commit, with '+' behind it when tracked files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    with suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip() or None
    return None
