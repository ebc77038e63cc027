"""Runs a notebook in a checkout of its own, with this checkout's environments."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

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


def execute(name: str, steps: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a notebook in its own folder, as VS Code and JupyterLab do, with a few steps of training; returns it with its outputs."""
    from nbclient import NotebookClient

    monkeypatch.setenv("NOTEBOOK_STEPS", str(steps))
    for variable in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        monkeypatch.delenv(variable, raising=False)
    notebook = nbformat.read(folder / "notebooks" / f"{name}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(folder / "notebooks")}}
    NotebookClient(notebook, timeout=LIMIT_S, startup_timeout=300, kernel_name="python3", resources=resources).execute()
    return notebook


def score(folder: Path, run: str, evaluation: str) -> Any:
    return json.loads((folder / "data/outputs/notebook" / run / "eval" / evaluation / "score.json").read_text())


def text_of(notebook: Any) -> str:
    """Returns all outputs of a notebook as text."""
    return json.dumps([cell.get("outputs", []) for cell in notebook.cells], ensure_ascii=False)
