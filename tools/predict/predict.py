"""Asks a model for every row of a split, with the prompt that training used, greedily: through a server, or in this process (tools.predict.engines.hf).

In: a run, and the examples of its task. Out: predictions.jsonl and predictions.meta.json.

    python -m tools.predict.predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev --url http://127.0.0.1:8000/v1 --out DIR
    python -m tools.predict.predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev --engine hf --limit 1 --debug --out DIR
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.chat.decoding import DECODINGS
from tools.conf.run import Run, run_from
from tools.conf.task import Task, find_task
from tools.errors import WANTING, ToolError, run
from tools.example import read_examples
from tools.files import need_file, read_json, sha256, write_json, write_text
from tools.predict.client import Keep, ask_all
from tools.predict.predictions import FILE, META, Prediction
from tools.predict.questions import Journal, Question, fingerprint, prompts_hash, questions
from tools.predict.server import MODELS, Server, model_name, serving

# Greedy: the same model gives the same answer.
SAMPLING = {"temperature": 0.0, "max_tokens": 512}
CONCURRENCY = 64
ENGINES = ("vllm", "offline", "ray", "hf")
BATCH = 16  # of --engine hf

Answer = Callable[[list[Question], Keep], None]


def predict(
    this: Run,
    task: Task,
    split: str,
    server: Server,
    which: str,
    out: Path,
    concurrency: int = CONCURRENCY,
    decoding: str = "free",
    fresh: bool = False,
) -> Path:
    """Predict a split with the server's `which` of MODELS; returns the predictions file, one line an example, in their order.

    Rows that were answered before, by the same model to the same question, aren't asked again, unless `fresh`. A row that the server refuses is recorded with its
    error. Raises ToolError (1) when the server is gone, and when it refused every row.
    """
    if concurrency < 1:
        raise ToolError(f"--concurrency {concurrency}: at least one request must be under way.")
    name = model_name(server, this, which)

    def answer(asked: list[Question], keep: Keep) -> None:
        ask_all(server, name, asked, SAMPLING, concurrency, keep)

    return collect(this, task, split, which, out, name, server.engine, server.url, answer, decoding, fresh)


def collect(
    this: Run,
    task: Task,
    split: str,
    which: str,
    out: Path,
    name: str,
    engine: str,
    asked_of: str,
    answer: Answer,
    decoding: str = "free",
    fresh: bool = False,
    limit: int | None = None,
) -> Path:
    """Let `answer` answer what isn't answered yet, each answer kept at once; then write the predictions of a split, and what they were made with.

    `name` is what the model is called, `engine` its software and version, `asked_of` what a message calls it; `limit` takes only the first rows. Whoever stops
    it loses nothing: the same call goes on. Returns the predictions file. Raises ToolError (1) when every row was refused.
    """
    from tqdm import tqdm

    path = need_examples(this, task, split)
    asked = list(questions(task, read_examples(path), decoding))[:limit]
    if not asked:
        raise ToolError(f"{path}: no examples in it.", WANTING)
    depends_on = _depends_on(this, task, split, which, name, engine, decoding)
    with Journal(out, asked, depends_on, fresh) as journal:
        if journal.found:
            print(f"{len(journal.found):,} of {len(asked):,} rows were answered before, and aren't asked again (FRESH=1 asks them all)", flush=True)
        try:
            with tqdm(total=len(asked), initial=len(journal.found), desc=name, unit=" rows", disable=None) as bar:

                def keep(prediction: Prediction) -> None:
                    journal.keep(prediction)
                    bar.update()

                if still_open := journal.open:
                    answer(still_open, keep)
        except ToolError as problem:
            raise ToolError(f"{problem} {_kept(journal, asked)}".strip(), problem.exit_code) from None
        except KeyboardInterrupt:
            print(f"\n{_kept(journal, asked)}")
            raise
        if missing := journal.open:
            raise ToolError(f"{asked_of} ended without an answer to {len(missing):,} rows, e.g. {missing[0].id}. {_kept(journal, asked)}", WANTING)
        predictions = [journal.found[question.id] for question in asked]
        failed = [p for p in predictions if p.error]
        if len(failed) == len(predictions):
            journal.done()
            raise ToolError(f"{asked_of} refused every row of {path}: {failed[0].error}", WANTING)
        if failed:
            print(f"{len(failed)} of {len(predictions)} rows were refused by {asked_of} and count as missing, e.g. {failed[0].id}: {failed[0].error}")
        (out / META).unlink(missing_ok=True)
        write_text(out / FILE, "".join(prediction.to_json() + "\n" for prediction in predictions))
        examples = {
            "examples_sha256": sha256(path),
            "prompts_sha256": prompts_hash(asked),
            "rows": len(asked),
            "refused": len(failed),
            "fingerprint": fingerprint(depends_on),
        }
        write_json(out / META, {**depends_on, **examples})
        journal.done()
    return out / FILE


def finished(this: Run, task: Task, split: str, which: str, out: Path, decoding: str = "free") -> Path | None:
    """The predictions in `out`, if they answer every row, by today's model, to today's questions, whichever engine gave them; else None."""
    if not (out / META).is_file() or not (out / FILE).is_file():
        return None
    meta = read_json(out / META)
    depends_on = _depends_on(this, task, split, which, str(meta.get("model")), str(meta.get("engine")), decoding)
    asked = questions(task, read_examples(need_examples(this, task, split)), decoding)
    whole = meta.get("fingerprint") == fingerprint(depends_on) and meta.get("prompts_sha256") == prompts_hash(asked) and not meta.get("refused")
    return out / FILE if whole else None


def need_examples(this: Run, task: Task, split: str) -> Path:
    """The examples file of a split, or a ToolError with the command that writes it."""
    return need_file(task.examples(split, this.dataset), f"To write it: make data TASK={task.name}")


def _kept(journal: Journal, asked: list[Question]) -> str:
    """What is safe, and how to go on; nothing where nothing was answered."""
    if not journal.found:
        return ""
    return f"{len(journal.found):,} of {len(asked):,} rows are answered and kept in {journal.path}; the same command goes on from there."


def _depends_on(this: Run, task: Task, split: str, which: str, name: str, engine: str, decoding: str) -> dict[str, Any]:
    """Everything but the prompts that an answer depends on."""
    adapter, merged = this.adapter(which) / "adapter_model.safetensors", this.output_dir / which
    record = next((merged / name for name in ("export.json", "quantize.json") if which.startswith("merged") and (merged / name).is_file()), None)
    return {
        "run": this.name,
        "task": task.name,
        "task_version": task.version,
        "split": split,
        "prompt_sha256": sha256(task.prompt),
        "model": name,
        "which": which,
        "base_model": this.trained().base_model,
        "adapter_sha256": sha256(adapter) if which != "base" and adapter.is_file() else None,
        **({"merged_sha256": sha256(record)} if record else {}),
        "sampling": SAMPLING,
        "decoding": decoding,
        "engine": engine,
    }


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """The run, the rows and the server: what every tool that asks a server for a split takes."""
    add_run(parser)
    parser.add_argument("--task", metavar="T", help="default: the task that the run trains")
    parser.add_argument("--split", default="dev", help="default: dev")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    parser.add_argument("--concurrency", type=int, default=CONCURRENCY, metavar="N", help=f"requests under way at once (default: {CONCURRENCY})")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that predicting takes, alone or followed by scoring."""
    add_server_options(parser)
    parser.add_argument("--model", choices=MODELS, default="adapter", help="which of the run's models answers (default: adapter)")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="vllm",
        help="vllm: a server; offline: vLLM without one; ray: vLLM over a Ray cluster; hf: transformers + PEFT in this process (default: vllm)",
    )
    parser.add_argument("--url", help="a server that runs already, e.g. http://127.0.0.1:8000/v1 (default: one at --port, started if none answers)")
    parser.add_argument(
        "--decoding", choices=DECODINGS, default="free", help="schema: only the task's own format can be answered (make: DECODING=schema)"
    )
    parser.add_argument("--fresh", action="store_true", help="ask every row, also those that were answered before (make: FRESH=1)")
    parser.add_argument("--batch-size", type=int, default=BATCH, metavar="N", help=f"hf: rows that are answered together (default: {BATCH})")
    parser.add_argument("--debug", action="store_true", help="hf: show one row's way from prompt to answer (make: DEBUG=1)")
    parser.add_argument("--limit", type=int, metavar="N", help="hf: answer only the first N rows, and score nothing")


# Options that not every engine has, and the engines that have them.
OWN = {
    "url": ("vllm",),
    "concurrency": ("vllm",),
    "decoding": ("vllm", "offline", "ray"),
    "batch_size": ("hf",),
    "debug": ("hf",),
    "limit": ("hf",),
}


def check_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse options that the chosen engine doesn't have, instead of leaving them unheard."""
    for name, engines in OWN.items():
        if args.engine not in engines and getattr(args, name) != parser.get_default(name):
            raise ToolError(f"--{name.replace('_', '-')} is an option of --engine {' and '.join(engines)}, not of {args.engine}.")


def predict_here(this: Run, task: Task, args: argparse.Namespace, out: Path) -> Path:
    """Predict with an engine that needs no server: the one that `args` names."""
    if args.engine == "hf":
        from tools.predict.engines import hf as local

        return local.predict(this, task, args.split, args.model, out, args.batch_size, args.debug, args.limit, args.fresh)
    from tools.predict.engines import offline

    return offline.predict(this, task, args.split, args.model, out, args.engine, args.decoding, args.fresh)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.predict.predict", description=(__doc__ or "").split("\n\n")[0])
    add_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets predictions.jsonl and predictions.meta.json")
    args = parser.parse_args()
    check_options(parser, args)
    this = run_from(args)
    task = find_task(args.task or this.task)
    need_examples(this, task, args.split)
    if args.engine != "vllm":
        print(predict_here(this, task, args, args.out))
        return
    with serving(this, args.model, args.url, args.port) as server:
        print(predict(this, task, args.split, server, args.model, args.out, args.concurrency, args.decoding, args.fresh))


if __name__ == "__main__":
    run(main)
