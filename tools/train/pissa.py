"""Converts a PiSSA adapter into a plain LoRA adapter for the base model on disk.

PiSSA takes the largest singular values out of the base model's weights and trains those: W = W' + s·B₀A₀ becomes W' + s·BA. LLaMA-Factory leaves (A, B), which
fits W' alone: PEFT would compute another W' (its decomposition is random), and vLLM refuses it. The same model on W is the adapter [A; A₀], [B, -B₀] of
twice the rank, for training changed W by s·BA - s·B₀A₀.

In: the output folder of a run with `pissa_init: true` and `pissa_convert: true` whose training has ended. Out: its adapter_model.safetensors and
adapter_config.json, converted. `./ner train` does it at the end, also for a run that llamafactory-cli trained. Checkpoints stay in PiSSA's own form: no training goes on
from one, and none is served, scored or merged.

    ./ner train conf/tiny-qwen2-sample-ner-lora-sft.yaml conf/overlay/pissa.yaml
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tools.conf.run import Run
from tools.files import need_file, read_json, replacing_file, write_json
from tools.variant import ADAPTER_WEIGHTS, is_pissa

CONFIG = "adapter_config.json"
# LLaMA-Factory's folders: the adapter before the first step and after the last.
BEGUN, ENDED = "pissa_init", "pissa_backup"


def problems(run: Run) -> list[str]:
    """Returns why a PiSSA run would leave an adapter that fits no model. Any other run has no problem here."""
    values, found = run.values, []
    if not values.get("pissa_init"):
        return []
    if not values.get("pissa_convert"):
        found.append(f"{run.path}: `pissa_init` needs `pissa_convert: true`, or the adapter fits no model. Lay conf/overlay/pissa.yaml over the run.")
    for key in ("use_dora", "quantization_bit", "additional_target"):
        if values.get(key):
            found.append(f"{run.path}: `pissa_init` and `{key}` exclude each other. Drop one of them.")
    if values.get("fsdp") or "zero3" in str(values.get("deepspeed")):
        found.append(f"{run.path}: PiSSA decomposes whole weights, and FSDP and ZeRO-3 divide them. ZeRO-2 doesn't.")
    if values.get("resume_from_checkpoint"):
        found.append(f"{run.path}: `resume_from_checkpoint`: a PiSSA run can't go on from a checkpoint. {start_over(run)}")
    return found


def start_over(run: Run) -> str:
    """Returns the command that trains the run from its beginning."""
    return f"To start over: make train CONF={run.path} ARGS=--fresh"


def convert(folder: Path) -> bool:
    """Replaces the PiSSA adapter in a run's `folder` by the plain LoRA adapter; returns False where it is plain already.

    The formula and the new rank and alpha are PEFT's (LoraModel.subtract_mutated_init and PeftModel.save_pretrained with path_initial_model_for_weight_conversion),
    which needs the base model in memory. Raises ToolError when one of the two adapters is missing.
    """
    if not is_pissa(folder):
        return False
    from safetensors.torch import load_file, save_file

    hint = "`pissa_convert: true` writes it. Train again with conf/overlay/pissa.yaml and ARGS=--fresh."
    first, last = (load_file(need_file(folder / name / ADAPTER_WEIGHTS, hint)) for name in (BEGUN, ENDED))
    with replacing_file(folder / ADAPTER_WEIGHTS) as new:
        save_file({name: _join(name, tensor, first[name]) for name, tensor in last.items()}, new, metadata={"format": "pt"})
    write_json(folder / CONFIG, _twice(read_json(folder / CONFIG)))  # the mark that it is done, so last
    return True


def _join(name: str, last: Any, first: Any) -> Any:
    import torch

    return torch.cat([last, first], dim=0) if "lora_A" in name else torch.cat([last, -first], dim=1)


def _twice(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the configuration at twice the rank with the scaling kept: alpha / r, or alpha / √r for rsLoRA."""
    grow = math.sqrt(2) if config.get("use_rslora") else 2
    return {**config, "init_lora_weights": True, "r": config["r"] * 2, "lora_alpha": config["lora_alpha"] * grow}
