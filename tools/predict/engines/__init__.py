"""Lists the engines that answer questions, and their options.

Each module of ENGINES has `ready(asking, options)`, a context manager that yields an Engine. Adding an engine is a module and a line of ENGINES. Nothing here may need more
than the standard library: the worker in this folder runs in vLLM's environment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.predict.predictions import Keep
    from tools.predict.questions import Question

ENGINES = {
    "vllm": "tools.predict.client",
    "offline": "tools.predict.engines.offline",
    "ray": "tools.predict.engines.offline",
    "hf": "tools.predict.engines.hf",
}
# Options that only some engines have.
ONLY = {
    "url": ("vllm",),
    "concurrency": ("vllm",),
    "decoding": ("vllm", "offline", "ray"),
    "sampling": ("vllm", "offline", "ray"),
    "batch_size": ("hf",),
    "debug": ("hf",),
    "limit": ("hf",),
}


@dataclass(frozen=True)
class Options:
    """The options of asking rows, under their names on the command line. `limit` takes the first rows only; `fresh` asks rows again that were answered."""

    engine: str = "vllm"
    url: str | None = None
    port: int = 8000
    concurrency: int = 64
    fresh: bool = False
    batch_size: int = 16
    debug: bool = False
    limit: int | None = None


@dataclass(frozen=True)
class Engine:
    """A model that can be asked. `model` is its name, `label` software and version, `place` the word for it in messages.

    `answer` calls its second argument once a question, as soon as the answer is there, in any order.
    """

    model: str
    label: str
    place: str
    answer: Callable[[list[Question], Keep], None]
