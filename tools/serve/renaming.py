"""Tells under which names vLLM holds a model's layers and an adapter's: it renames both with the mapper of the model's class.

In: an architecture and tensor names, as JSON on standard input. Out: {name: vLLM's name} as JSON. It runs in vLLM's own environment.

    echo '["model.language_model.layers.0.mlp.up_proj"]' | .venv/serve/bin/python -m tools.serve.renaming Qwen3_5ForConditionalGeneration
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

PROBE = ".weight"  # a mapper may look at the dot behind a layer's name


def vllm_names(python: Path, architecture: str, names: Iterable[str]) -> Mapping[str, str]:
    """Returns name → vLLM's name, asked of the vLLM that `python` has. Names stay as they are where it doesn't know the architecture."""
    wanted, told = sorted(names), [str(python), "-m", "tools.serve.renaming", architecture]
    done = subprocess.run(told, input=json.dumps(wanted), capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if done.returncode == 0 and lines else {name: name for name in wanted}


def main(architecture: str) -> None:
    """Prints the names that vLLM gives to those on standard input."""
    from vllm.model_executor.models.registry import ModelRegistry

    names = json.load(sys.stdin)
    mapper = getattr(ModelRegistry._try_load_model_cls(architecture), "hf_to_vllm_mapper", None)
    rename = mapper.get_rename_mapper()._map_name if mapper else str
    print(json.dumps({name: (rename(name + PROBE) or "").removesuffix(PROBE) for name in names}))


if __name__ == "__main__":
    main(*sys.argv[1:])
