"""Rows asked of models that weren't trained on them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import toy_server
from tests.toy_server import ADAPTER, Faulty
from tools.chat import lengths
from tools.conf.run import Run, load_run
from tools.conf.task import Task
from tools.errors import ToolError
from tools.example import Example
from tools.labelling import held_out as module
from tools.labelling.held_out import held_out
from tools.predict import client
from tools.predict.engines import Options
from tools.predict.server import Server, find
from tools.train import part as parts
from tools.variant import Variant

start, task = toy_server.start, toy_server.task  # fixtures


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run on the toy task's train split."""
    path = tmp_path / "toy-run.yaml"
    values = f"model_name_or_path: models/tiny-qwen2\noutput_dir: {tmp_path}/out/toy-run\ndataset: alpaca_toy_train\ndataset_dir: {tmp_path}/alpaca\ntemplate: qwen\n"
    path.write_text(values, encoding="utf-8")
    return load_run(path)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """Training that only notes what it was given, and leaves an adapter."""
    given: list[Mapping[str, Any]] = []

    def trained_part(run: Run, task: Task, folder: Path, splits: Mapping[str, list[Example]]) -> Run:
        given.append(splits)
        made = parts.write_part(run, task, folder, splits)
        made.output_dir.mkdir(parents=True, exist_ok=True)
        (made.output_dir / "adapter_model.safetensors").write_bytes(str(len(given)).encode())
        (made.output_dir / "adapter_config.json").write_text("{}")
        (made.output_dir / "train_results.json").write_text("{}")
        return made

    monkeypatch.setattr(module, "trained_part", trained_part)
    return given


@pytest.fixture
def server(start: Callable[..., Faulty], task: Task, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    """A toy server in the place of vLLM, whose answer names a string of the text."""
    monkeypatch.setattr(lengths, "find_task", lambda name: task)  # it isn't in conf/task
    running = start([ADAPTER], lambda user: (200, '[{"label": "name", "text": "句"}]'))

    @contextmanager
    def serving(run: Run, variant: Variant, url: str | None, port: int, checkpoints: bool = False) -> Iterator[Server]:
        found = find(running.url)
        assert found
        yield found

    monkeypatch.setattr(client, "serving", serving)
    return running


def test_every_row_is_asked_once_of_a_model_that_was_trained_on_none_of_its_fold(
    run: Run, task: Task, trained: list[Mapping[str, list[Example]]], server: Faulty
) -> None:
    read = list(held_out(run, task, "train", 3, Options()))
    assert sorted(example.id for example, _ in read) == [f"toy-train-{number:06d}" for number in range(1, 8)]
    assert len(server.requests) == 7
    for splits in trained:
        assert not {one.text for one in splits["train"]} & {one.text for one in splits["dev"]}
        assert len(splits["train"]) + len(splits["dev"]) == 7
    for example, annotation in read:
        assert [(one.label, one.start) for one in annotation.entities] == [("name", example.text.index("句"))] and annotation.entities[
            0
        ].confidence is not None


def test_a_second_call_asks_nothing_again(
    run: Run, task: Task, trained: list[Mapping[str, Any]], server: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = list(held_out(run, task, "train", 2, Options()))
    monkeypatch.setattr(module, "trained_part", parts.write_part)  # it is trained
    assert list(held_out(run, task, "train", 2, Options())) == first
    assert len(server.requests) == 7


def test_a_run_isnt_asked_about_rows_that_it_was_trained_on(run: Run, task: Task) -> None:
    with pytest.raises(ToolError, match="--folds 5"):
        list(held_out(run, task, "train", 0, Options()))


def test_a_run_on_other_data_too_cant_be_divided(run: Run, task: Task) -> None:
    other = Run(run.path, {**run.values, "dataset": "alpaca_toy_train,alpaca_other_train"})
    with pytest.raises(ToolError, match="alpaca_toy_train alone"):
        list(held_out(other, task, "train", 2, Options()))
