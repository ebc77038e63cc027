"""./ner web: its address, its password, its models, and its end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.toy_server import Faulty
from tests.web.toy_page import Open
from tools.demo import free_port
from tools.errors import ToolError
from tools.files import ROOT
from tools.web import web

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # for words that Gradio 6 renames


def test_others_are_let_in_only_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(web.PASSWORD, raising=False)
    with pytest.raises(ToolError, match="export WEB_PASSWORD="):
        web.need_address("0.0.0.0", free_port())
    monkeypatch.setenv(web.PASSWORD, "geheim")
    web.need_address("0.0.0.0", free_port())
    with web.private_folder():
        import gradio as gr

        with gr.Blocks(analytics_enabled=False) as page:
            gr.Markdown("x")
        with web.opened(page, gr.I18n(), "127.0.0.1", free_port()) as address:
            assert httpx.get(f"{address}config").status_code == 401
            for password, status in (("falsch", 400), ("geheim", 200)):
                assert httpx.post(f"{address}login", data={"username": "a", "password": password}).status_code == status


def test_a_port_that_is_taken_names_another(tool: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = tool("web", "conf/tiny-qwen2-sample-ner-lora-sft.yaml", "--web-port", port)
    assert (done.returncode, f"--web-port={port + 1}" in done.stderr) == (2, True), done.stderr


def test_ctrl_c_ends_the_page_and_leaves_nothing(tmp_path: Path) -> None:
    run = "tiny-qwen2-sample-ner-lora-sft"
    toy = Faulty([{"id": "tiny-qwen2"}, {"id": run, "parent": "tiny-qwen2", "root": "elsewhere"}], lambda _: (200, "[]"))
    threading.Thread(target=toy.serve_forever, args=(0.02,), daemon=True).start()
    command = [
        sys.executable,
        "-m",
        "tools",
        "web",
        f"conf/{run}.yaml",
        f"output_dir={tmp_path}/{run}",
        "--url",
        toy.url,
        "--web-port",
        str(free_port()),
    ]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as page:
        assert page.stdout and page.stderr
        line = page.stdout.readline()
        address = re.search(r"http://\S+", line)
        assert address, line + page.stderr.read()
        assert httpx.get(address[0]).status_code == 200
        assert list(tmp_path.glob("ner-factory-web-*"))
        page.send_signal(signal.SIGINT)
        assert page.wait(60) == 130
        assert "Warning" not in page.stderr.read()
    toy.shutdown()
    toy.server_close()
    assert list(tmp_path.glob("ner-factory-web-*")) == []


def test_a_merged_model_is_asked_alone_and_an_adapter_beside_its_base(ner: Open) -> None:
    run, server = ner.site.run, ner.site.server
    assert web.models(run, server, run.variant("adapter")) == {"base": "base", "adapter": "toy-run"}
    assert web.models(run, replace(server, models=[{"id": "toy-run", "root": "elsewhere"}]), run.variant("merged")) == {"merged": "toy-run"}
    with pytest.raises(ToolError, match="not as a merged model"):
        web.models(run, server, run.variant("merged"))
