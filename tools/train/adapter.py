"""Finds what would make an adapter change nothing, or a part of what it learned: names that the base model doesn't have, other shapes, matrices that are all zero.

In: an adapter's folder and its base model's. Out: a ToolError that names the layers, or nothing. PEFT and vLLM leave out in silence what they can't place.

    ./ner serve conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tools.errors import WANTING, ToolError
from tools.files import need_file, read_json
from tools.train.weights import need_whole, read_weights
from tools.variant import ADAPTER_WEIGHTS

if TYPE_CHECKING:
    import numpy

ANOTHER = "Was it trained on another base model? Name that one, or train again."
Rename = Callable[[Iterable[str]], Mapping[str, str]]  # tensor names → the names under which an engine holds them
# PEFT's names: base_model.model.<module>.lora_A.weight, with the adapter's name before `weight` in old files.
PREFIX = "base_model.model."
MATRIX = re.compile(r"(?P<module>.+)\.lora_(?:embedding_)?(?P<side>[AB])(?:\.default)?(?:\.weight)?")
BLOCK = re.compile(r"\b\w+\.\d+\.")  # layers.0.
ABSENT = ("lm_head",)  # not stored where it is tied to the embedding
# safetensors' dtype → numpy's unsigned type of that width, and the exponent's bits, which are all set in a value that isn't finite.
EXPONENTS = {"BF16": ("<u2", 0x7F80), "F16": ("<u2", 0x7C00), "F32": ("<u4", 0x7F800000)}


def need_applied(folder: Path, base: Path, advice: str, rename: Rename | None = None) -> None:
    """Raises ToolError where an engine that holds `base` would leave out a part of the adapter in `folder`, or where the adapter holds nothing.

    `rename` gives the engine's own names, and is asked only where names differ in their prefix. `advice` is the way out for an adapter whose layers are there under
    other names.
    """
    path = folder / ADAPTER_WEIGHTS
    matrices = need_trained(folder)
    model = read_weights(base)
    if model is None:  # another format than safetensors: the probe of a server is all there is
        return
    shapes = {name: shape for name, (shape, _) in model.tensors.items()}
    if lost := unplaced(matrices, shapes, rename):
        way = ANOTHER if unknown_blocks(lost, layers_of(shapes)) else advice
        raise ToolError(
            f"{path}: {len(lost)} of the {len(matrices)} layers that it changes aren't in {base}, and would be left out without a word: {_few(lost)}."
            f" That model has {_few(sorted(model.linear()))}. {way}",
            WANTING,
        )
    if "quantization_config" not in read_json(base / "config.json"):  # packed weights have shapes of their own
        _need_shapes(path, matrices, shapes, base)


def need_mergeable(folder: Path, base: Path) -> None:
    """Raises ToolError for an adapter that names layers which no form of the base model has, or that holds nothing."""
    matrices, model = need_trained(folder), read_weights(base)
    if model and (lost := unknown_blocks(unplaced(matrices, model.tensors), layers_of(model.tensors))):
        raise ToolError(
            f"{folder / ADAPTER_WEIGHTS}: {len(lost)} of the {len(matrices)} layers that it changes aren't in {base}: {_few(lost)}. {ANOTHER}",
            WANTING,
        )


def need_trained(folder: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    """Returns module → matrix ('A', 'B') → shape of a LoRA adapter. Raises ToolError (1) for a torn file, and for one whose matrices are all zero or not finite."""
    path = need_file(folder / ADAPTER_WEIGHTS)
    need_whole(path)
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    zero: dict[str, set[str]] = {}
    for name, bits, exponent, shape in _tensors(path):
        if not (match := MATRIX.fullmatch(name.removeprefix(PREFIX))):
            continue
        module, side = match["module"], match["side"]
        found.setdefault(module, {})[side] = shape
        if exponent and bool(((bits & exponent) == exponent).any()):
            raise ToolError(
                f"{path}: {name} holds values that aren't finite; the training diverged. Train again with a lower learning_rate.", WANTING
            )
        if not bool((bits << 1).any()):  # without the sign
            zero.setdefault(module, set()).add(side)
    if not found:
        raise ToolError(f"{path}: holds no matrix of a LoRA adapter (…lora_A.weight). Was it written by another tool? Train again.", WANTING)
    if zero.keys() == found.keys():
        raise ToolError(
            f"{path}: the adapter changes nothing: in each of its {len(found)} layers a matrix is all zero. Was it trained for a step?", WANTING
        )
    return found


def unplaced(modules: Iterable[str], tensors: Iterable[str], rename: Rename | None = None) -> list[str]:
    """Returns the modules of an adapter that name no layer of a model with these tensors, in order."""
    layers = layers_of(tensors)
    lost = {module for module in modules if module not in layers and module.rpartition(".")[2] not in ABSENT}
    if lost and rename and not unknown_blocks(lost, layers):
        renamed = rename(lost | layers)
        engines = {renamed[layer] for layer in layers}
        lost = {module for module in lost if renamed[module] not in engines}
    return sorted(lost)


def layers_of(tensors: Iterable[str]) -> set[str]:
    """Returns the modules that hold a model's tensors, and those that hold them: an adapter may name a layer's experts together."""
    parts = [tensor.split(".")[:-1] for tensor in tensors]
    return {".".join(names[:end]) for names in parts for end in range(1, len(names) + 1)}


def unknown_blocks(modules: Iterable[str], layers: Iterable[str]) -> list[str]:
    """Returns the modules that are no layer of a model under any prefix: a text-only and a vision-language form hold the same blocks under prefixes of their own."""
    known = set(map(_in_block, layers))
    return sorted(module for module in modules if _in_block(module) not in known)


def _in_block(name: str) -> str:
    found = BLOCK.search(name)
    return name[found.start() :] if found else name


def _need_shapes(path: Path, matrices: Mapping[str, Mapping[str, tuple[int, ...]]], shapes: Mapping[str, tuple[int, ...]], base: Path) -> None:
    """Raises ToolError where a layer of the base model has another shape than the adapter was trained for: vLLM would stop, or serve something else."""
    for module, sides in matrices.items():
        layer = shapes.get(f"{module}.weight", ())
        if len(sides) == len(layer) == 2 and (trained := (sides["B"][0], sides["A"][-1])) not in (layer, layer[::-1]):
            raise ToolError(
                f"{path}: trained on another base model: {module} takes {trained[1]:,} values and gives {trained[0]:,}, in {base} it takes"
                f" {layer[1]:,} and gives {layer[0]:,}. Name the one it was trained on."
            )


def _tensors(path: Path) -> Iterable[tuple[str, numpy.ndarray, int, tuple[int, ...]]]:
    """Yields (name, its bits, exponent mask, shape) without torch; numpy has no bfloat16. The layout: huggingface.co/docs/safetensors, "Format"."""
    import numpy

    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    data = numpy.memmap(path, "u1", "r", offset=8 + length) if path.stat().st_size > 8 + length else numpy.zeros(0, "u1")
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            kind, exponent = EXPONENTS.get(entry["dtype"], ("u1", 0))
            yield name, data[start:end].view(kind), exponent, tuple(entry["shape"])


def _few(names: list[str], shown: int = 2) -> str:
    return ", ".join(names[:shown]) + (" …" if len(names) > shown else "")
