"""Ports, addresses and start-up, with a server in vLLM's place; that vLLM serves is shown by tests/test_chain.py."""

import os
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, TimeoutError
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.serve.conftest import write_config
from tools.chat.probe import Post
from tools.conf.run import Run
from tools.demo import free_port
from tools.errors import ToolError
from tools.files import ROOT
from tools.predict.server import find_ready
from tools.serve import serve
from tools.serve.gate import is_refusal
from tools.serve.http import fetch
from tools.serve.preflight import plan

CONF = "conf/tiny-qwen2-sample-ner-lora-sft.yaml"


def test_an_untrained_run_names_the_command_that_trains_it(tool: Callable, tmp_path: Path) -> None:
    done = tool("serve", CONF, f"output_dir={tmp_path}/tiny-qwen2-sample-ner-lora-sft")
    assert (done.returncode, f"make train CONF={CONF}" in done.stderr) == (2, True), done.stderr


def test_a_taken_port_is_named(run_: Run) -> None:
    write_config(run_.output_dir)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ToolError, match=rf"127\.0\.0\.1:{port}: Address already in use.*PORT={port + 1}"):
            serve.serve(run_, plan(run_, run_.variant("adapter"), port), [])


def test_two_servers_cant_start_at_one_port_together(run_: Run) -> None:
    write_config(run_.output_dir)
    with serve._hold(8123), pytest.raises(ToolError, match="8123: another server is starting there"):
        serve.serve(run_, plan(run_, run_.variant("adapter"), 8123), [])
    with serve._hold(8123):
        pass


@pytest.mark.parametrize("extra", [["--reasoning-parser=qwen3"], ["--reasoning_parser", "deepseek_r1"]])
def test_a_reasoning_parser_is_refused(run_: Run, extra: list[str]) -> None:
    write_config(run_.output_dir)
    with pytest.raises(ToolError, match=r"--reasoning-parser: .* Leave it out"):
        serve.serve(run_, plan(run_, run_.variant("adapter"), free_port()), extra)


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_port_that_cant_be_is_named(run_: Run, port: int) -> None:
    write_config(run_.output_dir)
    with pytest.raises(ToolError, match=str(port)):
        serve.serve(run_, plan(run_, run_.variant("adapter"), port), [])


def test_an_open_address_demands_a_key(run_: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(run_.output_dir)
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    with pytest.raises(ToolError, match="export VLLM_API_KEY"):
        serve.serve(run_, {**plan(run_, run_.variant("adapter"), 8000), "host": "0.0.0.0"}, [])


@pytest.fixture
def toy_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts tests/serve/toy_vllm.py in vLLM's place."""
    monkeypatch.setattr(serve, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(serve, "SERVER", "tests.serve.toy_vllm")
    monkeypatch.setattr(serve, "need_vllm", lambda: None)
    monkeypatch.setattr(serve, "environment", lambda: {"PYTHONPATH": str(ROOT)})
    monkeypatch.setattr(serve, "PAUSE_S", 0.05)


def status(url: str) -> int:
    try:
        fetch(url)
    except HTTPError as error:
        return error.code
    return 200


@pytest.mark.parametrize("key", [None, "secret"])
def test_a_server_is_ready_for_others_when_its_probes_are_through(
    run_: Run, toy_vllm: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, key: str | None
) -> None:
    write_config(run_.output_dir)
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    if key:
        monkeypatch.setenv("VLLM_API_KEY", key)
    port = free_port()
    root, seen = f"http://127.0.0.1:{port}", list[Any]()
    with ThreadPoolExecutor(1) as pool:

        def probing(run: Run, post: Post, model: str, adapters: list[str]) -> list[str]:
            seen.extend([status(f"{root}/health"), status(f"{root}/v1/models"), post("/tokenize", {})["version"]])
            looking = pool.submit(lambda: (find_ready(f"{root}/v1"), fetch(f"{root}/stop")))
            with pytest.raises(TimeoutError):
                looking.result(0.5)
            return ["probed"]

        monkeypatch.setattr(serve.probe, "probes", probing)
        with pytest.raises(ToolError, match="vLLM ended by itself with exit code 3"):
            serve.serve(run_, plan(run_, run_.variant("adapter"), port))
    assert seen == [503, 503, "0"]
    printed = capsys.readouterr().out
    assert [printed.index(word) for word in ("loaded in", "probed", "ready in", "try:")] == sorted(
        printed.index(word) for word in ("loaded in", "probed", "ready in", "try:")
    )
    assert key is None or key not in (run_.output_dir / f"serve-{port}.log").read_text()
    assert os.environ.get("VLLM_API_KEY") == key


def test_while_the_server_loads_its_clients_are_told_to_come_back(run_: Run, toy_vllm: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_config(run_.output_dir)
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    monkeypatch.setattr(serve.probe, "probes", lambda *_: ["probed"])
    port, loaded = free_port(), tmp_path / "loaded"
    root, told = f"http://127.0.0.1:{port}", list[HTTPError]()

    def client() -> None:
        while not told:
            try:
                fetch(f"{root}/extract", {"text": "甲"})
            except HTTPError as error:
                told.append(error)
            except OSError:
                time.sleep(0.05)
        loaded.touch()
        find_ready(f"{root}/v1")
        fetch(f"{root}/stop")

    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(client)
        with pytest.raises(ToolError, match="vLLM ended by itself with exit code 3"):
            serve.serve(run_, plan(run_, run_.variant("adapter"), port), [f"--wait-for={loaded}"])
        with pytest.raises(OSError):  # the server has ended at /stop
            going.result()
    assert is_refusal(told[0].code, told[0].headers.keys())


def test_a_probe_that_the_server_fails_at_ends_it_with_the_logs_cause(run_: Run, toy_vllm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(run_.output_dir)
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    monkeypatch.setattr(serve.probe, "probes", lambda run, post, *_: post("/v1/completions", {}))
    with pytest.raises(ToolError, match=r"refuses the probe with HTTP 500.*\nRuntimeError: Unexpected head dim size, 32\nThe whole log: ") as error:
        serve.serve(run_, plan(run_, run_.variant("adapter"), free_port()))
    assert error.value.exit_code == 1
