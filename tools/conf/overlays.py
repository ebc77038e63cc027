"""Reads YAML as LLaMA-Factory reads it, and lays overlays over it: file < overlays in the order given < key=value.

In: a file and words. Out: a plain mapping, or a ToolError that names file and line.

    ./ner train conf/<run>.yaml conf/overlay/fast.yaml lora_rank=64
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.errors import ToolError
from tools.files import need_file, read_text
from tools.text import one_line

if TYPE_CHECKING:
    from omegaconf import DictConfig

RUNS = Path("conf")
SERVE = "serve"  # conf/serve*.yaml are vLLM's house defaults, not runs
MOST_VALUES = 100_000
_INTERPOLATION = re.compile(r"\$\{([^${}]+)\}")
KEY_VALUE = re.compile(r"[\w.\-]+=")


def merge(path: Path, overrides: Sequence[str]) -> DictConfig:
    """Returns `path` < overlay files in the order given < key=value words. Raises ToolError for a word that is neither."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    layers, words = [load_yaml(path)], []
    for word in overrides:
        if KEY_VALUE.match(word):
            words.append(word)
        elif is_overlay(word):
            layers.append(load_yaml(need_file(Path(word), available(RUNS / "overlay").strip())))
        else:
            raise ToolError(f"'{one_line(word)}': neither key=value nor an overlay file (.yaml).{available(RUNS / 'overlay')}")
    try:
        merged = OmegaConf.merge(*layers, OmegaConf.from_dotlist(words))
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        raise ToolError(f"{path}: can't lay {one_line(' '.join(overrides))} over it: {reason(error)}") from None
    except Exception as error:  # a value that isn't YAML: PyYAML's own errors
        raise ToolError(f"{one_line(' '.join(words))}: not readable as YAML: {reason(error)}") from None
    return merged  # type: ignore[return-value]


def is_overlay(word: str) -> bool:
    """Returns whether a word of a command names an overlay file."""
    return word.endswith((".yaml", ".yml")) and not KEY_VALUE.match(word)


def load_yaml(path: Path) -> DictConfig:
    """Returns a YAML mapping as LLaMA-Factory's OmegaConf loads it: duplicate keys are refused. Raises ToolError that names file and line."""
    import yaml
    from omegaconf import DictConfig, OmegaConf

    text = read_text(path)
    try:
        loaded = OmegaConf.create(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ToolError(f"{path}:{line}: {(error.problem or error.context or 'not YAML').rstrip('.')}.") from None
    except Exception as error:
        raise ToolError(f"{path}: {reason(error)}") from None
    if not isinstance(loaded, DictConfig):
        raise ToolError(f"{path}: must hold `key: value` lines.")
    return loaded


def container(config: DictConfig, path: Path) -> dict[str, Any]:
    """Returns the plain mapping of a configuration, its interpolations resolved. Raises ToolError for one that can't be, or that refers to itself."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        _count(OmegaConf.to_container(config, resolve=False), path)
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (OmegaConfBaseException, RecursionError) as error:
        raise ToolError(f"{path}: {reason(error)}") from None
    return {str(key): value for key, value in values.items()}  # type: ignore[union-attr]


def _count(values: Any, path: Path) -> None:
    """Raises ToolError where interpolations fill in so many values that no memory holds them: ten lists that name the one before ten times are 10^10 values."""
    left, waiting = MOST_VALUES, [values]
    while waiting:
        value, left = waiting.pop(), left - 1
        if left < 0:
            raise ToolError(f"{path}: an interpolation (${{…}}) refers to itself, or they fill in more than {MOST_VALUES:,} values.")
        if isinstance(value, str):
            waiting += [_at(values, name) for name in _INTERPOLATION.findall(value)]
        elif isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value


def _at(values: Any, name: str) -> Any:
    """Returns the value of an interpolation's name, such as 'split.dev'; None where there is none."""
    for part in filter(None, re.split(r"[.\[\]]", name)):
        if isinstance(values, list) and part.isdecimal() and int(part) < len(values):
            values = values[int(part)]
        else:
            values = values.get(part) if isinstance(values, dict) else None
    return values


def available(folder: Path) -> str:
    """Returns the end of a message that lists a folder's YAML files."""
    names = sorted(str(file) for file in folder.glob("*.yaml") if not file.name.startswith(SERVE))
    return f" Available: {', '.join(names) or 'none'}."


def reason(error: Exception) -> str:
    """Returns the first line of an error's message as a sentence."""
    if isinstance(error, RecursionError):
        return "an interpolation (${…}) refers to itself, or values are nested too deeply."
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".") + "."
