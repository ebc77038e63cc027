"""Computes a linear layer and its LoRA adapter, y = W x + s B A x, in one step of autograd's graph, and keeps x and A x alone for the backward pass.

PEFT 0.18.1 (peft/tuners/lora/layer.py, Linear.forward) casts the input to the adapter's type, autocast casts it back, and the product, its scaling and the sum are
three tensors more. The result here is the same; in 16 bits it is rounded less often.

In: a model with LoRA adapters. Out: the forward of its plain LoRA layers is replaced.

    ./ner train conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.autograd import Function


def fuse(model: nn.Module) -> int:
    """Replaces the forward of each plain LoRA layer. Returns how many there are."""
    layers = [layer for layer in model.modules() if is_plain(layer)]
    for layer in layers:
        layer.forward = MethodType(_forward, layer)
    return len(layers)


def is_plain(layer: nn.Module) -> bool:
    """Returns whether a module is a linear layer with one LoRA adapter of the plain kind, without dropout."""
    return (
        type(layer) is Linear
        and type(layer.base_layer) is nn.Linear
        and len(layer.active_adapters) == 1
        and not layer.lora_variant
        and not layer.merged
        and all(isinstance(dropout, nn.Identity) for dropout in layer.lora_dropout.values())
        and not any(parameter.requires_grad for parameter in layer.base_layer.parameters())
        and all(module.bias is None for table in (layer.lora_A, layer.lora_B) for module in table.values())
    )


def _forward(layer: Any, x: Tensor, *words: Any, **rest: Any) -> Tensor:
    if words or rest or layer.disable_adapters or not is_plain(layer):
        return Linear.forward(layer, x, *words, **rest)
    [name], base, device = layer.active_adapters, layer.base_layer, x.device.type
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else base.weight.dtype
    if not torch.is_autocast_enabled(device) and down.dtype != dtype:  # PEFT computes the adapter's product in the adapter's own type
        return Linear.forward(layer, x)
    return _LoRA.apply(x.to(dtype), base.weight, base.bias, down, up, layer.scaling[name])


class _LoRA(Function):
    """y (…, out) = x (…, in) weightᵀ + bias + scaling · x downᵀ upᵀ for weight (out, in), down (rank, in), up (out, rank). The weight and the bias aren't trained."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scaling: float) -> Tensor:
        flat, dtype = x.reshape(-1, x.shape[-1]), x.dtype
        weight, down16, up16 = weight.to(dtype), down.to(dtype), up.to(dtype)
        with torch.autocast(x.device.type, enabled=False):
            inner = flat @ down16.T
            y = torch.mm(flat, weight.T) if bias is None else torch.addmm(bias.to(dtype), flat, weight.T)
            y.addmm_(inner, up16.T, alpha=scaling)
        context.save_for_backward(flat, inner, weight, down16, up16)
        context.scaling, context.shape, context.kept = scaling, x.shape, down.dtype
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        flat, inner, weight, down, up = context.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        middle = grad @ up
        dx = None
        if context.needs_input_grad[0]:
            dx = torch.mm(grad, weight).addmm_(middle, down, alpha=context.scaling).view(context.shape)
        d_down = (middle.T @ flat).mul_(context.scaling).to(context.kept)
        d_up = (grad.T @ inner).mul_(context.scaling).to(context.kept)
        return dx, None, None, d_down, d_up, None
