"""Finds what a program asserts: the arguments of calls such as Entity(text="张三", label="name"). Its statements assert nothing.

In: the text of an answer, or an object in it. Out: the text with calls as objects, whether it is a program, a call's arguments. It serves tools.answers.parse and reading;
nothing is run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tools.answers.field_names import WRAPPERS
from tools.text import fold

# A program's statements.
_STATEMENT = re.compile(
    r"^[ \t]*(?:import \w|from \w[\w.]* import |def \w+\(|class \w+(?:\(.{0,80}\))?:[ \t]*$|for [\w, ]+ in .{1,80}:[ \t]*$|if .{1,80}:[ \t]*$|function \w*\(|const \w+ = require|print\()",
    re.MULTILINE,
)
# The fields of a tool's call: what it was called with, which some use for other things too, and its name.
_ARGUMENTS, _INPUTS = ("arguments", "parameters"), ("input", "params", "args", "action_input")
_CALLED = frozenset(("name", "function", "action", "tool", "tool_name", "type"))
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


def arguments(pairs: tuple[tuple[str, Any], ...]) -> list[Any]:
    """Returns what a tool is called with, in an object that is its call: the call's name and type are no entities. Returns nothing for any other object."""
    given = [key for key, value in pairs if isinstance(value, tuple | list) or (isinstance(value, str) and value.lstrip()[:1] in ("[", "{"))]
    names = {key for key, _ in pairs}
    is_call = bool(names & _CALLED) and not any(fold(name) in WRAPPERS for name in names)
    return [value for key, value in pairs if key in given and (key in _ARGUMENTS or (is_call and key in _INPUTS))]
