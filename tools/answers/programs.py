"""Finds what a program asserts: the arguments of calls such as Entity(text="张三", label="name"). Its statements assert nothing.

In: the text of an answer. Out: the text with calls as objects, or whether it is a program. It serves tools.answers.parse; nothing is run.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# A program's statements.
_STATEMENT = re.compile(
    r"^[ \t]*(?:import \w|from \w[\w.]* import |def \w+\(|class \w+(?:\(.{0,80}\))?:[ \t]*$|for [\w, ]+ in .{1,80}:[ \t]*$|if .{1,80}:[ \t]*$|function \w*\(|const \w+ = require|print\()",
    re.MULTILINE,
)
_ARGUMENT = re.compile(r"(\w+)\s*=")
_CALL = re.compile(r"([A-Za-z_][\w.]{0,60})\(((?:\s*\w{1,40}\s*=\s*(?:\"[^\"\n]*\"|'[^'\n]*'|\[[^\[\]]*\]|[\w.-]{1,60})\s*,?){1,50})\)")


def is_program(text: str) -> bool:
    """Returns whether a text has statements of a program: imports, definitions, loops, prints."""
    return _STATEMENT.search(text) is not None


def as_objects(text: str, is_label: Callable[[str], bool]) -> str:
    """Returns a text with calls as objects: Entity(text="张三", label="name"), dict(name=["张三"]); a call by a label's name is an object under it: Name(span="张三")."""

    def as_object(call: re.Match[str]) -> str:
        inside = "{" + _ARGUMENT.sub(r'"\1": ', call[2]) + "}"
        return f'{{"{call[1]}": {inside}}}' if is_label(call[1]) else inside

    return _CALL.sub(as_object, text)
