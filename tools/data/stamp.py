"""Stamps the files of a split, so that the next step notices files of two versions.

In: dataset_info.json, whose entries hold `"stamp": {"examples_sha256": …, "alpaca_sha256": …}`, and the files that it names. Out: a sentence for each file that
has changed since conversion wrote it: a conversion was killed between two files, or a file was edited by hand. An entry without a stamp is a user's own.

    >>> problems(Path("data/dataset"), ["alpaca_sample_train"])
    []
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.conf.run import DATASET_NAME
from tools.conf.task import DATASET, SPLIT_NAME, TASKS, Task
from tools.files import read_json, sha256

INFO = "dataset_info.json"


def stamp(examples: Path, alpaca: Path) -> dict[str, str]:
    """Returns the stamp of two files: their hex SHA-256."""
    return {"examples_sha256": sha256(examples), "alpaca_sha256": sha256(alpaca)}


def problems(dataset: Path, names: Sequence[str]) -> list[str]:
    """Returns a sentence for each stamped file of `names` that isn't the one that conversion wrote, with the next command.

    `dataset` holds `examples/` and `alpaca/`; a name is `alpaca_<task>_<split>`. A file or an entry that is missing is left to its reader.
    Raises ToolError if dataset_info.json is not JSON.
    """
    path = dataset / "alpaca" / INFO
    info = read_json(path) if path.is_file() else {}
    found = []
    for name in names:
        entry = info.get(name) if isinstance(info, dict) else None
        match = DATASET_NAME.fullmatch(name)
        if match and isinstance(entry, dict) and isinstance(entry.get("stamp"), dict):
            found += _problems(dataset, match["task"], match["split"], path, entry)
    return found


def left_over(task: Task, dataset: Path) -> dict[str, list[Path]]:
    """Returns the files that an earlier conversion wrote for splits that the task no longer has, the examples first."""
    found = {}
    for path in sorted((dataset / "examples").glob(f"{glob.escape(task.name)}_*.jsonl")):
        split = path.stem.removeprefix(f"{task.name}_")
        if SPLIT_NAME.fullmatch(split) and split not in {*task.raw, *(task.split.of if task.split else ())}:
            alpaca = dataset / "alpaca" / f"alpaca_{task.name}_{split}.json"
            found[split] = [path, *([alpaca] if alpaca.exists() else [])]
    return found


def _problems(dataset: Path, task: str, split: str, info: Path, entry: dict[str, Any]) -> list[str]:
    again = f"make data TASK={task}" if (TASKS / f"{task}.yaml").is_file() else "./ner data TASK.yaml"
    if dataset != DATASET:
        again += f' ARGS="--out {dataset}"' if again.startswith("make") else f" --out {dataset}"
    examples = dataset / "examples" / f"{task}_{split}.jsonl"
    alpaca = info.parent / str(entry.get("file_name"))
    if _changed(examples, entry["stamp"].get("examples_sha256")):
        return [
            f"{examples}: doesn't belong to {alpaca}: a conversion was interrupted, or the file was changed by hand. To write both again: {again}"
        ]
    if _changed(alpaca, entry["stamp"].get("alpaca_sha256")):
        return [
            f"{alpaca}: was changed after conversion wrote it, so it no longer belongs to {examples}. To write it again: {again}. To train on it as it is:"
            f" rename it, give it an entry of its own in {info} without a stamp, and name that entry in the run: dataset=NAME"
        ]
    return []


def _changed(path: Path, expected: Any) -> bool:
    return path.is_file() and sha256(path) != expected
