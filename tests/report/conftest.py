"""What the tests of reports and comparisons share: an evaluation in a folder, as `make eval` leaves it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.conf.run import Run
from tools.conf.task import Task, load_task
from tools.data.convert import convert
from tools.example import Entity, Example
from tools.files import sha256, write_json, write_text
from tools.predict.predictions import FILE, META, Prediction
from tools.predict.questions import SAMPLING, Asking
from tools.report import report
from tools.report.card import write as write_card
from tools.score.score import evaluate
from tools.variant import Variant

NAMES = ["林晓", "周建国", "阿依古丽", "欧阳娜", "陈一鸣", "王小川", "海棠", "孟繁星"]
PLACES = ["北京市", "北京", "云岭县", "青石镇", "长乐路", "河西区", "南湾", "东港"]
FIRMS = ["远大", "远大科技", "星河集团", "百川银行", "江南纸业", "北京银行"]
LABELS = ["name", "address", "company"]

Evaluate = Callable[..., Path]


def example(id: str, text: str, *entities: tuple[str, str]) -> Example:
    """An example whose entities are the first occurrences of the given (label, string) pairs."""
    return Example(id, text, [Entity(label, string, text.index(string), text.index(string) + len(string)) for label, string in entities])


def sentences(count: int, seed: int = 0) -> list[Example]:
    """Made-up sentences with three labels."""
    rng, made = random.Random(seed), []
    for number in range(count):
        name, place, firm = rng.choice(NAMES), rng.choice(PLACES), rng.choice(FIRMS)
        text = f"{name}昨天从{place}出发，去{firm}的办公室见{name}的老朋友。" + "天气很好。" * rng.randrange(6)
        made.append(example(f"toy-dev-{number:06}", text, ("name", name), ("address", place), ("company", firm)))
    return made


def answer(pairs: Sequence[tuple[str, str]]) -> str:
    """What a trained model would write for these pairs."""
    return json.dumps([{"label": label, "text": text} for label, text in dict.fromkeys(pairs)], ensure_ascii=False)


def noisy(examples: Sequence[Example], errors: float, seed: int) -> list[str | None]:
    """Answers of which a share of the entities is wrong in one of six ways, and a few rows aren't answers at all."""
    rng, outputs = random.Random(seed), list[str | None]()
    for one in examples:
        pairs = []
        for label, text in one.pairs():
            how = rng.randrange(6) if rng.random() < errors else None
            changed = {
                0: [],
                1: [(rng.choice(LABELS), text)],
                2: [(label, text[:-1] or text)],
                3: [(label, text + "城")],
                4: [(label, text), ("name", "昨天")],
            }
            pairs += changed.get(how, [("place", text)] if how == 5 else [(label, text)])  # type: ignore[arg-type]
        odd = rng.random() < errors / 5
        outputs.append(rng.choice([None, "我不知道。", '[{"label": "na']) if odd else answer(pairs))
    return outputs


@pytest.fixture
def task(write_task: Callable[..., Path]) -> Task:
    """A NER task with LABELS."""
    return load_task(write_task(labels=LABELS))


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluate:
    """Write examples, predictions, their meta and the score of a run below tmp_path, and return the evaluation's folder."""

    def write(
        task: Task,
        examples: Sequence[Example],
        outputs: Sequence[str | None],
        run: str = "a",
        which: str = "adapter",
        decoding: str = "free",
        **meta: Any,
    ) -> Path:
        gold = task.examples("dev", tmp_path / "dataset")
        write_text(gold, "".join(one.to_json() + "\n" for one in examples))
        folder = Variant(which, run, Path(f"conf/{run}.yaml"), tmp_path / "outputs" / run, "models/toy").evaluation(task.name, "dev", decoding)
        reasons = ["length" if output is not None and output.startswith("[") and not output.endswith("]") else "stop" for output in outputs]
        answers = [
            Prediction(one.id, output, reason, error="HTTP 400: refused" if output is None else None)
            for one, output, reason in zip(examples, outputs, reasons, strict=True)
        ]
        write_text(folder / FILE, "".join(one.to_json() + "\n" for one in answers))
        values = {
            **{"run": run, "task": task.name, "task_version": task.version, "split": "dev", "prompt_sha256": "ab" * 32, "model": run, "which": which},
            **{"base_model": "models/toy", "decoding": decoding, "engine": "toy 1", "sampling": SAMPLING, "examples_sha256": sha256(gold)},
        }
        write_json(folder / META, {**values, **meta})
        evaluate(task, gold, folder / FILE, folder)
        return folder

    return write


GOLD = sentences(60)
HOSTILE = [
    "<script>alert('model')</script>",
    "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)>",
    '"><img src="https://example.com/x.png" onerror="alert(3)"> {{data}} {{policy}} $& ${1}',
    "\u202eabc\u2066\u2028\u2029\ud800\x00\x07\x1b[31m\ufeff",
    "x" * 1_000_000,
    "[" * 100_000,
    json.dumps([{"label": "标" * 300_000, "text": "文"}, *({"label": f"x{k}", "text": "文" * (1 + k % 3)} for k in range(5000))]),
]
ROWS = [{"text": one.text, "label": {e.label: {e.text: [[e.start, e.end - 1]]} for e in one.entities}} for one in sentences(40)]
DEV = sentences(30, seed=3)
ADAPTER = {
    "peft_type": "LORA",
    "r": 12,
    "lora_alpha": 24,
    "lora_dropout": 0.0,
    "target_modules": ["q_proj", "v_proj"],
    "base_model_name_or_path": "/home/bob/base",
}
Trained = Callable[..., Run]


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """A run's folder as a training leaves it, below tmp_path: the base model's folder, data, adapter, records, and a README.md of LLaMA-Factory's."""

    def make(task: Task, name: str = "a", adapter: dict[str, Any] | None = None, **values: Any) -> Run:
        convert(task, tmp_path / "dataset")
        alpaca = tmp_path / "dataset" / "alpaca"
        run = Run(
            Path(f"conf/{name}.yaml"),
            {
                **{"model_name_or_path": str(tmp_path / "models/base-7B"), "output_dir": str(tmp_path / "outputs" / name)},
                **{"dataset_dir": str(alpaca), "dataset": f"alpaca_{task.name}_train", "finetuning_type": "lora", "lora_rank": 12},
                **{"learning_rate": 1e-4, "cutoff_len": 512, "template": "qwen", "bf16": True, **values},
            },
        )
        folder = run.output_dir
        folder.mkdir(parents=True)
        run.resolved.write_text(yaml.safe_dump(run.values, allow_unicode=True))
        write_json(folder / "adapter_config.json", {**ADAPTER, **(adapter or {})})
        (folder / "adapter_model.safetensors").write_bytes(b"weights")
        write_json(folder / "train_results.json", {"epoch": 3.0, "train_loss": 0.25, "train_runtime": 100.0, "train_samples_per_second": 1.2})
        history = [{"loss": 0.5, "step": 5}, {"eval_loss": 0.3125, "step": 10}, {"loss": 0.125, "step": 10}]
        write_json(folder / "trainer_state.json", {"global_step": 10, "log_history": history})
        files = [alpaca / f"alpaca_{task.name}_train.json"]
        manifest = {
            **{"run": name, "command": f"/home/bob/.venv/bin/llamafactory-cli train {run.resolved}", "commit": "ab" * 20 + "+"},
            **{"started": "2026-01-01T00:00:00+00:00", "exit_code": 0, "sha256": {str(file): sha256(file) for file in files}},
            **{"versions": {"torch": "2.13.0", "trl": None}, "attempts": [{}]},
            "machine": {"platform": "Linux-6.1-bobs-laptop-x86_64", "cores": 8, "gpus": ["NVIDIA H100, 81559 MiB, 580"]},
        }
        write_json(folder / "manifest.json", manifest)
        return run

    return make


@pytest.fixture
def scored(evaluation: Evaluate) -> Callable[..., Path]:
    """An evaluation of one of the run's models on DEV, as it would be made now."""

    def make(run: Run, task: Task, which: str = "adapter", decoding: str = "free", errors: float = 0.4, **meta: Any) -> Path:
        now = Asking(run, task, "dev", run.variant(which), decoding).conditions("a", "toy 1").to_dict()
        kept = {name: now[name] for name in now.keys() - {"run", "task", "split", "which", "decoding"}}
        folder = evaluation(task, DEV, noisy(DEV, errors, 1), run.name, which, decoding, **{**kept, **meta})
        assert folder.parents[1] == run.output_dir
        return folder

    return make


def merge(run: Run) -> None:
    folder = run.variant("merged").folder
    write_json(folder / "config.json", {})
    write_json(folder / "export.json", run.variant("adapter").origin_here().to_dict())


def card_of(run: Run, task: Task, which: str = "adapter", **options: Any) -> str:
    return write_card(run, task, which, "dev", **options).read_text(encoding="utf-8")


def gold_of(task: Task, folder: Path) -> Path:
    return task.examples("dev", folder.parents[3] / "dataset")


def made(task: Task, folder: Path, **options: Any) -> tuple[Path, dict[str, Any]]:
    """The report and the data in it."""
    path = report.write(task, gold_of(task, folder), folder, **options)
    return path, json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.DOTALL)[1])  # type: ignore[index]


def train_of(folder: Path) -> Path:
    """A training split in which some of the strings are entities."""
    path = folder.parents[3] / "train.jsonl"
    path.write_text("".join(one.to_json() + "\n" for one in sentences(3, seed=9)))
    return path
