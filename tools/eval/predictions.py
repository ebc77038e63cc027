"""The prediction, one JSON object a line: what the predictor writes and the scorer reads. `output` is the model's raw text.

{"id", "output", "finish_reason", "error", "prompt_tokens", "completion_tokens", "latency_s"}
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tools.errors import WANTING, ToolError
from tools.files import read_jsonl

FILE = "predictions.jsonl"
META = "predictions.meta.json"


@dataclass(frozen=True, slots=True)
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


def prediction_from(row: dict[str, Any]) -> Prediction:
    """A prediction from a line's object; unknown fields are left aside."""
    return Prediction(**{name: row[name] for name in FIELDS if name in row})


def read_predictions(path: Path) -> dict[str, Prediction]:
    """id → prediction. A ToolError names the first line that isn't a prediction, or that repeats an id. Unknown fields are left aside."""
    found: dict[str, Prediction] = {}
    for number, row in read_jsonl(path):
        where = f"{path}:{number}"
        if not isinstance(row.get("id"), str) or "output" not in row or not isinstance(row["output"], str | None):
            raise ToolError(f"{where}: not a prediction: 'id' must be a string, 'output' the model's raw text (or null).", WANTING)
        if row["id"] in found:
            raise ToolError(f"{where}: the id '{row['id']}' stands twice; which answer counts?", WANTING)
        found[row["id"]] = prediction_from(row)
    return found
