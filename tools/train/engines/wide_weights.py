"""Holds a base model's weights in float32 where the processor has no bf16 arithmetic: there a matrix product in bf16 takes 60 times as long.

In: the model that LLaMA-Factory has loaded in the weights' own type. Out: the same values in float32, twice the memory. GPUs, and processors with AVX-512 or AMX, keep bf16.
A run with `bf16: true` computes in bf16 wherever it is trained.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback

from tools.processor import is_slow_in_bf16


class WideWeights(TrainerCallback):
    """Widens the weights before the Trainer makes the optimizer."""

    def on_init_end(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
        """Makes bf16 weights float32 where they are slow."""
        narrow = any(weight.dtype is torch.bfloat16 and weight.device.type == "cpu" for weight in model.parameters())
        if narrow and not args.bf16 and is_slow_in_bf16():
            print("this processor has no bf16 arithmetic: the base model's weights are held in float32", flush=True)
            model.float()
