"""Makes the questions of a split: one an example, with the prompt that training used, asked greedily.

In: a run, a task, a split and one of the run's models. Out: the questions, and everything that their answers depend on.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev --out DIR
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from tools.chat import prompt
from tools.chat.decoding import constraint
from tools.chat.lengths import trained_reach
from tools.chat.thinking import Thinking, thinking
from tools.chat.windows import Reach, Window, whole, windows
from tools.conf.run import Run
from tools.conf.task import Task
from tools.data import stamp
from tools.errors import WANTING, ToolError, all_at_once
from tools.example import Example, read_examples
from tools.files import need_file, read_jsonl, sha256
from tools.predict.predictions import Conditions, Prediction, WindowAnswer, stands_twice
from tools.variant import Variant

# Greedy: the same model gives the same answer.
SAMPLING: dict[str, Any] = {"temperature": 0.0, "max_tokens": prompt.ANSWER_TOKENS}
LOGPROBS: dict[str, Any] = {"logprobs": True}  # asks for the log-probability of each token of an answer
SEAM = "#"


@dataclass(frozen=True, slots=True)
class Question:
    """One row to ask, or one window of it: the chat, the constraint on its answer (vLLM's `structured_outputs`, or None), and the hash of both.

    A window's id is its row's with SEAM and the window's number, from 0.
    """

    id: str
    messages: list[dict[str, str]]
    constraint: dict[str, Any] | None
    sha256: str
    window: Window | None = None

    @property
    def row(self) -> str:
        """The id of the row."""
        return self.id if self.window is None else self.id.rpartition(SEAM)[0]


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
    sampling: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Asks with the task's own sampling parameters where none are given."""
        if not self.sampling:
            object.__setattr__(self, "sampling", sampling_of(self.task, self.run.trained()))

    @property
    def source(self) -> Path:
        """The file that the rows come from."""
        return self.file or self.task.examples(self.split, self.run.dataset)

    @cached_property
    def thinking(self) -> Thinking:
        """The run's decision on thoughts, as it was trained: what every request carries, and what stands before each answer."""
        return thinking(self.run.trained())

    @cached_property
    def reach(self) -> Reach | None:
        """What the texts were like that the run was trained on; None where the examples of its training aren't here."""
        return trained_reach(self.run.trained())

    @property
    def folder(self) -> Path:
        """The folder of the evaluation."""
        return self.variant.evaluation(self.task.name, self.split, self.decoding)

    def questions(self) -> list[Question]:
        """Returns the questions in the file's order. Raises ToolError where the file isn't there, holds none (1), isn't of today's conversion (1), or where a row has the
        id of another one's window (1): their answers couldn't be told apart.
        """
        found = list(self.each())
        if not found:
            raise ToolError(f"{self.source}: no examples in it.", WANTING)
        shared = {one.id for one in found if one.window}.intersection(one.id for one in found if not one.window)
        if shared:
            id = min(shared)
            raise ToolError(
                f"{self.source}: the row {id!r} has the id of a window of the long row {id.rpartition(SEAM)[0]!r}. Give one of the two another id.",
                WANTING,
            )
        return found

    def each(self) -> Iterator[Question]:
        """Returns an iterator over the questions, which reads no further than it is asked. Raises as `questions` does, but for an empty file."""
        if self.file:
            return read_questions(self.file)
        examples = read_examples(need_examples(self.run, self.task, self.split))
        return questions(self.task, examples, self.decoding, self.thinking.before, self.reach)

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


def sampling_of(task: Task, trained: Run) -> dict[str, Any]:
    """Returns the sampling parameters of a task's questions to a run, as it was trained."""
    return SAMPLING | ({"max_tokens": prompt.answer_tokens(task, trained)} if task.answer.copies_text else {})


def need_examples(run: Run, task: Task, split: str) -> Path:
    """Returns the examples file of a split. Raises ToolError with the command that writes it, and (1) for a file of another conversion than its Alpaca file."""
    path = need_file(task.examples(split, run.dataset), f"To write it: make data TASK={task.name}")
    all_at_once(stamp.problems(run.dataset, [f"alpaca_{task.name}_{split}"]), WANTING)
    return path


def questions(task: Task, examples: Iterable[Example], decoding: str, before: str = "", reach: Reach | None = None) -> Iterator[Question]:
    """Yields the questions of each example, in order: one, or one a window where the text of a NER example exceeds `reach`.

    `before` is what training puts before each answer; a constraint must allow it.
    """
    render = prompt.renderer(task)
    for example in examples:
        for id, window in parts(task, example, reach):
            one = replace(example, text=example.text[window.start : window.end]) if window else example
            chat = prompt.messages(task, render(one))
            own = constraint(task, one.text, prompt.options(task, one), before) if decoding == "schema" else None
            yield Question(id, chat, own, _hash(chat, own), window)


def parts(task: Task, example: Example, reach: Reach | None) -> list[tuple[str, Window | None]]:
    """Returns the ids of an example's questions and their windows: the example's own id and None where its text is asked whole."""
    found = windows(example.text, reach if task.kind == "ner" else None)
    if found == [whole(example.text)]:
        return [(example.id, None)]
    return [(f"{example.id}{SEAM}{number}", window) for number, window in enumerate(found)]


def by_row(asked: Iterable[Question]) -> Iterator[list[Question]]:
    """Yields the questions of each row, in order."""
    for _, some in groupby(asked, key=lambda question: question.row):
        yield list(some)


def combined(asked: Sequence[Question], found: Mapping[str, Prediction]) -> Prediction:
    """Returns one row's prediction from those of its questions, by id. Where a window was refused, so is the row: half an answer would look like a whole one."""
    if asked[0].window is None:
        return found[asked[0].id]
    answers, row = [found[question.id] for question in asked], asked[0].row
    if refused := next((one for one in answers if one.output is None), None):
        return Prediction(row, None, error=f"window {answers.index(refused) + 1} of {len(answers)}: {refused.error}")
    parts = tuple(
        WindowAnswer(question.window, one.output or "", one.finish_reason, one.tokens)
        for question, one in zip(asked, answers, strict=True)
        if question.window is not None
    )
    return Prediction(
        row,
        "\n".join(part.output for part in parts),
        "length" if any(part.finish_reason == "length" for part in parts) else "stop",
        prompt_tokens=_sum(one.prompt_tokens for one in answers),
        completion_tokens=_sum(one.completion_tokens for one in answers),
        latency_s=round(sum(one.latency_s or 0.0 for one in answers), 4),
        parts=parts,
    )


def separated(prediction: Prediction) -> list[Prediction]:
    """Returns a row's prediction as those of its questions: what `combined` made it from, as far as an answer needs it."""
    if not prediction.parts:
        return [prediction]
    return [
        Prediction(f"{prediction.id}{SEAM}{number}", part.output, part.finish_reason, tokens=part.tokens)
        for number, part in enumerate(prediction.parts)
    ]


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


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
