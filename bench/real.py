"""Measures the whole chain on a real base model and CLUENER2020: data → check → train → export → serve → eval, by the product's own commands.

In: a base model's folder, and CLUENER's train file, whose last 1,000 rows are held out. Out: scores, conditions and what each step cost, in
bench/results/real-<model>.md, or real-<model>-<passes>-passes.md for other than one pass. A 0.5 B takes two cores an hour a pass, so it may be stopped at any time: the same
command goes on, and the times of the parts add up. What is done is kept in --work.

    .venv/train/bin/python -m bench.real models/Qwen2.5-0.5B-Instruct --data data/dataset/clue.train.jsonl
    .venv/train/bin/python -m bench.real models/Qwen2.5-0.5B-Instruct --data data/dataset/clue.train.jsonl --rows 2848 --ask 300 lora_rank=8 --native
"""

from __future__ import annotations

import argparse
import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.chain import machine
from tools.chat.token_ids import token_counter
from tools.conf.overlays import container, merge
from tools.conf.run import Run, load_run
from tools.conf.task import TASKS
from tools.data.scaffold.chat_format import chat_format
from tools.data.scaffold.new_run import ChosenBase, base_model, run_path
from tools.demo import free_port, verb
from tools.errors import ToolError
from tools.errors import run as run_tool
from tools.files import one_at_a_time, read_json, write_json, write_text
from tools.predict.predictions import FILE, META, read_meta, read_predictions
from tools.predict.server import serving
from tools.score.counts import Counts
from tools.score.score_file import Score, read_score
from tools.text import whole_number
from tools.train import manifest
from tools.train.datasets import datasets
from tools.train.machine import gpus
from tools.train.plan import Plan, make_plan
from tools.train.resume import differences
from tools.train.train import to_yaml
from tools.variant import FINISHED

TASK = "clue"
HELD_OUT = 1000
SOURCES = (Path("conf/Qwen2.5-0.5B-Instruct-clue-ner-lora-sft.yaml"), Path("conf/tiny-qwen2-clue-ner-lora-sft.yaml"))  # the first that is here
MODELS = ("base", "adapter", "merged")
DECODINGS = ("free", "schema")
SAMPLE_S, WRITE_S = 0.5, 10.0  # seconds between two looks at the memory, and between two writes of the record
CONDITIONS = (
    *("lora_rank", "lora_alpha", "lora_target", "lora_dropout", "learning_rate", "lr_scheduler_type", "warmup_steps", "bf16", "use_cpu"),
    *("train_sampling_strategy", "template", "enable_thinking", "cutoff_len"),
)


@dataclass
class Step:
    """What a step took so far: wall-clock seconds over all its parts, and peak memory in bytes. `key` tells its command from another."""

    key: list[str]
    seconds: float = 0.0
    parts: int = 0
    memory: int = 0
    done: bool = False


class Record:
    """The steps by name, in a file that outlives this process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.steps = {name: Step(**values) for name, values in read_json(path).items()} if path.is_file() else {}

    def is_done(self, name: str, key: list[str]) -> bool:
        """Returns whether the step ran to its end with the same command."""
        return name in self.steps and self.steps[name].done and self.steps[name].key == key

    @contextmanager
    def timing(self, name: str, key: list[str]) -> Iterator[None]:
        """Adds the block's seconds to the step, which is done when the block ends well. A step of another command begins at nothing."""
        if name not in self.steps or self.steps[name].key != key:
            self.steps[name] = Step(key)
        step, started, stop = self.steps[name], time.monotonic(), threading.Event()
        step.done, step.parts, before = False, step.parts + 1, step.seconds
        self._write()

        def look() -> None:
            step.memory, step.seconds = max(step.memory, memory()), before + time.monotonic() - started

        def watch() -> None:
            written = started
            while not stop.wait(SAMPLE_S):
                look()
                if time.monotonic() - written > WRITE_S:  # a kill loses no more than this
                    self._write()
                    written = time.monotonic()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
            step.done = True
        finally:
            stop.set()
            watcher.join()
            look()
            self._write()

    def _write(self) -> None:
        write_json(self._path, {name: asdict(step) for name, step in self.steps.items()})


def memory() -> int:
    """Returns the resident bytes of all processes that this one started. Pages that several of them share count for each."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it ended meanwhile
            total += process.memory_info().rss
    return total


def write_run(base: ChosenBase, work: Path, rows: int | None, passes: float, overrides: Sequence[str]) -> Run:
    """Writes the run's file into the work folder, and returns the run."""
    path = work / run_path(base, TASK, "ner").name
    own = run_path(base, TASK, "ner")
    source = next(file for file in (own, *SOURCES) if file.is_file())
    ours: dict[str, Any] = {
        "model_name_or_path": str(base.folder),
        "dataset_dir": str(work / "dataset/alpaca"),
        "dataset": f"alpaca_{TASK}_train",
        "eval_dataset": None,
        "eval_strategy": "no",
        "val_size": 0.0,
        "load_best_model_at_end": False,
        "max_samples": rows,
        "num_train_epochs": passes,
        "lora_rank": 16,
        "lora_alpha": 32,
        "lora_dropout": 0.0,
        "learning_rate": 4e-4,
        "lr_scheduler_type": "cosine",
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 1,
        "disable_gradient_checkpointing": True,
        "bf16": bool(gpus()) or "bf16" in Path("/proc/cpuinfo").read_text(),
        "use_cpu": not gpus(),
        "preprocessing_num_workers": os.cpu_count(),
        "dataloader_num_workers": 0,
        "output_dir": str(work / path.stem),
        "logging_steps": 4,
        "report_to": "none",
        "save_strategy": "steps",
        "save_steps": 16,  # a stop loses at most so many
        "save_total_limit": 2,
        "save_only_model": False,
    }
    if source != own and not any(word.startswith("template=") for word in overrides):
        ours |= chat_format(base.folder).values
    overlay = work / "real.yaml"
    write_text(overlay, to_yaml(ours))
    values = container(merge(source, [str(overlay), *overrides]), source)
    write_text(path, f"# Written by bench/real.py from {source}.\n\n{to_yaml(values)}")
    return load_run(path)


class Chain:
    """The chain of one run: its steps, each a command of the product, its evaluations, and the record of what is done."""

    def __init__(self, run: Run, ask: int, models: Sequence[str], decodings: Sequence[str], record: Record) -> None:
        self.run, self.split, self.record = run, f"heldout{ask}", record
        self._asked = [(word, decoding) for word in MODELS for decoding in DECODINGS if word in models and decoding in decodings]

    def walk(self, raw: Sequence[str], train_words: Sequence[str], page: Callable[[], None]) -> None:
        """Runs what isn't done yet; calls `page` after each evaluation. `raw` are the task's key=value words. Raises ToolError where a step stops."""
        conf, task, dataset = str(self.run.path), str(TASKS / f"{TASK}.yaml"), self.run.dataset
        self._once("data", "data", task, *raw, "--out", str(dataset))
        self._once("check the data", "check", task, *raw, "--out", str(dataset / "check"))
        self._once("check the run", "check", conf)
        if (self.run.output_dir / FINISHED).is_file():
            need_same(self.run)
        else:
            self._once("train", "train", conf, passed_on=train_words)
        if any(word == "merged" for word, _ in self._asked):
            self._once("export", "export", conf)
        for served in ("adapter", "merged"):
            self._serve(served, [one for one in self._asked if not self._is_done(*one) and (one[0] == "merged") == (served == "merged")], page)

    def done(self) -> dict[tuple[str, str], Path]:
        """Returns the folder of each evaluation that is done, by model and decoding."""
        done = [one for one in self._asked if self._is_done(*one)]
        return {(word, decoding): self.run.variant(word).evaluation(TASK, self.split, decoding) for word, decoding in done}

    def _serve(self, served: str, asked: list[tuple[str, str]], page: Callable[[], None]) -> None:
        with ExitStack() as stack:
            if asked:
                with self.record.timing(f"serve {served}", [served]):
                    server = stack.enter_context(serving(self.run, self.run.variant(served), None, free_port()))
            for word, decoding in asked:
                self._once(step_name(word, decoding), *self._words(word, decoding), passed_on=["--url", server.url])
                page()

    def _once(self, name: str, *words: str, passed_on: Sequence[str] = ()) -> None:
        """Runs a verb that didn't run to its end before. Words that are passed on don't make it another step."""
        if not self.record.is_done(name, list(words)):
            with self.record.timing(name, list(words)):
                verb(*words, *passed_on)

    def _words(self, word: str, decoding: str) -> list[str]:
        return ["eval", str(self.run.path), "--split", self.split, "--which", word, "--decoding", decoding]

    def _is_done(self, word: str, decoding: str) -> bool:
        return self.record.is_done(step_name(word, decoding), self._words(word, decoding))


def need_same(run: Run) -> None:
    """Raises ToolError where the run was trained to its end with other values or other data. An interrupted training is `./ner train`'s to compare."""
    if found := differences(run):
        raise ToolError("\n".join([*found, f"{run.output_dir} was trained so to its end. To train another beside it: --work DIR"]))


def step_name(word: str, decoding: str) -> str:
    """Returns the name of an evaluation among the steps."""
    return f"eval {word}, {decoding}"


def report(name: str, chain: Chain, train_words: Sequence[str]) -> str:
    """Returns the Markdown page of the evaluations that are done."""
    run, folders = chain.run.trained(), chain.done()
    scores = {one: read_score(folder) for one, folder in folders.items()}
    plan, engine = plan_of(run), read_meta(next(iter(folders.values())) / META).engine
    head = [
        f"# {name} on CLUENER2020",
        "",
        f"{gpus()[0].name if gpus() else machine()}. Made by `.venv/train/bin/python -m bench.real`, with CLUENER's train file, its last {HELD_OUT:,} rows held out.",
        "",
    ]
    return "\n".join([*head, *score_lines(scores), "", *condition_lines(run, plan, train_words, engine), "", *step_lines(chain, plan)]) + "\n"


def score_lines(scores: Mapping[tuple[str, str], Score]) -> list[str]:
    """Returns the table of scores, and what its columns mean."""
    first = next(iter(scores.values()))
    rows = [["model", "decoding", "micro-F1", "macro-F1", "strict", "span", "seen", "unseen", "in the trained form"]]
    rows.append(["list of the train entities, the floor", "", f"{first['floor']['micro']:.3f}", f"{first['floor']['macro']:.3f}", *[""] * 5])
    for (word, decoding), score in scores.items():
        micro, unseen = score["micro"], score["unseen"]
        seen = Counts(*(micro[part] - unseen[part] for part in ("tp", "fp", "fn"))).to_dict()
        averages = [f"{score[name]['f1']:.3f} ({'–'.join(f'{bound:.3f}' for bound in score['intervals'][name])})" for name in ("micro", "macro")]
        others = [f"{part['f1']:.3f}" for part in (score["strict"]["micro"], score["span"], seen, unseen)]
        rows.append([word, decoding, *averages, *others, f"{score['answers']['trained']:,} of {score['rows']:,}"])
    below = [f"{word}, {decoding}" for (word, decoding), score in scores.items() if score["micro"]["f1"] < score["floor"]["micro"]]
    return [
        *table(rows),
        "",
        f"F1 on the first {first['rows']:,} held-out rows, with {first['intervals']['level']:.0%} bootstrap intervals: sets of (label, string) a sentence, as the official"
        " script counts; strict counts answers in the trained form alone, span counts places. Seen and unseen: the string is an entity in train, or isn't."
        f" {'Below the floor: ' + '; '.join(below) + '.' if below else 'Nothing is below the floor.'}",
    ]


def condition_lines(run: Run, plan: Plan, train_words: Sequence[str], engine: str) -> list[str]:
    """Returns the table of what was trained and how, and of versions."""
    begun = manifest.read(run.output_dir) or manifest.Manifest()
    versions = [f"{name} {version}" for name, version in begun.versions.items() if version]
    rows = [
        ["condition", "value"],
        ["rows trained", f"{trained_rows(plan):,} = {plan.rows:,} × {plan.epochs:.3g} passes; {plan.tokens:,} tokens a pass"],
        ["batch", f"{plan.batch} a device × {plan.accumulation} accumulated × {plan.processes} processes, {plan.steps:,} steps"],
        *([key, str(run.values[key])] for key in CONDITIONS if key in run.values),
        ["trained by", " ".join(Path(word).name for word in shlex.split(begun.command) if word != str(run.resolved))],
        ["words behind `./ner train`", " ".join(train_words) or "none"],
        ["versions", ", ".join([*versions, engine])],
        ["commit that trained it", begun.commit or "unknown"],
    ]
    return table(rows)


def step_lines(chain: Chain, plan: Plan) -> list[str]:
    """Returns the table of what each step cost, and what its columns mean."""
    work = {"train": (trained_rows(plan), round(plan.tokens * plan.epochs), 0)} | {
        step_name(*one): asked_of(folder) for one, folder in chain.done().items()
    }
    rows = [["step", "parts", "s", "rows", "rows/s", "tokens/s", "answers' tokens/s", "peak memory"]]
    for name, step in chain.record.steps.items():
        counts = work.get(name, (0, 0, 0))
        speeds = [speed(count / step.seconds) if count and step.seconds else "" for count in counts]
        rows.append([name, str(step.parts), f"{step.seconds:,.0f}", f"{counts[0]:,}" if counts[0] else "", *speeds, f"{step.memory / 1e9:.2f} GB"])
    rows.append(["all", "", f"{sum(step.seconds for step in chain.record.steps.values()):,.0f}", "", "", "", "", ""])
    return [
        *table(rows),
        "",
        "Wall-clock seconds of all parts of a step, with its start, and with what an interruption made it do again. Tokens are those of prompts and answers without padding."
        " Peak memory is the resident memory of all processes of a step, added up twice a second; an evaluation's holds its server. A GPU's memory isn't in it.",
    ]


def plan_of(run: Run) -> Plan:
    """Returns the training in numbers."""
    count = token_counter(run)
    return make_plan(run, [length for dataset in datasets(run)[0] for length in count(dataset.rows)])


def trained_rows(plan: Plan) -> int:
    """Returns how many rows were trained on, a row counted once a pass."""
    return round(plan.rows * plan.epochs)


def asked_of(folder: Path) -> tuple[int, int, int]:
    """Returns an evaluation's rows, the tokens of its prompts and answers, and those of its answers alone."""
    predictions = read_predictions(folder / FILE).values()
    answered = sum(one.completion_tokens or 0 for one in predictions)
    return len(predictions), answered + sum(one.prompt_tokens or 0 for one in predictions), answered


def speed(value: float) -> str:
    """Returns a number with three digits or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(rows: list[list[str]]) -> list[str]:
    """Returns the lines of a Markdown table whose first row is its head."""
    head, *others = (f"| {' | '.join(row)} |" for row in rows)
    return [head, "|---" * len(rows[0]) + "|", *others]


def one_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Returns the reader of a list of words with commas between them, each one of `known`."""

    def read(text: str) -> list[str]:
        words = text.split(",")
        if unknown := [word for word in words if word not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return words

    return read


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.real", description=(__doc__ or "").split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("model", metavar="FOLDER", help="the base model")
    parser.add_argument(
        "overrides", nargs="*", metavar="overlay.yaml|key=value", help="laid over the run, e.g. lora_rank=8; any other --word goes to ./ner train"
    )
    parser.add_argument("--data", required=True, metavar="FILE", help="CLUENER2020's train file")
    parser.add_argument("--rows", type=whole_number(1, 1_000_000), metavar="N", help="train on the first N rows (default: all)")
    parser.add_argument("--passes", type=float, default=1.0, metavar="P", help="passes over them (default: 1)")
    parser.add_argument("--ask", type=whole_number(1, HELD_OUT), default=HELD_OUT, metavar="N", help=f"held-out rows to ask (default: {HELD_OUT})")
    parser.add_argument(
        "--models", type=one_of(MODELS), default=["adapter", "merged"], metavar="A,B", help=f"of {', '.join(MODELS)} (default: adapter,merged)"
    )
    parser.add_argument("--decodings", type=one_of(DECODINGS), default=list(DECODINGS), metavar="A,B", help="free, schema or both (default)")
    parser.add_argument("--work", type=Path, metavar="DIR", help="what is done (default: data/outputs/real/<model>-<rows>-<passes>)")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), metavar="DIR", help="the page's folder (default: bench/results)")
    args, train_words = parser.parse_known_intermixed_args()
    base = base_model(args.model)
    work = args.work or Path("data/outputs/real") / f"{base.name}-{args.rows or 'all'}-{args.passes:g}"
    file = args.out / f"real-{base.name}{'' if args.passes == 1 else f'-{args.passes:g}-passes'}.md"
    end = f"{args.ask - HELD_OUT}" if args.ask < HELD_OUT else ""
    raw = [f"raw.train={args.data}[:-{HELD_OUT}]", "raw.dev=null", f"raw.heldout{args.ask}={args.data}[-{HELD_OUT}:{end}]"]
    with one_at_a_time(work, "chain"):
        run = write_run(base, work, args.rows, args.passes, args.overrides)
        chain = Chain(run, args.ask, args.models, args.decodings, Record(work / "steps.json"))

        def page() -> None:
            write_text(file, report(base.name, chain, train_words))

        chain.walk(raw, train_words, page)
        page()  # where nothing was left to do, too
    print(f"\n{file.read_text(encoding='utf-8')}\n→ {file}")


if __name__ == "__main__":
    run_tool(main)
