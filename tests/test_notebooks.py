"""The notebooks run from top to bottom in a checkout of their own, and what is committed with them is small and of no machine.

To run them anew and keep what they print: `.venv/train/bin/python -m pytest --nbmake --nbmake-timeout=1500 --overwrite notebooks`.
"""

from __future__ import annotations

import ast
import getpass
import html
import json
import re
import shutil
import socket
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tools.conf.task import find_task
from tools.files import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STEPS = {"ner": 200, "classification": 120}
NEEDED = ("Makefile", "conf", "data/prompts", "models/tiny-qwen2", "notebooks", "requirements", "tools")
LIMIT_S = 1500  # a cell's; the machine may be busy with other tests


def checkout(folder: Path) -> Path:
    """What a fresh checkout has, with this one's environments: outputs and data of this one stay as they are."""
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
    """The command lines of the processes that work in a folder or below."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_text())
        except OSError:  # it has just ended, or is another user's
            continue
    return found


def execute(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a notebook in its own folder, as VS Code and JupyterLab do, with a few steps of training; returns it with its outputs."""
    from nbclient import NotebookClient

    monkeypatch.setenv("NOTEBOOK_STEPS", str(STEPS[name]))
    for variable in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        monkeypatch.delenv(variable, raising=False)
    notebook = nbformat.read(folder / "notebooks" / f"{name}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(folder / "notebooks")}}
    NotebookClient(notebook, timeout=LIMIT_S, startup_timeout=300, kernel_name="python3", resources=resources).execute()
    return notebook


def score(folder: Path, run: str, evaluation: str) -> Any:
    return json.loads((folder / "data/outputs/notebook" / run / "eval" / evaluation / "score.json").read_text())


@pytest.mark.timeout(3600)
def test_the_ner_notebook_runs_from_the_raw_data_to_a_score_that_training_earned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkout(tmp_path / "checkout")
    notebook = execute("ner", folder, monkeypatch)
    base, adapter = (score(folder, "tiny-qwen2-sample-ner-lora-sft", f"sample_dev{which}") for which in ("-base", ""))
    assert (base["rows"], adapter["rows"], adapter["failures"]["missing"]) == (300, 300, 0)
    assert base["micro"]["f1"] < 0.05
    assert adapter["micro"]["f1"] > base["micro"]["f1"] + 0.1
    assert "<mark " in text_of(notebook)
    assert processes_in(folder) == []


@pytest.mark.timeout(3600)
def test_the_classification_notebook_runs_from_the_raw_data_to_a_score_that_training_earned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkout(tmp_path / "checkout")
    execute("classification", folder, monkeypatch)
    base, adapter = (score(folder, "tiny-qwen2-topics-cls-lora-sft", f"topics_dev{which}") for which in ("-base", ""))
    assert (base["rows"], adapter["rows"], adapter["failures"]["missing"]) == (300, 300, 0)
    assert base["accuracy"] < 0.3
    assert adapter["accuracy"] > base["accuracy"] + 0.2
    assert sum(sum(row.values()) for row in adapter["confusion"].values()) == 300
    assert processes_in(folder) == []


def test_the_ner_notebook_shows_what_stands_in_a_text_and_never_runs_it() -> None:
    notebook = nbformat.read(ROOT / "notebooks/ner.ipynb", as_version=4)
    [source] = [cell.source for cell in notebook.cells if "def marked(" in cell.source]
    [function] = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    names: dict[str, Any] = {"escape": html.escape, "COLOURS": ["#fff"], "task": find_task("sample")}
    exec(ast.unparse(function), names)
    shown = names["marked"]("<b>王</b>&小明<script>", [(3, 4, "name")])
    assert shown == '&lt;b&gt;<mark style="background:#fff;color:black">王 <small>name</small></mark>&lt;/b&gt;&amp;小明&lt;script&gt;'


def text_of(notebook: Any) -> str:
    """All outputs of a notebook as text."""
    return json.dumps([cell.get("outputs", []) for cell in notebook.cells], ensure_ascii=False)


def test_there_are_both_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(STEPS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_was_run_in_order_without_an_error_and_is_small(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert sum(bool(cell.outputs) for cell in cells) > 10
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_names_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"[\"'\s=(](?:/(?:home|root|tmp|work|Users|mnt|opt|var)/[^\s\"']*)", text)
    assert str(ROOT) not in text
    assert str(Path.home()) not in text or str(Path.home()) == "/"
    for name in (socket.gethostname(), getpass.getuser()):
        assert len(name) < 5 or name not in text, name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_shows_the_score_of_base_and_adapter(path: Path) -> None:
    shown = text_of(nbformat.read(path, as_version=4))
    assert re.search(r"Micro Avg\.", shown)
    assert re.search(r"micro-F1", shown)
