"""Answers with vLLM and without a server: for batches that nobody waits for, on this machine or over a Ray cluster.

In: an Asking (which rows, of which model, how). Out: an engine that writes its questions to a file, starts a worker in vLLM's own environment,
and reads the answers as they are written. vLLM's words go to data/outputs/<run>/offline.log.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --engine offline --out DIR
    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --engine ray --questions questions.jsonl --out DIR
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from tools.errors import WANTING, ToolError
from tools.files import write_json, write_text
from tools.predict.engines import Engine, Options
from tools.predict.predictions import Keep, Prediction, as_prediction
from tools.predict.questions import Asking, Question
from tools.process import Child
from tools.serve.installed import PYTHON, environment, need_vllm, reason, vllm_version
from tools.serve.preflight import plan

WORKER = "tools.predict.engines.worker"
PAUSE_S = 0.2  # between two looks at the answers


@contextmanager
def ready(asking: Asking, options: Options) -> Iterator[Engine]:
    """Yields the engine `options.engine`, 'offline' or 'ray'; vLLM starts when it is asked. Raises ToolError for a model that vLLM would refuse."""
    told, name = job(asking), asking.variant.served_name
    need_vllm()

    def answer(asked: list[Question], keep: Keep) -> None:
        with TemporaryDirectory(prefix="offline-") as folder:
            _work(options.engine, told, asked, Path(folder), asking.run.output_dir / "offline.log", keep)

    yield Engine(name, f"vllm {vllm_version()} {options.engine}", name, answer)


def job(asking: Asking) -> dict[str, Any]:
    """Returns a worker's job without its files: vLLM's engine arguments, the adapter (name and folder, or None), and vLLM's sampling parameters."""
    flags = plan(asking.run, asking.variant, 0)
    modules = flags.get("lora-modules", [])
    return {
        "engine": {key.replace("-", "_"): value for key, value in flags.items()},
        "adapter": modules[0].split("=", 1) if modules else None,
        "sampling": asking.sampling,
    }


def _work(engine: str, told: dict[str, Any], asked: list[Question], folder: Path, log_path: Path, keep: Keep) -> None:
    """Runs a worker to its end and keeps each answer. Raises ToolError (1) when vLLM stops before the end."""
    questions, answers = folder / "questions.jsonl", folder / "answers.jsonl"
    write_text(questions, "".join(question.to_json() for question in asked))
    answers.touch()
    write_json(folder / "job.json", {**told, "questions": str(questions), "answers": str(answers)})
    log_path.parent.mkdir(parents=True, exist_ok=True)
    command = [str(PYTHON), "-m", WORKER, engine, str(folder / "job.json")]
    with open(log_path, "w", encoding="utf-8") as log, Child(command, environment(), log) as process, open(answers, "rb") as written:
        running = True
        while running:
            running = process.poll() is None  # asked before the file is read, so that the last lines are read too
            for prediction in _new(written):
                keep(prediction)
            time.sleep(PAUSE_S if running else 0)
    if process.returncode:
        raise ToolError(f"vLLM stopped with exit code {process.returncode}.\n{reason(log_path)}", WANTING)


def _new(written: IO[bytes]) -> Iterator[Prediction]:
    """Yields the predictions that were written since the last look; a line that isn't whole yet is left for the next."""
    while True:
        place = written.tell()
        line = written.readline()
        if not line.endswith(b"\n"):
            written.seek(place)
            return
        yield as_prediction(json.loads(line), "an answer of vLLM's")
