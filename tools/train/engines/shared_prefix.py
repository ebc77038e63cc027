"""Computes the first tokens that all rows of a batch share only once. Loss and gradients stay the same.

In: a causal model of transformers, with or without adapters. Out: its forward is replaced.

- A batch becomes one sequence: the shared first tokens, then the rest of each row. No position is padding. Positions are numbered as in the rows, and a row's
  tokens attend to the shared ones and to their own.
- Logits are taken at the positions alone that predict a label.
- LoRA's products are computed by tools.train.engines.fused_lora.

The shared tokens are found in the batch itself, so any data with a constant instruction gains. docs/training.md derives what is saved. tools/train/sharing.py tells
which runs are trained so.

    ./ner train conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel, TrainerCallback
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tools.train.engines.fused_lora import fuse
from tools.train.sharing import LEAST

NAME = "shared_prefix"  # of the attention, in transformers' table
CHUNK = 64  # rows of logits at a time
IGNORED = -100  # llamafactory.extras.constants.IGNORE_INDEX

_flat: ContextVar[bool] = ContextVar("flat", default=False)  # while the forward of a flat batch runs


@dataclass(frozen=True)
class Layout:
    """A batch as one sequence of N tokens: the P shared ones, then the rest of each of B rows, R tokens at most.

    `ids` and `positions` are (1, N). `sources` (K) are the places in the sequence that predict the labels `targets` (K). `spread` (B × R) names the place behind the
    shared tokens of each place in a padded batch, -1 for padding; `gather` (N - P) is its inverse. `masks` are those of the attention, made by the first layer.
    """

    ids: Tensor
    positions: Tensor
    sources: Tensor
    targets: Tensor
    spread: Tensor
    gather: Tensor
    shared: int
    rows: int
    masks: dict[tuple[int | None, ...], Tensor] = field(default_factory=dict)  # each layer's are the same

    @property
    def width(self) -> int:
        """R, the longest rest of a row."""
        return self.spread.numel() // self.rows


def layout_of(ids: Tensor, mask: Tensor | None, labels: Tensor) -> Layout:
    """Returns the layout of a batch (B, L), padded left, right or not at all. Fewer than LEAST shared tokens count as none."""
    device = ids.device
    ids, labels = ids.cpu(), labels.cpu()
    real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.cpu().bool()
    rows = [row[kept] for row, kept in zip(ids, real, strict=True)]
    shared = shared_tokens(rows)
    lengths = torch.tensor([len(row) - shared for row in rows])
    within = torch.arange(int(lengths.max()))
    filled = within < lengths[:, None]  # (B, R)
    gather = filled.flatten().nonzero().squeeze(1)
    spread = torch.full((filled.numel(),), -1).index_copy_(0, gather, torch.arange(len(gather)))
    positions = torch.cat([torch.arange(shared), (within + shared).expand_as(filled)[filled]])
    sources, targets = _predicted([row[kept] for row, kept in zip(labels, real, strict=True)], shared, lengths)
    flat = torch.cat([rows[0][:shared], *(row[shared:] for row in rows)])
    ids, positions, sources, targets, spread, gather = (
        tensor.to(device) for tensor in (flat[None], positions[None], sources, targets, spread, gather)
    )
    return Layout(ids, positions, sources, targets, spread, gather, shared, len(rows))


def shared_tokens(rows: list[Tensor]) -> int:
    """Returns the number of first tokens that all rows share, at least one token of each row left out. One row shares none, and so do fewer than LEAST."""
    if len(rows) < 2:
        return 0
    length = min(map(len, rows)) - 1
    same = torch.stack([row[:length] == rows[0][:length] for row in rows]).all(0)
    shared = int(same.long().cumprod(0).sum())
    return shared if shared >= LEAST else 0


def _predicted(labels: list[Tensor], shared: int, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (places in the sequence, labels): the place before each label predicts it, and a row's first token has none before it."""
    sources, targets, start = [], [], shared
    for row, length in zip(labels, lengths.tolist(), strict=True):
        named = (row[1:] != IGNORED).nonzero().squeeze(1)  # the place before each label, in the row
        sources.append(torch.where(named < shared, named, named - shared + start))
        targets.append(row[named + 1])
        start += length
    return torch.cat(sources), torch.cat(targets)


def share(model: PreTrainedModel) -> None:
    """Replaces the forward of a causal model, which may hold adapters. Calls without labels, or with positions or masks of their own, go the old way."""
    own, attention = model.forward, str(model.config._attn_implementation)
    _register(attention)
    model.config._attn_implementation = NAME

    @functools.wraps(own)  # the Trainer reads the names of its arguments
    def forward(input_ids: Tensor | None = None, attention_mask: Tensor | None = None, labels: Tensor | None = None, **rest: Any) -> Any:
        others = rest.get("position_ids") is not None or rest.get("inputs_embeds") is not None
        if input_ids is None or labels is None or others or (attention_mask is not None and attention_mask.dim() != 2):
            return own(input_ids=input_ids, attention_mask=attention_mask, labels=labels, **rest)
        items = rest.pop("num_items_in_batch", None)  # the labels of all accumulated batches; this one's alone without it
        layout = layout_of(input_ids, attention_mask, labels)
        token = _flat.set(True)
        try:
            asked = {"position_ids": layout.positions, "logits_to_keep": layout.sources, "use_cache": False, "layout": layout}
            output = own(input_ids=layout.ids, **{**rest, **asked})
        finally:
            _flat.reset(token)
        total = layout.targets.numel() if items is None else items
        output.loss = _CrossEntropy.apply(output.logits[0], layout.targets, total)
        return output

    model.forward = forward


def _register(attention: str) -> None:
    """Tells transformers of the attention NAME: ours within a flat batch, `attention` elsewhere."""
    others, masks = ALL_ATTENTION_FUNCTIONS[attention], AttentionMaskInterface()[attention]

    def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, layout: Layout | None = None, **rest: Any) -> Any:
        if layout is None:
            return others(module, query, key, value, attention_mask, **rest)
        return _attend(query, key, value, layout, **rest), None

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, lambda *words, **rest: None if _flat.get() else masks(*words, **rest))


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> Tensor:
    """Returns the attention's output (1, N, heads, width) for query (1, heads, N, width), key and value (1, groups, N, width)."""
    options = {"dropout_p": dropout, "scale": scaling}
    shared, rows, parts = layout.shared, layout.rows, list[Tensor]()
    if shared:
        seen = _visible(layout, query, key, shared, 0, sliding_window)
        parts.append(_grouped(query[:, :, :shared], key[:, :, :shared], value[:, :, :shared], seen, options))
    # (1, heads, N - P, width) → (B, heads, R, width)
    q, k, v = (_Spread.apply(tensor[:, :, shared:], layout.spread, layout.gather, rows) for tensor in (query, key, value))
    if shared:
        k, v = (torch.cat([whole[:, :, :shared].expand(rows, -1, -1, -1), own], 2) for whole, own in ((key, k), (value, v)))
    rest = _grouped(q, k, v, _visible(layout, query, key, layout.width, shared, sliding_window), options)
    parts.append(_Gather.apply(rest, layout.spread, layout.gather))
    return torch.cat(parts, 2).transpose(1, 2)


def _grouped(query: Tensor, key: Tensor, value: Tensor, seen: Tensor, options: dict[str, Any]) -> Tensor:
    """Returns the attention of query (B, heads, R, width) to key and value (B, groups, S, width). The heads of a group are one head with more queries."""
    batch, heads, length, width = query.shape
    groups = key.shape[1]
    folded = query.reshape(batch, groups, heads // groups * length, width)
    return scaled_dot_product_attention(folded, key, value, seen, **options).view(batch, heads, length, width)


def _visible(layout: Layout, query: Tensor, key: Tensor, length: int, before: int, window: int | None) -> Tensor:
    """Returns the mask (heads of a group × length, before + length) of the last `length` places: each sees itself and earlier ones, and only those within the window."""
    times, device = query.shape[1] // key.shape[1], query.device
    kind = (times, length, before, window)
    if kind not in layout.masks:
        distance = torch.arange(before, before + length, device=device)[:, None] - torch.arange(before + length, device=device)
        layout.masks[kind] = ((distance >= 0) & (distance < (window or before + length + 1))).repeat(times, 1)
    return layout.masks[kind]


class _CrossEntropy(Function):
    """The sum of the cross-entropies of logits (K, vocabulary) and targets (K) over `total`, as transformers' ForCausalLMLoss computes it in float32.

    The gradient is computed at once, a few rows at a time, and kept in the logits' own type: a third of the memory.
    """

    @staticmethod
    def forward(context: Any, logits: Tensor, targets: Tensor, total: int | Tensor) -> Tensor:
        # Small gradients of fp16 would be lost before the scaler has enlarged them.
        kept = torch.float32 if logits.dtype == torch.float16 else logits.dtype
        loss, gradient = torch.zeros((), dtype=torch.float32, device=logits.device), torch.empty_like(logits, dtype=kept)
        for start in range(0, len(targets), CHUNK):
            part, wanted = logits[start : start + CHUNK].float(), targets[start : start + CHUNK, None]
            part = part.log_softmax(-1)
            loss -= part.gather(1, wanted).sum()
            part.exp_().scatter_add_(1, wanted, part.new_full(wanted.shape, -1))
            gradient[start : start + CHUNK] = part.div_(total)
        context.save_for_backward(gradient)
        context.type = logits.dtype
        return loss / total

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        [gradient] = context.saved_tensors
        return gradient.mul_(grad).to(context.type), None, None  # in place: nothing else holds it


class _Spread(Function):
    """(1, heads, N - P, width) → (B, heads, R, width), 0 at padding."""

    @staticmethod
    def forward(context: Any, flat: Tensor, spread: Tensor, gather: Tensor, rows: int) -> Tensor:
        context.save_for_backward(spread, gather)
        return _padded(flat, spread, rows)

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        _, gather = context.saved_tensors
        return _flattened(grad, gather), None, None, None


class _Gather(Function):
    """The inverse of _Spread."""

    @staticmethod
    def forward(context: Any, padded: Tensor, spread: Tensor, gather: Tensor) -> Tensor:
        context.save_for_backward(spread, gather)
        context.rows = padded.shape[0]
        return _flattened(padded, gather)

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        spread, _ = context.saved_tensors
        return _padded(grad, spread, context.rows), None, None


def _padded(flat: Tensor, spread: Tensor, rows: int) -> Tensor:
    _, heads, _, width = flat.shape
    found = flat[0].transpose(0, 1)[spread.clamp(min=0)]  # (B × R, heads, width)
    found = found.masked_fill(spread[:, None, None] < 0, 0)
    return found.view(rows, -1, heads, width).transpose(1, 2)


def _flattened(padded: Tensor, gather: Tensor) -> Tensor:
    rows, heads, width_, width = padded.shape
    return padded.transpose(1, 2).reshape(rows * width_, heads, width)[gather].transpose(0, 1)[None]


class Sharing(TrainerCallback):
    """Replaces the model's forward before the Trainer wraps the model for its devices."""

    def on_init_end(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
        """Finds the causal model under PEFT's wrappers."""
        fuse(model)
        share(model.get_base_model() if hasattr(model, "get_base_model") else model)
