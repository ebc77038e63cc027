"""Checks a run's keys and values against the dataclasses of the engine that trains it.

In: a run. Out: one message for each unknown key and each wrong value. LLaMA-Factory itself refuses unknown keys with a traceback and takes any value:
`stage: sfty` fails only after the model has loaded. Importing the dataclasses takes seconds (torch comes along), so types, choices and defaults are kept in a
file beside the environment until a version changes.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml lora_rank=16
"""

from __future__ import annotations

import json
import sys
import typing
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import MISSING, Field, fields
from enum import Enum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from tools.conf.run import Run
from tools.errors import ToolError, choices
from tools.files import sha256, write_json
from tools.train.engines.engine_table import ENGINES

PACKAGES = ("llamafactory", "transformers")
ENGINES_FOLDER = Path(__file__).parent / "engines"
# Keys that transformers dropped with version 5; older run files still have them.
RENAMED = {"group_by_length": "train_sampling_strategy: group_by_length", "evaluation_strategy": "eval_strategy", "no_cuda": "use_cpu"}
# No type check refuses 0 or -1 for these.
POSITIVE = (
    *("lora_rank", "lora_alpha", "cutoff_len", "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"),
    *("num_train_epochs", "learning_rate", "preprocessing_num_workers", "save_steps", "eval_steps", "logging_steps", "max_samples"),
)
LARGEST = 1e15
# The Python types that a declared type takes. LLaMA-Factory splits text into lists at commas (and takes the list), and reads mappings from JSON text.
ACCEPTED: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str, int, float, list),
    "list": (list, str),
    "dict": (dict, str),
}


def problems(run: Run, engine: str = "") -> list[str]:
    """Returns one message for each key that the engine (default: the run's own) would refuse, and for each value that its dataclasses don't allow."""
    engine = engine or run.engine
    known = arguments(engine)
    found = []
    for key, value in run.values.items():
        if key not in known:
            hint = f" It is now `{RENAMED[key]}`." if key in RENAMED else choices(key, known)
            found.append(f"{run.path}: unknown key '{key}'.{hint}" + f" {ENGINES[engine].title} would refuse the run.")
        elif problem := value_problem(value, known[key]["types"], known[key]["options"]) or range_problem(key, value):
            found.append(f"{run.path}: `{key}: {json.dumps(value, ensure_ascii=False)}`: {problem}")
    return found


def base_model_problems(run: Run) -> list[str]:
    """Returns what is wrong with `model_name_or_path` as a local folder. A missing folder is a problem: training downloads nothing."""
    folder = Path(run.base_model)
    if not folder.is_dir():
        hint = f"Qwen/{folder.name}" if folder.name.startswith("Qwen") else "<owner>/<name>"
        local = sorted(str(path.parent) for path in Path("models").glob("*/config.json"))
        return [f"{run.path}: base model {folder}: no such folder.{choices(str(folder), local)} To get one: make download ARGS={hint}"]
    return [] if (folder / "config.json").is_file() else [f"{run.path}: base model {folder}: no config.json in it."]


def range_problem(key: str, value: Any) -> str:
    """Returns what is wrong with a number that its dataclass allows, or an empty string."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if not abs(value) < LARGEST:
        return "not a number to train with."
    if key in POSITIVE and value <= 0:
        return "must be above 0."
    if key == "lora_dropout" and not 0 <= value < 1:
        return "must be at least 0 and below 1."
    return ""


def value_problem(value: Any, types: list[str], options: list[str]) -> str:
    """Returns what is wrong with a value for a key of these types, or an empty string. `options` are the allowed words; without them any word is allowed.

    Empty `types` without options come from a declaration that isn't understood here: any value passes. null passes too, it means 'not given'.
    """
    if value is None or value in options or not (types or options):
        return ""
    if isinstance(value, bool) and "bool" not in types:
        word = "yes/no" if not options else choices("no" if value is False else "yes", options).strip()
        return f"YAML reads a bare yes or no as true or false; quote it if text is meant ({word})"
    if options and (isinstance(value, str) or not types):
        return f"not one of its choices.{choices(str(value), options)}"
    if not any(isinstance(value, ACCEPTED[name]) for name in types):
        return f"must be {' or '.join(types)}, this is {type(value).__name__}."
    return ""


def arguments(engine: str = "llamafactory") -> dict[str, dict[str, Any]]:
    """Returns key → {"types", "options", "default"} for every key that the engine accepts. Raises ToolError where LLaMA-Factory isn't installed."""
    return dict(_stored()[engine])


def with_defaults(run: Run) -> dict[str, Any]:
    """Returns the run's values, with the engine's default for each key that the run leaves out or sets to null."""
    defaults = {key: known["default"] for key, known in arguments(run.engine).items()}
    return defaults | {key: value for key, value in run.values.items() if value is not None}


def versions() -> dict[str, str]:
    """Returns the versions of the packages whose dataclasses are asked. Raises ToolError where one isn't installed."""
    try:
        return {name: version(name) for name in PACKAGES}
    except PackageNotFoundError as error:
        raise ToolError(f"{error.name} isn't installed in {sys.prefix}. To install it: make setup. To run this command with it: ./ner") from None


@cache
def _stored() -> dict[str, Any]:
    sources = (Path(__file__), ENGINES_FOLDER / "engine_table.py", ENGINES_FOLDER / "peft_arguments.py")
    asked = {**versions(), **{source.stem: sha256(source) for source in sources}}
    path = Path(sys.prefix) / "llamafactory-arguments.json"
    stored: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        stored = json.loads(path.read_text())
    if stored.get("versions") != asked:
        stored = {"versions": asked, **ask()}
        with suppress(OSError):  # an environment that can't be written to is asked each time
            write_json(path, stored)
    return stored


def ask() -> dict[str, Any]:
    """Returns each engine's keys, from the packages themselves. `template` is text in their dataclasses; its names are the choices here."""
    from llamafactory.data.template import TEMPLATES

    template = {"types": [], "options": sorted(TEMPLATES), "default": None}
    return {name: {**_fields(engine.keys()), "template": template} for name, engine in ENGINES.items()}


def _fields(kinds: Iterable[Any]) -> dict[str, dict[str, Any]]:
    known = {}
    for kind in kinds:
        hints = typing.get_type_hints(kind)
        for field in fields(kind):
            if field.init:
                types, options = declared(hints[field.name])
                known[field.name] = {"types": types, "options": options, "default": _default(field)}
    return dict(sorted(known.items()))


def _default(field: Field[Any]) -> Any:
    """Returns a field's default as JSON has it: null where there is none."""
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if value is MISSING:
        return None
    if isinstance(value, Enum):
        return value.value
    return value if isinstance(value, str | int | float | bool | list | dict) else None


def declared(hint: Any) -> tuple[list[str], list[str]]:
    """Returns a type hint as (names of ACCEPTED, allowed words): Literal["a", "b"] | None → ([], ["a", "b"]). An Enum gives its words."""
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
