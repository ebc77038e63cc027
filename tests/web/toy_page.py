"""A page in front of a toy server, and what a user does on it."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.toy_server import Faulty
from tools.conf.run import Run
from tools.conf.task import Task, find_task, load_task
from tools.demo import free_port
from tools.example import Entity, Example
from tools.files import ROOT
from tools.predict.server import find
from tools.web import web

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tools.web.site import Site

TEXT = "林晓昨天去北京市远大集团，见老朋友林晓。"
PAIRS = [("name", "林晓"), ("company", "北京市远大集团"), ("address", "北京市"), ("planet", "火星")]


def answer(pairs: list[tuple[str, str]]) -> str:
    return json.dumps([{"text": text, "label": label} for label, text in pairs], ensure_ascii=False)


def sure(found: list[tuple[str, str, float]]) -> dict[str, Any]:
    """A server's whole answer, in which the model is as sure of each (label, string) as its third says."""
    tokens: list[tuple[str, float]] = [("[", 1.0)]
    for number, (label, text, sureness) in enumerate(found):
        before, behind = (json.dumps({"text": text, "label": label}, ensure_ascii=False)[:10], f'", "label": "{label}"}}')
        tokens += [(", " if number else "", 1.0), (before, 1.0), (text, sureness), (behind, 1.0)]
    tokens = [one for one in [*tokens, ("]", 1.0)] if one[0]]
    content = "".join(token for token, _ in tokens)
    assert content == answer([(label, text) for label, text, _ in found])
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": content},
        "logprobs": {"content": [{"token": token, "logprob": math.log(sureness)} for token, sureness in tokens]},
    }
    return {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


@dataclass
class Open:
    """A page in a browser's reach, its toy server, and the folder of all that it writes."""

    address: str
    toy: Faulty
    site: Site
    folder: Path


@pytest.fixture(scope="module")
def sample() -> Task:
    os.chdir(ROOT)
    return find_task("sample")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Task:
    folder = tmp_path_factory.mktemp("classes")
    (folder / "prompt.txt").write_text("选项：{options}\n文本：{text}\n")
    task = {"kind": "classification", "raw": {"dev": "none"}, "reader": "classification", "system": "你是专家。", "labels": []}
    (folder / "topics.yaml").write_text(json.dumps({**task, "prompt": str(folder / "prompt.txt")}, ensure_ascii=False))
    return load_task(folder / "topics.yaml")


@pytest.fixture(scope="module")
def open_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Open]]:
    """Open a page of a toy run for a task, trained on `texts` if there are any; everything ends with the module."""
    tmp_path_factory.getbasetemp()  # made now, or it would lie in the page's own folder, and go with it
    with ExitStack() as stack:
        folder = stack.enter_context(web.private_folder())

        def start(task: Task, texts: Sequence[str] = ()) -> Open:
            from tools.web.page import build
            from tools.web.site import Site

            home = tmp_path_factory.mktemp("run")
            values = {"model_name_or_path": "models/base", "output_dir": str(home / "toy-run"), "dataset_dir": str(home / "dataset/alpaca")}
            if texts:
                trained_on = task.examples("train", home / "dataset")
                trained_on.parent.mkdir(parents=True)
                trained_on.write_text("".join(Example(str(row), text, []).to_json() + "\n" for row, text in enumerate(texts)))
                values["dataset"] = f"alpaca_{task.name}_train"
            toy = Faulty([{"id": "base"}, {"id": "toy-run", "parent": "base", "root": "elsewhere"}], lambda _: (200, answer(PAIRS)))
            toy.logprob = None
            threading.Thread(target=toy.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(toy.server_close)
            stack.callback(toy.shutdown)
            run, server = Run(home / "toy-run.yaml", values), find(toy.url)
            assert server
            dev = task.examples("dev", home / "dataset")
            dev.parent.mkdir(parents=True, exist_ok=True)
            example = Example("a", TEXT, [Entity("name", "林晓", 0, 2)], *(("经济", ["经济", "艺术"]) if task.kind == "classification" else ()))
            dev.write_text(example.to_json() + "\n")
            site = Site(run, task, server, web.models(run, server, run.variant("adapter")))
            return Open(stack.enter_context(web.opened(*build(site), "127.0.0.1", free_port())), toy, site, folder)

        yield start


@pytest.fixture(scope="module")
def ner(open_page: Callable[..., Open], sample: Task) -> Open:
    return open_page(sample)


@pytest.fixture(scope="module")
def long(open_page: Callable[..., Open], sample: Task) -> Open:
    """A page whose run was trained on texts of ten characters."""
    return open_page(sample, ["某" * 10] * 3)


@pytest.fixture(autouse=True)
def usual_replies(request: pytest.FixtureRequest) -> None:
    """Each test of the page of entities begins with a server that answers."""
    for name in {"ner", "long"}.intersection(request.fixturenames):
        toy = request.getfixturevalue(name).toy
        toy.reply, toy.others, toy.cards_fail = (lambda _: (200, answer(PAIRS))), None, False
        toy.requests.clear()


def ask(page: Page, text: str) -> None:
    page.locator("#text textarea").fill(text)
    page.locator("#ask").click()


def upload(page: Page, name: str, data: bytes) -> None:
    page.get_by_role("tab").nth(1).click()
    page.locator("#upload input[type=file]").set_input_files({"name": name, "mimeType": "text/plain", "buffer": data})
    page.locator("#upload").get_by_text(Path(name).suffix).first.wait_for()
    page.locator("#annotate").click()


def downloads(page: Page) -> dict[str, str]:
    """The annotated files, by suffix."""
    page.locator("#results a").first.wait_for()
    found = {}
    for link in page.locator("#results a").all():
        with page.expect_download() as waiting:
            link.click()
        found[Path(waiting.value.suggested_filename).suffix] = Path(waiting.value.path()).read_bytes().decode()
    return found
