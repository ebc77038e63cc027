"""Encodes rows as a run's training does: LLaMA-Factory's token ids, before it cuts to `cutoff_len`, by the run's own tokenizer, template and settings.

In: a run. Out: a function from an Alpaca row to the ids of its prompt and of its answer, or from rows to their numbers of tokens.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml

There are two ways to the same ids. LLaMA-Factory encodes for every template and tokenizer, and importing it takes 10 s, since torch comes along. `tools.chat.qwen`
encodes plain Qwen and starts at once. A test compares the two.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from tools.chat.prompt import AlpacaRow
from tools.chat.qwen import TokenIds, download, is_plain_qwen, plain_ids
from tools.conf.run import Run
from tools.errors import ToolError, choices
from tools.files import need_file

TokenCounter = Callable[[list[AlpacaRow]], list[int]]

EVERYTHING = 2**31  # a cutoff that cuts nothing
IGNORED = -100  # llamafactory.extras.constants.IGNORE_INDEX: the label of the prompt's tokens


def trained_ids(run: Run) -> TokenIds:
    """Returns the function from a row to the ids that training sees under the run's template.

    Raises ToolError for a base model that isn't here, a tokenizer that can't be read, or a template that LLaMA-Factory doesn't know. The function raises it for a
    row that LLaMA-Factory refuses.
    """
    _need_tokenizer(run)
    if is_plain_qwen(run):
        return plain_ids(run)
    return LlamaFactory(run).ids(run.values.get("template"))


def token_counter(run: Run) -> TokenCounter:
    """Returns the function from rows to each one's number of tokens, prompt and answer together, nothing cut or padded. Raises as `trained_ids` does."""
    ids = trained_ids(run)
    return lambda rows: [sum(map(len, ids(row))) for row in rows]


def first_difference(ours: list[int], theirs: list[int]) -> int:
    """Returns the place of the first token that differs, or where the shorter list ends."""
    return next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))


class LlamaFactory:
    """LLaMA-Factory's own encoder with a run's tokenizer, which is loaded once for any number of templates.

    Raises ToolError where LLaMA-Factory isn't installed, or can't load the tokenizer.
    """

    def __init__(self, run: Run) -> None:
        try:
            from llamafactory.data.template import TEMPLATES
            from llamafactory.hparams import ModelArguments
            from llamafactory.model import load_tokenizer
        except ImportError as error:
            reason = f"counting tokens with `template: {run.values.get('template')}` takes LLaMA-Factory, and {error.name} isn't in {sys.executable}"
            raise ToolError(f"{run.path}: {reason}. `make setup` makes the environment .venv/train, which has it.") from None
        logging.getLogger("llamafactory").setLevel(logging.ERROR)  # a line for each special token, for each template
        self._run, self.templates = run, list(TEMPLATES)
        try:
            self._loaded = load_tokenizer(_given(ModelArguments, run))
        except (OSError, ValueError) as error:
            raise self._cannot_load(error) from None
        self._eos = self._loaded["tokenizer"].eos_token

    def ids(self, template: Any) -> TokenIds:
        """Returns the function from a row to its ids under a template, or under none for None. Raises ToolError for a name that LLaMA-Factory doesn't know."""
        processor = self._processor(template)

        def ids(row: AlpacaRow) -> tuple[list[int], list[int]]:
            user, answer = ({"role": role, "content": row[key]} for role, key in (("user", "input"), ("assistant", "output")))
            try:
                tokens, labels = processor._encode_data_example([user], [answer], row["instruction"], "", [], [], [])
            except ValueError as error:  # a template for pictures wants a model for them, and one for each "<image>" in a text
                raise ToolError(f"{self._run.path}: LLaMA-Factory can't encode a row with `template: {template}`: {str(error)[:300]}") from None
            prompt = labels.count(IGNORED)
            return tokens[:prompt], tokens[prompt:]

        return ids

    def _processor(self, template: Any) -> Any:
        """Returns LLaMA-Factory's processor of rows, under the same settings for any template."""
        from llamafactory.data.processor import SupervisedDatasetProcessor
        from llamafactory.data.template import get_template_and_fix_tokenizer
        from llamafactory.hparams import DataArguments

        if template is not None and template not in self.templates:
            raise ToolError(f"{self._run.path}: unknown template '{template}'.{choices(str(template), self.templates)}")
        tokenizer = self._loaded["tokenizer"]
        tokenizer.eos_token = self._eos  # another template may have replaced it
        try:
            data = _given(DataArguments, self._run, template=template, cutoff_len=EVERYTHING, train_on_prompt=False, mask_history=False)
            return SupervisedDatasetProcessor(get_template_and_fix_tokenizer(tokenizer, data), **self._loaded, data_args=data)
        except (OSError, ValueError) as error:
            raise self._cannot_load(error) from None

    def _cannot_load(self, error: Exception) -> ToolError:
        return ToolError(f"{self._run.path}: LLaMA-Factory can't load the tokenizer of {self._run.base_model}: {error.__cause__ or error}")


def _given(kind: Any, run: Run, **fixed: Any) -> Any:
    """Returns one of LLaMA-Factory's dataclasses with the run's keys, as its own parser fills it."""
    known = {field.name for field in fields(kind) if field.init}
    return kind(**{**{key: value for key, value in run.values.items() if key in known}, **fixed})


def _need_tokenizer(run: Run) -> None:
    folder = Path(run.base_model)
    if not folder.is_dir():
        local = [str(path.parent) for path in Path("models").glob("*/tokenizer.json")]
        raise ToolError(f"{run.path}: base model {folder}: no such folder.{choices(str(folder), local)} {download(run)}")
    need_file(folder / "tokenizer.json", download(run))
