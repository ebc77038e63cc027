"""Tells the service within vLLM's process (tools.extract.service) which runs it answers for.

In: the runs of a `serve`, and vLLM's flags. Out: data/outputs/<run>/serve-<port>.extract.json, whose path is in the environment variable SERVED. What needs LLaMA-Factory is
decided here: vLLM's environment doesn't have it.

    ./ner serve conf/tiny-qwen2-sample-ner-lora-sft.yaml --port 8000
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.chat.lengths import trained_reach
from tools.chat.prompt import answer_tokens, renderer
from tools.chat.thinking import Thinking, thinking
from tools.chat.windows import Reach
from tools.conf.run import Run
from tools.conf.task import find_task
from tools.errors import ToolError
from tools.files import read_json, write_json
from tools.variant import CHECKPOINT

SERVED = "NER_FACTORY_SERVED"  # an environment variable


@dataclass(frozen=True)
class ServedRun:
    """One of a server's models. `model` is its name there, `conf` and `overrides` are its run's, `which` its variant's word, `task` the name of the task it was trained on.

    `answer_tokens` are those that an answer may have.
    """

    model: str
    conf: str
    overrides: list[str]
    which: str
    task: str
    thinking: Thinking
    reach: Reach | None
    answer_tokens: int


@dataclass(frozen=True)
class Served:
    """Everything that the service is told. `at_once` are the requests that vLLM computes together."""

    at_once: int
    runs: list[ServedRun]


def served(run: Run, which: str, others: Sequence[Run], flags: Mapping[str, Any]) -> tuple[Served, list[str]]:
    """Returns what the service is told about each served model, and why it doesn't answer for the others: runs of several tasks, or of a task that isn't here."""
    found, problems, known = list[ServedRun](), list[str](), dict[Path, tuple[str, Thinking, Reach | None, int]]()
    for name, word, owner in _models(run, which, others, flags):
        try:
            if owner.path not in known:
                known[owner.path] = _learnt(owner.trained())
            found.append(ServedRun(name, str(owner.path), list(owner.overrides), word, *known[owner.path]))
        except ToolError as error:
            problems.append(f"{name}: not answered at /extract: {error}")
    return Served(int(flags.get("max-num-seqs", 64)), found), problems


def _learnt(trained: Run) -> tuple[str, Thinking, Reach | None, int]:
    """Returns a run's task, its thinking, what its texts were like, and the length of its answers. Raises ToolError where it has no single task, or that task or its prompt isn't here."""
    task = find_task(trained.task)
    renderer(task)
    return task.name, thinking(trained), trained_reach(trained), answer_tokens(task, trained)


def _models(run: Run, which: str, others: Sequence[Run], flags: Mapping[str, Any]) -> list[tuple[str, str, Run]]:
    """Returns (name at the server, variant's word, run) of each model that answers for a run: adapters, or else the whole model."""
    adapters = [word.partition("=")[::2] for word in flags.get("lora-modules", [])]
    if not adapters:
        return [(flags["served-model-name"], which, run)]
    by_name = {one.name: one for one in (*others, run)}
    return [(name, _word(Path(folder).name, name, which), by_name[name.partition("@")[0]]) for name, folder in adapters]


def _word(folder: str, name: str, which: str) -> str:
    """Returns the word of the adapter in a folder: a checkpoint that is served under its run's plain name is the best one."""
    if not CHECKPOINT.fullmatch(folder):
        return "adapter"
    return folder if "@" in name else which


def write_served(path: Path, value: Served) -> None:
    """Writes what the service is told."""
    write_json(path, asdict(value))


def read_served(path: Path) -> Served:
    """Reads what `write_served` wrote."""
    values = read_json(path)
    runs = [
        ServedRun(**{**one, "thinking": Thinking(**one["thinking"]), "reach": Reach(**one["reach"]) if one["reach"] else None})
        for one in values["runs"]
    ]
    return Served(values["at_once"], runs)
