"""Declares the keys of a run that the PEFT engine trains, under LLaMA-Factory's names where it has them.

Out: ARGUMENTS, the dataclasses that together take every key. Each field has its type, its choices (a Literal) and, as help, its meaning.
Import this only inside a function: torch comes along, through transformers.

    python -m tools.train.engines.peft_engine data/outputs/<run>/run.yaml
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from llamafactory.hparams import DataArguments
from transformers import TrainingArguments

Method = Literal["lora", "prefix", "p_tuning"]


@dataclass
class ModelOptions:
    """The base model."""

    model_name_or_path: str = field(metadata={"help": "The base model's folder."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run the code that comes with the base model."})
    flash_attn: Literal["auto", "disabled", "sdpa", "fa2"] = field(default="auto", metadata={"help": "The kernel that computes attention."})
    disable_gradient_checkpointing: bool = field(
        default=False,
        metadata={"help": "Keep all activations instead of computing them twice: faster, more memory. Prefix tuning never checkpoints."},
    )


@dataclass
class MethodOptions:
    """The adapter that is trained beside the frozen base model."""

    stage: Literal["sft"] = field(default="sft", metadata={"help": "Supervised fine-tuning; the engine has no other stage."})
    finetuning_type: Method = field(
        default="lora",
        metadata={"help": "lora; prefix: keys and values before every layer (P-tuning v2); p_tuning: virtual tokens before the input (P-tuning)."},
    )
    lora_rank: int = field(default=8, metadata={"help": "lora: the inner dimension of the update."})
    lora_alpha: int | None = field(default=None, metadata={"help": "lora: the update is scaled by lora_alpha / lora_rank (default: twice the rank)."})
    lora_dropout: float = field(default=0.0, metadata={"help": "lora: share of the update's input that is dropped in training."})
    lora_target: str = field(default="all", metadata={"help": "lora: the linear layers that get an update, separated by commas; all: every one."})
    num_virtual_tokens: int = field(default=128, metadata={"help": "prefix, p_tuning: number of virtual tokens in front; ChatGLM's PRE_SEQ_LEN."})
    prefix_projection: bool = field(default=False, metadata={"help": "prefix: compute it through a two-layer perceptron while training."})
    encoder_hidden_size: int | None = field(
        default=None, metadata={"help": "p_tuning, and prefix with prefix_projection: width of the encoder (default: the model's own)."}
    )
    encoder_reparameterization_type: Literal["MLP", "LSTM"] = field(default="MLP", metadata={"help": "p_tuning: the kind of encoder."})
    plot_loss: bool = field(default=False, metadata={"help": "Draw training_loss.png."})


@dataclass
class TrainingOptions(TrainingArguments):
    """transformers' own arguments, and `overwrite_output_dir`, which transformers dropped and LLaMA-Factory keeps."""

    predict_with_generate: ClassVar[bool] = False  # LLaMA-Factory's dataset pipeline asks for it

    overwrite_output_dir: bool = field(default=False, metadata={"help": "false: go on from the newest checkpoint in output_dir, where there is one."})


ARGUMENTS = (ModelOptions, DataArguments, MethodOptions, TrainingOptions)
