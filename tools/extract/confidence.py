"""Tells how sure a model is of each entity: the probability of the entity's own tokens, and what that probability was worth on rows with gold.

In: an answer with its tokens' log-probabilities, and a run's calibration. Out: a confidence from 0 to 1 for each (label, string) pair, and the threshold of a promised
precision. Reading needs no scientific package: the service runs in vLLM's environment.

    ./ner calibrate conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_left, bisect_right
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tools.answers import Pair
from tools.answers.final import BLANK
from tools.chat.answer_formats import FORMATS
from tools.chat.thinking import Thinking
from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import WANTING, ToolError, first_mistake
from tools.files import read_text, sha256
from tools.predict.predictions import Tokens, WindowAnswer
from tools.predict.questions import LOGPROBS, Asking, sampling_of
from tools.text import neutralise
from tools.variant import Variant

FOLDER = "calibration"  # in the run's folder
PRECISIONS = (0.90, 0.95, 0.98)  # that tables and the page show; a request may ask for any other
# Conditions that a calibration depends on → their names in messages. The engine isn't among them: a server is updated more often than its probabilities change.
MADE_FROM = {
    "run": "run",
    "task": "task",
    "task_version": "task version",
    "task_sha256": "task (its system line, labels or answer)",
    "prompt_sha256": "prompt",
    "which": "model of the run",
    "base_model": "base model",
    "adapter_sha256": "adapter",
    "merged_sha256": "merged model",
    "sampling": "sampling",
    "decoding": "decoding",
    "template_kwargs": "decision on thoughts",
    "thought": "thought before each answer",
    "examples_sha256": "examples file",
}


def raw_confidences(task: Task, text: str, part: WindowAnswer, thought: str = "") -> dict[Pair, float]:
    """Returns (the task's own label, string) → the probability of the entity's own tokens, those of its label and of its string; of a repeated pair the highest.

    `text` is the whole text; `thought` is what training put before each answer. The result is empty for an answer in another form than the trained one, and where the
    tokens aren't those of the answer: nothing is known then.
    """
    chunks = _chunks(part.output, part.tokens or ())
    behind = len(part.output) - len(part.output.removeprefix(thought).lstrip(BLANK))
    seen = neutralise(text[part.window.start : part.window.end])
    items = FORMATS[task.answer.format].written(task, part.output[behind:].rstrip(BLANK), seen) if chunks else None
    found = dict[Pair, float]()
    for item in items or ():
        label, rule = task.spellings.get(item.label, (item.label, ""))
        if rule:  # a label by another name isn't the trained form
            return {}
        places = [(start + behind, end + behind) for start, end in (item.label_at, item.text_at)]
        pair = (label, item.text)
        found[pair] = max(found.get(pair, 0.0), _probability(chunks, places))
    return found


Chunks = list[tuple[int, float]]  # (where it begins, log-probability) of each part of an output, from the left


def _chunks(output: str, tokens: Tokens) -> Chunks:
    """Returns the tokens of an output with their places; none where their pieces don't make up the output, but for a token behind it that ends the answer.

    A character's first tokens, whose pieces are empty, are joined with the one that completes it.
    """
    whole = "".join([piece for piece, _ in tokens])
    if whole != output:
        tokens = tokens[:-1]
        whole = "".join([piece for piece, _ in tokens])
    if not tokens or whole != output:
        return []
    made, place, waiting = Chunks(), 0, 0.0
    for piece, logprob in tokens:
        waiting += logprob
        if piece:
            made.append((place, waiting))
            place, waiting = place + len(piece), 0.0
    return made


def whole_confidence(output: str, tokens: Tokens | None) -> float | None:
    """Returns the probability of a whole answer, that of the token which ends it among them; None where the tokens aren't those of the answer."""
    return min(1.0, math.exp(sum(logprob for _, logprob in tokens))) if tokens and _chunks(output, tokens) else None


def _probability(chunks: Chunks, places: list[tuple[int, int]]) -> float:
    """Returns the probability of the chunks that overlap any of the places, each counted once."""
    touched = set[int]()
    for start, end in places:
        touched.update(range(bisect_right(chunks, (start, math.inf)) - 1, bisect_left(chunks, (end, -math.inf))))
    return min(1.0, math.exp(sum(chunks[number][1] for number in touched)))


@dataclass(frozen=True)
class Curve:
    """What raw confidences are worth. `x` and `y` are the knots of a rising line: raw confidence → share of right entities.

    `promises` are (threshold, precision), both rising: entities whose confidence is at least the threshold have at least that precision on new rows.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    promises: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        """Raises ValueError for knots or promises that don't rise within [0, 1]."""
        if len(self.x) != len(self.y) or not self.x:
            raise ValueError("`x` and `y` must have the same number of knots, one at least")
        for name, values in (("x", self.x), ("y", self.y), ("promises", [t for t, _ in self.promises]), ("promises", [p for _, p in self.promises])):
            if any(not 0 <= value <= 1 for value in values) or any(one > other for one, other in pairwise(values)):
                raise ValueError(f"the values of `{name}` must rise within 0 and 1")

    def confidence(self, raw: float) -> float:
        """Returns the calibrated confidence of a raw one, on the line between its two neighbours among the knots."""
        above = bisect_right(self.x, raw)
        if above in (0, len(self.x)):
            return self.y[min(above, len(self.x) - 1)]
        x, y, next_x, next_y = self.x[above - 1], self.y[above - 1], self.x[above], self.y[above]
        return y + (next_y - y) * ((raw - x) / (next_x - x))

    def threshold(self, precision: float) -> float | None:
        """Returns the lowest confidence above which entities have a precision; None where that can't be promised. A higher precision never has a lower threshold."""
        return next((threshold for threshold, promised in self.promises if promised >= precision), None)

    @property
    def best_precision(self) -> float:
        """The highest precision that can be promised; 0 where none can."""
        return self.promises[-1][1] if self.promises else 0.0


@dataclass(frozen=True)
class Calibration(Curve):
    """A calibration's file. `made_from` has the keys of MADE_FROM. `entities` counts those with a confidence, `right` the right ones of them, `unsure` those without one.

    `gold` counts the spans in the split's `rows`. An ECE is [value, low, high], its interval at 95 %; that of `ece_after` is of rows that the curve wasn't fitted on.
    """

    split: str
    made_from: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    gold: int = 0
    entities: int = 0
    right: int = 0
    unsure: int = 0
    ece_before: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ece_after: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields in the file's order, the long lists last."""
        values = asdict(self)
        return {name: value for name, value in values.items() if name not in ("promises", "x", "y")} | {
            name: values[name] for name in ("promises", "x", "y")
        }


def calibration_file(variant: Variant, task: str) -> Path:
    """Returns the file of a model's calibration: `<output_dir>/calibration/<task>[-<variant>].json`."""
    return variant.output_dir / FOLDER / f"{task}{'' if variant.word == 'adapter' else f'-{variant.word}'}.json"


def load_calibration(path: Path) -> Calibration | None:
    """Reads a calibration; None where there is none. Raises ToolError (1) for a file that isn't one."""
    from pydantic import TypeAdapter, ValidationError

    if not path.is_file():
        return None
    try:
        return TypeAdapter(Calibration).validate_json(read_text(path), strict=True)
    except ValidationError as error:
        raise ToolError(f"{path}: no calibration: {first_mistake(error)}. To make it anew: ./ner calibrate", WANTING) from None


def current_calibration(run: Run, variant: Variant, task: Task, decided: Thinking | None = None) -> Calibration | None:
    """Returns the calibration of one of a run's models; None where it was never calibrated. `decided` is the run's Thinking, where LLaMA-Factory isn't here to tell it.

    Raises ToolError with the next command for a stale one, and (1) for a broken one.
    """
    path = calibration_file(variant, task.name)
    found = load_calibration(path)
    if found and (reason := stale(found, run, variant, task, decided)):
        raise ToolError(f"{path}: {reason}. To calibrate again: {_command(run, variant, task, found.split)}")
    return found


def stale(calibration: Calibration, run: Run, variant: Variant, task: Task, decided: Thinking | None = None) -> str:
    """Explains why a calibration doesn't belong to today's model, task and rows; an empty string where it does. `decided` is as in `current_calibration`.

    Rows that aren't on this machine can't be compared.
    """
    then = calibration.made_from
    asking = asking_to_calibrate(run, task, calibration.split, variant)
    if decided:
        asking.__dict__["thinking"] = decided
    now = made_from(asking)
    if now["examples_sha256"] is None:
        now["examples_sha256"] = then.get("examples_sha256")
    differ = [name for key, name in MADE_FROM.items() if then.get(key) != now[key]]
    return f"made from another {', and another '.join(differ)} than today's" if differ else ""


def asking_to_calibrate(run: Run, task: Task, split: str, variant: Variant) -> Asking:
    """Returns the asking whose answers are calibrated: a split's, as it is always asked, with log-probabilities."""
    return Asking(run, task, split, variant, sampling=sampling_of(task, run.trained()) | LOGPROBS)


def made_from(asking: Asking) -> dict[str, Any]:
    """Returns the conditions of a calibration, by the keys of MADE_FROM."""
    found = asdict(asking.conditions("", ""))
    examples = asking.source
    found |= {"task_sha256": _task_hash(asking.task), "examples_sha256": sha256(examples) if examples.is_file() else None}
    return {key: found[key] for key in MADE_FROM}


def _task_hash(task: Task) -> str:
    """Returns a hash of what a task file says about questions and answers. The order of labels counts: the prompt lists them."""
    values = task.model_dump(mode="json", include={"kind", "system", "names", "aliases", "nothing", "answer"})
    return hashlib.sha256(json.dumps([values, task.answer.text_first], ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def _command(run: Run, variant: Variant, task: Task, split: str) -> str:
    """Returns the command that calibrates a model."""
    words = [("--which", variant.word, "adapter"), ("--split", split, "dev")]
    return " ".join([f"./ner calibrate {run.path} --task {task.name}", *(f"{name} {value}" for name, value, plain in words if value != plain)])
