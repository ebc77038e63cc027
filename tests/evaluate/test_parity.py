"""Merged and quantised models against the adapter that they were made from; that real ones are held so is shown by tests/test_chain.py."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import toy_server
from tests.toy_server import Faulty
from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import ToolError
from tools.evaluate.parity import parity, table
from tools.files import write_json
from tools.predict.server import Server, find
from tools.variant import Variant

run_, start, task = toy_server.run_, toy_server.start, toy_server.task  # fixtures


def make_adapter(folder: Path, weights: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    (folder / "adapter_config.json").write_text("{}")


def make_whole(run: Run, word: str, adapter: str) -> None:
    """A merged or quantised model made from an adapter of the run."""
    variant = run.variant(word)
    variant.folder.mkdir(exist_ok=True)
    (variant.folder / "config.json").write_text("{}")
    write_json(variant.record, run.variant(adapter).origin_here().to_dict())


@pytest.fixture
def merged(run_: Run) -> Run:
    """The toy run with a last adapter, and a merged model made from checkpoint-2."""
    make_adapter(run_.output_dir, b"last")
    make_adapter(run_.output_dir / "checkpoint-2", b"best")
    (run_.output_dir / "train_results.json").write_text("{}")
    make_whole(run_, "merged", "checkpoint-2")
    return run_


@pytest.fixture
def asked(start: Callable[..., Faulty], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A toy server in the place of vLLM; returns which models it was started for. A merged model answers one row otherwise than an adapter."""
    words: list[str] = []

    @contextmanager
    def serving(run: Run, variant: Variant, url: str | None, port: int) -> Iterator[Server]:
        words.append(variant.word)
        card: dict[str, Any] = {"id": variant.served_name, "root": "elsewhere"}
        other = "第3句" if variant.is_merged else "none"
        server = start([card | ({} if variant.is_merged else {"parent": "base"})], lambda user: (200, "no" if other in user else "[]"))
        found = find(server.url)
        assert found
        yield found

    monkeypatch.setattr("tools.predict.client.serving", serving)
    return words


def test_a_merged_model_is_held_against_the_adapter_that_it_was_made_from(merged: Run, task: Task, asked: list[str]) -> None:
    result = parity(merged, task, "train", 8000, 4, 0.02)
    assert asked == ["checkpoint-2", "merged"]
    assert result["adapter"] == "checkpoint-2"
    [row] = result["models"]
    assert (row["model"], row["rows"], row["same_answers"]) == ("merged", 7, 6)
    assert json.loads((merged.output_dir / "parity.json").read_text()) == result
    assert [line.split()[0] for line in table(result).splitlines()] == ["model", "checkpoint-2", "merged"]


def test_answers_that_are_there_and_up_to_date_are_not_asked_again(merged: Run, task: Task, asked: list[str]) -> None:
    parity(merged, task, "train", 8000, 4, 0.02)
    asked.clear()
    parity(merged, task, "train", 8000, 4, 0.02)
    assert asked == []
    make_whole(merged, "merged", "adapter")
    assert parity(merged, task, "train", 8000, 4, 0.02)["adapter"] == "adapter"
    assert asked == ["adapter", "merged"]


def test_a_quantised_model_of_an_earlier_merge_is_refused(merged: Run, task: Task, asked: list[str]) -> None:
    make_whole(merged, "merged-awq", "checkpoint-2")
    assert [row["model"] for row in parity(merged, task, "train", 8000, 4, 0.02)["models"]] == ["merged", "merged-awq"]
    make_whole(merged, "merged", "adapter")
    with pytest.raises(ToolError, match=r"merged-awq: made from another merged model"):
        parity(merged, task, "train", 8000, 4, 0.02)


def test_a_run_without_a_merged_model_names_the_command(run_: Run, task: Task) -> None:
    with pytest.raises(ToolError, match="Not merged yet: make export CONF="):
        parity(run_, task, "train", 8000, 4, 0.02)
