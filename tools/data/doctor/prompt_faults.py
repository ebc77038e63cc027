"""Finds what is wrong with the parts that every row shares: the rendered prompt, the system line and the labels' names.

In: a task. Out: (file, line, message) for each fault, and the prompt's renderer if the prompt can be rendered. `./ner check` reports them.
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
from tools.text import CONTROL_TOKEN, quoted

# {{ and {field}; a JSON object in a prompt begins with {" or with a line's end.
_BRACES = re.compile(r"\{\{|\{[A-Za-z_]\w*\}")
_MARK = "\uffff"  # a noncharacter, which no prompt holds
SOME = 5  # options in a message
PromptFault = tuple[Path, int, str]


def prompt_faults(task: Task) -> tuple[Callable[[Example], str] | None, list[PromptFault]]:
    """Returns the function that renders the prompt (None for a broken one), and all faults. Raises ToolError if the prompt's file is missing."""
    need_file(task.prompt, f"{task.path} names it as `prompt`.")
    try:
        render = prompt.renderer(task)
    except ToolError as error:
        return None, [(task.prompt, 1, str(error).removeprefix(f"{task.prompt}: "))]
    found = [(task.prompt, line, message) for line, message in _leftovers(render(Example("", "", [], options=[])))]
    texts = [("system", "the system line", task.system), *(("labels", f"the label '{name}'", name) for name in task.names.values())]
    for key, title, text in texts:
        found += [(task.path, line_of(task.path, key), f"{title} has {message}") for _, message in _leftovers(text)]
    return render, found


class Shown:
    """What a prompt and its system line show: labels, and a row's options if `offers`."""

    def __init__(self, task: Task, render: Callable[[Example], str]) -> None:
        self.task = task
        self.offers = _MARK in render(Example("", "", [], options=[_MARK]))
        self.constant = task.system + "\n" + render(Example("", "", [], options=[]))
        self._lists_labels = prompt.SEPARATOR.join(task.names.values()) in self.constant

    def unshown_labels(self) -> list[str]:
        """Returns the labels' names that the model never sees."""
        return [] if self.offers else [name for name in self.task.names.values() if name not in self.constant]

    def label_faults(self) -> list[tuple[str, str]]:
        """Returns (kind, message) for each label that isn't shown, or looks like two."""
        found = [("unshown-label", f"{name}: neither the prompt nor the system line has it.") for name in self.unshown_labels()]
        listed = [name for name in self.task.names.values() if prompt.SEPARATOR in name] if self._lists_labels or self.offers else []
        return found + [("option-separator", f"'{name}'") for name in listed]

    def row_faults(self, options: list[str]) -> list[tuple[str, str]]:
        """Returns (kind, message) for a row with options that aren't shown, or look like two."""
        names = prompt.options(self.task, Example("", "", [], options=options))
        bad = [name for name in names if (prompt.SEPARATOR in name if self.offers else name not in self.constant)]
        return [("option-separator" if self.offers else "unshown-option", ", ".join(map(quoted, bad[:SOME])))] if bad else []


def line_of(path: Path, key: str) -> int:
    """Returns the line of a YAML file that begins with `key`; 1 if none does."""
    lines = enumerate(read_text(path).splitlines(), 1)
    return next((number for number, line in lines if line.startswith(f"{key}:")), 1)


def _leftovers(text: str) -> list[tuple[int, str]]:
    """Returns (line, message) for the first brace that rendering left over, and for the first control token: only a row's own text is cleaned of them."""
    unpaired = re.search(r"\}\}", text) if text.count("}") > text.count("{") else None
    found = {"unrendered braces": _BRACES.search(text) or unpaired, "a control token": CONTROL_TOKEN.search(text)}
    return [(1 + text.count("\n", 0, match.start()), f"{title}: {match[0]}") for title, match in found.items() if match]
