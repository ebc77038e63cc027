"""Runs the whole chain on the embedded model and the sample data: data → train → export → serve → eval.

In: what is in the repository. Out: data/outputs/tiny-qwen2-sample-ner-lora-sft/ and three lines: F1 of base, adapter and merged model.

    ./ner demo
    ./ner demo max_steps=50
"""

from __future__ import annotations

import argparse
import shlex
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.errors import WANTING, ToolError
from tools.predict.server import serving
from tools.process import call
from tools.score.score_file import Score, read_score
from tools.text import whole_number

CONF = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")
SPLIT = "dev"
MODELS = {"base": "base model, before training", "adapter": "base + adapter", "merged": "merged model"}


@dataclass
class Outcome:
    """The chain's scores by variant ('base', 'adapter', 'merged'), and seconds by step."""

    scores: dict[str, Score] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def chain(conf: Path, overrides: Sequence[str], port: int, data: Sequence[str] = ()) -> Outcome:
    """Runs every step on the run `conf`; `data` are key=value words for its task. Raises ToolError with the exit code of the step that stopped."""
    run, words, outcome = load_run(conf, overrides), (str(conf), *overrides), Outcome()
    task = find_task(run.task, data)
    _timed(outcome, "data", "data", str(task.path), *data, "--out", str(run.dataset))
    _timed(outcome, "train", "train", *words, "--fresh")
    _timed(outcome, "export", "export", *words)
    for served in (["base", "adapter"], ["merged"]):
        _show("serve", *words, "--which", served[-1], "--port", str(port))
        started = time.monotonic()
        with serving(run, run.variant(served[-1]), None, port) as server:
            outcome.seconds[f"serve {' + '.join(served)}"] = time.monotonic() - started
            for word in served:
                _timed(outcome, f"eval {word}", "eval", *words, "--task", task.name, "--split", SPLIT, "--which", word, "--url", server.url)
                outcome.scores[word] = read_score(run.variant(word).evaluation(task.name, SPLIT))
    return outcome


def free_port() -> int:
    """Returns a port of 127.0.0.1 that nothing listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def verb(*words: str) -> None:
    """Shows and runs one verb. Raises ToolError with its exit code."""
    _show(*words)
    if code := call([sys.executable, "-m", "tools", *words]):
        raise ToolError(f"stopped at: ./ner {shlex.join(words)}", code)


def _timed(outcome: Outcome, name: str, *words: str) -> None:
    started = time.monotonic()
    verb(*words)
    outcome.seconds[name] = time.monotonic() - started


def _show(*words: str) -> None:
    print(f"\n$ ./ner {shlex.join(words)}", flush=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own options."""
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value", help="laid over the demo's run")
    parser.add_argument("--port", type=whole_number(1, 65535), help="default: any free one")


def main(args: argparse.Namespace) -> None:
    """Runs the chain and prints three lines. Raises ToolError (1) where the adapter is no better than the base model."""
    run, outcome = load_run(CONF, args.overrides), chain(CONF, args.overrides, args.port or free_port())
    print()
    for word, what in MODELS.items():
        score, folder = outcome.scores[word], run.variant(word).evaluation(run.task, SPLIT)
        print(f"{what:<28} micro-F1 {score['micro']['f1']:.4f}  (entities unseen in train {score['unseen']['f1']:.4f})  {folder}")
    if outcome.scores["adapter"]["micro"]["f1"] <= outcome.scores["base"]["micro"]["f1"]:
        raise ToolError("the adapter is no better than the base model: something is wrong with this chain.", WANTING)
