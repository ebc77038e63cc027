"""Reads YAML as LLaMA-Factory reads it, and lays overlays over it: file < overlays in the order given < key=value.

In: a file and words. Out: a plain mapping.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.errors import ToolError
from tools.files import need_file, read_text

if TYPE_CHECKING:
    from omegaconf import DictConfig

RUNS = Path("conf")
SERVE = "serve"  # conf/serve*.yaml are vLLM's house defaults, not runs


def merge(path: Path, overrides: Sequence[str]) -> DictConfig:
    """`path` < overlay files in the order given < key=value words; a ToolError names a word that is neither."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    layers, words = [load_yaml(path)], []
    for word in overrides:
        if re.match(r"[\w.\-]+=", word):
            words.append(word)
        elif word.endswith((".yaml", ".yml")):
            layers.append(load_yaml(need_file(Path(word), available(RUNS / "overlay").strip())))
        else:
            raise ToolError(f"'{word}': neither key=value nor an overlay file (.yaml).{available(RUNS / 'overlay')}")
    try:
        merged = OmegaConf.merge(*layers, OmegaConf.from_dotlist(words))
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        raise ToolError(f"{path}: can't lay {' '.join(overrides)} over it: {first_line(error)}") from None
    except Exception as error:  # a value that isn't YAML: PyYAML's own errors
        raise ToolError(f"{' '.join(words)}: not readable as YAML: {first_line(error)}") from None
    return merged  # type: ignore[return-value]


def load_yaml(path: Path) -> DictConfig:
    """A YAML mapping as LLaMA-Factory itself would load it (OmegaConf: duplicate keys are refused); a ToolError names file and line."""
    import yaml
    from omegaconf import DictConfig, OmegaConf

    try:
        loaded = OmegaConf.create(read_text(path))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ToolError(f"{path}:{line}: {error.problem or error.context}.") from None
    except Exception as error:
        raise ToolError(f"{path}: {first_line(error)}") from None
    if not isinstance(loaded, DictConfig):
        raise ToolError(f"{path}: must hold `key: value` lines.")
    return loaded


def container(config: DictConfig, path: Path) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ToolError(f"{path}: {first_line(error)}") from None
    return {str(key): value for key, value in values.items()}  # type: ignore[union-attr]


def available(folder: Path) -> str:
    names = sorted(str(file) for file in folder.glob("*.yaml") if not file.name.startswith(SERVE))
    return f" Available: {', '.join(names) or 'none'}."


def first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".") + "."
