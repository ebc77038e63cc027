"""The rows that the PEFT engine trains on, as token ids and labels: LLaMA-Factory's own dataset pipeline, with its silent faults made errors.

In: a run's arguments. Out: tokenizer, training rows and evaluation rows ("input_ids", "attention_mask", "labels"; the prompt's labels are -100).

    python -m tools.train.peft_engine data/outputs/<run>/run.yaml
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.conf import dataset_names
from tools.errors import WANTING, ToolError, all_at_once, choices
from tools.files import need_file, read_json, read_jsonl

if TYPE_CHECKING:
    from datasets import Dataset
    from llamafactory.hparams import DataArguments
    from transformers import PreTrainedTokenizerBase

    from tools.train.peft_arguments import ModelOptions, TrainingOptions

KEPT = ("input_ids", "attention_mask", "labels")
SHOWN = 5  # faulty rows that a message names


def encoded(
    model: ModelOptions, data: DataArguments, training: TrainingOptions
) -> tuple[PreTrainedTokenizerBase, Dataset, Dataset | dict[str, Dataset] | None]:
    """(tokenizer, training rows, evaluation rows or None), as `llamafactory-cli train` would make them of the same arguments.

    Raises ToolError for an unknown template, and for rows that LLaMA-Factory can't read.
    """
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.data.template import TEMPLATES
    from llamafactory.hparams import ModelArguments
    from llamafactory.model import load_tokenizer

    if data.template is not None and data.template not in TEMPLATES:
        raise ToolError(f"template '{data.template}': LLaMA-Factory has no such template.{choices(data.template, TEMPLATES)}")
    theirs = ModelArguments(model_name_or_path=model.model_name_or_path, trust_remote_code=model.trust_remote_code)
    loaded = load_tokenizer(theirs)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data)
    try:
        found = get_dataset(template, theirs, data, training, stage="sft", **loaded)
    except (ValueError, RuntimeError) as error:  # what is left when `problems` found nothing: an odd format, or no row at all
        raise ToolError(f"{data.dataset_dir}: LLaMA-Factory can't read the rows: {error}", WANTING) from None
    test = found.get("eval_dataset")
    return (
        loaded["tokenizer"],
        _only(found["train_dataset"]),
        {k: _only(v) for k, v in test.items()} if isinstance(test, dict) else test and _only(test),
    )


def need_rows(where: Path, data: DataArguments) -> None:
    """See that every dataset is registered, is there, and has no row without a prompt or an answer: LLaMA-Factory drops such rows with a line in its log.

    Raises ToolError with every problem: exit code 2 for what is missing, 1 for faulty rows. `where` is the run's file.
    """
    names = list(dict.fromkeys([*dataset_names(data.dataset), *dataset_names(data.eval_dataset)]))
    if not dataset_names(data.dataset):
        raise ToolError(f"{where}: `dataset` is missing: there is nothing to train on.")
    path = Path(data.dataset_dir) / "dataset_info.json"
    info = read_json(need_file(path, f"{where} trains on it; make data"))
    all_at_once([f"{where}: no dataset '{name}' in {path}.{choices(name, info)} To write it: make data" for name in names if name not in info])
    for name in names:
        if "file_name" in info[name]:
            need_file(path.parent / info[name]["file_name"], f"It is dataset '{name}'. To write it: make data")
    all_at_once([problem for name in names for problem in _faults(path.parent, info[name])], WANTING)


def _only(rows: Dataset) -> Dataset:
    return rows.select_columns(list(KEPT))


def _faults(folder: Path, entry: dict[str, Any]) -> list[str]:
    """What is wrong with the rows of one Alpaca file; other formats are LLaMA-Factory's business."""
    path = folder / str(entry.get("file_name", ""))
    if path.suffix not in (".json", ".jsonl") or entry.get("formatting", "alpaca") != "alpaca":
        return []
    columns = entry.get("columns", {"prompt": "instruction", "response": "output"})
    wanted = [columns[key] for key in ("prompt", "response") if key in columns]
    count, faults = 0, list[str]()
    for where, row in _rows(path):
        count += 1
        faults += [
            f"{where}: `{key}` is empty." for key in wanted if not (isinstance(row, dict) and isinstance(row.get(key), str) and row[key].strip())
        ]
    if not count:
        return [f"{path}: holds no rows. To write it: make data"]
    more = [f"{path}: {len(faults) - SHOWN} more such rows. Mend the raw annotation (make check), then: make data"] if len(faults) > SHOWN else []
    return faults[:SHOWN] + more


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """(place, row) of each row of a JSON list or a JSON Lines file."""
    if path.suffix == ".jsonl":
        for line, row in read_jsonl(path):
            yield f"{path}:{line}", row
        return
    rows = read_json(path)
    if not isinstance(rows, list):
        raise ToolError(f"{path}: must be a JSON list of rows, this is a {type(rows).__name__}.", WANTING)
    for number, row in enumerate(rows, 1):
        yield f"{path}: row {number}", row
