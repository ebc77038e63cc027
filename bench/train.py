"""Measures what a training costs under the documents' settings, under conf/overlay/fast.yaml, and as `make train` runs it, on this machine, as a table.

In: CLUENER2020's train split, a base model (the embedded one, a folder, or random weights in another model's shape for a GPU). Out: a Markdown page in
bench/results/. The same rows, the same number of samples, the same effective batch and learning rate for all; LoRA's settings are each document's own.

    .venv/train/bin/python -m bench.train --data data/dataset/clue.train.jsonl
    .venv/train/bin/python -m bench.train --data data/dataset/clue.train.jsonl --model models/Qwen2.5-0.5B-Instruct --samples 96 --learning-rate 1e-4
    .venv/train/bin/python -m bench.train --data data/dataset/clue.train.jsonl --shape qwen2.5-7b --learning-rate 1e-4
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.chain import machine
from tools.allocator import allocator, preload
from tools.chat.token_ids import trained_ids
from tools.conf.run import load_run
from tools.conf.task import load_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.errors import run as run_tool
from tools.files import read_json, write_text
from tools.train.datasets import datasets
from tools.train.engines.engine_table import ENGINES, llamafactory_cli
from tools.train.machine import gpus
from tools.train.plan import Plan, make_plan
from tools.train.sharing import TokenRow
from tools.train.train import to_yaml

FIRST = Path("conf/Qwen2.5-7B-Instruct-clue-ner-lora-sft-peft.yaml")
SECOND = Path("conf/Qwen2.5-7B-Instruct-clue-ner-lora-sft.yaml")
FAST = "conf/overlay/fast.yaml"
NATIVE, ALLOCATOR, OURS = "llamafactory-cli", "llamafactory-cli, allocator preloaded", "make train"
# settings → (run, overlays, what trains it)
SETTINGS = {
    "the first document's": (FIRST, [], NATIVE),
    "the LLaMA-Factory document's": (SECOND, [], NATIVE),
    "fast.yaml over that": (SECOND, [FAST], NATIVE),
    "fast.yaml over that, a better allocator": (SECOND, [FAST], ALLOCATOR),
    "the LLaMA-Factory document's, by make train": (SECOND, [], OURS),
    "fast.yaml over that, by make train": (SECOND, [FAST], OURS),
}
FASTEST = "fast.yaml over that"  # the settings that the last column compares with
BASE = Path("models/tiny-qwen2")
EVAL_BATCH = 8
# Shapes of models with random weights: the cost of a step depends on the shape alone.
SHAPE = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "tie_word_embeddings")
SHAPES = {"qwen2.5-7b": (152064, 3584, 18944, 28, 28, 4, False), "qwen2.5-0.5b": (151936, 896, 4864, 24, 14, 2, True)}


@dataclass(frozen=True)
class Cost:
    """One training: seconds from LLaMA-Factory's own count, peak memory in bytes, the held-out rows' loss at the end."""

    plan: Plan
    seconds: float
    memory: int
    eval_loss: float

    @property
    def positions(self) -> float:
        """Positions computed for a row."""
        return (self.plan.shared.positions if self.plan.shared else self.plan.positions) / self.plan.rows

    @property
    def samples(self) -> float:
        """Rows a second."""
        return self.plan.steps * self.plan.effective_batch / self.seconds


def values_of(conf: Path, overlays: list[str], base: Path, dataset: Path, out: Path, steps: int, batch: int, rate: float) -> dict[str, Any]:
    """Returns a document's values on this base and these rows, with the common effective batch, number of samples and learning rate."""
    values = load_run(conf, overlays).values
    accumulation = max(1, batch // values["per_device_train_batch_size"])
    own_batch = values["per_device_train_batch_size"] * values["gradient_accumulation_steps"]
    return {
        **values,
        "model_name_or_path": str(base),
        "dataset_dir": str(dataset),
        "output_dir": str(out / conf.stem),
        "gradient_accumulation_steps": accumulation,
        "max_steps": steps,
        "eval_steps": max(1, values.get("eval_steps", 500) * own_batch // batch),  # as often, in rows
        "learning_rate": rate,
        "val_size": 0.0,
        "eval_dataset": "alpaca_clue_dev",
        "do_eval": True,
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "preprocessing_num_workers": 1,
        "dataloader_num_workers": 0 if not gpus() else values["dataloader_num_workers"],
        "bf16": values["bf16"] and (bool(gpus()) or "bf16" in Path("/proc/cpuinfo").read_text()),  # as the documents have it, where the processor can
        "use_cpu": not gpus(),
        "max_samples": None,
        "overwrite_output_dir": True,
    }


def train(values: dict[str, Any], out: Path, conf: Path, how: str) -> Cost:
    """Trains and returns what it cost."""
    file = out / conf.name
    write_text(file, to_yaml(values))
    run = load_run(file)
    ids = trained_ids(run)
    rows = [TokenRow(prompt, len(answer)) for dataset in datasets(run)[0] for prompt, answer in map(ids, dataset.rows)]
    plan = make_plan(run, [row.length for row in rows], rows=rows if how == OURS else None)
    log, command = out / "log", ENGINES[run.engine].command(how != OURS, False)
    env = {**os.environ, "RECORD_VRAM": "1", **(preload() if how != NATIVE and not gpus() else {})}
    with open(log, "w", encoding="utf-8") as handle:
        process = subprocess.Popen([*command, str(file)], stdout=handle, stderr=subprocess.STDOUT, env=env)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise ToolError(f"{file}: the training failed.\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}", 1)
    seconds = read_json(run.output_dir / "all_results.json")["train_runtime"]
    return Cost(plan, seconds, _vram(run.output_dir) or usage.ru_maxrss * 1024, held_out_loss(values, out, conf))


def held_out_loss(values: dict[str, Any], out: Path, conf: Path) -> float:
    """Returns the held-out rows' loss after a training.

    transformers averages the loss over batches, each of which is a mean over tokens, so a run's own figure depends on its batch. Here all runs are evaluated with one batch.
    """
    folder = Path(values["output_dir"])
    asked = {"do_train": False, "do_eval": True, "adapter_name_or_path": str(folder), "per_device_eval_batch_size": EVAL_BATCH, "plot_loss": False}
    file = out / f"eval-{conf.name}"
    write_text(file, to_yaml({**values, **asked, "output_dir": str(folder / "eval"), "eval_strategy": "no", "dataset": None}))
    done = subprocess.run([llamafactory_cli(), "train", str(file)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"{file}: the evaluation failed.\n{done.stderr[-2000:]}", 1)
    return float(read_json(folder / "eval" / "all_results.json")["eval_loss"])


def overhead(values: dict[str, Any], out: Path, turns: int = 3) -> tuple[float, float]:
    """Returns the median seconds of a training of one step, (native, by ./ner train). The run has passed its checks before; the two take turns."""
    taken: dict[str, list[float]] = {"native": [], "ours": []}
    file = out / SECOND.name
    write_text(file, to_yaml({**values, "max_steps": 1, "do_eval": False, "eval_strategy": "no", "max_samples": 64}))
    commands = {
        "native": [llamafactory_cli(), "train", str(file)],
        "ours": [sys.executable, "-m", "tools", "train", str(file), "--fresh"],
    }
    for _ in range(turns + 1):  # the first turn warms the caches, and lets the run pass its checks
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            taken[name].append(time.perf_counter() - started)
    return sorted(taken["native"][1:])[turns // 2], sorted(taken["ours"][1:])[turns // 2]


def random_base(shape: str, folder: Path) -> Path:
    """Returns a model folder with random bf16 weights in the named shape and the embedded model's tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if gpus() else "cpu"):
        model = Qwen2ForCausalLM(Qwen2Config(**dict(zip(SHAPE, SHAPES[shape], strict=True)), max_position_embeddings=4096))
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(BASE / name, folder)
    return folder


def report(base: str, costs: dict[str, Cost], added: tuple[float, float] | None) -> str:
    """Returns the Markdown page."""
    first, fast = next(iter(costs.values())), costs[FASTEST]
    device = gpus()[0].name if gpus() else f"{machine()}, {found.name if (found := allocator()) else 'no allocator to preload'}"
    lines = [
        f"# Training {base}",
        "",
        f"{device}. Made by `.venv/train/bin/python -m bench.train`; CLUENER2020, {first.plan.steps} steps of {first.plan.effective_batch} rows each, one run after the other.",
        "",
        "| settings | trained by | rows/s | against the first | against fast.yaml, native | positions a row | peak memory | eval loss | s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, cost in costs.items():
        lines.append(
            f"| {name} | {SETTINGS[name][2]} | {cost.samples:.3g} | {cost.samples / first.samples:.2f} × | {cost.samples / fast.samples:.2f} × |"
            f" {cost.positions:.0f} | {cost.memory / 1e9:.2f} GB | {cost.eval_loss:.4f} | {cost.seconds:.0f} |"
        )
    lines += [
        "",
        "Positions are those of a forward pass, padding with them. Under gradient checkpointing, which both documents leave on, each is computed twice.",
    ]
    if added:
        native, ours = added
        lines += [
            "",
            f"A training of one step takes {native:.1f} s as `llamafactory-cli train` and {ours:.1f} s as `make train` ({ours - native:+.1f} s), medians of 3.",
        ]
    return "\n".join(lines) + "\n"


def _vram(folder: Path) -> int:
    """Returns the peak GPU memory in bytes as LLaMA-Factory logged it; 0 without a GPU."""
    lines = (folder / "trainer_log.jsonl").read_text(encoding="utf-8").splitlines()
    return int(max((json.loads(line).get("vram_allocated", 0) for line in lines), default=0) * 2**30)


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.train", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="CLUENER2020's train split")
    parser.add_argument("--model", type=Path, default=BASE, metavar="FOLDER", help="the base model (default: the embedded one)")
    parser.add_argument("--shape", choices=sorted(SHAPES), help="random weights in this model's shape instead of the embedded model")
    parser.add_argument("--samples", type=int, default=960, help="rows that each training sees (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="effective batch (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="for all (default: %(default)s, the embedded model's)")
    args = parser.parse_args()
    with TemporaryDirectory(prefix="bench-train-") as name:
        out = Path(name)
        held_out = args.samples // 10  # as the documents' val_size
        slices = [f"raw.train={args.data}[{held_out}:{held_out + args.samples}]", f"raw.dev={args.data}[:{held_out}]"]
        convert(load_task(Path("conf/task/clue.yaml"), slices), out)
        base = random_base(args.shape, out / "base") if args.shape else args.model
        costs = {}
        for settings, (conf, overlays, how) in SETTINGS.items():
            values = values_of(conf, overlays, base, out / "alpaca", out, args.samples // args.batch, args.batch, args.learning_rate)
            costs[settings] = train(values, out, conf, how)
            print(f"{settings}: {costs[settings].samples:.3g} rows/s, eval loss {costs[settings].eval_loss:.4f}", flush=True)
        added = overhead(values, out) if base == BASE else None  # a larger model's load hides it
    page = report(args.shape or base.name, costs, added)
    write_text(Path("bench/results") / f"train-{args.shape or base.name}.md", page)
    print(f"\n{page}")


if __name__ == "__main__":
    run_tool(main)
