"""Runs a notebook in a checkout of its own, with this checkout's environments.

The line below runs both notebooks in full, and keeps their outputs: 9 minutes on two cores.

    .venv/train/bin/python -m tests.notebooks.execution
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbformat

from tools.files import ROOT

NEEDED = ("Makefile", "ner", "conf", "data/prompts", "models/tiny-qwen2", "notebooks", "requirements", "tools")
LIMIT_S = 1500  # a cell's; the machine may be busy with other tests


def checkout(folder: Path) -> Path:
    """Copies what a fresh checkout has; the environments are this checkout's, whose data and outputs stay as they are."""
    for name in NEEDED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__")) if source.is_dir() else shutil.copy(source, target)
    (folder / "data/dataset").mkdir()
    for file in (ROOT / "data/dataset").glob("*.jsonl"):
        if file.name.startswith(("sample.", "topics.")):
            shutil.copy(file, folder / "data/dataset")
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def processes_in(folder: Path) -> list[str]:
    """Returns the command lines of the processes that work in a folder or below."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_text())
        except OSError:  # it has just ended, or is another user's
            continue
    return found


def execute(name: str, folder: Path, steps: int | None = None) -> Any:
    """Runs a notebook in its own folder, as VS Code and JupyterLab do, with a few steps of training or with its own number; returns it with its outputs."""
    from nbclient import NotebookClient

    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "NOTEBOOK_STEPS")}
    if steps:
        env["NOTEBOOK_STEPS"] = str(steps)
    notebook = nbformat.read(folder / "notebooks" / f"{name}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(folder / "notebooks")}}
    options = {"timeout": LIMIT_S, "startup_timeout": 300, "kernel_name": "python3", "coalesce_streams": True, "record_timing": False}
    NotebookClient(notebook, resources=resources, **options).execute(env=env)
    return notebook


def score(folder: Path, run: str, evaluation: str) -> Any:
    return json.loads((folder / "data/outputs/notebook" / run / "eval" / evaluation / "score.json").read_text())


def text_of(notebook: Any) -> str:
    """Returns all outputs of a notebook as text."""
    return json.dumps([cell.get("outputs", []) for cell in notebook.cells], ensure_ascii=False)


if __name__ == "__main__":
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as scratch:
            print(f"running {path.name} …", flush=True)
            nbformat.write(execute(path.stem, checkout(Path(scratch) / "checkout")), path)
