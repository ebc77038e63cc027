"""A server that somebody else started must make the trained prompt, where the model can think."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import toy_server
from tests.toy_server import Faulty
from tools.chat.token_ids import trained_ids
from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import ToolError
from tools.files import ROOT, read_text, write_text
from tools.predict import client
from tools.predict.engines import Options
from tools.predict.questions import Asking

run_, start, task = toy_server.run_, toy_server.start, toy_server.task  # fixtures
SWITCHED = "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
CARDS = [{"id": "base"}]


@pytest.fixture
def hybrid(run_: Run, tmp_path: Path) -> Run:
    """The toy run on the embedded model with a chat template that knows `enable_thinking`."""
    base = tmp_path / "base"
    shutil.copytree(ROOT / "models/tiny-qwen2", base, ignore=shutil.ignore_patterns("*.safetensors"))
    write_text(base / "chat_template.jinja", read_text(base / "chat_template.jinja") + SWITCHED)
    return Run(run_.path, {**run_.values, "model_name_or_path": str(base), "template": "qwen3", "enable_thinking": False})


def asked(run: Run, task: Task, server: Faulty) -> str:
    with client.ready(Asking(run, task, "train", run.variant("base")), Options(url=server.url)) as engine:
        return engine.model


def tokenizing(run: Run, heeds: bool, default: bool = True) -> Callable[[str, dict[str, Any]], Any]:
    """Answers /tokenize as a server of the run's base model whose chat template thinks by `default`, and which `heeds` a request's arguments or doesn't."""

    def answer(path: str, request: dict[str, Any]) -> Any:
        thinks = request.get("chat_template_kwargs", {}).get("enable_thinking", default) if heeds else default
        system, user = (turn["content"] for turn in request["messages"])
        return {
            "tokens": trained_ids(Run(run.path, {**run.values, "enable_thinking": thinks}))({"instruction": system, "input": user, "output": ""})[0]
        }

    return answer


def test_a_server_that_heeds_the_arguments_is_taken(
    start: Callable[..., Faulty], hybrid: Run, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start([{"id": Path(hybrid.base_model).name}])
    server.others = tokenizing(hybrid, heeds=True)
    assert asked(hybrid, task, server) and capsys.readouterr().out == ""
    assert [request["chat_template_kwargs"] for request in server.requests] == [{"enable_thinking": False}]


@pytest.mark.parametrize(("values", "default", "hint"), [({}, True, True), ({"template": "qwen3_nothink", "enable_thinking": True}, False, False)])
def test_a_server_that_makes_another_prompt_is_refused(
    start: Callable[..., Faulty], hybrid: Run, task: Task, values: dict[str, Any], default: bool, hint: bool
) -> None:
    server, run = start([{"id": Path(hybrid.base_model).name}]), Run(hybrid.path, {**hybrid.values, **values})
    server.others = tokenizing(hybrid, heeds=not hint, default=default)
    with pytest.raises(ToolError, match=r"the server's prompt isn't the trained one") as error:
        asked(run, task, server)
    assert error.value.exit_code == 1
    assert ('It was asked with {"chat_template_kwargs": {"enable_thinking": false}}: does it heed that?' in str(error.value)) == hint


@pytest.mark.parametrize("answer", [None, [], {"tokens": None}, {"count": 1}])
def test_what_cannot_be_compared_is_said(
    start: Callable[..., Faulty], hybrid: Run, task: Task, capsys: pytest.CaptureFixture[str], answer: Any
) -> None:
    server = start([{"id": Path(hybrid.base_model).name}])
    server.others = lambda path, request: answer
    assert asked(hybrid, task, server)
    assert "its prompt isn't compared with the trained one: it has no /tokenize as vLLM's" in capsys.readouterr().out


def test_a_base_model_that_is_not_here_is_said_and_one_that_cannot_think_is_not_asked(
    start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start(CARDS)
    assert asked(Run(run_.path, {**run_.values, "template": "qwen3"}), task, server)
    assert "isn't compared with the trained one: " in (said := capsys.readouterr().out) and "no such folder" in said
    assert asked(Run(run_.path, {**run_.values, "template": "qwen"}), task, server)
    assert capsys.readouterr().out == "" and server.requests == []


def test_chats_of_another_shape_are_not_compared(
    start: Callable[..., Faulty], hybrid: Run, task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server, own = start([{"id": Path(hybrid.base_model).name}]), tmp_path / "own.jsonl"
    own.write_text(json.dumps({"id": "a", "messages": [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]}) + "\n")
    with client.ready(Asking(hybrid, task, "own", hybrid.variant("base"), file=own), Options(url=server.url)):
        assert "its first question isn't a user turn" in capsys.readouterr().out
