"""Computes the adapters of a batch on a CPU with one matrix product each. vLLM's own CPU code copies an adapter's weights for each token.

In: vLLM's worker process. Out: the same answers, and a base model's tokens are left alone in a batch that holds an adapter's too. It runs in vLLM's environment.

    .venv/serve/bin/python -m tools.serve.api_server … --worker-cls tools.serve.cpu_adapters.GroupedWorker
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from vllm.lora.punica_wrapper import punica_cpu
from vllm.v1.worker.cpu_worker import CPUWorker


class GroupedAdapters(punica_cpu.PunicaWrapperCPU):
    """vLLM's adapters of linear layers. `groups` are the slots of the adapters that the batch uses, each with the places of its tokens."""

    groups: Sequence[tuple[int, Tensor]] = ()

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Takes a batch's adapters; a token of the base model has the slot -1."""
        super().update_metadata(*args, **kwargs)
        slots = self.token_lora_indices
        self.groups = [(slot, (slots == slot).nonzero().squeeze(1)) for slot in slots.unique().tolist() if slot >= 0]

    def add_lora_linear(
        self,
        y: Tensor,
        x: Tensor,
        lora_a_stacked: tuple[Tensor, ...],
        lora_b_stacked: tuple[Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **kwargs: Any,
    ) -> None:
        """Adds scale × x Aᵀ Bᵀ of each token's adapter to y (tokens, out) in place, for x (tokens, in); xAᵀ in float32, as vLLM's own does.

        A layer may be several side by side, each with an A (slots, 1, rank, in) and a B (slots, 1, size, rank); `output_slices` are their sizes.
        """
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for slot, places in self.groups:
            whole = len(places) == len(x)
            inputs, start = (x if whole else x[places]).float(), 0
            for a, b, size in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                inner = (inputs @ a[slot].flatten(0, -2).float().T).mul_(scale)
                added = inner.to(y.dtype) @ b[slot].flatten(0, -2).to(y.dtype).T
                part = y[:, start : start + size]
                if whole:
                    part += added
                else:
                    part.index_add_(0, places, added)
                start += size


class GroupedWorker(CPUWorker):
    """vLLM's CPU worker with GroupedAdapters."""

    def load_model(self, *args: Any, **kwargs: Any) -> None:
        """Loads the model, whose layers look for the class under vLLM's own name."""
        punica_cpu.PunicaWrapperCPU = GroupedAdapters
        super().load_model(*args, **kwargs)
