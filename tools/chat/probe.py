"""Checks that a server which has just started serves what was trained: the same prompt, token by token, and a model that computes: a live adapter, or a whole one.

In: a run, a function that posts to its server, and the served names. Out: one line a check, or a ToolError.

    ./ner serve conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tools.chat.prompt import AlpacaRow, trained_messages
from tools.chat.thinking import thinking
from tools.chat.token_ids import first_difference, trained_ids
from tools.conf.run import Run, dataset_names
from tools.errors import WANTING, ToolError
from tools.files import read_json

CANARIES = 4  # rows that a probe asks for
SAME = 1e-4  # log-probability a token; a smaller difference counts as none
SHOWN = 8  # token ids in a message
# Rows for a run whose training rows aren't here: any text shows whether an adapter changes what the model says.
STAND_INS = [
    {"instruction": "你是一个文本实体识别领域的专家。", "input": f"从句子中提取实体：\n{text}", "output": f'[{{"label": "name", "text": "{name}"}}]'}
    for text, name in (("浙商银行的叶老桂到了杭州。", "叶老桂"), ("《红楼梦》是曹雪芹写的。", "曹雪芹"), ("北京队的教练姓李。", "李"))
]

Post = Callable[[str, dict[str, Any]], Any]  # path, body → the server's answer
Ids = Sequence[tuple[list[int], list[int]]]  # a row's prompt and answer


def probes(run: Run, post: Post, model: str, adapters: Sequence[str]) -> list[str]:
    """Returns a line for each check. `model` is the served whole model; each of the served adapters is compared with it.

    Without training rows here the probe asks rows of its own, and a line says so. Raises ToolError (1) where the server's prompt differs from the trained one,
    an adapter changes nothing, or a model's probabilities are no numbers.
    """
    trained = run.trained()
    rows = canaries(trained)
    told = [] if rows else [f"no rows of {trained.values.get('dataset')} in {run.dataset / 'alpaca'} (make data): the probe asks rows of its own"]
    rows = rows or STAND_INS
    ids = [trained_ids(trained)(row) for row in rows]
    parity = prompt_parity(post, adapters[0] if adapters else model, rows, ids, thinking(trained).body)
    before = [log_probability(post, model, *row) for row in ids]
    found = [adapter_is_live(post, model, name, ids, before) for name in adapters] or [model_computes(model, ids, before)]
    return [*told, parity, *found]


def canaries(trained: Run) -> list[AlpacaRow]:
    """Returns a few of the run's own training rows, evenly over the file; none where the file isn't here."""
    for name in dataset_names(trained.values.get("dataset")):
        path = trained.dataset / "alpaca" / f"{name}.json"
        if path.is_file() and (rows := alpaca_rows(path)):
            return [rows[len(rows) * number // CANARIES] for number in range(min(CANARIES, len(rows)))]
    return []


def alpaca_rows(path: Path) -> list[AlpacaRow]:
    """Reads an Alpaca file as `make data` writes it. Raises ToolError (1) for another."""
    rows = read_json(path)
    keys = ("instruction", "input", "output")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and all(isinstance(row.get(key), str) for key in keys) for row in rows):
        raise ToolError(f"{path}: not a list of rows with {', '.join(keys)} as text; `make data` writes it anew.", WANTING)
    return rows


def prompt_parity(post: Post, model: str, rows: list[AlpacaRow], ids: Ids, common: dict[str, Any]) -> str:
    """Returns a line that says that the server's token ids of each row's chat are the trained ones. Raises ToolError (1) where they differ.

    `common` is the part of a request that the run's thinking decides.
    """
    for row, (trained, _) in zip(rows, ids, strict=True):
        served = post("/tokenize", {"model": model, "messages": trained_messages(row), **common})["tokens"]
        if served != trained:
            place = first_difference(trained, served)
            raise ToolError(
                f"the server's prompt isn't the trained one: from token {place} on it has {served[place : place + SHOWN]}, training had"
                f" {trained[place : place + SHOWN]}. Is the chat template in the model's folder its own? `make check CONF=…` names the template that fits.",
                WANTING,
            )
    return f"prompt: the server's tokens are the trained ones ({sum(len(trained) for trained, _ in ids):,} tokens in {len(rows)} rows)"


def model_computes(model: str, ids: Ids, found: Sequence[float]) -> str:
    """Returns a line with the log-probability that a whole model gives the answers (`found`, a row each). Raises ToolError (1) where one is no number.

    A server whose kernels are missing or wrong loads a model, counts its tokens, and fails at the first question.
    """
    if not all(map(math.isfinite, found)):
        raise ToolError(
            f"{model}: the server gives {len(ids)} answers no finite probability: {', '.join(map(str, found))}. The weights are torn, or vLLM's kernels don't fit this processor. "
            'Try: make serve … ARGS=--dtype=float32; without vLLM: make eval … ARGS="--engine hf"',
            WANTING,
        )
    return f"model: {model} computes: log-probability a token of {len(ids)} answers {sum(found) / sum(len(answer) for _, answer in ids):.2f}"


def adapter_is_live(post: Post, base: str, adapter: str, ids: Ids, before: Sequence[float]) -> str:
    """Returns a line with the log-probability that base model (`before`, a row each) and adapter give the answers. Raises ToolError (1) where both give the same."""
    after, lengths = [log_probability(post, adapter, *row) for row in ids], [len(answer) for _, answer in ids]
    if not any(abs(b - a) / length >= SAME for b, a, length in zip(before, after, lengths, strict=True)):  # nor where a value is no number
        raise ToolError(
            f"{adapter}: the adapter isn't live: it gives {len(ids)} answers the very probabilities that {base} gives them. Was it trained at all (a"
            " warm-up of few steps trains nothing)?",
            WANTING,
        )
    means = [sum(values) / sum(lengths) for values in (before, after)]
    return f"adapter: {adapter} is live: log-probability a token of {len(ids)} answers {means[0]:.2f} (base) → {means[1]:.2f}"


def log_probability(post: Post, model: str, prompt: list[int], answer: list[int]) -> float:
    """Returns the natural log of the probability of the answer's tokens behind the prompt's, summed."""
    body = {"model": model, "prompt": prompt + answer, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
    found = post("/v1/completions", body)["choices"][0]["prompt_logprobs"]
    return sum(float(place[str(token)]["logprob"]) for place, token in zip(found[len(prompt) :], answer, strict=True))
