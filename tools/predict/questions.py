"""The questions of a split, what was answered already, and the file that each answer goes to as soon as it is there.

In: a task, its examples, and what the answers depend on. Out: the questions that are still open, and a journal, `answers-<what they depend on>.jsonl`, which
takes their answers; a run that was stopped goes on with it. Answers to another prompt, from another model or under other parameters are never taken for these.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tools.chat import prompt
from tools.chat.decoding import constraint
from tools.conf.task import Task
from tools.errors import WANTING, ToolError
from tools.example import Example
from tools.files import read_json
from tools.predict.predictions import FILE, META, Prediction, as_prediction, read_predictions


@dataclass(frozen=True, slots=True)
class Question:
    """One row to ask: the chat, the constraint on its answer (vLLM's `structured_outputs`, or None), and the hash of both."""

    id: str
    messages: list[dict[str, str]]
    constraint: dict[str, Any] | None
    sha256: str


def questions(task: Task, examples: Iterable[Example], decoding: str) -> Iterator[Question]:
    """One question an example, in order, with the prompt that training used."""
    render = prompt.renderer(task)
    shared = constraint(task, []) if decoding == "schema" and task.kind == "ner" else None
    for example in examples:
        chat = prompt.messages(task, render(example))
        own = constraint(task, prompt.options(task, example)) if decoding == "schema" and task.kind == "classification" else shared
        asked = json.dumps([chat, own], ensure_ascii=False)
        yield Question(example.id, chat, own, hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest())


def fingerprint(depends_on: dict[str, Any]) -> str:
    """Twelve hex digits for everything but the prompt that an answer depends on."""
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


def prompts_hash(asked: Iterable[Question]) -> str:
    """One hash for all questions, in their order."""
    total = hashlib.sha256()
    for question in asked:
        total.update(f"{question.id}\0{question.sha256}\n".encode("utf-8", "surrogatepass"))
    return total.hexdigest()


class Journal:
    """The answers to a split's questions while they come in; `found` holds those that are there, `open` what is left to ask. Use it as a context.

    One line an answer, with the hash of its question, is written before it counts. A row that was refused is asked again the next time; all are when
    `fresh`.
    """

    def __init__(self, folder: Path, asked: list[Question], depends_on: dict[str, Any], fresh: bool = False) -> None:
        self._folder, self._asked, self._key, self._fresh = folder, asked, fingerprint(depends_on), fresh
        self.path = folder / f"answers-{self._key}.jsonl"
        self.found: dict[str, Prediction] = {}

    @property
    def open(self) -> list[Question]:
        """The questions without an answer, in order."""
        return [question for question in self._asked if question.id not in self.found]

    def __enter__(self) -> Journal:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._hashes = {question.id: question.sha256 for question in self._asked}
        self._file = open(self.path, "a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ToolError(f"{self.path}: another prediction of the same rows is under way.") from None
        if self._fresh:
            self._file.truncate(0)
        else:
            self._read_finished()
            self._read_journal()
        return self

    def keep(self, prediction: Prediction) -> None:
        """Write an answer to the journal, and count it as found. Raises ToolError (1) when the disk is full; what was kept before stays."""
        line = {"question_sha256": self._hashes[prediction.id], **prediction.to_dict()}
        # A lone surrogate can't be encoded; it is written as the JSON escape that it would be read from.
        data = (json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
        try:
            while data:  # a disk that is nearly full takes a part
                data = data[self._file.write(data) :]
        except OSError as error:
            raise ToolError(f"{self.path}: {error.strerror}.", WANTING) from None
        self.found[prediction.id] = prediction

    def done(self) -> None:
        """The answers are in predictions.jsonl now: the journal isn't needed any more."""
        self.path.unlink()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        empty = not self._file.closed and self.path.exists() and self.path.stat().st_size == 0
        self._file.close()
        if empty:
            self.path.unlink()
        if not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _read_finished(self) -> None:
        """Take over the predictions that are there, if they are answers to these very questions."""
        if not (self._folder / META).is_file() or not (self._folder / FILE).is_file():
            return
        meta = read_json(self._folder / META)
        if meta.get("fingerprint") == self._key and meta.get("prompts_sha256") == prompts_hash(self._asked):
            self.found |= {id: found for id, found in read_predictions(self._folder / FILE).items() if found.error is None}

    def _read_journal(self) -> None:
        """Take over what an interrupted run left; a torn last line is cut off, an answer to another question is left aside."""
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            self._file.truncate(whole)
        for line in data[:whole].splitlines():
            try:
                row = json.loads(line)
                if row["error"] is None and self._hashes.get(row["id"]) == row["question_sha256"]:
                    self.found[row["id"]] = as_prediction(row, str(self.path))
            except (ValueError, KeyError, TypeError, ToolError):  # a line that a full disk tore
                continue
