"""Chooses the chat format in which a base model is trained and served without thoughts.

In: a base model as a user names it. Out: LLaMA-Factory's template for it, and whether the run turns thinking off. The model's own chat template decides where its folder
is here, else its name.

    ./ner new contracts --from train.txt --model Qwen/Qwen3-8B

A hybrid Qwen3 gets `qwen3_nothink`: that is its default prompt, so no client has to send anything. Qwen3.5's default prompt opens a thought (in its small models an empty
one): it gets `enable_thinking: false`, which every request then carries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tools.chat.own_format import OwnFormat, find_template, takes_pictures
from tools.chat.thinking import THOUGHT, empty_thought
from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import read_json

# The chat formats of Qwen's text models by their names, as llamafactory/extras/constants.py (0.9.5) gives them.
NAMES = {
    r"qwen(1\.5|2|2\.5)?-(?!.*(vl|audio|omni|math-rm))": "qwen",
    r"qwen3-(\d|next)": "qwen3_nothink",
    r"qwen3\.5-": "qwen3_5",
    r"qwen3\.6-": "qwen3_6",
    r"tiny-qwen2": "qwen",
}
THINKS_ALWAYS = r"qwen3.*-thinking|qwq-"
TEXT_MODELS = ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next")
WITH_PICTURES = ("qwen3_5", "qwen3_5_moe")
ROW = {"instruction": "甲", "input": "乙", "output": ""}
ASKED = "<|im_start|>system\n甲<|im_end|>\n<|im_start|>user\n乙<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True)
class ChosenFormat:
    """LLaMA-Factory's template, and whether the run says `enable_thinking: false`."""

    template: str
    thinking_off: bool = False

    @property
    def values(self) -> dict[str, str | bool]:
        """The run's keys."""
        return {"template": self.template, **({"enable_thinking": False} if self.thinking_off else {})}


def said_format(template: str) -> ChosenFormat:
    """Returns the format of a template that a user names; one that knows thoughts has them turned off."""
    return ChosenFormat(template, bool(empty_thought(template)))


def chat_format(folder: Path) -> ChosenFormat:
    """Returns the format of a base model.

    Raises ToolError for a model that always thinks, where neither chat template nor name tells the format, and where the chat template can't be rendered.
    """
    own = find_template(folder)[1]
    template = _by_name(folder.name.casefold()) if own is None else _by_rendering(Run(folder, {"model_name_or_path": str(folder)}))
    if template is None:
        raise ToolError(
            f"base model {folder}: which chat format? Its {'name' if own is None else 'chat template'} isn't one of Qwen's text models. Give it with --template NAME"
            ' (make: ARGS="--template NAME"), NAME as in the list of models in LLaMA-Factory\'s README.'
        )
    if template == "":
        raise ToolError(
            f"base model {folder}: it thinks before every answer, and that can't be turned off; extraction trains and serves without thoughts. Take a model that"
            " answers at once, as Qwen/Qwen3-4B-Instruct-2507 or Qwen/Qwen3-8B."
        )
    return said_format(template)


def _by_name(name: str) -> str | None:
    """Returns the template that a model's name tells, '' for a model that always thinks, None where the name tells nothing."""
    if re.match(THINKS_ALWAYS, name):
        return ""
    return next((template for pattern, template in NAMES.items() if re.match(pattern, name)), None)


def _by_rendering(run: Run) -> str | None:
    """Returns the template that a model's own chat template tells, '' where it opens a thought that can't be turned off, None for another format than Qwen's."""
    folder, own = Path(run.base_model), OwnFormat(run)
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    kind = str(config.get("model_type")) if isinstance(config, dict) else ""
    usual, off = own.prompt(ROW, {}), own.prompt(ROW, {"enable_thinking": False})
    if kind not in TEXT_MODELS + WITH_PICTURES or not usual.startswith(ASKED):
        return None
    if usual == ASKED:
        return "qwen" if kind.startswith("qwen2") else "qwen3_nothink"
    if off != ASKED + THOUGHT:
        return ""
    # LLaMA-Factory's templates of models that see pictures want the model's processor; `qwen3` writes the same words without one.
    if kind in WITH_PICTURES and takes_pictures(folder):
        return "qwen3_6" if folder.name.casefold().startswith("qwen3.6") else "qwen3_5"
    return "qwen3"
