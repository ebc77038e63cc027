"""The commands in the modules' docstrings exist: their verbs, options, modules and names."""

import ast
import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from tools.cli import VERBS, parser_of
from tools.files import ROOT

DOCSTRINGS = {
    path.relative_to(ROOT): ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    for folder in ("tools", "bench", "models/tiny-qwen2/make")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def commands(start: str) -> list[tuple[Path, str]]:
    """The docstrings' indented lines that begin so."""
    found = []
    for path, text in DOCSTRINGS.items():
        found += [(path, line.strip()) for line in text.replace("\\\n", "").splitlines() if line.startswith("    ") and start in line]
    return found


@pytest.mark.parametrize(("path", "command"), [(path, command) for path, command in commands("./ner ") if command.startswith("./ner ")])
def test_an_example_has_a_verb_and_its_options(path: Path, command: str) -> None:
    name, *words = shlex.split(re.sub(r"  +(#|\().*", "", command))[1:]
    if name.startswith("--") or name == "<verb>":
        return
    assert name in VERBS, path
    if "…" in words:  # an example that leaves words out
        return
    parser = parser_of(name, importlib.import_module(VERBS[name].module))
    _, unknown = parser.parse_known_intermixed_args([word for word in words if word != "--help"])
    assert not unknown or VERBS[name].passes_on, (path, unknown)


@pytest.mark.parametrize(("path", "command"), commands("python -m "))
def test_a_module_that_is_called_exists(path: Path, command: str) -> None:
    for name in re.findall(r"python -m ((?:tools|bench|make)\b[\w.]*)", command):
        assert importlib.util.find_spec(name), path


@pytest.mark.parametrize(("path", "command"), commands("from tools."))
def test_a_line_of_python_is_whole_and_its_names_exist(path: Path, command: str) -> None:
    code = shlex.split(command)[-1] if "python -c" in command else command.removeprefix(">>> ")
    for node in ast.walk(ast.parse(code, str(path))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tools"):
            assert all(hasattr(importlib.import_module(str(node.module)), name.name) for name in node.names), path
