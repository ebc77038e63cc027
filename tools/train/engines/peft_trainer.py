"""Adds to transformers' Trainer checkpoints that hold a prompt encoder whole.

In: a PEFT model. Out: checkpoints that training can go on from. PEFT saves the prefix or the virtual tokens that an encoder computes, which is enough to answer;
the encoder itself (P-tuning's, or a projected prefix's) can't be restored from them, so each checkpoint gets it beside the adapter.

    python -m tools.train.engines.peft_engine data/outputs/<run>/run.yaml
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Trainer

from tools.files import need_file

ENCODER = "prompt_encoder.safetensors"


class AdapterTrainer(Trainer):
    """A Trainer whose checkpoints hold the prompt encoder. Without one (LoRA) it does what Trainer does."""

    @property
    def encoder(self) -> nn.Module | None:
        """The module that computes the prefix or the virtual tokens, or None."""
        return getattr(self.accelerator.unwrap_model(self.model), "prompt_encoder", None)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        super().save_model(output_dir, _internal_call)
        if _internal_call and output_dir and self.encoder is not None and self.args.should_save:
            save_file(self.encoder.state_dict(), Path(output_dir) / ENCODER)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
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
