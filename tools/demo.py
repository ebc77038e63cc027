"""The whole chain on the embedded model and the sample data: data → train → export → serve → eval.

In: what is in the repository. Out: data/outputs/tiny-qwen2-sample-ner-lora-sft/ and three lines: F1 of base, adapter and merged model.

    python -m tools.demo
"""

from __future__ import annotations

import shlex
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.errors import WANTING, ToolError, run
from tools.evaluate.evaluate import predict_and_score
from tools.predict.predict import CONCURRENCY
from tools.predict.predictions import folder
from tools.predict.server import serving
from tools.process import call

CONF = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")
SPLIT = "dev"


@dataclass(frozen=True)
class Outcome:
    """What the chain came to: score.json's content and its folder by model ('base', 'adapter', 'merged'), and seconds by step."""

    scores: dict[str, dict[str, Any]]
    folders: dict[str, Path]
    seconds: dict[str, float]


def chain(conf: Path, overrides: Sequence[str], port: int, data: Sequence[str] = ()) -> Outcome:
    """Run every step on the run `conf`; `data` are key=value words for its task. A step's own message says what stopped it."""
    this = load_run(conf, overrides)
    task = find_task(this.task, data)
    scores, folders, seconds = {}, {}, {}
    for name, words in (
        ("data", ("tools.data.convert", str(task.path), *data, "--out", str(this.dataset))),
        ("train", ("tools.train.train", str(conf), *overrides, "--fresh")),
        ("export", ("tools.train.export", str(conf), *overrides)),
    ):
        started = time.monotonic()
        step(*words)
        seconds[name] = time.monotonic() - started
    for merged, models in ((False, ("base", "adapter")), (True, ("merged",))):
        show("tools.serve.serve", str(conf), *overrides, *(["--merged"] if merged else []), "--port", str(port))
        started = time.monotonic()
        with serving(this, models[-1], None, port) as server:
            seconds[f"serve {'merged' if merged else 'base + adapter'}"] = time.monotonic() - started
            for which in models:
                started = time.monotonic()
                scores[which] = predict_and_score(this, task, SPLIT, server, which, CONCURRENCY)
                folders[which] = folder(this, task, SPLIT, which)
                seconds[f"eval {which}"] = time.monotonic() - started
    return Outcome(scores, folders, seconds)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def step(*words: str) -> None:
    """Show and run one command of the chain; a ToolError carries its exit code on."""
    show(*words)
    if code := call([sys.executable, "-m", *words]):
        raise ToolError(f"stopped at: python -m {shlex.join(words)}", code)


def show(*words: str) -> None:
    """Print a command as a user would type it."""
    print(f"\n$ python -m {shlex.join(words)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value", help="laid over the demo's run")
    parser.add_argument("--port", type=int, help="default: any free one")
    args = parser.parse_args()
    outcome = chain(CONF, args.overrides, args.port or free_port())
    print()
    for which, what in (("base", "base model, before training"), ("adapter", "base + adapter"), ("merged", "merged model")):
        score = outcome.scores[which]
        print(f"{what:<28} micro-F1 {score['micro']['f1']:.4f}  (entities unseen in train {score['unseen']['f1']:.4f})  {outcome.folders[which]}")
    if outcome.scores["adapter"]["micro"]["f1"] <= outcome.scores["base"]["micro"]["f1"]:
        raise ToolError("the adapter is no better than the base model: something is wrong with this chain.", WANTING)


if __name__ == "__main__":
    run(main)
