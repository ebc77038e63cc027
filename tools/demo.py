"""The whole chain on the embedded model and the sample data: data → train → export → serve → eval.

In: what is in the repository. Out: data/outputs/tiny-qwen2-sample-ner-lora-sft/ and three lines: F1 of base, adapter and merged model.

    python -m tools.demo
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

from tools.conf import find_task, load_run
from tools.errors import WANTING, ToolError, run
from tools.eval.predict import CONCURRENCY
from tools.eval.run import folder, predict_and_score
from tools.eval.server import serving
from tools.process import call

CONF = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")
SPLIT = "dev"


def demo(conf: Path, overrides: list[str], port: int) -> dict[str, float]:
    """Run every step on the run `conf`; returns micro-F1 by model. A step's own message says what stopped it."""
    this = load_run(conf, overrides)
    task = find_task(this.task)
    step("tools.data.convert", str(task.path), "--out", str(this.dataset))
    step("tools.train.launch", str(conf), *overrides)
    step("tools.train.export", str(conf), *overrides)
    results = {}
    for merged, models in ((False, ("base", "adapter")), (True, ("merged",))):
        show("tools.serve.vllm", str(conf), *overrides, *(["--merged"] if merged else []), "--port", str(port))
        with serving(this, merged, None, port) as server:
            for which in models:
                results[which] = predict_and_score(this, task, SPLIT, server, which, CONCURRENCY)
    print()
    for which, what in (("base", "base model, before training"), ("adapter", "base + adapter"), ("merged", "merged model")):
        unseen = results[which]["unseen"]["f1"]
        where = folder(this, task, SPLIT, which)
        print(f"{what:<28} micro-F1 {results[which]['micro']['f1']:.4f}  (entities unseen in train {unseen:.4f})  {where}")
    return {which: result["micro"]["f1"] for which, result in results.items()}


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
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    args = parser.parse_args()
    started = time.monotonic()
    f1 = demo(CONF, args.overrides, args.port)
    print(f"{time.monotonic() - started:.0f} s in all. Next: make serve CONF={CONF}")
    if f1["adapter"] <= f1["base"]:
        raise ToolError("the adapter is no better than the base model: something is wrong with this chain.", WANTING)


if __name__ == "__main__":
    run(main)
