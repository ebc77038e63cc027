"""The committed notebooks: run in order, small, and without a machine's name. tests/notebooks/execution.py runs them anew."""

from __future__ import annotations

import ast
import getpass
import html
import re
import socket
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.notebooks.execution import text_of
from tools.conf.task import find_task
from tools.files import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_the_ner_notebook_shows_what_stands_in_a_text_and_never_runs_it() -> None:
    notebook = nbformat.read(ROOT / "notebooks/ner.ipynb", as_version=4)
    [source] = [cell.source for cell in notebook.cells if "def marked(" in cell.source]
    [function] = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    names: dict[str, Any] = {"escape": html.escape, "COLOURS": ["#fff"], "task": find_task("sample")}
    exec(ast.unparse(function), names)
    shown = names["marked"]("<b>王</b>&小明<script>", [(3, 4, "name")])
    assert shown == '&lt;b&gt;<mark style="background:#fff;color:black">王 <small>name</small></mark>&lt;/b&gt;&amp;小明&lt;script&gt;'


def test_there_are_both_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["classification", "ner"]


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
