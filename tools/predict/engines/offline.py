"""Answers a split with vLLM and without a server: the rows go to tools.predict.engines.offline_job, its answers come back as they are written.

In: a run, and the questions that are open. Out: one call of `keep` an answer.

    python -m tools.predict.predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --engine offline --out DIR
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import ToolError
from tools.files import ROOT, write_text
from tools.predict.client import Keep
from tools.predict.predict import SAMPLING, collect, need_examples
from tools.predict.predictions import Prediction, as_prediction
from tools.predict.questions import Question
from tools.process import Child

PAUSE_S = 0.2  # between two looks at the answers


def predict(this: Run, task: Task, split: str, which: str, out: Path, engine: str, decoding: str = "free", fresh: bool = False) -> Path:
    """Predict a split with the run's `which` of MODELS and `engine` 'offline' or 'ray'; returns the predictions file, as with a server."""
    need_examples(this, task, split)
    name = this.trained().base_name if which == "base" else this.name

    def answer(asked: list[Question], keep: Keep) -> None:
        with TemporaryDirectory(prefix="offline-") as folder:
            questions, answers = Path(folder) / "questions.jsonl", Path(folder) / "answers.jsonl"
            write_text(questions, "".join(_line(question) for question in asked))
            answers.touch()
            files = ("--questions", str(questions), "--answers", str(answers), "--sampling", json.dumps(SAMPLING))
            command = [
                sys.executable,
                "-m",
                "tools.predict.engines.offline_job",
                str(this.path),
                *this.overrides,
                "--model",
                which,
                "--engine",
                engine,
                *files,
            ]
            with Child(command) as process, open(answers, "rb") as written:
                running = True
                while running:
                    running = process.poll() is None  # looked at first: what it wrote before its end is read below
                    for prediction in _new(written):
                        keep(prediction)
                    time.sleep(PAUSE_S if running else 0)
                if process.returncode:
                    raise ToolError(f"{name}: vLLM did not answer every row; why stands above.", process.returncode)

    return collect(this, task, split, which, out, name, f"vllm {_version()} {engine}", name, answer, decoding, fresh)


def _version() -> str:
    """vLLM's, as installed in its environment."""
    installed = (ROOT / ".venv/serve").glob("lib/python*/site-packages/vllm*.dist-info")
    return next((path.name.removesuffix(".dist-info").rpartition("-")[2] for path in installed), "unknown")


def _line(question: Question) -> str:
    return json.dumps({"id": question.id, "messages": question.messages, "constraint": question.constraint}) + "\n"


def _new(written: IO[bytes]) -> Iterator[Prediction]:
    """The predictions that were written since the last look; a line that isn't whole yet is left for the next."""
    while True:
        place = written.tell()
        line = written.readline()
        if not line.endswith(b"\n"):
            written.seek(place)
            return
        yield as_prediction(json.loads(line), "an answer of vLLM's")
