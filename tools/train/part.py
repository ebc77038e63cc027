"""Trains a run on other rows than its own: a fold of its training split, or a share of it, with the run's own settings.

In: a run that trains one task's `train` split, a folder, and the examples of each split. Out: a run of the same name, trained, whose dataset and output folder are below that
folder. A training that was interrupted goes on; one that was finished on the same rows with the same settings isn't done again.

    ./ner curve conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.conf.run import Run, dataset_names, load_run
from tools.conf.task import Task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.example import Example
from tools.files import Transaction
from tools.train import manifest
from tools.train.distributed import usual
from tools.train.resume import differences
from tools.train.train import train
from tools.variant import FINISHED, is_pissa

READER = "jsonl"  # of the project's own examples
# Nothing is evaluated while a part trains: its held-out rows are asked afterwards.
UNWATCHED = ("eval_dataset=null", "eval_strategy='no'", "load_best_model_at_end=false", "val_size=0.0")


def need_own_data(run: Run, task: Task) -> None:
    """Raises ToolError for a run that trains anything but the task's `train` split: its rows can't be divided."""
    own = f"alpaca_{task.name}_train"
    if (names := dataset_names(run.values.get("dataset"))) != [own]:
        raise ToolError(f"{run.path}: trains on {', '.join(names)}. Only a run that trains on {own} alone can be trained on a part of its rows.")


def trained_part(run: Run, task: Task, folder: Path, splits: Mapping[str, Iterable[Example]], words: Iterable[str] = ()) -> Run:
    """Returns the run as it is trained on `splits["train"]` in `folder`; trains it where that isn't done. `words` are laid over the run, such as `seed=1`.

    It is trained on this machine, by one process for each GPU. The other splits are written beside it, to be asked; a row's id there is its task, split and number. Raises ToolError as `train` does.
    """
    part = write_part(run, task, folder, splits, words)
    if not is_trained(part):
        train(part, fresh=bool(stale(part)), how=usual(part))
    return part


def write_part(run: Run, task: Task, folder: Path, splits: Mapping[str, Iterable[Example]], words: Iterable[str] = ()) -> Run:
    """Writes the examples and Alpaca files of the splits into `folder`, and returns the run that trains on them."""
    rows = {split: folder / "rows" / f"{split}.jsonl" for split in splits}
    with Transaction() as new:
        for split, path in rows.items():
            new.open(path).writelines(f"{example.to_json()}\n" for example in splits[split])
    raw = {split: str(path) for split, path in rows.items()}
    convert(task.model_copy(update={"raw": raw, "reader": READER, "fields": {}, "numbers": [], "offsets": None, "split": None}), folder / "dataset")
    patience = ["early_stopping_steps=null"] if "early_stopping_steps" in run.values else []  # counts evaluations
    places = (f"dataset_dir={folder / 'dataset' / 'alpaca'}", f"output_dir={folder / run.name}")
    return load_run(run.path, [*run.overrides, *UNWATCHED, *patience, *words, *places])


def is_trained(part: Run) -> bool:
    """Returns whether a part's training is finished, its adapter a plain one, and was of today's rows and settings."""
    return (part.output_dir / FINISHED).is_file() and not is_pissa(part.output_dir) and not stale(part)


def stale(part: Run) -> list[str]:
    """Returns why what is in a part's output folder is of other rows or settings than today's; empty where it isn't, or where there is nothing."""
    return differences(part) if manifest.read(part.output_dir) else []


def fold_of(example: Example, folds: int) -> int:
    """Returns the number of an example's fold, from 0, by a hash of its text: equal texts are in one fold, however often they stand."""
    return int.from_bytes(hashlib.sha256(example.text.encode("utf-8", "surrogatepass")).digest()[:8]) % folds
