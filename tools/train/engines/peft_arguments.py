"""Declares the keys of a run that the PEFT engine trains, under LLaMA-Factory's names where it has them.

Out: ARGUMENTS, the dataclasses that together take every key. Each field has its type, its choices (a Literal) and, as help, its meaning.
Import this only inside a function: torch comes along, through transformers.

    .venv/train/bin/python -m tools.train.engines.peft_engine data/outputs/<run>/run.yaml
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from llamafactory.hparams import DataArguments
from transformers import TrainingArguments


def _key(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass
class ModelOptions:
    """The base model."""

    model_name_or_path: str = field(metadata={"help": "The base model's folder."})
    trust_remote_code: bool = _key(False, "Run the code that comes with the base model.")
    flash_attn: Literal["auto", "disabled", "sdpa", "fa2"] = _key("auto", "The kernel that computes attention.")
    disable_gradient_checkpointing: bool = _key(
        False, "Keep all activations instead of computing them twice: faster, more memory. Prefix tuning never checkpoints."
    )


@dataclass
class MethodOptions:
    """The adapter that is trained beside the frozen base model."""

    stage: Literal["sft"] = _key("sft", "Supervised fine-tuning; the engine has no other stage.")
    finetuning_type: Literal["lora", "prefix", "p_tuning"] = _key(
        "lora", "lora; prefix: keys and values before every layer (P-tuning v2); p_tuning: virtual tokens before the input (P-tuning)."
    )
    lora_rank: int = _key(8, "lora: the inner dimension of the update.")
    lora_alpha: int | None = _key(None, "lora: the update is scaled by lora_alpha / lora_rank (default: twice the rank).")
    lora_dropout: float = _key(0.0, "lora: share of the update's input that is dropped in training.")
    lora_target: str = _key("all", "lora: the linear layers that get an update, separated by commas; all: every one.")
    num_virtual_tokens: int = _key(128, "prefix, p_tuning: number of virtual tokens in front; ChatGLM's PRE_SEQ_LEN.")
    prefix_projection: bool = _key(False, "prefix: compute it through a two-layer perceptron while training.")
    encoder_hidden_size: int | None = _key(None, "p_tuning, and prefix with prefix_projection: width of the encoder (default: the model's own).")
    encoder_reparameterization_type: Literal["MLP", "LSTM"] = _key("MLP", "p_tuning: the kind of encoder.")
    plot_loss: bool = _key(False, "Draw training_loss.png.")


@dataclass
class TrainingOptions(TrainingArguments):
    """transformers' own arguments, and `overwrite_output_dir`, which transformers dropped and LLaMA-Factory keeps."""

    predict_with_generate: ClassVar[bool] = False  # LLaMA-Factory's dataset pipeline asks for it

    overwrite_output_dir: bool = _key(False, "false: go on from the newest checkpoint in output_dir, where there is one.")


ARGUMENTS = (ModelOptions, DataArguments, MethodOptions, TrainingOptions)
