"""Quantises a model with llm-compressor, in `.venv/quantize`, as a child process of tools/train/quantize.py.

In: a plan as JSON: model, method, group_size, trust_remote_code, and rows of token ids to calibrate on. Out: in a folder, weights and config.json in
compressed-tensors' format, and the versions that made them.

    .venv/quantize/bin/python -m tools.train.compress PLAN.json FOLDER
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tools.processor import is_slow_in_bf16

IGNORED = ["lm_head"]  # often the embedding itself, and the layer that fewer bits hurt most
PACKAGES = ("llmcompressor", "compressed-tensors", "transformers", "torch")


def compress(plan: dict[str, Any], out: Path) -> None:
    """Writes the quantised model to the folder `out`. A disk that is full ends it with a message; llm-compressor's own errors are raised."""
    import torch
    from datasets import Dataset
    from llmcompressor import oneshot
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    _pin_no_memory_without_gpu()
    model = AutoModelForCausalLM.from_pretrained(plan["model"], dtype="auto", trust_remote_code=plan["trust_remote_code"])
    kept = model.dtype
    if is_slow_in_bf16() and not torch.accelerator.is_available():
        model.float()  # to calibrate
    rows = plan["rows"]
    oneshot(
        model=model,
        recipe=recipe(plan["method"], plan["group_size"]),
        dataset=Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}) if rows else None,
        num_calibration_samples=len(rows),
        max_seq_length=max(map(len, rows), default=None),
        shuffle_calibration_samples=False,
        trust_remote_code_model=plan["trust_remote_code"],
    )
    model.to(kept)
    try:
        model.save_pretrained(out, save_compressed=True)
        (out / "quantize.json").write_text(json.dumps({"versions": {name: version(name) for name in PACKAGES}}))
    except (OSError, SafetensorError) as error:
        sys.exit(f"{out}: {error}")


def recipe(method: str, group_size: int | None) -> list[Any]:
    """Returns llm-compressor's modifiers for a method: 'awq' (4 bits with zero points, as AutoAWQ), 'gptq' (4 bits) or 'fp8' (nothing to calibrate)."""
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier

    if method == "fp8":
        return [QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=IGNORED)]
    weights = {"num_bits": 4, "type": "int", "symmetric": method == "gptq", "strategy": "group", "group_size": group_size}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    if method == "gptq":
        return [GPTQModifier(config_groups=groups, ignore=IGNORED)]
    return [AWQModifier(), QuantizationModifier(config_groups=groups, ignore=IGNORED)]


def _pin_no_memory_without_gpu() -> None:
    """Turns off the pinning of AWQ's cache (llm-compressor 0.14), which fails on a machine without a GPU's driver."""
    import torch
    from llmcompressor.pipelines.cache import IntermediatesCache

    if not torch.accelerator.is_available():
        IntermediatesCache.pin_memory = lambda self, batch_index, input_names=None: None


if __name__ == "__main__":
    compress(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
