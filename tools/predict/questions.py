"""Makes the questions of a split: one an example, with the prompt that training used, asked greedily.

In: a run, a task, a split and one of the run's models. Out: the questions, and everything that their answers depend on.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev --out DIR
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tools.chat import prompt
from tools.chat.decoding import constraint
from tools.chat.thinking import Thinking, thinking
from tools.conf.run import Run
from tools.conf.task import Task
from tools.data import stamp
from tools.errors import WANTING, ToolError, all_at_once
from tools.example import Example, read_examples
from tools.files import need_file, read_jsonl, sha256
from tools.predict.predictions import Conditions, stands_twice
from tools.variant import Variant

# Greedy: the same model gives the same answer.
SAMPLING: dict[str, Any] = {"temperature": 0.0, "max_tokens": prompt.ANSWER_TOKENS}


@dataclass(frozen=True, slots=True)
class Question:
    """One row to ask: the chat, the constraint on its answer (vLLM's `structured_outputs`, or None), and the hash of both."""

    id: str
    messages: list[dict[str, str]]
    constraint: dict[str, Any] | None
    sha256: str


@dataclass(frozen=True)
class Asking:
    """The rows to ask, the model that is asked, and the form of its answers: `decoding` 'free', or 'schema' for the task's own format alone.

    `file` holds questions that take the place of the split's, one {"id", "messages", "constraint"} a line.
    """

    run: Run
    task: Task
    split: str
    variant: Variant
    decoding: str = "free"
    file: Path | None = None
    sampling: dict[str, Any] = field(default_factory=lambda: SAMPLING)

    @property
    def source(self) -> Path:
        """The file that the rows come from."""
        return self.file or self.task.examples(self.split, self.run.dataset)

    @cached_property
    def thinking(self) -> Thinking:
        """The run's decision on thoughts, as it was trained: what every request carries, and what stands before each answer."""
        return thinking(self.run.trained())

    @property
    def folder(self) -> Path:
        """The folder of the evaluation."""
        return self.variant.evaluation(self.task.name, self.split, self.decoding)

    def questions(self) -> list[Question]:
        """Returns the questions in the file's order. Raises ToolError where the file isn't there, holds none (1), or isn't of today's conversion (1)."""
        if found := list(self.each()):
            return found
        raise ToolError(f"{self.source}: no examples in it.", WANTING)

    def each(self) -> Iterator[Question]:
        """Returns an iterator over the questions, which reads no further than it is asked. Raises as `questions` does, but for an empty file."""
        if self.file:
            return read_questions(self.file)
        examples = read_examples(need_examples(self.run, self.task, self.split))
        return questions(self.task, examples, self.decoding, self.thinking.before)

    def conditions(self, model: str, engine: str) -> Conditions:
        """Returns what the answers depend on beside the questions. `model` is its name at the server, `engine` software and version."""
        variant, origin = self.variant, self.variant.origin()
        adapter = sha256(variant.weights) if variant.is_adapter and variant.weights.is_file() else None
        return Conditions(
            run=self.run.name,
            task=self.task.name,
            task_version=self.task.version,
            split=self.split,
            prompt_sha256=sha256(self.task.prompt),
            model=model,
            which=variant.word,
            base_model=variant.base_model,
            adapter_sha256=origin.adapter_sha256 if origin else adapter,
            merged_sha256=sha256(variant.record) if origin else None,
            sampling=self.sampling,
            decoding=self.decoding,
            template_kwargs=self.thinking.kwargs,
            thought=self.thinking.thought,
            engine=engine,
        )


def need_examples(run: Run, task: Task, split: str) -> Path:
    """Returns the examples file of a split. Raises ToolError with the command that writes it, and (1) for a file of another conversion than its Alpaca file."""
    path = need_file(task.examples(split, run.dataset), f"To write it: make data TASK={task.name}")
    all_at_once(stamp.problems(run.dataset, [f"alpaca_{task.name}_{split}"]), WANTING)
    return path


def questions(task: Task, examples: Iterable[Example], decoding: str, before: str = "") -> Iterator[Question]:
    """Yields one question an example, in order. `before` is what training puts before each answer; a constraint must allow it."""
    render = prompt.renderer(task)
    shared = constraint(task, [], before) if decoding == "schema" and task.kind == "ner" else None
    for example in examples:
        chat = prompt.messages(task, render(example))
        own = constraint(task, prompt.options(task, example), before) if decoding == "schema" and task.kind == "classification" else shared
        yield Question(example.id, chat, own, _hash(chat, own))


def read_questions(path: Path) -> Iterator[Question]:
    """Yields the questions of a file. Raises ToolError (1) for a line that isn't a question, or repeats an id."""
    seen = set[str]()
    for number, row in read_jsonl(path):
        id, chat, own = row.get("id"), row.get("messages"), row.get("constraint")
        if not isinstance(id, str) or not isinstance(chat, list) or not chat:
            raise ToolError(f"{path}:{number}: not a question: 'id' must be a string, 'messages' a list of chat turns.", WANTING)
        if id in seen:
            raise stands_twice(id, f"{path}:{number}")
        seen.add(id)
        yield Question(id, chat, own, _hash(chat, own))


def prompts_hash(asked: Iterable[Question]) -> str:
    """Returns one hash for all questions, in their order."""
    total = hashlib.sha256()
    for question in asked:
        total.update(f"{question.id}\0{question.sha256}\n".encode("utf-8", "surrogatepass"))
    return total.hexdigest()


def _hash(chat: list[dict[str, str]], own: dict[str, Any] | None) -> str:
    return hashlib.sha256(json.dumps([chat, own], ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()
