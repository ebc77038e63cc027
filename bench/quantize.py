"""Measures what a quantised model costs: size, distance from the merged model, micro F1 and seconds, for each method, on this machine, as a table.

In: a trained run and its examples. Out: its merged and quantised models, made anew, and a Markdown page in bench/results/. vLLM answers for the models that it can
serve here, transformers for all of them: in `.venv/quantize`, where compressed-tensors decompresses what llm-compressor made.

    .venv/train/bin/python -m bench.quantize conf/tiny-qwen2-sample-ner-lora-sft.yaml
    .venv/train/bin/python -m bench.quantize conf/tiny-qwen2-sample-ner-lora-sft.yaml --methods awq --rows 8 --samples 8 --logits 4
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.chain import machine
from tools.chat.prompt import answer
from tools.conf.run import Run, load_run
from tools.conf.task import Task, find_task
from tools.demo import free_port
from tools.errors import WANTING, ToolError
from tools.errors import run as run_tool
from tools.example import read_examples
from tools.files import read_json, read_lines, write_json, write_text
from tools.predict.client import engine_of
from tools.predict.engines import Engine, Options
from tools.predict.predict import collect
from tools.predict.predictions import Keep, Prediction
from tools.predict.questions import SAMPLING, Asking, Question, need_examples
from tools.predict.server import serving
from tools.score.score import evaluate
from tools.serve.installed import lacking
from tools.train.export import export
from tools.train.machine import gpus
from tools.train.quantize import PYTHON, SAMPLES, quantize
from tools.variant import QUANTIZATIONS

PAGE = Path("bench/results/quantize.md")
BATCH = 16  # rows that transformers answers together
# Greedy answers by transformers, batch by batch: a model's folder, {"chats", "batch", "max_tokens"} and the file that gets a list of texts.
ANSWER = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
path, job, answers = sys.argv[1], json.load(open(sys.argv[2], encoding="utf-8")), {}
tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
gpu = torch.cuda.is_available()
model = AutoModelForCausalLM.from_pretrained(path, dtype="auto" if gpu else torch.float32, device_map="auto" if gpu else None).eval()
own = model.generation_config
ends = tokenizer.eos_token_id if own.eos_token_id is None else own.eos_token_id
pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
model.generation_config = GenerationConfig(do_sample=False, max_new_tokens=job["max_tokens"], eos_token_id=ends, pad_token_id=pad)
texts = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in job["chats"]]
order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
for start in range(0, len(order), job["batch"]):
    rows = order[start : start + job["batch"]]
    asked = tokenizer([texts[row] for row in rows], add_special_tokens=False, padding=True, return_tensors="pt").to(model.device)
    with torch.inference_mode():
        made = model.generate(input_ids=asked["input_ids"], attention_mask=asked["attention_mask"])[:, asked["input_ids"].shape[1] :]
    answers |= dict(zip(rows, tokenizer.batch_decode(made, skip_special_tokens=True)))
json.dump([answers[row] for row in range(len(texts))], open(sys.argv[3], "w", encoding="utf-8"))
"""
# Logits of models as transformers loads them, against the first one's: folders behind a file of [rows of token ids, where each answer begins].
COMPARE = """
import json, sys, torch
from transformers import AutoModelForCausalLM
merged, (rows, answers), found = sys.argv[1], json.load(open(sys.argv[2])), {}
load = lambda path: AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
with torch.no_grad():
    before = [load(merged)(torch.tensor([row])).logits for row in rows]
    for path in sys.argv[3:]:
        model = load(path)
        after = [model(torch.tensor([row])).logits for row in rows]
        off = torch.cat([(a - b).abs().flatten() for a, b in zip(after, before)])
        same = torch.cat([(a.argmax(-1) == b.argmax(-1))[0, start - 1 : -1] for a, b, start in zip(after, before, answers)])
        size = torch.cat([b.abs().flatten() for b in before]).mean()
        found[path] = {"max": off.max().item(), "mean": off.mean().item(), "relative": (off.mean() / size).item(), "same": same.float().mean().item()}
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Model:
    """One model's figures: weights in bytes, seconds to make it; (micro F1, seconds) of each engine, None where it can't serve the model; its logits against the
    merged model's."""

    size: int
    made: float
    vllm: tuple[float, float] | None
    transformers: tuple[float, float]
    logits: dict[str, float] | None


def measure(run: Run, task: Task, split: str, methods: list[str], samples: int, logits: int, out: Path) -> dict[str, Model]:
    """Makes and scores the merged model and each quantised one, in this order."""
    folders, made = dict[str, Path](), dict[str, float]()
    for name in ("merged", *methods):
        started = time.perf_counter()
        folders[name] = export(run, run.variant("adapter")) if name == "merged" else quantize(run, name, samples)
        made[name] = time.perf_counter() - started
    differences = compare(folders, token_rows(Asking(run, task, split, run.variant("merged")), logits), out)
    found = {}
    for name, folder in folders.items():
        asking = Asking(run, task, split, run.variant(name if name == "merged" else f"merged-{name}"))
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        served = None if lacking(asking.variant.quantization) else by_vllm(asking, out / f"{name}-vllm")
        found[name] = Model(size, made[name], served, by_transformers(asking, out / f"{name}-hf"), differences.get(str(folder)))
        print(f"{name}: {found[name]}", flush=True)
    return found


def by_vllm(asking: Asking, out: Path) -> tuple[float, float]:
    """Returns (micro F1, seconds of predicting) with a vLLM server of our own; its start isn't counted."""
    options = Options(fresh=True)
    with serving(asking.run, asking.variant, None, free_port()) as server:
        started = time.perf_counter()
        predictions = collect(asking, out, engine_of(server, asking, options.concurrency), options)
        seconds = time.perf_counter() - started
    return _micro(asking, predictions), seconds


def by_transformers(asking: Asking, out: Path) -> tuple[float, float]:
    """Returns (micro F1, seconds) with transformers in llm-compressor's environment, the start of Python and the loading of the model counted."""

    def ask(asked: list[Question], keep: Keep) -> None:
        job, answers = out / "job.json", out / "answers.json"
        write_json(job, {"chats": [question.messages for question in asked], "batch": BATCH, "max_tokens": SAMPLING["max_tokens"]})
        _call([PYTHON, "-c", ANSWER, asking.variant.folder, job, answers])
        for question, text in zip(asked, read_json(answers), strict=True):
            keep(Prediction(question.id, text, finish_reason="stop"))

    started = time.perf_counter()
    name = asking.variant.served_name
    predictions = collect(asking, out, Engine(name, "transformers + compressed-tensors", name, ask), Options(fresh=True))
    return _micro(asking, predictions), time.perf_counter() - started


def compare(folders: dict[str, Path], rows: list[tuple[list[int], int]], out: Path) -> dict[str, dict[str, float]]:
    """Returns folder → distance of a quantised model's logits from the merged one's, on rows of (token ids, where the answer begins)."""
    ids, starts = [row for row, _ in rows], [start for _, start in rows]
    write_json(out / "rows.json", [ids, starts])
    printed = _call([PYTHON, "-c", COMPARE, folders["merged"], out / "rows.json", *(folder for name, folder in folders.items() if name != "merged")])
    return dict(json.loads(printed.splitlines()[-1]))


def token_rows(asking: Asking, wanted: int) -> list[tuple[list[int], int]]:
    """Returns the first rows of a split as (token ids of prompt and gold answer, where the answer begins)."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(asking.variant.folder)
    found = []
    for example, question in zip(islice(read_examples(asking.source), wanted), asking.questions(), strict=False):
        asked, answered = (
            tokenizer(text, add_special_tokens=False)["input_ids"]
            for text in (
                tokenizer.apply_chat_template(question.messages, tokenize=False, add_generation_prompt=True),
                answer(asking.task, example) + tokenizer.eos_token,
            )
        )
        found.append((asked + answered, len(asked)))
    return found


def report(name: str, split: str, rows: int, samples: int, logits: int, found: dict[str, Model]) -> str:
    """Returns the Markdown page."""
    lines = [
        f"# {name} quantised",
        "",
        f"{gpus()[0].name if gpus() else machine()}. Made by `.venv/train/bin/python -m bench.quantize`; the first {rows} rows of {split}"
        f"{f', {samples} rows to calibrate on' if found.keys() & {'awq', 'gptq'} else ''}, logits of {logits} rows, one model after the other.",
        "",
        "| model | size | made in, s | difference of logits: mean, of their size (largest) | same next token in the answers | micro F1, vLLM | s"
        " | micro F1, transformers | s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for model, is_ in found.items():
        far = is_.logits
        off = f"{far['mean']:.2f}, {far['relative']:.1%} ({far['max']:.1f}) | {far['same']:.1%}" if far else "- | -"
        served = f"{is_.vllm[0]:.4f} | {is_.vllm[1]:.0f}" if is_.vllm else "not served | -"
        lines.append(
            f"| {model} | {is_.size / 1e6:.2f} MB | {is_.made:.0f} | {off} | {served} | {is_.transformers[0]:.4f} | {is_.transformers[1]:.0f} |"
        )
    return (
        "\n".join(lines)
        + "\n\nLogits are compared with the merged model's, whose mean absolute value is their size. vLLM's seconds are those of predicting on a server that runs; transformers' hold the loading of the model. What isn't served has no fast kernel in"
        " vLLM's build here.\n"
    )


def first_rows(run: Run, task: Task, split: str, rows: int | None, folder: Path) -> tuple[Run, int]:
    """Returns the run, with a dataset folder of the split's first rows (all for None), and their number."""
    lines = [line for _, line in islice(read_lines(need_examples(run, task, split)), rows)]
    shutil.copytree(run.dataset / "alpaca", folder / "alpaca", ignore=shutil.ignore_patterns("dataset_info.json"))  # it stamps all rows
    few = replace(run, values={**run.values, "dataset_dir": str(folder / "alpaca")})
    write_text(task.examples(split, few.dataset), "".join(line.decode() + "\n" for line in lines))
    return few, len(lines)


def _micro(asking: Asking, predictions: Path) -> float:
    return evaluate(asking.task, asking.source, predictions, predictions.parent)["micro"]["f1"]


def _call(command: list[Any]) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"transformers stopped with exit code {done.returncode}.\n{done.stderr[-2000:]}", WANTING)
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.quantize", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("conf", type=Path, metavar="conf/<run>.yaml")
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value")
    parser.add_argument("--methods", nargs="+", choices=QUANTIZATIONS, default=list(QUANTIZATIONS), help="default: all")
    parser.add_argument("--split", default="dev", help="default: dev")
    parser.add_argument("--rows", type=int, metavar="N", help="the first rows of the split (default: all)")
    parser.add_argument("--samples", type=int, default=SAMPLES, metavar="N", help=f"rows to calibrate on (default: {SAMPLES})")
    parser.add_argument("--logits", type=int, default=64, metavar="N", help="rows whose logits are compared (default: 64)")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE", help=f"default: {PAGE}")
    args = parser.parse_intermixed_args()
    run = load_run(args.conf, args.overrides)
    task = find_task(run.task)
    with TemporaryDirectory(prefix="bench-quantize-") as name:
        few, rows = first_rows(run, task, args.split, args.rows, Path(name) / "dataset")
        found = measure(few, task, args.split, args.methods, args.samples, min(args.logits, rows), Path(name))
    page = report(run.name, f"{task.name} {args.split}", rows, args.samples, min(args.logits, rows), found)
    write_text(args.out, page)
    print(f"\n{page}")


if __name__ == "__main__":
    run_tool(main)
