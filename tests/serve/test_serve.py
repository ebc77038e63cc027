"""Ports, addresses and start-up; that vLLM serves is shown by tests/test_chain.py."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serve.conftest import write_config
from tools.conf.run import Run
from tools.errors import ToolError
from tools.serve import serve
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
