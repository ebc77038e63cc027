"""Reads and writes predictions, and the record of what they were made with.

In: answers. Out: `predictions.jsonl`, one object a line, {"id", "output", "finish_reason", "error", "prompt_tokens", "completion_tokens", "latency_s"} with the
model's raw text as `output`, and `predictions.meta.json` beside it. A row that was asked in windows has `windows` too, each with its own `output`; where
log-probabilities were asked for, a prediction has `tokens`, the pieces of its output with the log-probability of each.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --out DIR
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from tools.chat.windows import Window
from tools.errors import WANTING, ToolError, first_mistake
from tools.files import read_jsonl, read_text, write_json

FILE = "predictions.jsonl"
META = "predictions.meta.json"
RARE = ("merged_sha256", "template_kwargs", "thought")  # fields that most runs leave empty


Tokens = tuple[tuple[str, float], ...]  # the pieces of an output, and the natural logarithm of each one's probability


@dataclass(slots=True, unsafe_hash=True)
class WindowAnswer:
    """The answer about one window of a text that was too long to be asked whole."""

    window: Window
    output: str
    finish_reason: str | None = None
    tokens: Tokens | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the window's places and the other fields, `tokens` only where they were asked for."""
        return {**self.window._asdict(), "output": self.output, "finish_reason": self.finish_reason} | (
            {"tokens": self.tokens} if self.tokens else {}
        )


@dataclass(slots=True, unsafe_hash=True)  # as if frozen, but faster to make, and millions are made
class Prediction:
    """One answer. `output` is None where the row was refused, and `error` says why; `latency_s` is in seconds.

    A row that was asked in windows has its answers in `parts`; `output` has them one below the other.
    """

    id: str
    output: str | None
    finish_reason: str | None = None
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_s: float | None = None
    tokens: Tokens | None = None
    parts: tuple[WindowAnswer, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields in the file's order; `tokens` and `windows` only where there are any."""
        more: dict[str, Any] = {"tokens": self.tokens} if self.tokens is not None else {}
        more |= {"windows": [part.to_dict() for part in self.parts]} if self.parts else {}
        return {name: getattr(self, name) for name in PLAIN} | more

    def to_json(self) -> str:
        """Returns one line of a predictions file, without its end."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


PLAIN = tuple(one.name for one in fields(Prediction) if one.name not in ("tokens", "parts"))
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
        raise ToolError(f"{path}: no record of predictions: {first_mistake(error)}. Predict again.", WANTING) from None


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
    made = Prediction(id, output, get("finish_reason"), get("error"), get("prompt_tokens"), get("completion_tokens"), get("latency_s"))
    if "tokens" in row or "windows" in row:
        try:
            made.tokens = as_tokens(row.get("tokens"))
            made.parts = tuple(_part(one) for one in row.get("windows", ()))
        except (KeyError, TypeError, ValueError) as error:
            raise ToolError(f"{where}: not a prediction: its windows or tokens can't be read ({error!r}).", WANTING) from None
    return made


def as_tokens(value: Any) -> Tokens | None:
    """Returns JSON's [[piece, log-probability], …] as Tokens. Raises TypeError or ValueError for anything else but None."""
    return None if value is None else tuple((str(piece), float(logprob)) for piece, logprob in value)


def _part(row: dict[str, Any]) -> WindowAnswer:
    window = Window(*(int(row[name]) for name in Window._fields))
    if not isinstance(row["output"], str):
        raise TypeError("a window without an output")
    return WindowAnswer(window, row["output"], row.get("finish_reason"), as_tokens(row.get("tokens")))


def stands_twice(id: str, where: str) -> ToolError:
    """Returns the error for an id that was predicted before."""
    return ToolError(f"{where}: the id '{id}' stands twice; which answer counts?", WANTING)
