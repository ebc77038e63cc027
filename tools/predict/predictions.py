"""Reads and writes predictions, and the record of what they were made with.

In: answers. Out: `predictions.jsonl`, one object a line, {"id", "output", "finish_reason", "error", "prompt_tokens", "completion_tokens", "latency_s"} with the
model's raw text as `output`, and `predictions.meta.json` beside it.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --out DIR
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.errors import WANTING, ToolError
from tools.files import read_jsonl, read_text, write_json

FILE = "predictions.jsonl"
META = "predictions.meta.json"
RARE = ("merged_sha256", "template_kwargs", "thought")  # fields that most runs leave empty


@dataclass(slots=True, unsafe_hash=True)  # as if frozen, but faster to make, and millions are made
class Prediction:
    """One answer. `output` is None where the row was refused, and `error` says why; `latency_s` is in seconds."""

    id: str
    output: str | None
    finish_reason: str | None = None
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields in the file's order."""
        return {name: getattr(self, name) for name in self.__slots__}

    def to_json(self) -> str:
        """Returns one line of a predictions file, without its end."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


Keep = Callable[[Prediction], None]


@dataclass(frozen=True)
class Conditions:
    """The conditions that an answer depends on, beside its question. `model` is its name at the server, `which` the variant's word, `engine` software and version.

    `adapter_sha256` is the hash of the adapter that answers or that was merged, `merged_sha256` that of a merged or quantised model's record.
    Both may be None. `template_kwargs` and `thought` are the run's Thinking (tools.chat.thinking).
    """

    run: str
    task: str
    task_version: int
    split: str
    prompt_sha256: str | None = None
    model: str = ""
    which: str = "adapter"
    base_model: str = ""
    adapter_sha256: str | None = None
    merged_sha256: str | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    decoding: str = "free"
    template_kwargs: dict[str, bool] = field(default_factory=dict)
    thought: str = ""
    engine: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields in the file's order; those of RARE only where they say something."""
        return {name: value for name, value in asdict(self).items() if name not in RARE or value}

    def digest(self) -> str:
        """Returns twelve hex digits that tell these conditions from others."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class PredictionsMeta(Conditions):
    """predictions.meta.json: the conditions, and which questions were asked. `fingerprint` is the conditions' digest, `refused` counts rows without an answer."""

    examples_sha256: str = ""
    prompts_sha256: str = ""
    rows: int = 0
    refused: int = 0
    fingerprint: str = ""


def read_meta(path: Path) -> PredictionsMeta:
    """Reads predictions.meta.json; unknown keys are left aside. Raises ToolError (1) for a file that isn't such a record."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(PredictionsMeta).validate_json(read_text(path), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ToolError(f"{path}: no record of predictions: {place + ': ' if place else ''}{first['msg']}. Predict again.", WANTING) from None


def thought_of(predictions: Path) -> str:
    """Returns what training put before each answer in a predictions file, as the record beside it has it; nothing without a record. Raises as `read_meta` does."""
    record = predictions.with_name(META)
    return read_meta(record).thought if predictions.name == FILE and record.is_file() else ""


def write_meta(path: Path, meta: PredictionsMeta) -> None:
    """Writes predictions.meta.json."""
    write_json(path, meta.to_dict())


def read_predictions(path: Path) -> dict[str, Prediction]:
    """Returns id → prediction; unknown fields are left aside. Raises ToolError (1) for a line that isn't a prediction or repeats an id."""
    found: dict[str, Prediction] = {}
    for number, row in read_jsonl(path):
        prediction = as_prediction(row, f"{path}:{number}")
        if prediction.id in found:
            raise stands_twice(prediction.id, f"{path}:{number}")
        found[prediction.id] = prediction
    return found


def as_prediction(row: dict[str, Any], where: str) -> Prediction:
    """Returns the prediction in one line's object. Raises ToolError (1) that begins with `where`."""
    get = row.get
    id, output = get("id"), get("output", False)
    if not isinstance(id, str) or not (isinstance(output, str) or output is None):
        raise ToolError(f"{where}: not a prediction: 'id' must be a string, 'output' the model's raw text (or null).", WANTING)
    return Prediction(id, output, get("finish_reason"), get("error"), get("prompt_tokens"), get("completion_tokens"), get("latency_s"))


def stands_twice(id: str, where: str) -> ToolError:
    """Returns the error for an id that was predicted before."""
    return ToolError(f"{where}: the id '{id}' stands twice; which answer counts?", WANTING)
