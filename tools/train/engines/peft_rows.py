"""Encodes the rows that the PEFT engine trains on, with LLaMA-Factory's own dataset pipeline.

In: a run's arguments. Out: tokenizer, training rows and evaluation rows ("input_ids", "attention_mask", "labels"; the prompt's labels are -100).

    python -m tools.train.engines.peft_engine data/outputs/<run>/run.yaml
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.errors import WANTING, ToolError

if TYPE_CHECKING:
    from datasets import Dataset
    from llamafactory.hparams import DataArguments
    from transformers import PreTrainedTokenizerBase

    from tools.train.engines.peft_arguments import ModelOptions, TrainingOptions

KEPT = ("input_ids", "attention_mask", "labels")


def encoded(
    model: ModelOptions, data: DataArguments, training: TrainingOptions
) -> tuple[PreTrainedTokenizerBase, Dataset, Dataset | dict[str, Dataset] | None]:
    """Returns (tokenizer, training rows, evaluation rows or None), as `llamafactory-cli train` makes them of the same arguments.

    Raises ToolError for rows that LLaMA-Factory can't read.
    """
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import ModelArguments
    from llamafactory.model import load_tokenizer

    theirs = ModelArguments(model_name_or_path=model.model_name_or_path, trust_remote_code=model.trust_remote_code)
    loaded = load_tokenizer(theirs)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data)
    try:
        found = get_dataset(template, theirs, data, training, stage="sft", **loaded)
    except (ValueError, RuntimeError) as error:  # an odd format, or no row at all
        raise ToolError(f"{data.dataset_dir}: LLaMA-Factory can't read the rows: {error}", WANTING) from None
    test = found.get("eval_dataset")
    return (
        loaded["tokenizer"],
        _only(found["train_dataset"]),
        {k: _only(v) for k, v in test.items()} if isinstance(test, dict) else test and _only(test),
    )


def _only(rows: Dataset) -> Dataset:
    return rows.select_columns(list(KEPT))
