"""What the tests of reports and comparisons share: an evaluation in a folder, as `make eval` leaves it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import toy_server
from tools.conf.task import Task
from tools.example import Entity, Example
from tools.files import sha256, write_json, write_text
from tools.predict.predictions import FILE, META, Prediction
from tools.predict.questions import SAMPLING
from tools.score.score import evaluate
from tools.variant import Variant

task = toy_server.task  # a fixture

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
