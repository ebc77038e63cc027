"""What the installed LLaMA-Factory knows of each key, from its own dataclasses, and what is wrong with a run's.

LLaMA-Factory itself refuses unknown keys with a traceback, and takes any value: `stage: sfty` fails only after the model has loaded. Importing its
dataclasses takes seconds (torch comes along), so what they say is kept beside the environment until a version changes.
"""

from __future__ import annotations

import json
import sys
import typing
from contextlib import suppress
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from tools.conf import Run
from tools.errors import ToolError, choices
from tools.files import write_json

PACKAGES = ("llamafactory", "transformers")
# How a value's Python type satisfies a declared one; LLaMA-Factory splits text into lists at commas (and takes the list), and reads mappings from JSON text.
ACCEPTED: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str, int, float, list),
    "list": (list, str),
    "dict": (dict, str),
}


def problems(run: Run) -> list[str]:
    """One message for each key that LLaMA-Factory would refuse, and for each value that its dataclasses don't allow."""
    known = arguments()
    found = []
    for key, value in run.values.items():
        if key not in known:
            found.append(f"{run.path}: unknown key '{key}'.{choices(key, known)} LLaMA-Factory would refuse the run.")
        elif problem := value_problem(value, **known[key]):
            found.append(f"{run.path}: `{key}: {json.dumps(value, ensure_ascii=False)}`: {problem}")
    return found


def value_problem(value: Any, types: list[str], options: list[str]) -> str:
    """What is wrong with a value for a key declared with these types ('' for nothing). `options` are the allowed words, none for any.

    An empty `types` is a declaration that isn't understood here, and takes anything; so does null, which means 'not given'.
    """
    if value is None or (not types and not options):
        return ""
    if isinstance(value, bool) and "bool" not in types:
        word = "yes/no" if not options else choices("no" if value is False else "yes", options).strip()
        return f"YAML reads a bare yes or no as true or false; quote it if text is meant ({word})"
    if options and value not in options and (isinstance(value, str) or not types):
        return f"not one of its choices.{choices(str(value), options)}"
    if options and value in options:
        return ""
    if not any(isinstance(value, ACCEPTED[name]) for name in types):
        return f"must be {' or '.join(types)}, this is {type(value).__name__}."
    return ""


def arguments() -> dict[str, dict[str, list[str]]]:
    """key → {"types", "options"} for every key that `llamafactory-cli train` accepts. Raises ToolError where LLaMA-Factory isn't installed."""
    try:
        versions = {name: version(name) for name in PACKAGES}
    except PackageNotFoundError as error:
        raise ToolError(
            f"{error.name} isn't in {sys.executable}; `make setup` makes the environment, .venv/train/bin/python runs this tool."
        ) from None
    cache = Path(sys.prefix) / "llamafactory-arguments.json"
    stored: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        stored = json.loads(cache.read_text())
    if stored.get("versions") != versions:
        stored = {"versions": versions, "arguments": ask()}
        with suppress(OSError):  # an environment that can't be written to is asked each time
            write_json(cache, stored)
    return dict(stored["arguments"])


def ask() -> dict[str, dict[str, list[str]]]:
    """The same, from the dataclasses themselves."""
    from dataclasses import fields

    from llamafactory.hparams import parser

    known = {}
    for kind in (*parser._TRAIN_ARGS, parser.RayArguments):
        hints = typing.get_type_hints(kind)
        for field in fields(kind):
            if field.init:
                types, options = declared(hints[field.name])
                known[field.name] = {"types": types, "options": options}
    return dict(sorted(known.items()))


def declared(hint: Any) -> tuple[list[str], list[str]]:
    """A type hint as (names of ACCEPTED, allowed words): Literal["a", "b"] | None → ([], ["a", "b"]); an Enum beside str is its words."""
    members = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, type(int | str)) else (hint,)
    types, options = list[str](), list[str]()
    for member in members:
        origin = typing.get_origin(member) or member
        if origin is Literal:
            options += [str(word) for word in typing.get_args(member)]
        elif isinstance(origin, type) and issubclass(origin, Enum):
            options += [str(word.value) for word in origin]
        elif isinstance(origin, type) and origin.__name__ in ACCEPTED:
            types.append(origin.__name__)
        elif member is not type(None):
            return [], []
    return [name for name in types if name != "str" or not options], options
