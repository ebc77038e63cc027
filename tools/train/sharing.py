"""Tells whether a run is trained with its shared first tokens computed once a batch, and counts what that saves.

In: a run, how it is started, and the token ids of its rows. Out: the reasons to train it as LLaMA-Factory does, or the work that is left. The forward itself is
tools/train/engines/shared_prefix.py.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.conf.run import Run
from tools.files import read_json
from tools.train.arguments import with_defaults
from tools.train.distributed import Processes
from tools.train.families import text_config

LEAST = 16  # shared tokens; for fewer, the attention's second part costs what the tokens save
# The types of model whose loss and gradients a test compares with LLaMA-Factory's (tests/train/engines/test_shared_prefix.py).
TESTED = ("glm4", "llama", "mistral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe")
ATTENTION = ("full_attention", "sliding_attention")
# Keys that change the model's forward or its loss.
CHANGE_FORWARD = (
    "packing",
    "neat_packing",
    "neftune_noise_alpha",
    "shift_attn",
    "mixture_of_depths",
    "moe_aux_loss_coef",
    "label_smoothing_factor",
    "torch_compile",
    "use_unsloth",
    "use_unsloth_gc",
    "use_liger_kernel",
    "enable_liger_kernel",
    "use_kt",
    "use_v1_kernels",
    "use_mca",
    "use_hyper_parallel",
    "use_ray",
    "fp8",
    "use_dft_loss",
    "use_eaft_loss",
    "use_asft_loss",
    "compute_accuracy",
    "predict_with_generate",
)


@dataclass(frozen=True)
class TokenRow:
    """The token ids of a row's prompt, and the number of its answer's tokens."""

    prompt: list[int]
    answer: int

    @property
    def length(self) -> int:
        """The number of all tokens."""
        return len(self.prompt) + self.answer


@dataclass(frozen=True)
class SharedWork:
    """The work of a run whose rows all begin with the same `tokens` tokens: positions and logits of an epoch, and the most of one batch."""

    tokens: int
    positions: int
    logits: int
    widest_batch: int
    most_logits: int


def reasons_for_native(run: Run, how: Processes) -> list[str]:
    """Returns why the run is trained by LLaMA-Factory's own forward; none where the shared one gives the same loss and gradients."""
    values, config = with_defaults(run), text_config(_config(run))
    if run.engine != "llamafactory":
        return ["the PEFT engine trains it"]
    found = ["--native is given"] if how.native else []
    found += [f"`{key}` changes the forward or its loss" for key in CHANGE_FORWARD if values.get(key)]
    if values.get("stage") != "sft" or not values.get("do_train"):
        found.append("only `stage: sft` with `do_train: true` is trained so")
    if values.get("fsdp") or "zero3" in str(values.get("deepspeed")):
        found.append("FSDP and ZeRO-3 divide the weights; it isn't tested with them")
    if values.get("flash_attn") not in ("auto", "sdpa", "fa2"):
        found.append(f"`flash_attn: {values.get('flash_attn')}` is another attention")
    kind, layers = str(config.get("model_type")), set(config.get("layer_types") or [])
    if config.get("auto_map") and values.get("trust_remote_code"):
        found.append("the model's folder brings code of its own")
    if config.get("output_router_logits"):
        found.append("`output_router_logits` adds the experts' balance to the loss")
    if kind not in TESTED:
        found.append(f"model type {kind} isn't among {', '.join(TESTED)}")
    if other := layers - set(ATTENTION):
        found.append(f"{', '.join(sorted(other))} layers carry a state from row to row")
    return found


def shared_tokens(rows: Sequence[TokenRow]) -> int:
    """Returns the number of first tokens that all prompts share. Fewer than LEAST count as none."""
    first, last = min((row.prompt for row in rows), default=[]), max((row.prompt for row in rows), default=[])
    same = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return same if same >= LEAST else 0


def shared_work(batches: Sequence[Sequence[tuple[int, int]]], tokens: int) -> SharedWork:
    """Returns the work of batches of rows, each a row's (length, answer's length), that share `tokens` first tokens."""
    widths = [sum(length for length, _ in rows) - (len(rows) - 1) * tokens for rows in batches]
    answers = [sum(answer for _, answer in rows) for rows in batches]
    return SharedWork(tokens, sum(widths), sum(answers), max(widths, default=0), max(answers, default=0))


def _config(run: Run) -> dict[str, Any]:
    path = Path(run.base_model) / "config.json"
    config = read_json(path) if path.is_file() else {}
    return config if isinstance(config, dict) else {}
