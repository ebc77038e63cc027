"""What is wrong with what every row shares: the rendered prompt, the system line and the labels' names.

In: a task. Out: (file, line, message) for each fault, and the prompt's renderer where it has one. `python -m tools.data.doctor.examine` reports them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tools.chat import prompt
from tools.conf.task import Task
from tools.errors import ToolError
from tools.example import Example
from tools.files import need_file, read_text
from tools.text import CONTROL_TOKEN

# {{ and {field}; a JSON object in a prompt begins with {" or with a line's end.
_BRACES = re.compile(r"\{\{|\{[A-Za-z_]\w*\}")
PromptFault = tuple[Path, int, str]


def prompt_faults(task: Task) -> tuple[Callable[[Example], str] | None, list[PromptFault]]:
    """The function that renders the prompt (None for a broken one), and all that is wrong. Raises ToolError where the prompt's file is missing."""
    need_file(task.prompt, f"{task.path} names it as `prompt`.")
    try:
        render = prompt.renderer(task)
    except ToolError as error:
        return None, [_located(task.prompt, str(error))]
    rendered = render(Example("", "", [], options=[]))
    found = [(task.prompt, line, message) for line, message in _leftovers(rendered)]
    found += [(task.path, line_of(task.path, "system"), f"the system line has {message}") for _, message in _leftovers(task.system)]
    for name in task.names.values():
        found += [(task.path, line_of(task.path, "labels"), f"the label '{name}' has {message}") for _, message in _leftovers(name)]
    return render, found


def line_of(path: Path, key: str) -> int:
    """The line of a YAML file that begins with `key`; 1 where none does."""
    lines = enumerate(read_text(path).splitlines(), 1)
    return next((number for number, line in lines if line.startswith(f"{key}:")), 1)


def _leftovers(text: str) -> list[tuple[int, str]]:
    """(line, message) for a brace that no rendering took away, and for control tokens, of which only the row's own text is cleaned."""
    found = []
    if match := _BRACES.search(text) or (text.count("}") > text.count("{") and re.search(r"\}\}", text)) or None:
        found.append((1 + text.count("\n", 0, match.start()), f"unrendered braces: {match[0]}"))
    if match := CONTROL_TOKEN.search(text):
        found.append((1 + text.count("\n", 0, match.start()), f"a control token: {match[0]}"))
    return found


def _located(path: Path, message: str) -> PromptFault:
    """A ToolError's message taken apart into its place and the rest."""
    match = re.fullmatch(rf"{re.escape(str(path))}(?::(\d+))?: (?P<rest>.+)", message, re.DOTALL)
    return (path, int(match[1] or 1), match["rest"]) if match else (path, 1, message)
