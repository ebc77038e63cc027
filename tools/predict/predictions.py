"""The prediction, one JSON object a line: what the predictor writes and the scorer reads. `output` is the model's raw text.

{"id", "output", "finish_reason", "error", "prompt_tokens", "completion_tokens", "latency_s"}
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import WANTING, ToolError
from tools.files import read_jsonl

FILE = "predictions.jsonl"
META = "predictions.meta.json"


@dataclass(slots=True, unsafe_hash=True)  # as if frozen, but faster to make, and millions are made
class Prediction:
    """One answer. `output` is None where the server refused the row, and `error` says why; `latency_s` is in seconds."""

    id: str
    output: str | None
    finish_reason: str | None = None
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields in the file's order."""
        return {name: getattr(self, name) for name in FIELDS}

    def to_json(self) -> str:
        """One line of a predictions file, without its end."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


FIELDS = tuple(field.name for field in fields(Prediction))


def read_predictions(path: Path) -> dict[str, Prediction]:
    """id → prediction. A ToolError names the first line that isn't a prediction, or that repeats an id. Unknown fields are left aside."""
    found: dict[str, Prediction] = {}
    for number, row in read_jsonl(path):
        prediction = as_prediction(row, f"{path}:{number}")
        if prediction.id in found:
            raise stands_twice(prediction.id, f"{path}:{number}")
        found[prediction.id] = prediction
    return found


def as_prediction(row: dict[str, Any], where: str) -> Prediction:
    """The prediction that one line's object is; a ToolError that begins with `where` when it is none."""
    get = row.get
    id, output = get("id"), get("output", False)
    if not isinstance(id, str) or not (isinstance(output, str) or output is None):
        raise ToolError(f"{where}: not a prediction: 'id' must be a string, 'output' the model's raw text (or null).", WANTING)
    return Prediction(id, output, get("finish_reason"), get("error"), get("prompt_tokens"), get("completion_tokens"), get("latency_s"))


def stands_twice(id: str, where: str) -> ToolError:
    """The error for an id that was predicted before."""
    return ToolError(f"{where}: the id '{id}' stands twice; which answer counts?", WANTING)


def folder(this: Run, task: Task, split: str, which: str, decoding: str = "free") -> Path:
    """Where an evaluation of one of the run's models is kept."""
    return (
        this.output_dir
        / "eval"
        / (f"{task.name}_{split}" + ("" if which == "adapter" else f"-{which}") + ("" if decoding == "free" else f"-{decoding}"))
    )
