"""Reads safetensors files: the shapes in their headers, or one tensor after the other.

In: a model's or an adapter's folder. Out: shapes and sizes without reading a weight, or the tensors themselves. safetensors' own `safe_open` refuses a file
whose length isn't the one that its header gives, so a torn file is always noticed.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.errors import WANTING, ToolError
from tools.files import need_file, read_json

# Parts of names: embeddings and norms, the senses of a vision-language model, which LLaMA-Factory freezes, and layers that guess further tokens, which aren't loaded.
NOT_LINEAR = ("embed_tokens", "lm_head", "norm", "wte", "word_embeddings", "output_layer", "visual", "vision", "audio", "projector", "mtp.")


@dataclass(frozen=True)
class Weights:
    """A base model's tensors: name → (shape, bytes)."""

    tensors: dict[str, tuple[tuple[int, ...], int]]

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return sum(math.prod(shape) for shape, _ in self.tensors.values())

    @property
    def bytes(self) -> int:
        """The size of all tensors as they are stored."""
        return sum(size for _, size in self.tensors.values())

    def linear(self) -> dict[str, tuple[int, int]]:
        """Returns module name → (out, in) of the linear layers inside the language model's blocks, which LoRA and 4-bit quantisation take."""
        found = {}
        for name, (shape, _) in self.tensors.items():
            if name.endswith(".weight") and len(shape) == 2 and not any(word in name for word in NOT_LINEAR):
                found[name.removesuffix(".weight")] = (shape[0], shape[1])
        return found


def read_weights(folder: Path) -> Weights | None:
    """Returns the shapes and sizes of a model folder's tensors; None where it has no safetensors files. Raises ToolError for a torn file."""
    found: dict[str, tuple[tuple[int, ...], int]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with _opened(path, "np") as file:
            for name in file.keys():  # noqa: SIM118 - safe_open isn't a mapping
                tensor = file.get_slice(name)
                shape = tuple(tensor.get_shape())
                found[name] = (shape, math.prod(shape) * _bits(tensor.get_dtype()) // 8)
    return Weights(found) if found else None


def tensors(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yields (name, torch tensor) of every weight in a model folder, one in memory at a time. Raises ToolError for a missing or torn file."""
    index = folder / "model.safetensors.index.json"
    names = sorted(set(read_json(index)["weight_map"].values())) if index.is_file() else ["model.safetensors"]
    for name in names:
        with _opened(need_file(folder / name), "pt") as file:
            for key in file.keys():  # noqa: SIM118 - safe_open isn't a mapping
                yield key, file.get_tensor(key)


def need_whole(path: Path) -> None:
    """Raises ToolError where a safetensors file is torn; no tensor is read."""
    with _opened(path, "np"):
        pass


@contextmanager
def _opened(path: Path, framework: str) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except SafetensorError as error:
        raise ToolError(f"{path}: torn, or not a safetensors file ({error}). Get or make it again.", WANTING) from None


def _bits(dtype: str) -> int:
    """Returns the width of safetensors' dtype: BF16 → 16, F8_E4M3 → 8, BOOL → 8."""
    digits = re.search(r"\d+", dtype)
    return int(digits[0]) if digits else 8
