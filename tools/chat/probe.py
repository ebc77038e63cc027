"""Whether a server that has just started serves what was trained: the adapter is live, and the prompt is the trained one, token by token.

In: a run's server and some of its rows. Out: two lines that say so, or a ToolError.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.chat.lengths import Row
from tools.chat.token_ids import trained_ids
from tools.conf.run import Run, dataset_names
from tools.errors import WANTING, ToolError
from tools.files import read_json

CANARIES = 4  # rows that the probes ask for
SAME = 1e-4  # log-probability a token: less is no difference
SHOWN = 8  # token ids in a message

Post = Callable[[str, dict[str, Any]], Any]


def probes(run: Run, post: Post, model: str, adapters: list[str]) -> list[str]:
    """Returns what both probes found, one line each, or one line that says why nothing could be probed.

    `post` sends JSON to the server's path, `model` is the base or merged model's name there, and `adapters` are the names of the run's adapters. Raises ToolError
    (1) where the server's prompt isn't the trained one, or an adapter changes nothing.
    """
    trained = run.trained()
    rows = canaries(trained)
    if not rows:
        return [f"not probed: no rows of {trained.values.get('dataset')} in {run.dataset / 'alpaca'} (make data)"]
    ids = [trained_ids(trained)(row) for row in rows]
    found = [prompt_parity(post, adapters[0] if adapters else model, rows, ids)]
    return found + [adapter_is_live(post, model, name, ids) for name in adapters]


def canaries(trained: Run) -> list[Row]:
    """A few of the run's own training rows, evenly over the file; none where it isn't here."""
    for name in dataset_names(trained.values.get("dataset")):
        path = trained.dataset / "alpaca" / f"{name}.json"
        if path.is_file() and (rows := alpaca_rows(path)):
            return [rows[len(rows) * number // CANARIES] for number in range(min(CANARIES, len(rows)))]
    return []


def alpaca_rows(path: Path) -> list[Row]:
    """The rows of an Alpaca file as `make data` writes it. Raises ToolError (1) for another."""
    rows = read_json(path)
    keys = ("instruction", "input", "output")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and all(isinstance(row.get(key), str) for key in keys) for row in rows):
        raise ToolError(f"{path}: not a list of rows with {', '.join(keys)} as text; `make data` writes it anew.", WANTING)
    return rows


def prompt_parity(post: Post, model: str, rows: list[Row], ids: list[tuple[list[int], list[int]]]) -> str:
    """Compare the server's token ids for each row's chat with those that training saw."""
    for row, (trained, _) in zip(rows, ids, strict=True):
        system = [{"role": "system", "content": row["instruction"]}] if row["instruction"] else []
        served = post("/tokenize", {"model": model, "messages": [*system, {"role": "user", "content": row["input"]}]})["tokens"]
        if served != trained:
            place = next((i for i, (a, b) in enumerate(zip(trained, served, strict=False)) if a != b), min(len(trained), len(served)))
            raise ToolError(
                f"the server's prompt isn't the trained one: from token {place} on it has {served[place : place + SHOWN]}, training had"
                f" {trained[place : place + SHOWN]}. Is the chat template in the model's folder its own? `make check CONF=…` names the template that fits.",
                WANTING,
            )
    return f"prompt: the server's tokens are the trained ones ({sum(len(trained) for trained, _ in ids):,} tokens in {len(rows)} rows)"


def adapter_is_live(post: Post, base: str, adapter: str, ids: list[tuple[list[int], list[int]]]) -> str:
    """Compare how likely base and adapter find the trained answers; an adapter that isn't live gives the base model's own figures."""
    of = {name: [log_probability(post, name, *row) for row in ids] for name in (base, adapter)}
    tokens = sum(len(answer) for _, answer in ids)
    if max(abs(a - b) / len(answer) for a, b, (_, answer) in zip(of[base], of[adapter], ids, strict=True)) < SAME:
        raise ToolError(
            f"{adapter}: the adapter isn't live: it gives {len(ids)} trained answers the very probabilities that {base} gives them. Was it trained at all (a"
            " warm-up of few steps trains nothing)?",
            WANTING,
        )
    per_token = {name: sum(values) / tokens for name, values in of.items()}
    return (
        f"adapter: {adapter} is live: log-probability a token of {len(ids)} trained answers {per_token[base]:.2f} (base) → {per_token[adapter]:.2f}"
    )


def log_probability(post: Post, model: str, prompt: list[int], answer: list[int]) -> float:
    """Natural log of the probability of the answer's tokens behind the prompt's, summed."""
    body = {"model": model, "prompt": prompt + answer, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
    found = post("/v1/completions", body)["choices"][0]["prompt_logprobs"]
    return sum(float(place[str(token)]["logprob"]) for place, token in zip(found[len(prompt) :], answer, strict=True))
