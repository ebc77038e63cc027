"""docs/service.md: what it shows runs against the service on a port, in vLLM's own environment; its numbers are those of the code."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from tools.chat.thinking import Thinking
from tools.demo import free_port
from tools.extract import forms, metrics, service, slots
from tools.files import ROOT
from tools.process import Child
from tools.serve.installed import PYTHON
from tools.serve.served import SERVED, Served, ServedRun, write_served

PAGE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
CONF = "conf/tiny-qwen2-sample-ner-lora-sft.yaml"
NAME = "王小明"


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The root of a service and its log."""
    if not PYTHON.is_file():
        pytest.skip("vLLM's environment isn't installed here")
    folder, port = tmp_path_factory.mktemp("service"), free_port()
    runs = [
        ServedRun(
            "tiny-qwen2-sample-ner-lora-sft",
            CONF,
            [f"output_dir={folder}/tiny-qwen2-sample-ner-lora-sft"],
            "adapter",
            "sample",
            Thinking(),
            None,
            512,
        )
    ]
    write_served(folder / "served.json", Served(8, runs))
    env = {SERVED: str(folder / "served.json"), "PYTHONPATH": str(ROOT), "VLLM_API_KEY": ""}
    with open(folder / "log", "w", encoding="utf-8") as log, Child([PYTHON, "-m", "tests.extract.toy_service", str(port)], env, log) as process:
        root = f"http://127.0.0.1:{port}"
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                get(f"{root}/health")
                break
            except OSError:
                pass
        yield root, folder / "log"


def get(url: str, body: dict[str, Any] | None = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    with build_opener(ProxyHandler({})).open(Request(url, data, {"Content-Type": "application/json"}), timeout=60) as answer:
        return str(answer.read().decode())


def test_the_pages_curl_finds_the_entities(server: tuple[str, Path]) -> None:
    command = block("bash").replace("http://127.0.0.1:8000", server[0]).replace("curl ", "curl --noproxy '*' ")
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert [(one["label"], one["text"], one["start"], one["end"]) for one in answer["entities"]] == [("name", NAME, 0, 3), ("address", "北京", 4, 6)]
    assert [one["text"] for one in answer["left_out"]] == ["红楼梦"]
    told = set(re.findall(r"`(\w+)`", PAGE.partition("## What comes back")[2].partition("\n## ")[0]))
    assert set(answer) <= told


def test_the_pages_ten_lines_of_python_find_the_names(server: tuple[str, Path]) -> None:
    env = {**os.environ, "NER_URL": server[0], "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run([sys.executable, "-c", block("python")], env=env, capture_output=True, text=True, check=True)
    [found] = eval(done.stdout)
    assert (found["label"], found["text"], found["start"], found["end"]) == ("name", NAME, 0, 3)


def test_health_and_the_interfaces_page_are_there_without_a_network(server: tuple[str, Path]) -> None:
    [run] = json.loads(get(f"{server[0]}/health"))["runs"]
    assert (run["model"], run["task"], run["calibrated"], len(run["prompt_sha256"])) == ("tiny-qwen2-sample-ner-lora-sft", "sample", False, 64)
    page = get(f"{server[0]}/extract/docs")
    assert "https://" not in page
    assert all(len(get(f"{server[0]}/extract/docs/{name}")) > 1000 for name in service.ASSETS)
    assert json.loads(get(f"{server[0]}/extract/openapi.json"))["paths"].keys() >= {"/extract", "/health", "/metrics"}


def counters(root: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(ner_factory.+) (\S+)$", get(f"{root}/metrics"), re.MULTILINE)}


def test_the_counters_that_the_page_names_count(server: tuple[str, Path]) -> None:
    root, log = server
    before = counters(root)
    get(f"{root}/extract", {"texts": [f"{NAME}在北京。", "没有"]})
    with pytest.raises(HTTPError, match="422"):
        get(f"{root}/extract", {"text": NAME, "labels": ["nobody"]})
    after = counters(root)
    run = 'model="tiny-qwen2-sample-ner-lora-sft"'
    grown = {
        name: after[name] - before.get(name, 0)
        for name in (
            'ner_factory_extract_requests_total{status="200"}',
            'ner_factory_extract_requests_total{status="422"}',
            'ner_factory_extract_refusals_total{reason="invalid"}',
            f"ner_factory_extract_texts_total{{{run}}}",
            f'ner_factory_extract_entities_total{{label="name",{run}}}',
            f"ner_factory_extract_confidence_count{{{run}}}",
            f'ner_factory_extract_left_out_total{{{run},why="not in the text"}}',
        )
    }
    assert list(grown.values()) == [1, 1, 1, 2, 1, 2, 2]
    named = set(re.findall(r"`(ner_factory_extract_\w+)`", PAGE))
    families = set(re.findall(r"^# TYPE (ner_factory_extract_\w+) (?:counter|gauge|histogram)$", get(f"{root}/metrics"), re.MULTILINE))
    assert named == {name for name in families if not name.endswith("_created")}
    assert all(name.startswith(metrics.PREFIX) for name in named)
    assert NAME not in log.read_text(encoding="utf-8") and "POST /extract" in log.read_text(encoding="utf-8")


@pytest.mark.parametrize("head", ["", "Accept: application/x-ndjson\r\n"])
def test_a_client_that_hangs_up_ends_its_work(server: tuple[str, Path], head: str) -> None:
    root, in_flight = server[0], "ner_factory_extract_in_flight"
    body = json.dumps({"texts": ["没完没了"] * 3}).encode()
    with socket.create_connection(("127.0.0.1", int(root.rpartition(":")[2]))) as client:
        lines = f"POST /extract HTTP/1.1\r\nHost: toy\r\nContent-Type: application/json\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        client.sendall(lines.encode() + body)
        while counters(root)[in_flight] != 3:
            pass
    while counters(root)[in_flight] or counters(root)["ner_factory_extract_room_taken"]:
        pass


@pytest.mark.parametrize("page", ["docs/service.md", "docs/zh/service.md"])
def test_the_pages_limits_are_the_codes(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    table = re.findall(r"^\| [^|]+ \| ([0-9,]+) \|$", text, re.MULTILINE)
    limits = (forms.TEXT_CHARACTERS, forms.TEXTS, forms.REQUEST_CHARACTERS, forms.BODY_BYTES, forms.BODY_SECONDS, forms.SECONDS)
    assert [int(number.replace(",", "")) for number in table] == list(limits)
    assert re.search(rf"`max-num-seqs` 的 {slots.ROOM} 倍|{slots.ROOM} times `max-num-seqs`", text)
    assert (slots.HALF, slots.PART) == (2, 4)  # in words there: one half, one quarter
    statuses = set(re.findall(r"\d{3}", " ".join(re.findall(r"^\| (\d{3}(?:(?:, |、)\d{3})*) \|", text, re.MULTILINE))))
    assert statuses == {*map(str, service.REFUSALS), "500"}


def test_the_proxys_limits_let_through_what_the_service_takes() -> None:
    conf = block("nginx")
    assert int(re.findall(r"client_max_body_size (\d+)m;", conf)[0]) * 1024 * 1024 == forms.BODY_BYTES
    assert int(re.findall(r"proxy_read_timeout (\d+)s;", conf)[0]) == forms.SECONDS
