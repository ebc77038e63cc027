"""docs/serving.md: its client runs, its commands are understood, and what it says of vLLM stands in the vLLM that is installed."""

import configparser
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.toy_server import Faulty
from tools.chat.prompt import messages, renderer
from tools.conf.task import find_task
from tools.example import Example
from tools.files import ROOT

PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
TEXT = "王小明在北京工作。"


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, language
    return str(found[0])


def vllm(path: str) -> str:
    """A file of the installed vLLM, or a skip that says so."""
    file = next((ROOT / ".venv/serve").glob(f"lib/python*/site-packages/vllm/{path}"), None)
    if file is None:
        pytest.skip("vLLM isn't installed here")
    return file.read_text(encoding="utf-8")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[dict[str, Any], Faulty]]]:
    """The page's client, against a server that gives the replies in turn."""
    servers = []

    def start(*replies: tuple[int, Any]) -> tuple[dict[str, Any], Faulty]:
        waiting = list(replies)
        server = Faulty([], lambda _: waiting.pop(0))
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("NER_URL", server.url)
        names: dict[str, Any] = {"__name__": "client"}
        exec(compile(block("python"), "docs/serving.md", "exec"), names)  # the page's own code
        monkeypatch.setattr(names["time"], "sleep", lambda _: None)
        return names, server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_client_sends_the_trained_prompt_and_drops_what_cannot_be(client: Callable[..., tuple[dict[str, Any], Faulty]]) -> None:
    answer = '[{"text": "王小明", "label": "name"}, {"text": "上海", "label": "address"}, {"text": "北京", "label": "city"}]'
    names, server = client((200, answer))
    assert names["entities"](TEXT) == [("name", "王小明")]
    task = find_task("sample")
    assert server.requests[0]["messages"] == messages(task, renderer(task)(Example("", TEXT, [])))
    assert (server.requests[0]["temperature"], server.requests[0]["max_tokens"]) == (0, 512)


def test_the_client_tries_again_where_that_can_help_and_never_takes_a_failure_for_nothing(
    client: Callable[..., tuple[dict[str, Any], Faulty]],
) -> None:
    names, server = client((503, "busy"), (429, "slow down"), (0, ""), (200, "[]"))
    assert names["entities"](TEXT) == [] and len(server.requests) == 4
    names, server = client((400, "too long"))
    with pytest.raises(OSError, match="400"):
        names["entities"](TEXT)
    assert len(server.requests) == 1
    cut = {"choices": [{"finish_reason": "length", "message": {"content": '[{"text": "王小明", "label": "name"}, {"text": "北'}}]}
    for reply, why in ((cut, "cut off"), ("我不知道你在说什么", "can't be read")):
        names, _ = client((200, reply))
        with pytest.raises(ValueError, match=why):
            names["entities"](TEXT)


def test_the_command_that_prints_the_prompt_prints_it() -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith(".venv/train/bin/python -c "))
    done = subprocess.run([sys.executable, *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
    task = find_task("sample")
    assert json.loads(done.stdout) == messages(task, renderer(task)(Example("", TEXT, [])))


def test_the_units_command_is_understood_and_its_run_exists() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block("ini"))
    words = shlex.split(unit["Service"]["ExecStart"])
    assert words[:4] == ["/srv/ner-factory/.venv/train/bin/python", "-m", "tools", "serve"]
    assert (ROOT / words[4]).is_file()
    shown = subprocess.run([sys.executable, "-m", "tools", "serve", "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(word in shown for word in words[5:] if word.startswith("--"))
    assert Path(unit["Service"]["ReadWritePaths"]).relative_to(unit["Service"]["WorkingDirectory"]) == Path("data/outputs")


def test_the_proxy_passes_two_paths_and_no_other() -> None:
    conf = block("nginx")
    assert re.findall(r"location (.*?) \{", conf) == ["= /v1/chat/completions", "= /v1/models", "/"]
    assert "location / { return 404; }" in conf
    assert conf.count("{") == conf.count("}")


def test_vllms_own_check_covers_the_paths_that_the_page_names_and_no_other() -> None:
    guarded = re.search(r"^GUARDED_PREFIX = \((.*)\)$", vllm("entrypoints/serve/middleware/authenticate.py"), re.MULTILINE)
    assert guarded
    said = re.search(r"itself asks for it on paths that begin with (.*?), and on no other", PAGE)
    assert said
    assert re.findall(r"/\w+", guarded[1]) == re.findall(r"/\w+", said[1])
    assert not any("/invocations".startswith(prefix) for prefix in re.findall(r"/\w+", guarded[1]))


def test_the_metrics_that_the_page_names_are_vllms() -> None:
    named = set(re.findall(r"`vllm:(\w+)`", PAGE))
    assert len(named) > 8
    source = vllm("v1/metrics/loggers.py")
    assert {name for name in named if f"vllm:{name.removesuffix('_total')}" not in source} == set()
