"""Measures time and scores of the whole chain on this machine: the table behind the README's figures.

In: a run, key=value words for its task behind --data. Out: a Markdown table on stdout and in bench/results/<run>.md.

    .venv/train/bin/python -m bench.chain conf/tiny-qwen2-sample-ner-lora-sft.yaml
    .venv/train/bin/python -m bench.chain conf/tiny-qwen2-clue-ner-lora-sft.yaml --data 'raw.train=all.jsonl[:-1000]' 'raw.dev=all.jsonl[-1000:]'
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tools.demo import Outcome, chain, free_port
from tools.errors import run as run_tool
from tools.files import write_text


def report(name: str, outcome: Outcome) -> str:
    """Returns the Markdown page: machine, seconds by step, scores by model."""
    lines = [
        f"# {name}",
        "",
        f"{machine()}. Made by `.venv/train/bin/python -m bench.chain`; one run, wall-clock seconds.",
        "",
        "| step | s |",
        "|---|---|",
    ]
    lines += [f"| {step} | {seconds:.0f} |" for step, seconds in outcome.seconds.items()]
    lines += [
        f"| all | {sum(outcome.seconds.values()):.0f} |",
        "",
        "| model | micro-F1 | macro-F1 | unseen in train | rows | unparsable |",
        "|---|---|---|---|---|---|",
    ]
    for word, score in outcome.scores.items():
        unseen = f"{score['unseen']['f1']:.4f}" if "unseen" in score else "-"
        lines.append(
            f"| {word} | {score['micro']['f1']:.4f} | {score['macro']['f1']:.4f} | {unseen} | {score['rows']} | {score['failures']['unparsable']} |"
        )
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Returns this machine's cores and processor."""
    models = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {models[0] if models else 'unknown processor'}"


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.chain", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("conf", type=Path, metavar="conf/<run>.yaml")
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value")
    parser.add_argument("--data", nargs="*", default=[], metavar="key=value", help="for the task, e.g. raw.train=FILE")
    args = parser.parse_args()
    page = report(args.conf.stem, chain(args.conf, args.overrides, free_port(), args.data))
    write_text(Path("bench/results") / f"{args.conf.stem}.md", page)
    print(f"\n{page}")


if __name__ == "__main__":
    run_tool(main)
