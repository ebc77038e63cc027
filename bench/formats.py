"""Compares the formats of an answer: trains one base model on each with the same rows and steps, and asks the same held-out rows, free and under schema decoding.

In: nothing, for the embedded model on the sample task; or a base model's folder and CLUENER's train file, whose last 1,000 rows are held out. Out: F1 of sets and spans, tokens
an answer, rows a second at the server, strings that aren't in the text, and the time that a grammar takes, in bench/results/formats-<model>.md. It may be stopped at any
time: the same command goes on. What is done is kept in --work.

    .venv/train/bin/python -m bench.formats
    .venv/train/bin/python -m bench.formats models/Qwen2.5-0.5B-Instruct --data data/dataset/clue.train.jsonl --rows 2848 --ask 300 lora_rank=8
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from bench.chain import machine
from bench.predict import ours
from bench.real import DECODINGS, HELD_OUT, Record, one_of, speed, table, write_run
from tools.chat.answer_formats import FORMATS
from tools.chat.decoding import constraint
from tools.conf.run import Run, load_run
from tools.conf.task import TASKS, Task, find_task
from tools.data.scaffold.new_run import base_model
from tools.demo import CONF, free_port, verb
from tools.errors import ToolError
from tools.errors import run as run_tool
from tools.example import read_examples
from tools.files import ROOT, one_at_a_time, read_json, read_text, write_json, write_text
from tools.predict.predictions import FILE
from tools.predict.questions import Asking
from tools.predict.server import serving
from tools.score.score_file import read_score
from tools.serve.installed import PYTHON
from tools.text import whole_number
from tools.train.machine import gpus
from tools.train.train import to_yaml
from tools.variant import FINISHED

TINY = Path("models/tiny-qwen2")
CONCURRENCY = 64
LENGTHS = (50, 300, 1000)  # characters of the texts whose grammars are compiled
# How the sample task's prompt asks for each format, in place of its second line.
SAMPLE = {
    "grouped": "用JSON对象回答，键是label，值是text的列表。",
    "lines": "每行回答一个实体，写成label: text；没有实体时回答[]。",
    "inline": "照抄句子，把实体写成[text | label]。",
}
# The same for CLUENER's prompt, in place of what stands from OUTPUT_BEGINS to OUTPUT_ENDS.
OUTPUT_BEGINS, OUTPUT_ENDS = "2. 以json格式输出", "<输入文本>"
CLUE = {
    "grouped": """2. 以json格式输出一个对象：键是实体类型，必须严格使用原始类型标识（不可更改）；值是该类型的实体在原文中的中文内容的列表

<输出格式要求>
```json
{{"实体类别": ["实体名称"]}}
```
""",
    "lines": """2. 每行输出一个实体：先写实体类型，必须严格使用原始类型标识（不可更改），再写冒号、空格和实体在原文中的中文内容；没有实体时输出[]

<输出格式要求>
实体类别: 实体名称
""",
    "inline": """2. 照抄输入文本，把每个实体写在方括号里，后面是 | 和实体类型，必须严格使用原始类型标识（不可更改）；其余文字一字不改

<输出格式要求>
……[实体名称 | 实体类别]……
""",
}
COMPILE = """
import json, sys, time
import xgrammar
from transformers import AutoTokenizer
job = json.load(sys.stdin)
info = xgrammar.TokenizerInfo.from_huggingface(AutoTokenizer.from_pretrained(job["base"]))
taken = []
for grammar in job["grammars"]:
    compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
    started = time.perf_counter()
    compiler.compile_grammar(grammar)
    taken.append(time.perf_counter() - started)
json.dump(taken, sys.stdout)
"""


@dataclass(frozen=True)
class Bench:
    """What is compared: a task, the base model's name and folder, the split that is asked, and the folder of what is done. Paths are absolute."""

    task: str
    base: str
    folder: Path
    split: str
    work: Path

    def at(self, form: str) -> Path:
        """Returns the folder in which a format's run lives, with a conf/ and data/ of its own: a task's name tells no formats apart."""
        return self.work / form


def prompt_of(task: Task, form: str) -> str:
    """Returns the task's own prompt with another description of the answer; for `json` as it is."""
    text = read_text(task.prompt)
    if form == "json":
        return text
    if task.name == "sample":
        first, _, *rest = text.split("\n")
        return "\n".join([first, SAMPLE[form], *rest])
    before, begins, rest = text.partition(OUTPUT_BEGINS)
    _, ends, after = rest.partition(OUTPUT_ENDS)
    if not begins or not ends:
        raise ToolError(f"{task.prompt}: no '{OUTPUT_BEGINS}' with '{OUTPUT_ENDS}' behind it: there the bench describes the other formats.")
    return f"{before}{CLUE[form]}\n{ends}{after}"


def write_task(task: Task, form: str, raw: dict[str, str], folder: Path) -> None:
    """Writes the task with another format and prompt into a format's folder."""
    prompt = folder / "data" / "prompts" / f"{task.name}_prompt.txt"
    write_text(prompt, prompt_of(task, form))
    fields = ["text", "label"] if task.answer.text_first else ["label", "text"]
    values = {
        **{key: getattr(task, key) for key in ("kind", "reader", "system", "aliases", "version")},
        "raw": raw,
        "prompt": str(prompt),
        "labels": task.names,
        "answer": {**{field: getattr(task.answer, field) for field in fields}, "order": task.answer.order, "format": form},
    }
    write_text(folder / TASKS / f"{task.name}.yaml", f"# Written by bench/formats.py.\n\n{to_yaml(values)}")


def write_sample_run(folder: Path, overrides: Sequence[str]) -> Run:
    """Writes the embedded model's run on the sample task into a format's folder."""
    values = load_run(CONF, overrides).values
    ours = {
        "model_name_or_path": str(TINY.resolve()),
        "dataset_dir": str(folder / "dataset/alpaca"),
        "eval_dataset": None,
        "output_dir": str(folder / CONF.stem),
    }
    path = folder / CONF.name
    write_text(path, f"# Written by bench/formats.py from {CONF}.\n\n{to_yaml({**values, **ours})}")
    return load_run(path)


def ask(bench: Bench, run: Run, form: str, decodings: Sequence[str], record: Record) -> None:
    """Asks a format's model what wasn't asked before, and scores the answers.

    Free decoding has a turn that fills the server's cache of prompts, and is measured in the next. Schema decoding comes after it, so that its prompts are in the cache
    and its grammars aren't.
    """
    task, variant = find_task(bench.task), run.variant("adapter")
    wanted = [one for one in decodings if not record.is_done(f"ask {form}, {one}", [str(run.path), bench.split])]
    if not wanted:
        return
    with serving(run, variant, None, free_port()) as server:
        for turn, decoding in enumerate(["free", *wanted]):
            asking, out = Asking(run, task, bench.split, variant, decoding), bench.at(form) / ("warm-up" if not turn else decoding)
            if not turn:
                ours(asking, server, CONCURRENCY, out)
                continue
            with record.timing(f"ask {form}, {decoding}", [str(run.path), bench.split]):
                asked = ours(asking, server, CONCURRENCY, out)
            write_json(out / "turn.json", {"seconds": asked.seconds, "tokens": asked.tokens})
            examples = str(task.examples(bench.split, run.dataset))
            verb("score", str(TASKS / f"{bench.task}.yaml"), "--examples", examples, "--predictions", str(out / FILE), "--out", str(out))


def walk(bench: Bench, runs: dict[str, Run], decodings: Sequence[str], record: Record) -> None:
    """Runs what isn't done yet, one format after the other, each with its own folder as the current one: data, check, train, ask, score."""
    for form, run in runs.items():
        task = str(TASKS / f"{bench.task}.yaml")
        with chdir(bench.at(form)):
            for name, words in {
                "data": ["data", task, "--out", str(run.dataset)],
                "check": ["check", task, "--out", str(run.dataset / "check")],
                "train": ["train", str(run.path)],
            }.items():
                if not record.is_done(f"{name} {form}", words) or (name == "train" and not (run.output_dir / FINISHED).is_file()):
                    with record.timing(f"{name} {form}", words):
                        verb(*words)
            ask(bench, run, form, decodings, record)


def grammar_lines(bench: Bench, runs: dict[str, Run]) -> list[str]:
    """Returns the table of what a grammar takes: characters, and seconds until xgrammar has compiled it on one core."""
    rows = [["format", *(f"{length:,} characters: grammar, kB; compiled, s" for length in LENGTHS)]]
    for form, run in runs.items():
        with chdir(bench.at(form)):
            task = find_task(bench.task)
            characters = cycle("".join(example.text for example in read_examples(task.examples(bench.split, run.dataset))))
        grammars = [constraint(task, "".join(islice(characters, length)), [])["grammar"] for length in LENGTHS]
        rows.append(
            [form, *(f"{len(one.encode()) / 1e3:,.1f}; {taken:.3f}" for one, taken in zip(grammars, compiled(bench.folder, grammars), strict=True))]
        )
    return table(rows)


def compiled(base: Path, grammars: list[str]) -> list[float]:
    """Returns the seconds that xgrammar takes for each grammar with the base model's vocabulary."""
    job = json.dumps({"base": str(base), "grammars": grammars})
    done = subprocess.run([str(PYTHON), "-c", COMPILE], input=job, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"xgrammar failed:\n{done.stderr[-2000:]}", 1)
    found: list[float] = json.loads(done.stdout)
    return found


def report(bench: Bench, runs: dict[str, Run], decodings: Sequence[str]) -> str:
    """Returns the Markdown page."""
    rows = [["format", "decoding", "micro-F1", "strict", "span F1", "tokens an answer", "rows/s", "strings not in the text", "in the trained form"]]
    held_out = 0
    for form in runs:
        for decoding in decodings:
            folder = bench.at(form) / decoding
            score, turn = read_score(folder), read_json(folder / "turn.json")
            low, high = score["intervals"]["micro"]
            held_out = score["rows"]
            figures = [f"{score['micro']['f1']:.3f} ({low:.3f}–{high:.3f})", f"{score['strict']['micro']['f1']:.3f}", f"{score['span']['f1']:.3f}"]
            costs = [f"{turn['tokens'] / held_out:.1f}", speed(held_out / turn["seconds"]), f"{score['failures']['ungrounded']:,}"]
            rows.append([form, decoding, *figures, *costs, f"{score['answers']['trained']:,} of {held_out:,}"])
    run = next(iter(runs.values())).trained()
    keys = ("max_samples", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "lora_rank", "seed")
    return (
        "\n".join(
            [
                f"# Formats of an answer: {bench.base} on {bench.task}",
                "",
                f"{gpus()[0].name if gpus() else machine()}. Made by `.venv/train/bin/python -m bench.formats`: one training a format, with the same rows, steps and seed"
                f" ({', '.join(f'{key} {run.values[key]}' for key in keys if run.values.get(key) is not None)}).",
                "",
                *table(rows),
                "",
                f"F1 on {held_out:,} held-out rows, with {score['intervals']['level']:.0%} bootstrap intervals. Strict counts answers in the trained form alone. Span counts places:"
                " a string stands at all its occurrences, but in `inline`, which marks its own. Rows a second are of the whole of predicting, with"
                f" {CONCURRENCY} requests under way and the prompts in the server's cache; under `schema` with the compilation of grammars.",
                "",
                *grammar_lines(bench, runs),
                "",
                "xgrammar compiles a grammar once, on one core, with the base model's vocabulary. Only `inline` has another grammar for each text.",
            ]
        )
        + "\n"
    )


def prepare(args: argparse.Namespace) -> tuple[Bench, dict[str, Run], Path]:
    """Writes each format's task and run. Returns what is compared, the runs by format, and the page's file."""
    if (args.data is None) != (args.model is None):
        raise ToolError(
            "a base model's folder goes with --data FILE, CLUENER2020's train file; without both, the embedded model learns the sample task."
        )
    base = base_model(str(args.model or TINY))
    work = (args.work or Path("data/outputs/formats") / f"{base.name}-{args.rows or 'all'}-{args.passes:g}").resolve()
    task = find_task("clue" if args.data else "sample")
    bench = Bench(task.name, base.name, Path(base.folder).resolve(), f"heldout{args.ask}" if args.data else "dev", work)
    raw = {split: str(Path(path).resolve()) for split, path in task.raw.items()}
    if args.data:
        end, data = f"{args.ask - HELD_OUT}" if args.ask < HELD_OUT else "", args.data.resolve()
        raw = {"train": f"{data}[:-{HELD_OUT}]", bench.split: f"{data}[-{HELD_OUT}:{end}]"}
    runs: dict[str, Run] = {}
    for form in args.formats:
        folder = bench.at(form)
        write_task(task, form, raw, folder)
        own: list[str] = [f"model_name_or_path={bench.folder}", *args.overrides]
        runs[form] = write_run(base, folder, args.rows, args.passes, own) if args.data else write_sample_run(folder, args.overrides)
    return bench, runs, (args.out / f"formats-{base.name}.md").resolve()


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.formats", description=(__doc__ or "").split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("model", nargs="?", type=Path, metavar="FOLDER", help="the base model (default: the embedded one, on the sample task)")
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value", help="laid over each run, e.g. lora_rank=8")
    parser.add_argument("--data", type=Path, metavar="FILE", help="CLUENER2020's train file")
    parser.add_argument("--rows", type=whole_number(1, 1_000_000), metavar="N", help="with --data: train on the first N rows (default: all)")
    parser.add_argument("--passes", type=float, default=1.0, metavar="P", help="with --data: passes over them (default: 1)")
    parser.add_argument(
        "--ask", type=whole_number(1, HELD_OUT), default=HELD_OUT, metavar="N", help=f"with --data: held-out rows to ask (default: {HELD_OUT})"
    )
    parser.add_argument("--formats", type=one_of([*FORMATS]), default=[*FORMATS], metavar="A,B", help=f"of {', '.join(FORMATS)} (default: all)")
    parser.add_argument("--decodings", type=one_of(DECODINGS), default=list(DECODINGS), metavar="A,B", help="free, schema or both (default)")
    parser.add_argument("--work", type=Path, metavar="DIR", help="what is done (default: data/outputs/formats/<model>-<rows>-<passes>)")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), metavar="DIR", help="the page's folder (default: bench/results)")
    args = parser.parse_intermixed_args()
    if args.model and "=" in str(args.model):  # the first word may be a key=value word
        args.overrides, args.model = [str(args.model), *args.overrides], None
    # The verbs run in each format's folder, and find the tools here.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    bench, runs, file = prepare(args)
    with one_at_a_time(bench.work, "formats"):
        walk(bench, runs, args.decodings, Record(bench.work / "steps.json"))
        page = report(bench, runs, args.decodings)
    write_text(file, page)
    print(f"\n{page}\n→ {file}")


if __name__ == "__main__":
    run_tool(main)
