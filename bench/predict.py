"""Compares the speed of `./ner eval` and `./ner extract` with that of vLLM's own `bench serve`, on the same server and the same requests, turn by turn.

In: a trained run and its examples. Out: a Markdown page in bench/results/. All ask for the same rows with the same number of requests under way; all find
the same prefix cache, filled by a turn that isn't counted.

    .venv/train/bin/python -m bench.predict conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.chain import machine
from tools.conf.run import load_run
from tools.conf.task import find_task
from tools.demo import free_port
from tools.errors import ToolError
from tools.errors import run as run_tool
from tools.example import read_examples
from tools.extract.annotated_file import read
from tools.extract.extract import FileAsking, examples_of, extract
from tools.files import read_json, write_text
from tools.predict.client import engine_of
from tools.predict.engines import Options
from tools.predict.predict import collect
from tools.predict.predictions import read_predictions
from tools.predict.questions import LOGPROBS, SAMPLING, Asking
from tools.predict.server import Server, model_name, serving
from tools.serve.installed import PYTHON
from tools.text import whole_number
from tools.train.machine import gpus

# The `vllm` command doesn't run in its CPU build; this is what it calls.
BENCH = """
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""


SEVERAL = 8  # rows in one request, where it may hold several
WHO = ("theirs", "ours", "file")


@dataclass(frozen=True)
class Turn:
    """One pass over the rows: wall seconds, the client's own CPU seconds, tokens that were generated."""

    seconds: float
    cpu: float
    tokens: int


def ours(asking: Asking, server: Server, concurrency: int, out: Path, limit: int | None = None) -> Turn:
    """Measures the whole of predicting: reading examples, asking, keeping each answer, writing predictions."""
    before, started = _cpu(resource.RUSAGE_SELF), time.perf_counter()
    path = collect(asking, out, engine_of(server, asking, concurrency), Options(fresh=True, limit=limit))
    seconds, cpu = time.perf_counter() - started, _cpu(resource.RUSAGE_SELF) - before
    return Turn(seconds, cpu, sum(found.completion_tokens or 0 for found in read_predictions(path).values()))


def extracting(asking: Asking, server: Server, concurrency: int, folder: Path, limit: int | None = None) -> Turn:
    """Measures the whole of annotating a file: reading texts, asking with log-probabilities, reading answers, writing entities with places and confidence."""
    texts, out = folder / "texts.jsonl", folder / "annotated.jsonl"
    write_text(texts, "".join(json.dumps({"text": one.text}, ensure_ascii=False) + "\n" for one in islice(read_examples(asking.source), limit)))
    before, started = _cpu(resource.RUSAGE_SELF), time.perf_counter()
    upload = read(texts, limited=False)
    sampling = asking.sampling | LOGPROBS
    file = FileAsking(asking.run, asking.task, "texts", asking.variant, file=texts, sampling=sampling, examples=examples_of(upload, asking.task))
    extract(file, upload, out, Options(url=server.url, concurrency=concurrency, fresh=True))
    return Turn(time.perf_counter() - started, _cpu(resource.RUSAGE_SELF) - before, 0)


def theirs(server: Server, model: str, base: str, prompts: Path, rows: int, concurrency: int, out: Path) -> Turn:
    """Measures vLLM's bench serve over the same prompts, by its own clock: from the first request to the last answer."""
    command = [
        *(str(PYTHON), "-c", BENCH, "--backend", "vllm", "--base-url", server.url.removesuffix("/v1"), "--endpoint", "/v1/completions"),
        *("--model", model, "--tokenizer", base, "--dataset-name", "custom", "--dataset-path", str(prompts), "--skip-chat-template"),
        *("--custom-output-len", "-1", "--num-prompts", str(rows), "--disable-shuffle", "--max-concurrency", str(concurrency), "--temperature", "0"),
        *("--num-warmups", "0", "--disable-tqdm", "--save-result", "--result-dir", str(out), "--result-filename", "bench.json"),
    ]
    before = _cpu(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False)
    if done.returncode:
        raise ToolError(f"vllm bench serve failed:\n{done.stderr[-2000:]}", 1)
    result = read_json(out / "bench.json")
    if result["completed"] != rows:
        raise ToolError(f"vllm bench serve: {result['completed']} of {rows} requests were answered.", 1)
    return Turn(result["duration"], _cpu(resource.RUSAGE_CHILDREN) - before, result["total_output_tokens"])


def ways(asking: Asking, model: str, limit: int | None) -> dict[str, tuple[str, list[dict[str, Any]], int]]:
    """Returns other ways to ask for the same rows: name → (path, request bodies, rows a request)."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(asking.variant.base_model)
    chats = [question.messages for question in asking.questions()[:limit]]
    ids = [tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False) for chat in chats]
    common = {"model": model, **SAMPLING}
    by_chat = [{**common, "messages": chat} for chat in chats]
    longest = [body for _, body in sorted(zip(map(len, ids), by_chat, strict=True), key=lambda pair: -pair[0])]
    several = [{**common, "prompt": ids[start : start + SEVERAL]} for start in range(0, len(ids), SEVERAL)]
    return {
        "chats, in the examples' order (as `./ner eval` does)": ("/chat/completions", by_chat, 1),
        "chats, the longest first": ("/chat/completions", longest, 1),
        "token ids": ("/completions", [{**common, "prompt": row} for row in ids], 1),
        f"token ids, {SEVERAL} rows a request": ("/completions", several, SEVERAL),
    }


async def post_all(url: str, bodies: list[dict[str, Any]], under_way: int) -> float:
    """Returns the seconds until every body is answered with 200, `under_way` at a time."""
    import aiohttp

    waiting = iter(bodies)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=600)) as session:

        async def work() -> None:
            for body in waiting:
                async with session.post(url, json=body) as answer:
                    answer.raise_for_status()
                    await answer.read()

        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(under_way)))
        return time.perf_counter() - started


def write_prompts(asking: Asking, file: Path, limit: int | None) -> int:
    """Writes the rendered prompts of a split's first rows in the benchmark's own format; returns their number."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(asking.variant.base_model)
    rows = [
        {
            "prompt": tokenizer.apply_chat_template(question.messages, tokenize=False, add_generation_prompt=True),
            "output_tokens": SAMPLING["max_tokens"],
        }
        for question in asking.questions()[:limit]
    ]
    write_text(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return len(rows)


def report(name: str, rows: int, found: dict[int, dict[str, list[Turn]]], tried: dict[str, list[float]], under_way: int) -> str:
    """Returns the Markdown page: medians over the turns, and the ratios of our rows a second to theirs."""
    device = gpus()[0].name if gpus() else machine()
    turns = len(next(iter(found.values()))["ours"])
    lines = [
        f"# Predicting with {name}",
        "",
        f"{device}. Made by `.venv/train/bin/python -m bench.predict`; {rows} rows, medians of {turns} turns, one after the other on one server.",
        "",
        "| requests under way | `bench serve`, rows/s | `./ner eval`, rows/s | ratio | `./ner extract`, rows/s | ratio | tokens/s of `./ner eval`"
        " | CPU of `bench serve`, `./ner eval`, `./ner extract`, s a 1,000 rows |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for concurrency, both in found.items():
        their, our, file = (statistics.median(rows / turn.seconds for turn in both[who]) for who in WHO)
        cpu = ", ".join(f"{statistics.median(turn.cpu for turn in both[who]) * 1000 / rows:.1f}" for who in WHO)
        tokens = statistics.median(turn.tokens / turn.seconds for turn in both["ours"])
        lines.append(f"| {concurrency} | {their:.1f} | {our:.1f} | {our / their:.2f} | {file:.1f} | {file / their:.2f} | {tokens:,.0f} | {cpu} |")
    lines += ["", "`./ner extract` asks for log-probabilities too. The CPU seconds of `bench serve` hold the start of its program.", ""]
    lines += [f"Other ways to ask, {under_way} rows under way, medians of {turns} turns, without our files:", "", "| | rows/s |", "|---|---|"]
    lines += [f"| {way} | {rows / statistics.median(seconds):.1f} |" for way, seconds in tried.items()]
    return "\n".join(lines) + "\n"


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.predict", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("conf", type=Path, metavar="conf/<run>.yaml")
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value")
    parser.add_argument("--split", default="dev", help="default: dev")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 128], metavar="N", help="requests under way (default: 64 128)")
    parser.add_argument("--turns", type=int, default=3, help="default: 3")
    parser.add_argument("--rows", type=whole_number(1, 1_000_000), metavar="N", help="the first N rows (default: all)")
    args = parser.parse_args()
    run = load_run(args.conf, args.overrides)
    asking = Asking(run, find_task(run.task), args.split, run.variant("adapter"))
    with TemporaryDirectory(prefix="bench-predict-") as folder, serving(run, asking.variant, None, free_port()) as server:
        out = Path(folder)
        rows = write_prompts(asking, out / "prompts.jsonl", args.rows)
        model = model_name(server, asking.variant)
        found: dict[int, dict[str, list[Turn]]] = {}
        for concurrency in args.concurrency:
            both: dict[str, list[Turn]] = {who: [] for who in WHO}
            for turn in range(args.turns + 1):  # the first fills the caches
                made = (
                    theirs(server, model, asking.variant.base_model, out / "prompts.jsonl", rows, concurrency, out),
                    ours(asking, server, concurrency, out / "ours", args.rows),
                    extracting(asking, server, concurrency, out, args.rows),
                )
                rates = ", ".join(f"{rows / one.seconds:.1f}" for one in made)
                print(f"{concurrency}: bench serve, eval, extract: {rates} rows/s; tokens {made[0].tokens} {made[1].tokens}", flush=True)
                for who, one in zip(WHO, made, strict=True):
                    both[who] += [one] if turn else []
            found[concurrency] = both
        under_way, tried = args.concurrency[0], dict[str, list[float]]()
        for _ in range(args.turns):
            for way, (path, bodies, several) in ways(asking, model, args.rows).items():
                tried.setdefault(way, []).append(asyncio.run(post_all(server.url + path, bodies, under_way // several)))
                print(f"{way}: {rows / tried[way][-1]:.1f} rows/s", flush=True)
    page = report(run.name, rows, found, tried, under_way)
    write_text(Path("bench/results") / "predict.md", page)
    print(f"\n{page}")


if __name__ == "__main__":
    run_tool(main)
