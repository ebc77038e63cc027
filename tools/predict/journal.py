"""Keeps the journal of a prediction: each answer is written as soon as it is there, and a prediction that was stopped goes on.

In: the questions, and what their answers depend on. Out: `answers-<digest of the conditions>.jsonl`, and the questions that are still open. Answers to another
prompt, from another model or under other conditions are never taken for these.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --out DIR
"""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from types import TracebackType

from tools.errors import WANTING, ToolError
from tools.predict.predictions import FILE, META, Prediction, as_prediction, read_meta, read_predictions
from tools.predict.questions import Question, prompts_hash, separated


class Journal:
    """The answers to a split's questions while they come in; `found` holds those that are there, `open` lists what is left to ask. Use it as a context.

    One line an answer, with the hash of its question, is written before it counts. A row that was refused is asked again the next time. With
    `fresh`, all rows are asked again.
    """

    def __init__(self, folder: Path, asked: list[Question], digest: str, fresh: bool = False) -> None:
        self._folder, self._asked, self._digest, self._fresh = folder, asked, digest, fresh
        self.path = folder / f"answers-{digest}.jsonl"
        self.found: dict[str, Prediction] = {}

    @property
    def open(self) -> list[Question]:
        """The questions without an answer, in order."""
        return [question for question in self._asked if question.id not in self.found]

    @property
    def kept(self) -> str:
        """A sentence that says how many answers are safe and how to go on; empty where there is none."""
        if not self.found:
            return ""
        unit = "windows" if any(question.window for question in self._asked) else "rows"
        return f"{len(self.found):,} of {len(self._asked):,} {unit} are answered and kept in {self.path}; the same command goes on from there."

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
        """Writes an answer to the journal and counts it as found. Raises ToolError (1) when the disk is full; earlier answers stay."""
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
        """Removes the journal, whose answers are in predictions.jsonl now."""
        self.path.unlink()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if self.path.exists() and not self.path.stat().st_size:
            self.path.unlink()
        if not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _read_finished(self) -> None:
        """Takes over the predictions in the folder, if they answer these questions."""
        if not (self._folder / META).is_file() or not (self._folder / FILE).is_file():
            return
        meta = read_meta(self._folder / META)
        if meta.fingerprint == self._digest and meta.prompts_sha256 == prompts_hash(self._asked):
            finished = [one for row in read_predictions(self._folder / FILE).values() if row.error is None for one in separated(row)]
            self.found |= {one.id: one for one in finished}

    def _read_journal(self) -> None:
        """Takes over the answers of an interrupted prediction. A torn last line is cut off, an answer to another question is left aside."""
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
