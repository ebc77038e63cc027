"""Gives a merged model's tensors the names that they have in the base model's files.

transformers 5.5.4 saves some families under other names than it loads: of a Qwen3.5 it writes `model.visual.…` as `model.language_model.visual.…`, which vLLM doesn't
find, and of its text form `model.layers.…` as `model.language_model.layers.…`. In: the two folders. Out: the merged files, rewritten where a name differs.

    ./ner export conf/Qwen3.5-4B-clue-ner-lora-sft.yaml
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.files import read_json, replacing_file, write_json
from tools.train.weights import need_whole, read_weights

PART = "language_model."  # the part of a name that transformers puts in or leaves out
INDEX = "model.safetensors.index.json"


def restore_names(merged: Path, base: Path) -> int:
    """Renames the merged model's tensors as in the base model, and returns how many had another name. Raises ToolError for a torn file."""
    models = [read_weights(folder) for folder in (merged, base)]
    if None in models:  # not safetensors
        return 0
    names = renamed(*(model.tensors for model in models if model))
    if names:
        for path in sorted(merged.glob("*.safetensors")):
            need_whole(path)
            _rename(path, names)
        if (merged / INDEX).is_file():
            index = read_json(merged / INDEX)
            index["weight_map"] = {names.get(name, name): file for name, file in index["weight_map"].items()}
            write_json(merged / INDEX, index)
    return len(names)


def renamed(merged: Iterable[str], base: Iterable[str]) -> dict[str, str]:
    """Returns merged name → base name of those that differ in PART alone; none where that would be ambiguous."""
    theirs, ours = set(base), set(merged)
    times = Counter(name.replace(PART, "") for name in theirs)
    plain = {name.replace(PART, ""): name for name in theirs - ours if times[name.replace(PART, "")] == 1}
    found = {name: plain[name.replace(PART, "")] for name in sorted(ours - theirs) if name.replace(PART, "") in plain}
    return found if len(set(found.values())) == len(found) else {}


def _rename(path: Path, names: dict[str, str]) -> None:
    """Writes a safetensors file with other names before the same data: 8 bytes of length, a header in JSON, the tensors (huggingface.co/docs/safetensors, "Format")."""
    with open(path, "rb") as old, replacing_file(path) as new:
        header: dict[str, Any] = json.loads(old.read(int.from_bytes(old.read(8), "little")))
        text = json.dumps({names.get(name, name): value for name, value in header.items()}, ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        with open(new, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            shutil.copyfileobj(old, file, 1 << 24)
