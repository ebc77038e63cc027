"""The keys that the installed LLaMA-Factory knows, from its own dataclasses, and what is wrong with a run's.

Importing them takes seconds (torch comes along), so the names are kept beside the environment until a version changes.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tools.conf import Run
from tools.errors import ToolError, choices
from tools.files import write_json

PACKAGES = ("llamafactory", "transformers")


def problems(run: Run) -> list[str]:
    """One message for each key of the run that LLaMA-Factory's parser would refuse."""
    known = known_keys()
    return [f"{run.path}: unknown key '{key}'.{choices(key, known)} LLaMA-Factory would refuse the run." for key in run.values if key not in known]


def known_keys() -> list[str]:
    """Every key that `llamafactory-cli train` accepts. Raises ToolError where LLaMA-Factory isn't installed."""
    try:
        versions = {name: version(name) for name in PACKAGES}
    except PackageNotFoundError as error:
        raise ToolError(
            f"{error.name} isn't in {sys.executable}; `make setup` makes the environment, .venv/train/bin/python runs this tool."
        ) from None
    cache = Path(sys.prefix) / "llamafactory-keys.json"
    stored: dict[str, Any] = json.loads(cache.read_text()) if cache.is_file() else {}
    if stored.get("versions") != versions:
        stored = {"versions": versions, "keys": _ask()}
        with suppress(OSError):  # an environment that can't be written to is asked each time
            write_json(cache, stored)
    return list(stored["keys"])


def _ask() -> list[str]:
    from dataclasses import fields

    from llamafactory.hparams import parser

    return sorted({field.name for kind in (*parser._TRAIN_ARGS, parser.RayArguments) for field in fields(kind) if field.init})
