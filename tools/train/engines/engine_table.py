"""Lists the engines that train a run: the name of each, its command, and the keys that it takes.

In: a run's `engine` (tools.conf.run). Out: an TrainingEngine. A further engine is one more entry here.

    ./ner train conf/peft/tiny-qwen2-sample-ner-ptuning.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.conf.run import Run, dataset_names
from tools.errors import ToolError


@dataclass(frozen=True)
class TrainingEngine:
    """One engine. `command(native, ranks)` starts it, with the resolved run as a last word: `native` as LLaMA-Factory itself would, `ranks` as one of torchrun's processes.

    `keys()` returns the dataclasses whose fields are the keys that it takes, `parse(values)` reads a run as the engine does and raises what it raises, and
    `problems(run)` returns what it can't do. `processes` tells whether torchrun can start it. `keys` and `parse` import torch.
    """

    title: str
    command: Callable[[bool, bool], list[str]]
    keys: Callable[[], Sequence[Any]]
    parse: Callable[[dict[str, Any]], object]
    problems: Callable[[Run], list[str]]
    processes: bool


def llamafactory_cli() -> str:
    """Returns the path of LLaMA-Factory's command in this Python's environment. Raises ToolError where it isn't installed."""
    program = Path(sys.executable).with_name("llamafactory-cli")
    if not program.is_file():
        raise ToolError(f"{program}: no such file. To install LLaMA-Factory: make setup. To run this command with it: ./ner")
    return str(program)


def _llamafactory_command(native: bool, ranks: bool) -> list[str]:
    if native and not ranks:
        return [llamafactory_cli(), "train"]
    return [sys.executable, "-m", "tools.train.engines.llamafactory_engine", *(["--native"] if native else [])]


def _llamafactory_keys() -> Sequence[Any]:
    from llamafactory.hparams import parser

    return [*parser._TRAIN_ARGS, parser.RayArguments]


def _llamafactory_parse(values: dict[str, Any]) -> object:
    from llamafactory.hparams import get_train_args

    return get_train_args(values)


def _peft_keys() -> Sequence[Any]:
    from tools.train.engines.peft_arguments import ARGUMENTS

    return ARGUMENTS


def _peft_parse(values: dict[str, Any]) -> object:
    from transformers import HfArgumentParser

    return HfArgumentParser(_peft_keys()).parse_dict(values)


def _peft_problems(run: Run) -> list[str]:
    path, values = run.path, run.values
    found = [f"{path}: `{key}` is missing." for key in ("model_name_or_path", "output_dir", "dataset") if not values.get(key)]
    if not values.get("do_train"):
        found.append(f"{path}: `do_train: true` is missing. The PEFT engine does nothing but train.")
    for key in ("packing", "neat_packing"):
        if values.get(key):
            found.append(
                f"{path}: `{key}: true`: the PEFT engine doesn't pack rows. Leave the key out; `train_sampling_strategy: group_by_length` saves padding."
            )
    if values.get("finetuning_type") == "prefix" and values.get("gradient_checkpointing"):
        found.append(f"{path}: `gradient_checkpointing: true`: prefix tuning can't recompute activations. Leave the key out.")
    if str(values.get("eval_strategy", "no")) not in ("no", "False") and not dataset_names(values.get("eval_dataset")) and not values.get("val_size"):
        found.append(f"{path}: `eval_strategy: {values['eval_strategy']}` needs `eval_dataset` or `val_size`.")
    return found


ENGINES = {
    "llamafactory": TrainingEngine(
        title="LLaMA-Factory",
        command=_llamafactory_command,
        keys=_llamafactory_keys,
        parse=_llamafactory_parse,
        problems=lambda run: [],
        processes=True,
    ),
    "peft": TrainingEngine(
        title="The PEFT engine",
        command=lambda native, ranks: [sys.executable, "-m", "tools.train.engines.peft_engine"],
        keys=_peft_keys,
        parse=_peft_parse,
        problems=_peft_problems,
        processes=False,
    ),
}
