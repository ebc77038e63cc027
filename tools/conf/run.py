"""Reads a run, `conf/<run>.yaml`: LLaMA-Factory's own keys, and the names and folders that follow from them.

In: the file, with overlays and key=value words laid over it. Out: a frozen Run.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml lora_rank=16
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.conf.overlays import KEY_VALUE, RUNS, available, container, is_overlay, load_yaml, merge
from tools.conf.task import DATASET
from tools.errors import ToolError, all_at_once
from tools.files import need_file
from tools.variant import CHECKPOINT, Variant, variant_word

PEFT_METHODS = ("prefix", "p_tuning")
DATASET_NAME = re.compile(r"alpaca_(?P<task>.+)_(?P<split>[^_]+)")


@dataclass(frozen=True)
class Run:
    """A run file with its overlays and overrides laid over it. `values` are LLaMA-Factory's own keys."""

    path: Path
    values: dict[str, Any]
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The conf file's stem; also the output folder's and the served model's name."""
        return self.path.stem

    @property
    def output_dir(self) -> Path:
        """The folder in which LLaMA-Factory writes the adapter: `data/outputs/<run>`, or another folder of that name."""
        return Path(str(self.values["output_dir"]))

    @property
    def resolved(self) -> Path:
        """The one file that LLaMA-Factory is given."""
        return self.output_dir / "run.yaml"

    def variant(self, word: str) -> Variant:
        """Returns one of the run's models by its word. Raises ToolError with the choices for a word that names none."""
        return Variant(variant_word(word), self.name, self.path, self.output_dir, self.trained().base_model)

    def checkpoints(self) -> list[tuple[int, Path]]:
        """Returns (step, folder) of each checkpoint in the output folder, in no order, whole or not."""
        found = [(CHECKPOINT.fullmatch(path.name), path) for path in self.output_dir.glob("checkpoint-*")]
        return [(int(match["step"]), path) for match, path in found if match and path.is_dir()]

    @property
    def base_model(self) -> str:
        """The base model's folder, or its name on a hub."""
        return str(self.values["model_name_or_path"])

    @property
    def engine(self) -> str:
        """The engine that trains the run: 'peft' for the runs in conf/peft/ and for methods that LLaMA-Factory doesn't have, else 'llamafactory'."""
        return "peft" if self.path.parent.name == "peft" or self.values.get("finetuning_type") in PEFT_METHODS else "llamafactory"

    @property
    def dataset(self) -> Path:
        """The folder that holds `examples/` and `alpaca/`: the parent of the run's `dataset_dir`."""
        return Path(str(self.values.get("dataset_dir", DATASET / "alpaca"))).parent

    @property
    def task(self) -> str:
        """The task that the run trains, read from its datasets (`alpaca_<task>_<split>`). Raises ToolError where they don't name exactly one."""
        names = dataset_names(self.values.get("dataset"))
        tasks = sorted({match["task"] for name in names if (match := DATASET_NAME.fullmatch(name))})
        if len(tasks) != 1:
            raise ToolError(f"{self.path}: `dataset: {self.values.get('dataset')}` names no single task. To name it: --task NAME (make: TASK=NAME).")
        return tasks[0]

    def trained(self) -> Run:
        """Returns the run as it was trained: the resolved file in its output folder, or this run where LLaMA-Factory was called natively."""
        if not self.resolved.is_file():
            return self
        values = container(load_yaml(self.resolved), self.resolved)
        return Run(self.path, {**values, "output_dir": str(self.output_dir)}, self.overrides)


def dataset_names(value: Any) -> list[str]:
    """Returns the names in LLaMA-Factory's `dataset` or `eval_dataset` value: "a, b", a list or nothing."""
    parts = value if isinstance(value, list) else str(value or "").split(",")
    return [str(part).strip() for part in parts if str(part).strip()]


def run_from(args: argparse.Namespace) -> Run:
    """Returns the run that a command's words name. Raises ToolError where they name none."""
    if args.conf is None:
        raise ToolError(f"no run is named. To name one: CONF=conf/<run>.yaml.{available(RUNS)}")
    return load_run(args.conf, args.overrides)


def load_run(path: Path, overrides: Sequence[str] = ()) -> Run:
    """Returns a run with `overrides` (overlay files and key=value) laid over it.

    Raises ToolError for a missing or broken file, a secret among the values, or an output folder that later steps don't find.
    """
    need_file(path, available(RUNS).strip())
    values = container(merge(path, overrides), path)
    problems = [f"{path}: `{key}` is missing." for key in ("model_name_or_path", "output_dir", "dataset") if not values.get(key)]
    for key, value in values.items():
        if re.search(r"(_token|_api_key|_secret|password)$", key) and value:
            problems.append(f"{path}: `{key}` is a secret and doesn't belong in a file or in argv; export it in the environment instead.")
    if values.get("output_dir") and Path(str(values["output_dir"])).name != path.stem:
        problems.append(
            f"{path}: `output_dir: {values['output_dir']}` must end in the run's name, e.g. data/outputs/{path.stem}: later steps look there."
        )
    all_at_once(problems)
    return Run(path, values, tuple(overrides))


def origins(run: Run) -> dict[str, str]:
    """Returns where each value of a run comes from: 'run', an overlay's path, or 'command line'. The last source that names a value counts."""
    found = dict.fromkeys(map(str, load_yaml(run.path)), "run")
    for word in run.overrides:
        if is_overlay(word):
            found |= dict.fromkeys(map(str, load_yaml(Path(word))), word)
    return found | {word.partition("=")[0].split(".")[0]: "command line" for word in run.overrides if KEY_VALUE.match(word)}
