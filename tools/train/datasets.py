"""Reads the rows that LLaMA-Factory will train on, and finds those that it would damage in silence.

LLaMA-Factory drops rows without an answer, and leaves out columns that are mapped to nothing. In: a run, whose datasets `dataset_info.json` describes. Out: for each
dataset its rows as system, user turn and answer, and what is wrong with it.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.conf.run import Run, dataset_names
from tools.errors import ToolError, choices
from tools.files import need_file, read_json, read_jsonl

# LLaMA-Factory's columns of a dataset that maps none (data/parser.py, DatasetAttr). A dataset that maps some has only those.
DEFAULT_COLUMNS = {"prompt": "instruction", "query": "input", "response": "output"}
TEXT_COLUMNS = ("instruction", "input", "output", "system")
HUBS = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url")
SHOWN = 5


@dataclass
class Dataset:
    """One dataset of a run. `rows` have "instruction" (system), "input" (user turn) and "output" (answer).

    `read` is false for a dataset on a hub or in another format than Alpaca's: LLaMA-Factory alone reads those.
    """

    name: str
    path: Path | None = None
    rows: list[dict[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    read: bool = True


def datasets(run: Run) -> tuple[list[Dataset], list[Dataset]]:
    """Returns the run's (training, evaluation) datasets, each cut to `max_samples`. Everything wrong is in their `problems`."""
    folder = Path(str(run.values.get("dataset_dir", "data")))
    try:
        info = read_json(need_file(folder / "dataset_info.json", f"{run.path} trains on it; to write it: make data"))
        if not isinstance(info, dict):
            raise ToolError(f"{folder / 'dataset_info.json'}: must be a JSON object that maps dataset names to entries.")
    except ToolError as error:
        return [Dataset("", problems=[str(error)], read=False)], []
    train, evaluation = ([_dataset(run, folder, info, name) for name in dataset_names(run.values.get(key))] for key in ("dataset", "eval_dataset"))
    for dataset in [*train, *evaluation]:
        limit = run.values.get("max_samples")
        if isinstance(limit, int) and limit > 0:
            del dataset.rows[limit:]
    return train, evaluation


def _dataset(run: Run, folder: Path, info: dict[str, Any], name: str) -> Dataset:
    try:
        path, entry = _place(run, folder, info, name)
        if path is None or path.is_dir() or path.suffix not in (".json", ".jsonl") or entry.get("formatting", "alpaca") != "alpaca":
            return Dataset(name, path, read=False)
        raw = _objects(path)
    except ToolError as error:
        return Dataset(name, problems=[str(error)], read=False)
    mapped = {**dict.fromkeys(DEFAULT_COLUMNS), **entry["columns"]} if isinstance(entry.get("columns"), dict) else {**DEFAULT_COLUMNS}
    problems = [*_column_problems(folder / "dataset_info.json", name, mapped, raw)] or [*_row_problems(path, mapped, raw)]
    return Dataset(name, path, [] if problems else [_row(mapped, row) for row in raw], problems, read=not problems)


def _place(run: Run, folder: Path, info: dict[str, Any], name: str) -> tuple[Path | None, dict[str, Any]]:
    """Returns a dataset's file, None for one on a hub, and its entry in dataset_info.json. Raises ToolError where either is missing or wrong."""
    place = folder / "dataset_info.json"
    if name not in info:
        raise ToolError(f"{run.path}: no dataset '{name}' in {place}.{choices(name, info)} To write it: make data")
    entry = info[name]
    if not isinstance(entry, dict):
        raise ToolError(f"{place}: '{name}' must be an object with a file_name, this is {json.dumps(entry)[:60]}.")
    if any(key in entry for key in HUBS):
        return None, entry
    if not isinstance(entry.get("file_name"), str):
        raise ToolError(f"{place}: '{name}' names no file_name.")
    path = folder / entry["file_name"]
    if os.path.normpath(entry["file_name"]).startswith(("..", "/")):
        raise ToolError(f"{place}: '{name}' names {entry['file_name']}, which is outside {folder}. Put the file there.")
    if not path.exists():
        raise ToolError(f"{path}: no such file (dataset '{name}'). To write it: make data")
    return path, entry


def _objects(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a JSON list of objects, or of JSON Lines. Raises ToolError for any other file."""
    with open(path, "rb") as file:
        if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:
            raise ToolError(
                f"{path}: begins with a byte-order mark, which LLaMA-Factory can't read. Save it without one. To write it anew: make data"
            )
    values = [row for _, row in read_jsonl(path)] if path.suffix == ".jsonl" else read_json(path)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ToolError(f"{path}: must be a list of objects, one a row.")
    if not values:
        raise ToolError(f"{path}: no rows in it. To write it: make data")
    return values


def _column_problems(place: Path, name: str, mapped: dict[str, Any], raw: list[dict[str, Any]]) -> Iterator[str]:
    there = list(dict.fromkeys(key for row in raw for key in row))
    for role, column in mapped.items():
        if column is not None and column not in there:
            yield f"{place}: '{name}' maps {role} to '{column}', which no row has.{choices(str(column), there)}"
    for role in ("prompt", "response"):
        if not mapped.get(role) and not (role == "prompt" and mapped.get("query")):
            yield f"{place}: '{name}' maps no column to {role}: LLaMA-Factory would train on nothing. Columns of the rows: {', '.join(there)}."
    lost = [column for column in TEXT_COLUMNS if column in there and column not in mapped.values() and any(row.get(column) for row in raw)]
    for column in lost:
        yield f"{place}: '{name}' maps nothing to the rows' '{column}': LLaMA-Factory would leave it out in silence. Add e.g. \"query\": \"{column}\"."


def _row_problems(path: Path, mapped: dict[str, Any], raw: list[dict[str, Any]]) -> Iterator[str]:
    answer, asked = str(mapped["response"]), [column for column in (mapped.get("prompt"), mapped.get("query")) if column]
    texts = [column for column in (*asked, answer, mapped.get("system")) if column]
    faults: dict[str, Callable[[dict[str, Any]], bool]] = {
        f"without an answer in '{answer}', which LLaMA-Factory drops or trains to say nothing": lambda row: _blank(row.get(answer)),
        f"without a question in {' or '.join(map(repr, asked))}": lambda row: all(_blank(row.get(column)) for column in asked),
        "with a value that isn't text": lambda row: any(not isinstance(row.get(column), str | None) for column in texts),
    }
    for fault, has_it in faults.items():
        if numbers := [number for number, row in enumerate(raw, 1) if has_it(row)]:
            shown = f"{', '.join(map(str, numbers[:SHOWN]))}{' …' if len(numbers) > SHOWN else ''}"
            yield f"{path}: {len(numbers):,} rows {fault}: row{'s' if len(numbers) > 1 else ''} {shown}."


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _row(mapped: dict[str, Any], row: dict[str, Any]) -> dict[str, str]:
    """Returns the turns as AlpacaDatasetConverter (data/converter.py) makes them, without earlier turns of a conversation (`history`)."""
    turn = "\n".join(text for column in ("prompt", "query") if (text := mapped.get(column) and row.get(mapped[column])))
    return {"instruction": str((mapped.get("system") and row.get(mapped["system"])) or ""), "input": turn, "output": row[mapped["response"]]}
