"""Answers with a vLLM server: one that runs, or one that is started for the time of a prediction.

In: what is asked. Out: an engine that asks the server over HTTP.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --url http://127.0.0.1:8000/v1 --out DIR
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tools.errors import ToolError
from tools.predict.client import ask_all
from tools.predict.engines import Engine, Options
from tools.predict.predictions import Keep
from tools.predict.questions import Asking, Question
from tools.predict.server import Server, model_name, serving


@contextmanager
def ready(asking: Asking, options: Options) -> Iterator[Engine]:
    """Yields the engine of the server at `options.url`, or at `options.port` of this machine, started where none answers."""
    with serving(asking.run, asking.variant, options.url, options.port) as server:
        yield engine_of(server, asking, options.concurrency)


def engine_of(server: Server, asking: Asking, concurrency: int) -> Engine:
    """Returns the engine of a server, asked `concurrency` rows at a time. Raises ToolError where it serves another model."""
    if concurrency < 1:
        raise ToolError(f"--concurrency {concurrency}: at least one request must be under way.")
    name = model_name(server, asking.variant)

    def answer(asked: list[Question], keep: Keep) -> None:
        ask_all(server, name, asked, asking.sampling, concurrency, keep)

    return Engine(name, server.engine, server.url, answer)
