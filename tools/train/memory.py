"""How much GPU memory and disk a run will take, from the base model's config and the headers of its weight files; no weight is read.

In: a run and its plan. Out: an Estimate in bytes, by part. The formulas are in docs/training.md; `python -m tools.train.check conf/<run>.yaml` prints them filled in.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import read_json
from tools.train.arguments import with_defaults
from tools.train.plan import Plan

NF4 = 0.516  # bytes a weight: 4 bits, and a double-quantised scale for each block of 64 (Dettmers et al. 2023, section 3)
ADAM = 16  # bytes a trained parameter: weight, gradient and two moments, each in float32
LOGITS = 14  # bytes a logit at the peak: bf16, its float32 copy, the log-softmax and the gradient
CONTEXT = 1 << 30  # CUDA's own, about
FRAGMENTED = 1.1  # the allocator's blocks are never quite full
NOT_LINEAR = ("embed_tokens", "lm_head", "norm", "wte", "word_embeddings", "output_layer")


@dataclass(frozen=True)
class Weights:
    """A base model's tensors: name → (shape, bytes)."""

    tensors: dict[str, tuple[tuple[int, ...], int]]

    @property
    def parameters(self) -> int:
        """How many numbers they hold."""
        return sum(_product(shape) for shape, _ in self.tensors.values())

    @property
    def bytes(self) -> int:
        """What they take as they are stored."""
        return sum(size for _, size in self.tensors.values())

    def linear(self) -> dict[str, tuple[int, int]]:
        """The linear layers inside the blocks, which LoRA and 4-bit quantisation take: module name → (out, in)."""
        found = {}
        for name, (shape, _) in self.tensors.items():
            if name.endswith(".weight") and len(shape) == 2 and not any(word in name for word in NOT_LINEAR):
                found[name.removesuffix(".weight")] = (shape[0], shape[1])
        return found


@dataclass(frozen=True)
class Estimate:
    """Bytes on one GPU by part, and on disk."""

    weights: float
    trained: float
    activations: float
    other_activations: float  # what they would be with gradient checkpointing the other way round
    logits: float
    checkpointing: bool
    trained_parameters: int
    checkpoint: int
    checkpoints: int

    @property
    def total(self) -> float:
        """What the GPU should have at least."""
        return CONTEXT + FRAGMENTED * (self.weights + self.trained + self.activations + self.logits)

    @property
    def other_total(self) -> float:
        """The same with gradient checkpointing the other way round."""
        return CONTEXT + FRAGMENTED * (self.weights + self.trained + self.other_activations + self.logits)


def read_weights(folder: Path) -> Weights | None:
    """The tensors of a model folder from the headers of its safetensors files; None where it has none. Raises ToolError for a file that is torn.

    A header is 8 bytes of length (little-endian) and that many bytes of JSON: https://huggingface.co/docs/safetensors
    """
    tensors: dict[str, tuple[tuple[int, ...], int]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        with open(path, "rb") as handle:
            start = handle.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            try:
                header = json.loads(handle.read(length)) if 8 + length <= size else None
            except ValueError:
                header = None
        if not isinstance(header, dict):
            raise ToolError(f"{path}: not a whole safetensors file; get the base model again.")
        try:
            found = {name: (tuple(entry["shape"]), *entry["data_offsets"]) for name, entry in header.items() if name != "__metadata__"}
            ends = [int(end) for _, _, end in found.values()]
        except (KeyError, TypeError, ValueError):
            raise ToolError(f"{path}: its header isn't safetensors'; get the base model again.") from None
        if 8 + length + max(ends, default=0) != size:
            raise ToolError(f"{path}: torn: {size:,} bytes, its header promises {8 + length + max(ends, default=0):,}; get the base model again.")
        tensors |= {name: (shape, end - start) for name, (shape, start, end) in found.items()}
    return Weights(tensors) if tensors else None


def estimate(run: Run, plan: Plan, weights: Weights) -> Estimate | None:
    """What the run takes; None for a base model whose config doesn't tell its sizes, and for methods other than LoRA and full."""
    config = read_json(Path(run.base_model) / "config.json")
    sizes, values = _sizes(config), with_defaults(run)
    method = values["finetuning_type"]
    if sizes is None or method not in ("lora", "full"):
        return None
    rank = int(values["lora_rank"]) if method == "lora" else 0
    trained = lora_parameters(weights, values["lora_target"], rank) if method == "lora" else weights.parameters
    stored = _stored(weights, values.get("quantization_bit")) if method == "lora" else 0.0  # all of it is trained otherwise, in float32
    half = bool(values.get("bf16") or values.get("fp16") or values.get("pure_bf16"))
    full = per_token(sizes, rank, half, dropout=bool(values.get("lora_dropout"))) * sizes["layers"]
    kept = (2 if half else 4) * sizes["hidden"] * sizes["layers"] + full / sizes["layers"]
    checkpointing = not values.get("disable_gradient_checkpointing")
    tokens = plan.widest_batch
    return Estimate(
        weights=stored,
        trained=ADAM * trained,
        activations=tokens * (kept if checkpointing else full),
        other_activations=tokens * (full if checkpointing else kept),
        logits=tokens * LOGITS * sizes["vocabulary"],
        checkpointing=checkpointing,
        trained_parameters=trained,
        checkpoint=_checkpoint(trained, bool(values.get("save_only_model"))),
        checkpoints=_checkpoints(values, plan),
    )


def per_token(sizes: dict[str, int], rank: int, half: bool, dropout: bool = False) -> float:
    """Bytes that one layer keeps of one token for the backward pass.

    What a Qwen2 layer with LoRA on all linear layers saves under bf16 autocast, counted with torch's saved_tensors_hooks (tests/train/test_memory.py): six hidden
    states (norms' inputs and outputs), query and attention's output, key and value, three of the MLP's width and the product, all in 16 bits; two hidden states
    in float32 for the norms; seven of LoRA's rank. In float32 the 16-bit ones take twice as much. Dropout keeps each LoRA input
    once more, with its mask (16 bits on a CPU, and less on a GPU).
    """
    hidden, query, keys, inner = sizes["hidden"], sizes["query"], sizes["keys"], sizes["intermediate"]
    sixteen = 6 * hidden + 2 * query + 2 * keys + 4 * inner + 7 * rank
    dropped = 4 * (5 * hidden + query + inner) if dropout else 0
    return (2 if half else 4) * sixteen + 8 * hidden + dropped


def lora_parameters(weights: Weights, target: Any, rank: int) -> int:
    """rank × (in + out) for each linear layer that `lora_target` names ("all", or the ends of module names)."""
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
    """The base model in memory: as it is stored, its linear layers in `bits` where it is quantised on loading."""
    if bits not in (4, 8):
        return weights.bytes
    width = NF4 if bits == 4 else 1.0
    linear = {f"{name}.weight" for name in weights.linear()}
    return sum(_product(shape) * width if name in linear else size for name, (shape, size) in weights.tensors.items())


def _checkpoint(trained: int, only_model: bool) -> int:
    """Bytes of one checkpoint: the adapter in float32, and Adam's two moments unless `save_only_model`."""
    return trained * (4 if only_model else 12)


def _checkpoints(values: dict[str, Any], plan: Plan) -> int:
    """How many checkpoints are there at the end, and one more while the oldest isn't removed yet."""
    strategy, every = values["save_strategy"], values["save_steps"]
    if strategy == "no":
        return 0
    if strategy == "epoch":
        written = max(1, round(plan.epochs))
    else:
        steps = math.ceil(every * plan.steps) if isinstance(every, float) and every < 1 else every
        written = -(-plan.steps // max(1, int(steps)))
    limit = values.get("save_total_limit")
    return min(written, int(limit) + 1) if limit else written


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
