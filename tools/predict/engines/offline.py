"""Answers with vLLM and without a server: for batches that nobody waits for, on this machine or over a Ray cluster.

In: an Asking (which rows, of which model, how). Out: an engine that writes its questions to a file, starts a worker in vLLM's own environment,
and reads the answers as they are written. vLLM's words go to data/outputs/<run>/offline.log.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --engine offline --out DIR
    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --engine ray --questions questions.jsonl --out DIR
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
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
CLUSTER_S = 10.0  # for a cluster to take a connection


@contextmanager
def ready(asking: Asking, options: Options) -> Iterator[Engine]:
    """Yields the engine `options.engine`, 'offline' or 'ray'; vLLM starts when it is asked. Raises ToolError for a model that vLLM would refuse, and (1) for a
    Ray cluster that doesn't answer.
    """
    name, answer = asking.variant.served_name, partial(_work, options.engine, job(asking), asking.run.output_dir / "offline.log")
    need_vllm()
    if options.engine == "ray":
        _need_cluster(os.environ.get("RAY_ADDRESS", ""))
    yield Engine(name, f"vllm {vllm_version()} {options.engine}", name, answer)


def _need_cluster(address: str) -> None:
    """Raises ToolError where a host and port of RAY_ADDRESS don't answer; Ray would wait for minutes. Its other words, such as `auto`, are left to Ray."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), CLUSTER_S).close()
        except (OSError, OverflowError) as error:
            raise ToolError(
                f"RAY_ADDRESS={address}: no cluster answers there ({error}). To start one: ray start --head --port={port}. To use this machine alone: unset RAY_ADDRESS.",
                WANTING,
            ) from None


def job(asking: Asking) -> dict[str, Any]:
    """Returns a worker's job without its files: vLLM's engine arguments, the adapter (name and folder, or None), vLLM's sampling parameters, and the
    chat template's arguments.
    """
    variant = asking.variant
    return {
        "engine": {key.replace("-", "_"): value for key, value in plan(asking.run, variant, 0).items()},
        "adapter": [variant.served_name, str(variant.folder)] if variant.is_adapter else None,
        "sampling": asking.sampling,
        "template_kwargs": asking.thinking.kwargs,
    }


def _work(engine: str, told: dict[str, Any], log_path: Path, asked: list[Question], keep: Keep) -> None:
    """Runs a worker to its end and keeps each answer. Raises ToolError (1) when vLLM stops before the end."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="offline-") as folder, open(log_path, "w", encoding="utf-8") as log:
        questions, answers, path = (Path(folder) / name for name in ("questions.jsonl", "answers.jsonl", "job.json"))
        write_text(questions, "".join(json.dumps(asdict(question)) + "\n" for question in asked))
        answers.touch()
        write_json(path, {**told, "questions": str(questions), "answers": str(answers)})
        command = [str(PYTHON), "-m", WORKER, engine, str(path)]
        with Child(command, environment(), log) as process, open(answers, "rb") as written:
            running = True
            while running:
                running = process.poll() is None  # looked at first: lines that it wrote before its end are read below
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
