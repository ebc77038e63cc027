"""Asks a model for every row of a split, with the prompt that training used, greedily: through a server, or in this process (tools.eval.local).

In: a run, and the examples of its task. Out: predictions.jsonl and predictions.meta.json.

    python -m tools.eval.predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev --url http://127.0.0.1:8000/v1 --out DIR
    python -m tools.eval.predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev --engine hf --limit 1 --debug --out DIR
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.conf import CHECKPOINT, Run, Task, add_run, find_task, run_from
from tools.data import prompt
from tools.errors import WANTING, ToolError, run
from tools.eval.predictions import FILE, META, Prediction
from tools.eval.server import MODELS, Server, client_options, model_name, serving
from tools.example import Example, read_examples
from tools.files import need_file, sha256, write_json, write_text

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# Greedy: the same model gives the same answer.
SAMPLING = {"temperature": 0.0, "max_tokens": 512}
CONCURRENCY = 64
ENGINES = ("vllm", "hf")
BATCH = 16  # of --engine hf
RETRIES = 5  # of the OpenAI client, with its growing pauses: connection errors, timeouts, 429 and 5xx
TIMEOUT_S = 600.0


def predict(this: Run, task: Task, split: str, server: Server, which: str, out: Path, concurrency: int = CONCURRENCY) -> Path:
    """Predict a split with the server's `which` of MODELS; returns the predictions file, one line an example, in their order.

    A row that the server refuses is recorded with its error. Raises ToolError (1) when the server stops answering, and when it refused every row.
    """
    if concurrency < 1:
        raise ToolError(f"--concurrency {concurrency}: at least one request must be under way.")
    path = need_examples(this, task, split)
    examples = list(read_examples(path))
    name = model_name(server, this, which)
    predictions = asyncio.run(_ask_all(server.url, name, task, examples, concurrency))
    return save(this, task, split, which, predictions, out, name, server.engine, server.url)


def save(this: Run, task: Task, split: str, which: str, predictions: list[Prediction], out: Path, name: str, engine: str, asked: str) -> Path:
    """Write the predictions of a split and what they were made with, whichever engine made them; returns the predictions file.

    `name` is what the model was called, `engine` its software and version, `asked` what a message calls it. Raises ToolError (1) when every row was refused.
    """
    path = need_examples(this, task, split)
    failed = [p for p in predictions if p.error]
    if len(failed) == len(predictions):
        raise ToolError(f"{asked} refused every row of {path}: {failed[0].error if failed else 'there are none'}", WANTING)
    if failed:
        print(f"{len(failed)} of {len(predictions)} rows were refused by {asked} and count as missing, e.g. {failed[0].id}: {failed[0].error}")
    (out / META).unlink(missing_ok=True)
    write_text(out / FILE, "".join(prediction.to_json() + "\n" for prediction in predictions))
    write_json(out / META, _meta(this, task, split, path, engine, which, name))
    return out / FILE


def need_examples(this: Run, task: Task, split: str) -> Path:
    """The examples file of a split, or a ToolError with the command that writes it."""
    return need_file(task.examples(split, this.dataset), f"To write it: make data TASK={task.name}")


async def _ask_all(url: str, model: str, task: Task, examples: list[Example], concurrency: int) -> list[Prediction]:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient
    from tqdm import tqdm

    render, found, waiting = prompt.renderer(task), dict[str, Prediction](), iter(examples)
    key = os.environ.get("VLLM_API_KEY", "none")
    http = DefaultAsyncHttpxClient(trust_env=client_options(url)["trust_env"])
    async with AsyncOpenAI(base_url=url, api_key=key, http_client=http, max_retries=RETRIES, timeout=TIMEOUT_S) as client:
        with tqdm(total=len(examples), desc=model, unit=" rows", disable=None) as bar:

            async def work() -> None:
                for example in waiting:
                    found[example.id] = await _ask(client, model, task, example, render)
                    bar.update()

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(concurrency, len(examples))):
                        group.create_task(work())
            except* ToolError as errors:
                problem = errors.exceptions[0]
    if len(found) < len(examples):
        raise ToolError(f"{problem} {len(found)} of {len(examples)} rows were answered; nothing was written.", WANTING)
    return [found[example.id] for example in examples]


async def _ask(client: AsyncOpenAI, model: str, task: Task, example: Example, render: Callable[[Example], str]) -> Prediction:
    import openai

    chat: Any = prompt.messages(task, render(example))
    started = time.perf_counter()
    try:
        answer = await client.chat.completions.create(model=model, messages=chat, **SAMPLING)  # type: ignore[call-overload]
    except openai.APIStatusError as error:
        return Prediction(example.id, None, error=f"HTTP {error.status_code}: {error.message}"[:500])
    except openai.APIConnectionError as error:  # timeouts among them
        raise ToolError(f"{client.base_url}: stopped answering ({error.__cause__ or error}).", WANTING) from None
    except (openai.APIResponseValidationError, json.JSONDecodeError) as error:
        return Prediction(example.id, None, error=f"HTTP 200, but not a chat completion: {error}"[:500])
    except UnicodeEncodeError as error:  # a lone surrogate can't be sent
        return Prediction(example.id, None, error=f"the text can't be sent: {error.reason}")
    return _prediction(example.id, answer, round(time.perf_counter() - started, 4))


def _prediction(id: str, answer: Any, latency_s: float) -> Prediction:
    """What the server answered; the client checks no types, and a proxy may answer 200 with anything."""
    try:
        choice, usage = answer.choices[0], answer.usage
        content = choice.message.content or ""
        if not isinstance(content, str):
            raise TypeError
        tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
        return Prediction(id, content, choice.finish_reason, prompt_tokens=tokens[0], completion_tokens=tokens[1], latency_s=latency_s)
    except (AttributeError, IndexError, TypeError):
        return Prediction(id, None, error=f"HTTP 200, but not a chat completion: {str(answer)[:200]!r}")


def _meta(this: Run, task: Task, split: str, examples: Path, engine: str, which: str, name: str) -> dict[str, Any]:
    folder = this.best_adapter() if which == "best" else this.output_dir / which if CHECKPOINT.fullmatch(which) else this.output_dir
    adapter = folder / "adapter_model.safetensors"
    return {
        "run": this.name,
        "task": task.name,
        "task_version": task.version,
        "split": split,
        "examples_sha256": sha256(examples),
        "prompt_sha256": sha256(task.prompt),
        "model": name,
        "which": which,
        "base_model": this.trained().base_model,
        "adapter_sha256": sha256(adapter) if which != "base" and adapter.is_file() else None,
        "sampling": SAMPLING,
        "engine": engine,
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that predicting takes, alone or followed by scoring."""
    add_run(parser)
    parser.add_argument("--task", metavar="T", help="default: the task that the run trains")
    parser.add_argument("--split", default="dev", help="default: dev")
    parser.add_argument("--model", choices=MODELS, default="adapter", help="which of the run's models answers (default: adapter)")
    parser.add_argument("--engine", choices=ENGINES, default="vllm", help="vllm: a server; hf: transformers + PEFT in this process (default: vllm)")
    parser.add_argument("--url", help="a server that runs already, e.g. http://127.0.0.1:8000/v1 (default: one at --port, started if none answers)")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY, metavar="N", help=f"requests under way at once (default: {CONCURRENCY})")
    parser.add_argument("--batch-size", type=int, default=BATCH, metavar="N", help=f"hf: rows that are answered together (default: {BATCH})")
    parser.add_argument("--debug", action="store_true", help="hf: show one row's way from prompt to answer (make: DEBUG=1)")
    parser.add_argument("--limit", type=int, metavar="N", help="hf: answer only the first N rows, and score nothing")


def check_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse options that the chosen engine doesn't have, instead of leaving them unheard."""
    theirs = {"vllm": ("batch_size", "debug", "limit"), "hf": ("url", "concurrency")}
    for engine, names in theirs.items():
        for name in names:
            if args.engine != engine or getattr(args, name) == parser.get_default(name):
                continue
            raise ToolError(f"--{name.replace('_', '-')} is an option of --engine {'hf' if engine == 'vllm' else 'vllm'}, not of {engine}.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.eval.predict", description=(__doc__ or "").split("\n\n")[0])
    add_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets predictions.jsonl and predictions.meta.json")
    args = parser.parse_args()
    check_options(parser, args)
    this = run_from(args)
    task = find_task(args.task or this.task)
    need_examples(this, task, args.split)
    if args.engine == "hf":
        from tools.eval import local

        print(local.predict(this, task, args.split, args.model, args.out, args.batch_size, args.debug, args.limit))
        return
    with serving(this, args.model, args.url, args.port) as server:
        print(predict(this, task, args.split, server, args.model, args.out, args.concurrency))


if __name__ == "__main__":
    run(main)
