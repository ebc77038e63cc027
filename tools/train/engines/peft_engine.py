"""Trains a run with transformers' Trainer and PEFT: P-tuning v2 (prefix), P-tuning and LoRA. LLaMA-Factory has neither of the first two.

In: one resolved run file, with LLaMA-Factory's keys and `finetuning_type: prefix | p_tuning | lora`. Out: its `output_dir` with the files that LLaMA-Factory
writes: adapter, tokenizer, trainer_log.jsonl, training_loss.png, and last train_results.json, the mark of a finished run. A child process of `./ner train`.

    .venv/train/bin/python -m tools.train.engines.peft_engine data/outputs/tiny-qwen2-sample-ner-ptuning/run.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import Dataset
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.extras.ploting import plot_loss
from llamafactory.hparams import DataArguments, ModelArguments
from llamafactory.model import load_tokenizer
from llamafactory.train.callbacks import LogCallback
from peft import LoraConfig, PeftConfig, PeftModel, PrefixTuningConfig, PromptEncoderConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, PreTrainedModel, PreTrainedTokenizerBase, Trainer, set_seed
from transformers.trainer_utils import get_last_checkpoint

from tools.conf.overlays import load_yaml
from tools.conf.run import Run
from tools.errors import WANTING, ToolError, all_at_once
from tools.errors import run as run_tool
from tools.files import need_file
from tools.train import arguments
from tools.train.datasets import datasets
from tools.train.engines.engine_table import ENGINES
from tools.train.engines.peft_arguments import MethodOptions, ModelOptions, TrainingOptions
from tools.variant import FINISHED

ENCODER = "prompt_encoder.safetensors"
ATTENTION = {"auto": None, "disabled": "eager", "sdpa": "sdpa", "fa2": "flash_attention_2"}


class ParsedRun(NamedTuple):
    """A run's values, as the dataclasses of peft_arguments.ARGUMENTS."""

    model: ModelOptions
    data: DataArguments
    method: MethodOptions
    training: TrainingOptions


def train(path: Path) -> Path:
    """Trains the run in the file `path` and returns its output folder.

    Raises ToolError for a key, a value, a base model or a dataset that is wrong or missing, and for rows that can't be trained on.
    """
    parsed = parse(path)
    training, output = parsed.training, Path(parsed.training.output_dir)
    if training.should_save:
        (output / FINISHED).unlink(missing_ok=True)
    set_seed(training.seed)
    trainer = _trainer(parsed)
    test = trainer.eval_dataset
    result = trainer.train(resume_from_checkpoint=_checkpoint(training))
    trainer.save_model()
    trainer.save_state()
    if parsed.method.plot_loss and trainer.is_world_process_zero():
        plot_loss(str(output), ["loss", *(f"eval_{name}_loss" for name in test)] if isinstance(test, dict) else ["loss", "eval_loss"])
    if test is not None and training.do_eval:
        metrics = trainer.evaluate()
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
    trainer.log_metrics("train", result.metrics)
    trainer.save_metrics("train", result.metrics)
    return output


def parse(path: Path) -> ParsedRun:
    """Returns a run file's values as dataclasses. Raises ToolError with every problem of them and of the rows."""
    from omegaconf import OmegaConf

    engine = ENGINES["peft"]
    values: dict[str, Any] = OmegaConf.to_container(load_yaml(need_file(path)), resolve=True)  # type: ignore[assignment]
    run = Run(path, values)
    all_at_once([*arguments.problems(run, "peft"), *engine.problems(run)])
    all_at_once([*arguments.base_model_problems(run), *(fault for some in datasets(run) for dataset in some for fault in dataset.problems)])
    try:
        parsed = ParsedRun(*engine.parse(values))  # type: ignore[misc]
    except (ValueError, TypeError, ImportError) as error:  # the dataclasses' own checks: two keys that exclude each other, bf16 without a GPU
        raise ToolError(f"{path}: {error}") from None
    training = parsed.training
    # The switch is LLaMA-Factory's; PEFT 0.18 keeps a prefix in the cache of keys and values, which checkpointing drops.
    training.remove_unused_columns = True  # LLaMA-Factory's rows have columns that the model doesn't take
    training.gradient_checkpointing = not parsed.model.disable_gradient_checkpointing and parsed.method.finetuning_type != "prefix"
    return parsed


def encoded(parsed: ParsedRun) -> tuple[PreTrainedTokenizerBase, Dataset, Dataset | dict[str, Dataset] | None]:
    """Returns (tokenizer, training rows, evaluation rows or None), as `llamafactory-cli train` makes them of the same arguments.

    The labels of a row's prompt are -100. Raises ToolError for rows that LLaMA-Factory can't read.
    """
    model, data = parsed.model, parsed.data
    theirs = ModelArguments(model_name_or_path=model.model_name_or_path, trust_remote_code=model.trust_remote_code)
    loaded = load_tokenizer(theirs)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data)
    try:
        found = get_dataset(template, theirs, data, parsed.training, stage="sft", **loaded)
    except (ValueError, RuntimeError) as error:  # an odd format, or no row at all
        raise ToolError(f"{data.dataset_dir}: LLaMA-Factory can't read the rows: {error}", WANTING) from None
    return loaded["tokenizer"], found["train_dataset"], found.get("eval_dataset")


def adapter_config(method: MethodOptions, base: PreTrainedModel) -> PeftConfig:
    """Returns PEFT's configuration for a run's method."""
    if method.finetuning_type == "lora":
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=method.lora_rank,
            lora_alpha=method.lora_alpha or 2 * method.lora_rank,
            lora_dropout=method.lora_dropout,
            target_modules="all-linear" if method.lora_target == "all" else [name.strip() for name in method.lora_target.split(",")],
        )
    common: dict[str, Any] = {"task_type": "CAUSAL_LM", "num_virtual_tokens": method.num_virtual_tokens}
    if method.finetuning_type == "prefix":
        return PrefixTuningConfig(**common, prefix_projection=method.prefix_projection, encoder_hidden_size=method.encoder_hidden_size)
    width, kind = method.encoder_hidden_size or base.config.hidden_size, method.encoder_reparameterization_type
    return PromptEncoderConfig(**common, encoder_hidden_size=width, encoder_reparameterization_type=kind)


def build(parsed: ParsedRun) -> PeftModel:
    """Returns the frozen base model with a new adapter. The adapter alone is trained, and stays in float32 under bf16 and fp16."""
    options, training = parsed.model, parsed.training
    base = AutoModelForCausalLM.from_pretrained(
        options.model_name_or_path,
        dtype=torch.bfloat16 if training.bf16 else torch.float16 if training.fp16 else torch.float32,
        trust_remote_code=options.trust_remote_code,
        attn_implementation=ATTENTION[options.flash_attn],
    )
    if training.gradient_checkpointing:
        base.enable_input_require_grads()
    try:
        return get_peft_model(base, adapter_config(parsed.method, base))
    except ValueError as error:  # lora_target names no layer of this model
        raise ToolError(f"{options.model_name_or_path}: PEFT can't add the adapter: {error}") from None


def _trainer(parsed: ParsedRun) -> Any:
    tokenizer, rows, test = encoded(parsed)
    model = build(parsed)
    model.print_trainable_parameters()
    return AdapterTrainer(
        model=model,
        args=parsed.training,
        data_collator=DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8),
        train_dataset=rows,
        eval_dataset=test,
        processing_class=tokenizer,
        callbacks=[LogCallback()],
    )


class AdapterTrainer(Trainer):
    """A Trainer whose checkpoints hold a prompt encoder whole, so that training can go on from them. Without one (LoRA) it does what Trainer does.

    PEFT saves the prefix or the virtual tokens that an encoder computes, which is enough to answer. The encoder itself (P-tuning's, or a projected prefix's) can't be
    restored from them, so each checkpoint gets it beside the adapter.
    """

    @property
    def encoder(self) -> torch.nn.Module | None:
        """The module that computes the prefix or the virtual tokens, or None."""
        return getattr(self.accelerator.unwrap_model(self.model), "prompt_encoder", None)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        super().save_model(output_dir, _internal_call)
        if _internal_call and output_dir and self.encoder is not None and self.args.should_save:
            save_file(self.encoder.state_dict(), Path(output_dir) / ENCODER)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        if self.encoder is None:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self._restore(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        if self.encoder is None:
            super()._load_best_model()
        else:
            self._restore(str(self.state.best_model_checkpoint))

    def _restore(self, checkpoint: str) -> None:
        assert self.encoder is not None
        path = need_file(Path(checkpoint) / ENCODER, "The checkpoint isn't one of the PEFT engine's, or is torn; take an older one.")
        self.encoder.load_state_dict(load_file(path, device=str(self.args.device)))


def _checkpoint(training: TrainingOptions) -> str | None:
    """Returns the checkpoint to go on from: the one that the run names, or as in LLaMA-Factory the newest, where `overwrite_output_dir` is false."""
    if training.resume_from_checkpoint:
        need_file(Path(training.resume_from_checkpoint) / "trainer_state.json", "`resume_from_checkpoint` must name a whole checkpoint's folder.")
        return str(training.resume_from_checkpoint)
    if training.overwrite_output_dir or not Path(training.output_dir).is_dir():
        return None
    return get_last_checkpoint(training.output_dir)


def main() -> None:
    """Trains the run that the one word names."""
    if len(sys.argv) != 2:
        raise ToolError("usage: .venv/train/bin/python -m tools.train.engines.peft_engine data/outputs/<run>/run.yaml")
    print(f"trained: {train(Path(sys.argv[1]))}")


if __name__ == "__main__":
    run_tool(main)
