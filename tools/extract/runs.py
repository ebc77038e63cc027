"""Loads what the service needs of each served model: its task, prompt, thinking, lengths and calibration, and the facts that tell one version from another.

In: what `serve` wrote about the served runs. Out: a Model each, which makes a text's questions and reads their answers. The prompt file is read once: a prompt that is
changed on the disk changes nothing until the server is started again.

    curl http://127.0.0.1:8000/health
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tools.chat import prompt
from tools.chat.windows import Window
from tools.conf.run import load_run
from tools.conf.task import Task, find_task
from tools.errors import ToolError
from tools.example import Example
from tools.extract.annotate import Annotation, Selection, understood
from tools.extract.confidence import Calibration, current_calibration
from tools.extract.forms import Classification, Extraction, FoundEntity, LeftOut
from tools.files import sha256
from tools.predict.predictions import Prediction
from tools.predict.questions import Question, combined, parts
from tools.serve.served import ServedRun
from tools.variant import Variant


@dataclass(frozen=True)
class Model:
    """A served model. `uncalibrated` says why its confidences aren't calibrated; `facts` tell its version."""

    served: ServedRun
    task: Task
    calibration: Calibration | None = None
    uncalibrated: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name at the server."""
        return self.served.model

    @cached_property
    def labels(self) -> dict[str, str]:
        """A label as the task or an answer names it → the task's own."""
        return {name: label for label, name in self.task.names.items()} | {label: label for label in self.task.names}

    @cached_property
    def _render(self) -> Any:
        return prompt.renderer(self.task)

    def question(self, example: Example, id: str, window: Window | None) -> Question:
        """Returns the question about a text, or about one window of it."""
        text = example.text if window is None else example.text[window.start : window.end]
        chat = prompt.messages(self.task, self._render(Example(id, text, [], options=example.options)))
        return Question(id, chat, None, "", window)

    def questions(self, example: Example) -> list[Question]:
        """Returns the questions about a text: none about an empty one, else one, or one a window of a text that is longer than those of training."""
        return [self.question(example, id, window) for id, window in parts(self.task, example, self.served.reach)] if example.text else []

    def extraction(self, example: Example, asked: Sequence[Question], found: Mapping[str, Prediction], wanted: Selection) -> Extraction:
        """Returns the answer about a text of a task that looks for entities."""
        read = self._read(example, asked, found)
        kept = [one for one in read.selected(wanted).entities if one.label in self.task.names]
        nowhere = [LeftOut(label=label, text=text, why="not in the text") for label, text in read.nowhere]
        unknown = [LeftOut(label=one.label, text=one.text, why="unknown label") for one in read.entities if one.label not in self.task.names]
        return Extraction(
            **self._common(read, len(asked)),
            entities=[
                FoundEntity(
                    label=one.label,
                    text=one.text,
                    start=one.start,
                    end=one.end,
                    confidence=None if one.confidence is None else round(one.confidence, 6),
                )
                for one in kept
            ],
            left_out=[*nowhere, *unknown],
        )

    def classification(
        self, example: Example, asked: Sequence[Question], found: Mapping[str, Prediction], probabilities: Mapping[str, float]
    ) -> Classification:
        """Returns the answer about a text of a classification; `probabilities` has the options' names in answers."""
        read = self._read(example, asked, found)
        own = example.options if example.options is not None else self.task.labels
        named = {option: probabilities[name] for option, name in zip(own, prompt.options(self.task, example), strict=True) if name in probabilities}
        common = self._common(read, len(asked))
        known = read.label if read.label in own else None
        problems = [*common.pop("problems"), *(["unknown label"] if read.label is not None and known is None else [])]
        return Classification(**common, problems=problems, label=known, probabilities={option: round(p, 6) for option, p in named.items()})

    def _read(self, example: Example, asked: Sequence[Question], found: Mapping[str, Prediction]) -> Annotation:
        if not asked:
            return Annotation(example.text, Prediction(example.id, ""))
        return understood(self.task, example, combined(asked, found), self.served.thinking, self.calibration)

    def _common(self, read: Annotation, questions: int) -> dict[str, Any]:
        return {
            "model": self.name,
            "task": self.task.name,
            "version": self.task.version,
            "truncated": "truncated" in read.failures,
            "calibrated": self.calibration is not None,
            "windows": questions,
            "problems": [failure for failure in read.failures if failure != "truncated"],
        }


def load_model(served: ServedRun) -> Model:
    """Returns a served model with what is known of it. A calibration that is stale or broken isn't used, and `uncalibrated` says why."""
    run, task = load_run(Path(served.conf), served.overrides), find_task(served.task)
    variant, calibration, reason = run.variant(served.which), None, ""
    try:
        calibration = current_calibration(run, variant, task, served.thinking)
    except ToolError as error:
        reason = str(error)
    command = f"./ner calibrate {served.conf}{'' if served.which == 'adapter' else f' --which {served.which}'}"
    reason = reason or ("" if calibration else f"the run was never calibrated. To calibrate it: {command}")
    found = Model(served, task, calibration, reason, _facts(served, task, variant, calibration))
    found.question(Example("", "", []), "", None)  # the prompt is read now, and complains now
    return found


def _facts(served: ServedRun, task: Task, variant: Variant, calibration: Calibration | None) -> dict[str, Any]:
    """Returns what /health tells of a model."""
    origin = variant.origin()
    own = sha256(variant.weights) if variant.is_adapter and variant.weights.is_file() else None
    return {
        "model": served.model,
        "which": served.which,
        "task": task.name,
        "kind": task.kind,
        "version": task.version,
        "prompt_sha256": sha256(task.prompt),
        "base_model": Path(variant.base_model).name,
        "adapter_sha256": origin.adapter_sha256 if origin else own,
        "calibrated": calibration is not None,
    }
