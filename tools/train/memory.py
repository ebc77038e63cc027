"""Estimates the GPU memory and the disk space of a run from the base model's config and the headers of its weight files.

In: a run and its plan. Out: an Estimate in bytes, by part. No weight is read. docs/training.md has the formulas.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.conf.run import Run
from tools.files import read_json
from tools.train.arguments import with_defaults
from tools.train.families import is_recurrent, text_config
from tools.train.plan import Plan
from tools.train.weights import Weights

NF4 = 0.516  # bytes a weight: 4 bits, and a double-quantised scale for each block of 64 (Dettmers et al. 2023, section 3)
ADAM = 16  # bytes a trained parameter: weight, gradient and two moments, each in float32
LOGITS = 14  # bytes a logit at the peak of LLaMA-Factory's own forward: bf16 (2), and in float32 a copy, the log-softmax and the gradient (4 each)
CONTEXT = 1 << 30  # about what CUDA itself takes
FRAGMENTED = 1.1  # the allocator leaves gaps


@dataclass(frozen=True)
class Estimate:
    """Bytes on one GPU by part, and bytes of one checkpoint. `other_activations` are those with gradient checkpointing toggled."""

    weights: float
    trained: float
    activations: float
    other_activations: float
    logits: float
    checkpointing: bool
    trained_parameters: int
    checkpoint: int
    checkpoints: int

    @property
    def total(self) -> float:
        """Total bytes that the GPU needs."""
        return self._total(self.activations)

    @property
    def other_total(self) -> float:
        """Total bytes if gradient checkpointing were toggled."""
        return self._total(self.other_activations)

    def _total(self, activations: float) -> float:
        return CONTEXT + FRAGMENTED * (self.weights + self.trained + activations + self.logits)


def estimate(run: Run, plan: Plan, weights: Weights) -> Estimate | None:
    """Returns the estimate; None where the base model's config lacks a size, for recurrent layers, and for methods other than LoRA and full."""
    text = text_config(read_json(Path(run.base_model) / "config.json"))
    sizes, values = None if is_recurrent(text) else _sizes(text), with_defaults(run)
    method = values["finetuning_type"]
    if sizes is None or method not in ("lora", "full"):
        return None
    rank = int(values["lora_rank"]) if method == "lora" else 0
    trained = lora_parameters(weights, values["lora_target"], rank) if method == "lora" else weights.parameters
    stored = _stored(weights, values.get("quantization_bit")) if method == "lora" else 0.0  # full tuning: the weights count as trained
    half = bool(values.get("bf16") or values.get("fp16") or values.get("pure_bf16"))
    full = per_token(sizes, rank, half, dropout=bool(values.get("lora_dropout"))) * sizes["layers"]
    kept = (2 if half else 4) * sizes["hidden"] * sizes["layers"] + full / sizes["layers"]
    checkpointing = not values.get("disable_gradient_checkpointing")
    tokens, logits = plan.widest_batch, plan.widest_batch * LOGITS
    if plan.shared:  # the logits and their gradient, in the logits' own type
        tokens, logits = plan.shared.widest_batch, plan.shared.most_logits * (4 if half else 8)
    return Estimate(
        weights=stored,
        trained=ADAM * trained,
        activations=tokens * (kept if checkpointing else full),
        other_activations=tokens * (full if checkpointing else kept),
        logits=logits * sizes["vocabulary"],
        checkpointing=checkpointing,
        trained_parameters=trained,
        checkpoint=trained * (4 if values.get("save_only_model") else 12),  # the adapter in float32, and Adam's two moments
        checkpoints=_checkpoints(values, plan),
    )


def per_token(sizes: dict[str, int], rank: int, half: bool, dropout: bool = False) -> float:
    """Returns the bytes that one layer keeps of one token for the backward pass.

    tests/train/test_memory.py counts them with torch's saved_tensors_hooks. A Qwen2 layer with LoRA on all linear layers keeps under bf16 autocast, in 16 bits: six
    hidden states (inputs and outputs of norms), query and attention output, key and value, three tensors of the MLP's width and their product, and seven of LoRA's
    rank; in float32: two hidden states for the norms. Without autocast the 16-bit tensors take 32. Dropout keeps each LoRA input once more with its mask (16 bits on
    a CPU, less on a GPU).
    """
    hidden, query, keys, inner = sizes["hidden"], sizes["query"], sizes["keys"], sizes["intermediate"]
    sixteen = 6 * hidden + 2 * query + 2 * keys + 4 * inner + 7 * rank
    dropped = 4 * (5 * hidden + query + inner) if dropout else 0
    return (2 if half else 4) * sixteen + 8 * hidden + dropped


def lora_parameters(weights: Weights, target: Any, rank: int) -> int:
    """Returns the sum of rank × (in + out) over the linear layers that `lora_target` names ("all", or the ends of module names)."""
    names = target if isinstance(target, list) else [part.strip() for part in str(target).split(",")]
    layers = weights.linear()
    return sum(rank * sum(shape) for name, shape in layers.items() if "all" in names or name.rpartition(".")[2] in names or name in names)


def _sizes(config: dict[str, Any]) -> dict[str, int] | None:
    try:
        heads = int(config["num_attention_heads"])
        width = int(config.get("head_dim") or config["hidden_size"] // heads)
        return {
            "hidden": int(config["hidden_size"]),
            "layers": int(config.get("num_hidden_layers") or config["num_layers"]),
            "intermediate": int(config.get("intermediate_size") or config["ffn_hidden_size"]),
            "query": heads * width,
            "keys": int(config.get("num_key_value_heads") or config.get("multi_query_group_num") or heads) * width,
            "vocabulary": int(config.get("vocab_size") or config["padded_vocab_size"]),
        }
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _stored(weights: Weights, bits: Any) -> float:
    """Returns the bytes of the base model in memory; its linear layers take `bits` where it is quantised on loading."""
    if bits not in (4, 8):
        return weights.bytes
    width = NF4 if bits == 4 else 1.0
    linear = {f"{name}.weight" for name in weights.linear()}
    return sum(math.prod(shape) * width if name in linear else size for name, (shape, size) in weights.tensors.items())


def _checkpoints(values: dict[str, Any], plan: Plan) -> int:
    """Returns the largest number of checkpoints at one time: transformers writes a new one before it removes the oldest."""
    strategy, every, limit = values["save_strategy"], values["save_steps"], values.get("save_total_limit")
    if strategy == "no":
        return 0
    if strategy == "epoch":
        written = max(1, round(plan.epochs))
    else:
        steps = math.ceil(every * plan.steps) if isinstance(every, float) and every < 1 else every
        written = math.ceil(plan.steps / max(1, int(steps)))
    return min(written, int(limit) + 1) if limit else written
