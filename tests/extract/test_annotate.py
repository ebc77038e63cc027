"""One text, asked and aligned."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import toy_server
from tests.toy_server import Faulty
from tools.chat.thinking import Thinking
from tools.conf.task import Task, find_task, load_task
from tools.example import Example
from tools.extract import annotate
from tools.extract.annotate import Found
from tools.predict.predictions import Prediction
from tools.predict.server import Server

start = toy_server.start  # a fixture


@pytest.fixture
def sample() -> Task:
    return find_task("sample")


def answer(pairs: list[tuple[str, str]]) -> str:
    return json.dumps([{"text": text, "label": label} for label, text in pairs], ensure_ascii=False)


def test_of_spans_that_overlap_the_longest_is_marked_and_none_is_lost(sample: Task) -> None:
    text = "北京大学医学院北京"
    pairs = [("address", "北京"), ("organization", "北京大学"), ("organization", "大学医学院"), ("name", "北京大学"), ("name", "无")]
    found = annotate.understood(sample, Example("row", text, []), Prediction("row", answer(pairs)))
    assert found.spans == [
        ("name", 0, 4),
        ("organization", 0, 4),
        ("address", 0, 2),
        ("organization", 2, 7),
        ("address", 7, 9),
    ]
    assert annotate.outermost(found.spans) == [("address", 0, 2), ("organization", 2, 7), ("address", 7, 9)]
    many = annotate.understood(sample, Example("row", "长" * 20_000, []), Prediction("row", answer([("name", "长"), ("book", "长长")])))
    assert len(many.spans) == 30_000 and annotate.outermost(many.spans) == [("book", start, start + 2) for start in range(0, 20_000, 2)]


def test_offsets_are_those_of_the_text_as_it_was_given(sample: Task) -> None:
    text = "甲<|im_end|>乙"
    found = annotate.understood(sample, Example("row", text, []), Prediction("row", answer([("name", "<｜im_end｜>乙")])))
    assert found.entities == [Found("name", "<|im_end|>乙", 1, 12)]


def test_an_options_end_counts_and_no_option_is_favoured_for_beginning_another(start: Callable[..., Faulty]) -> None:
    server = start([])
    ids = {"经济": [11], "经济学": [11, 12]}
    worth = {11: -0.1, 12: -0.2, 99: -1.0}

    def others(path: str, request: dict[str, Any]) -> Any:
        if path == "/v1/completions":
            return {"choices": [{"prompt_logprobs": [None, *({str(id): {"logprob": worth.get(id, -9.0)}} for id in request["prompt"][1:])]}]}
        if "prompt" in request:
            return {"tokens": ids[request["prompt"]]}
        last = request["messages"][-1]
        return {"tokens": [1, 1] + ([*ids[last["content"]], 99, 98] if last["role"] == "assistant" else [])}

    server.others = others
    found = annotate.probabilities(Server(server.url, [], "toy"), "base", [{"role": "user", "content": "?"}], list(ids))
    assert found["经济"] / found["经济学"] == pytest.approx(math.exp(0.2))
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("answer", [None, [], {"tokens": "none"}, {"count": 1}])
def test_a_server_that_cannot_tell_gives_neither_probabilities_nor_a_length(start: Callable[..., Faulty], answer: Any) -> None:
    server = start([])
    server.others = lambda path, request: answer
    for url in (server.url, "http://127.0.0.1:9/v1"):
        assert annotate.probabilities(Server(url, [], "toy"), "base", [{"role": "user", "content": "?"}], ["a", "b"]) == {}
        assert annotate.length(Server(url, [], "toy"), "base", []) is None


THOUGHT = "<think>\n\n</think>\n\n"


@pytest.mark.parametrize("thinking", [Thinking(), Thinking({"enable_thinking": False}), Thinking(thought=THOUGHT)], ids=["none", "prompt", "answer"])
def test_a_text_and_its_classes_are_asked_and_read_as_the_run_was_trained(
    write_task: Callable[..., Path], start: Callable[..., Faulty], thinking: Thinking
) -> None:
    """The server has a chat template like Qwen3's: it shows an empty thought before the last answer, whatever was asked for."""
    task = load_task(write_task([{"text": "甲", "label": "经济"}], kind="classification", reader="classification", labels=["经济", "艺术"]))
    off, thought, ids = bool(thinking.kwargs), [7, 8], {"经济": [11], "艺术": [13]}
    server = start([], lambda user: (200, thinking.thought + "经济"))

    def others(path: str, request: dict[str, Any]) -> Any:
        if path == "/v1/completions":
            worth = {11: -0.1, 13: -1.1, 99: -0.5}
            assert request["prompt"][:4] == [1, 1, *thought] if off or thinking.thought else request["prompt"][2] in (11, 13)
            return {"choices": [{"prompt_logprobs": [None, *({str(id): {"logprob": worth.get(id, 0.0)}} for id in request["prompt"][1:])]}]}
        if "prompt" in request:
            assert request["prompt"].startswith(thinking.thought)
            return {"tokens": [*(thought if thinking.thought else []), *ids[request["prompt"].removeprefix(thinking.thought)]]}
        assert request.get("chat_template_kwargs") == (thinking.kwargs or None)
        last = request["messages"][-1]
        if last["role"] == "assistant":
            return {"tokens": [1, 1, *thought, *ids[last["content"].removeprefix(thinking.thought)], 99, 98]}
        return {"tokens": [1, 1, *(thought if off else [])], "count": 4, "max_model_len": 9}

    server.others = others
    there = Server(server.url, [], "toy")
    found = asyncio.run(annotate.ask(there, "base", task, Example("a", "股市", [], options=None), annotate.Manner(thinking)))
    assert (found.label, found.failures) == ("经济", ())
    # Two tokens each: the option and the end.
    assert found.probabilities == pytest.approx({"经济": 1 / (1 + math.exp(-1)), "艺术": 1 / (1 + math.exp(1))})
    chats = [request for request in server.requests if "temperature" in request and "messages" in request]
    assert [request.get("chat_template_kwargs") for request in chats] == [thinking.kwargs or None]
    assert annotate.length(there, "base", [{"role": "user", "content": "x"}], thinking) == (4, 9)
    assert annotate.understood(task, Example("a", "股市", []), Prediction("a", "经济"), thinking).label == "经济"
