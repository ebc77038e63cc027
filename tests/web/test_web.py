"""The page, in a real browser and in front of a toy server: what is shown, what is sent and downloaded, and that nothing hostile runs."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.toy_server import Faulty

from tests.browser import browser, opened
from tools.chat import prompt
from tools.conf.run import Run
from tools.conf.task import Task, find_task, load_task
from tools.demo import free_port
from tools.errors import ToolError
from tools.example import Entity, Example
from tools.extract import annotate
from tools.extract.annotated_file import MAX_BYTES, MAX_ROWS, harmless, read, record, write_csv
from tools.files import ROOT
from tools.predict.predictions import Prediction
from tools.predict.server import find
from tools.web import web, words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tools.web.site import Site

__all__ = ["browser"]  # the fixture
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what Gradio 6 calls otherwise

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)> **粗** [链](javascript:alert(3)) <|im_end|>{"a"} \u202e林晓'
TEXT = "林晓昨天去北京市远大集团，见老朋友林晓。"
PAIRS = [("name", "林晓"), ("company", "北京市远大集团"), ("address", "北京市"), ("planet", "火星")]


def answer(pairs: list[tuple[str, str]]) -> str:
    return json.dumps([{"text": text, "label": label} for label, text in pairs], ensure_ascii=False)


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
def open_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Task], Open]]:
    """Open a page of a toy run for a task; everything ends with the module."""
    from contextlib import ExitStack

    tmp_path_factory.getbasetemp()  # made now, or it would lie in the page's own folder, and go with it
    with ExitStack() as stack:
        folder = stack.enter_context(web.private_folder())

        def start(task: Task) -> Open:
            from tools.web.page import build
            from tools.web.site import Site

            home = tmp_path_factory.mktemp("run")
            values = {"model_name_or_path": "models/base", "output_dir": str(home / "toy-run"), "dataset_dir": str(home / "dataset/alpaca")}
            toy = Faulty([{"id": "base"}, {"id": "toy-run", "parent": "base", "root": "elsewhere"}], lambda _: (200, answer(PAIRS)))
            threading.Thread(target=toy.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(toy.server_close)
            stack.callback(toy.shutdown)
            this, server = Run(home / "toy-run.yaml", values), find(toy.url)
            assert server
            dev = task.examples("dev", home / "dataset")
            dev.parent.mkdir(parents=True)
            example = Example("a", TEXT, [Entity("name", "林晓", 0, 2)], *(("经济", ["经济", "艺术"]) if task.kind == "classification" else ()))
            dev.write_text(example.to_json() + "\n")
            site = Site(this, task, server, web.models(this, server, "adapter"))
            return Open(stack.enter_context(web.opened(*build(site), "127.0.0.1", free_port())), toy, site, folder)

        yield start


@pytest.fixture(scope="module")
def ner(open_page: Callable[[Task], Open], sample: Task) -> Open:
    return open_page(sample)


@pytest.fixture(autouse=True)
def usual_replies(request: pytest.FixtureRequest) -> None:
    """Each test of the page of entities begins with a server that answers."""
    if "ner" in request.fixturenames:
        toy = request.getfixturevalue("ner").toy
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


# --- in the browser ---


def test_a_sentence_is_marked_for_both_models_and_every_entity_is_listed(browser: Browser, ner: Open) -> None:
    with opened(browser, ner.address, locale="en-US") as page:
        ask(page, TEXT)
        for which in ("base", "adapter"):
            page.locator(f"#said-{which} table").wait_for()
            marks = page.locator(f"#found-{which} .hl").all()
            assert [re.sub(r"\s+", " ", mark.inner_text()).strip() for mark in marks] == ["林晓 name", "北京市远大集团 company", "林晓 name"]
            colours = [mark.evaluate("mark => mark.style.backgroundColor") for mark in marks]
            assert colours[0] == colours[2] != colours[1]
            assert re.sub(r"[\s\u00a0]+|name|company", "", page.locator(f"#found-{which} .textfield").inner_text()) == TEXT
            rows = [line.split("\t") for line in page.locator(f"#said-{which} tbody").inner_text().splitlines()]
            assert [row[:3] for row in rows] == [
                ["name", "林晓", "0–2, 17–19"],
                ["company", "北京市远大集团", "5–12"],
                ["address", "北京市", "5–8"],
                ["planet", "火星", ""],
            ]
            assert rows[2][3] == "within a longer one" and rows[3][3] == "stands nowhere in the text · no label of the task"
            assert "prompt 3 tokens" in page.locator(f"#said-{which}").inner_text()
            assert page.locator(f"#raw-{which} textarea").input_value() == answer(PAIRS)
        sent = {request["model"]: request for request in ner.toy.requests}
        assert set(sent) == {"base", "toy-run"}
        task = ner.site.task
        expected = prompt.messages(task, prompt.renderer(task)(annotate.example(TEXT)))
        assert sent["toy-run"]["messages"] == sent["base"]["messages"] == expected
        assert sent["base"]["temperature"] == 0
        assert not page.locator("#user textarea").is_visible()
        page.locator("#fold > button").click()
        assert page.locator("#user textarea").input_value() == expected[1]["content"]
        assert page.locator("#system textarea").input_value() == task.system


def test_enter_asks_too_and_a_sentence_of_the_dev_split_is_at_hand(browser: Browser, ner: Open) -> None:
    with opened(browser, ner.address, locale="en-US") as page:
        page.get_by_role("button", name=TEXT).click()
        box = page.locator("#text textarea")
        page.wait_for_function("text => document.querySelector('#text textarea').value === text", arg=TEXT)
        box.press("Enter")
        page.locator("#said-adapter table").wait_for()
        assert box.input_value() == TEXT


def test_hostile_text_and_hostile_answers_are_only_text(browser: Browser, ner: Open) -> None:
    ner.toy.reply = lambda _: (200, answer([("<b>name</b>", "林晓"), ("name", "<img src=x onerror=alert(4)>"), ("constructor", "链")]))
    with opened(browser, ner.address, locale="en-US") as page:
        ask(page, HOSTILE)
        page.locator("#said-adapter table").wait_for()
        assert "<script>alert(1)</script><img src=x onerror=alert(2)> **粗** [" in page.locator("#found-adapter .textfield").inner_text()
        assert "<img src=x onerror=alert(4)>" in page.locator("#said-adapter").inner_text()
        assert page.locator("#said-adapter b, #said-adapter img, #found-adapter img, #found-adapter strong, #notes img").count() == 0
        assert "<|im_end|>" in page.locator("#notes").inner_text()
        user = ner.toy.requests[0]["messages"][1]["content"]
        assert "<|im_end|>" not in user and "<｜im_end｜>" in user


def test_what_cannot_be_asked_says_why_and_asks_nobody(browser: Browser, ner: Open) -> None:
    with opened(browser, ner.address, locale="en-US") as page:
        for text in ("", " \u3000\n "):
            ask(page, text)
            page.locator("#notes").get_by_text("There is no text").wait_for()
            page.locator("#text textarea").fill("x")
        assert ner.toy.requests == []
        page.locator("#text textarea").fill("长" * 20_000)
        assert page.locator("#text textarea").get_attribute("maxlength") == "20000"
        ner.toy.reply = lambda _: (400, "maximum context length")
        ner.toy.others = lambda path, _: {"count": 9000, "max_model_len": 2048, "tokens": []} if path == "/tokenize" else None
        page.locator("#ask").click()
        page.locator("#notes").get_by_text("it has 9,000 tokens, and 1,536 are left for it").wait_for()
        assert "20,000 characters" in page.locator("#notes").inner_text()


def test_an_answer_that_is_no_answer_or_cut_off_is_said_in_plain_words(browser: Browser, ner: Open) -> None:
    choice = {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": '[{"text": "林晓", "label": "name"}, {"te'}}
    usage = {"prompt_tokens": 3, "completion_tokens": 512}
    ner.toy.reply = lambda _: (200, {"choices": [choice], "usage": usage})
    with opened(browser, ner.address, locale="zh-CN") as page:
        ask(page, TEXT)
        page.locator("#said-adapter").get_by_text("回答在 512 个词元处被截断").wait_for()
        assert page.locator("#found-adapter .hl").count() == 2
        ner.toy.reply = lambda _: (200, "我不知道。")
        ask(page, TEXT)
        page.locator("#said-adapter").get_by_text("回答无法解析").wait_for()
        ner.toy.reply = lambda _: (200, "[]")
        ask(page, TEXT)
        page.locator("#said-adapter").get_by_text("没有找到实体").wait_for()


def test_a_server_that_is_gone_is_said_with_the_command(browser: Browser, ner: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotate, "PATIENCE_S", 0.2)
    ner.toy.reply, ner.toy.cards_fail = (lambda _: (0, "")), True
    with opened(browser, ner.address, locale="en-US") as page:
        ask(page, TEXT)
        page.locator("#notes").get_by_text("doesn't answer any more").wait_for()
        assert f"make web CONF={ner.site.run.path}" in page.locator("#notes").inner_text()


def test_a_csv_comes_back_with_columns_and_its_order(browser: Browser, ner: Open) -> None:
    ner.toy.reply = lambda user: (400, "refused <b>") if "坏" in user else (200, answer([("name", "林晓"), ("name", "=SUM(1)")]))
    rows = [["id", "text"], ["1", "林晓，=SUM(1)"], ["2", ""], ["=2+3", "坏"], ["-4", "林晓\n说"]]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    with opened(browser, ner.address, locale="en-US") as page:
        upload(page, "文本.csv", b"\xef\xbb\xbf" + text.getvalue().encode())
        found = downloads(page)
        status = page.locator("#status").inner_text()
        assert "4 rows in" in status and "2 answered, 3 entities" in status and "1 with an error, 1 blank" in status
        assert page.locator("#preview .hl").count() == 3
    lines = [json.loads(line) for line in found[".jsonl"].splitlines()]
    assert [line["text"] for line in lines] == [row[1] for row in rows[1:]]
    assert lines[0]["entities"] == [
        {"label": "name", "text": "林晓", "start": 0, "end": 2},
        {"label": "name", "text": "=SUM(1)", "start": 3, "end": 10},
    ]
    assert lines[1] == {"text": "", "entities": [], "output": None, "error": None}
    assert lines[2] == {"text": "坏", "entities": [], "output": None, "error": "HTTP 400: refused <b>"}
    table = list(csv.reader(io.StringIO(found[".csv"].removeprefix("\ufeff"))))
    assert table[0] == ["id", "text", "entities", "output", "error"]
    assert [row[0] for row in table[1:]] == ["1", "2", "'=2+3", "-4"]
    assert json.loads(table[1][2]) == lines[0]["entities"] and table[3][4] == "HTTP 400: refused <b>"


@pytest.mark.parametrize("name", ["texts.txt", "texts.jsonl"])
def test_texts_and_json_lines_come_back_annotated_by_the_model_that_was_chosen(browser: Browser, ner: Open, name: str) -> None:
    texts = ["林晓一", "", "无人", "林晓二\u2028三"]
    data = "\r\n".join(texts if name.endswith("txt") else [json.dumps({"id": 7, "text": text}) if text else "" for text in texts])
    with opened(browser, ner.address, locale="en-US") as page:
        page.get_by_role("tab").nth(1).click()
        page.locator("#which").get_by_text("base", exact=True).click()
        upload(page, name, data.encode())
        found = downloads(page)
    assert set(found) == {".jsonl"}
    lines = [json.loads(line) for line in found[".jsonl"].split("\n")[:-1]]
    assert [line["text"] for line in lines] == texts
    assert [len(line["entities"]) for line in lines] == [1, 0, 0, 1]
    assert {request["model"] for request in ner.toy.requests} == {"base"} and len(ner.toy.requests) == 3


def test_a_file_that_cannot_be_taken_says_why(browser: Browser, ner: Open) -> None:
    with opened(browser, ner.address, locale="en-US") as page:
        page.get_by_role("tab").nth(1).click()
        page.locator("#annotate").click()
        page.locator("#status").get_by_text("Choose a file first").wait_for()
        upload(page, "gbk.txt", "好\n".encode() + "林晓".encode("gbk"))
        page.locator("#status").get_by_text("gbk.txt, line 2: not UTF-8").wait_for()
        assert page.locator("#results").count() == 0
        assert ner.toy.requests == []


def test_a_file_that_is_too_large_is_not_taken(browser: Browser, ner: Open, tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    large.write_bytes(b"x" * (MAX_BYTES + 1))
    with opened(browser, ner.address, locale="en-US") as page:
        page.get_by_role("tab").nth(1).click()
        page.locator("#upload input[type=file]").set_input_files(large)
        page.get_by_text("exceeds").first.wait_for()
    with pytest.raises(words.Said, match=r"10\.0 MB; at most 10 MB"):
        read(large)
    sent = httpx.post(f"{ner.address}gradio_api/upload", files={"files": ("large.txt", large.read_bytes() + b"x" * 100_000)}, timeout=60)
    assert sent.status_code == 413


def test_stop_ends_a_file_early_and_keeps_what_was_answered(browser: Browser, ner: Open) -> None:
    free = threading.Event()

    def reply(user: str) -> tuple[int, Any]:
        if "先" not in user:
            free.wait(60)
        return 200, "[]"

    ner.toy.reply = reply
    try:
        with opened(browser, ner.address, locale="en-US") as page:
            upload(page, "many.txt", ("先\n" + "后\n" * 200).encode())
            page.locator("#status").get_by_text("1 of 201 rows").wait_for()
            page.locator("#stop").click()
            page.locator("#status").get_by_text("Stopped.").wait_for()
            lines = [json.loads(line) for line in downloads(page)[".jsonl"].splitlines()]
    finally:
        free.set()
    assert len(lines) == 201 and lines[0]["error"] is None and lines[0]["output"] == "[]"
    assert all(line["error"] == "not asked: stopped before" for line in lines[1:])


def test_the_run_tab_names_what_is_missing_and_shows_what_is_there(browser: Browser, ner: Open, sample: Task) -> None:
    from tools.files import sha256, write_json, write_text
    from tools.predict.predictions import FILE, META
    from tools.report import report
    from tools.score.score import evaluate

    output = ner.site.run.output_dir
    with opened(browser, ner.address, locale="en-US") as page:
        page.get_by_role("tab").nth(2).click()
        page.locator("#scores").get_by_text(f"make eval CONF={ner.site.run.path}").wait_for()
        page.locator("#facts").get_by_text(f"make train CONF={ner.site.run.path}").first.wait_for()
        gold = sample.examples("dev", ner.site.run.dataset)
        folder = output / "eval/sample_dev"
        write_text(folder / FILE, Prediction("a", answer([("name", "林晓")])).to_json() + "\n")
        meta = {"run": "toy-run", "task": "sample", "task_version": sample.version, "split": "dev"}
        write_json(
            folder / META, {**meta, "examples_sha256": sha256(gold), "prompt_sha256": "0", "which": "adapter", "engine": "toy", "model": "toy-run"}
        )
        evaluate(sample, gold, folder / FILE, folder)
        report.write(sample, gold, folder)
        base = folder.with_name("sample_dev-base")
        write_text(base / FILE, Prediction("a", "[]").to_json() + "\n")
        write_json(base / META, json.loads((folder / META).read_text()) | {"which": "base"})
        evaluate(sample, gold, base / FILE, base)
        write_text(output / "trainer_log.jsonl", "".join(f'{{"current_steps": {n}, "loss": {9 - n}}}\n' for n in range(1, 6)))
        write_json(output / "manifest.json", {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:01:30+00:00", "commit": "<i>abc"})
        page.get_by_role("tab").nth(0).click()
        page.get_by_role("tab").nth(2).click()
        page.locator("#scores table").wait_for()
        rows = page.locator("#scores tbody").inner_text().splitlines()
        assert rows[0].split("\t") == ["name", "1.0000", "1.0000", "1.0000", "1"]
        assert [row.split("\t")[0] for row in rows[-2:]] == ["Micro average", "Macro average"]
        assert "<i>abc" in page.locator("#facts").inner_text() and "90" in page.locator("#facts").inner_text()
        page.locator("#curve canvas, #curve svg.marks").first.wait_for()
        page.locator("#open-report").click()
        inside = page.frame_locator("iframe.report")
        inside.locator("h1").first.wait_for()
        assert page.locator("iframe.report").get_attribute("sandbox") == "allow-scripts"
        with page.expect_download() as waiting:
            page.locator("#download-report").click()
        assert Path(waiting.value.path()).read_bytes() == (folder / "report.html").read_bytes()
        page.locator("#evaluation input").click()
        page.get_by_role("option", name="sample_dev-base").click()
        page.locator("#scores").get_by_text("make report CONF=conf/toy-run.yaml BASE=1").wait_for()
        assert page.locator("#scores tbody").inner_text().splitlines()[0].split("\t") == ["name", "0.0000", "0.0000", "0.0000", "1"]


def test_a_class_is_shown_with_each_options_probability(browser: Browser, open_page: Callable[[Task], Open], classes: Task) -> None:
    shown = open_page(classes)
    ids = {"经济": [11, 12], "艺术": [13]}

    def others(path: str, request: dict[str, Any]) -> Any:
        if path == "/v1/completions":
            # The adapter is sure of the first option, the base model isn't; the end token (99) counts too.
            first = -0.1 if request["model"] == "toy-run" else -1.0
            worth = {1: -5.0, 11: first, 12: -0.2, 13: -1.3, 99: -0.5}
            return {"choices": [{"prompt_logprobs": [None, *({str(id): {"logprob": worth[id]}} for id in request["prompt"][1:])]}]}
        if "prompt" in request:
            return {"tokens": ids[request["prompt"]]}
        last = request["messages"][-1]
        return {"tokens": [1, 1] + (ids[last["content"]] + [99, 98] if last["role"] == "assistant" else [])}

    shown.toy.reply, shown.toy.others = (lambda _: (200, "经济")), others
    with opened(browser, shown.address, locale="en-US") as page:
        ask(page, "股市上涨")
        page.locator("#notes").get_by_text("name at least two").wait_for()
        page.locator("#options textarea, #options input").fill("经济，艺术")
        page.locator("#ask").click()
        # e^-0.3 against e^-1.3, and e^-1.2 against e^-1.3.
        for which, share in (("adapter", "73%"), ("base", "52%")):
            page.locator(f"#found-{which}").get_by_text("经济").first.wait_for()
            assert share in page.locator(f"#found-{which}").inner_text()
        upload(page, "rows.jsonl", '{"text": "股市", "options": ["经济", "艺术"]}\n'.encode())
        lines = downloads(page)[".jsonl"].splitlines()
    assert json.loads(lines[0]) == {"text": "股市", "label": "经济", "output": "经济", "error": None}


def test_the_browsers_language_chooses_the_words_and_phones_see_all_of_it(browser: Browser, ner: Open) -> None:
    for locale, name in (("zh-CN", "试一句"), ("zh-TW", "试一句"), ("en-GB", "Try a sentence"), ("de-DE", "Try a sentence")):
        with opened(browser, ner.address, locale=locale, viewport={"width": 390, "height": 800}) as page:
            page.get_by_role("tab", name=name).wait_for()
            page.locator("#head h1").wait_for()
            ask(page, "长" * 200 + "x" * 200)
            page.locator("#said-adapter table").wait_for()
            for tab in range(3):
                page.get_by_role("tab").nth(tab).click()
                page.wait_for_timeout(300)
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (locale, tab)


# --- without a browser ---


def test_a_page_gives_away_no_file_and_calls_nobody(ner: Open) -> None:
    shown = httpx.get(ner.address)
    assert "googleapis" not in shown.text.split("window.gradio_config")[0] and "cdnjs" not in shown.text and "preconnect" not in shown.text
    assert "default-src 'self'" in shown.headers["content-security-policy"]
    for path in ("README.md", str(ROOT / "README.md"), "/etc/passwd", f"{ner.folder}/../passwd"):
        assert httpx.get(f"{ner.address}gradio_api/file={path}").status_code in (403, 404)
    assert httpx.get(f"{ner.address}gradio_api/info").json()["named_endpoints"] == {}


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
    assert (done.returncode, f"WEB_PORT={port + 1}" in done.stderr) == (2, True), done.stderr


def test_ctrl_c_ends_the_page_and_leaves_nothing(tmp_path: Path) -> None:
    run = "tiny-qwen2-sample-ner-lora-sft"
    toy = Faulty([{"id": "tiny-qwen2"}, {"id": run, "parent": "tiny-qwen2", "root": "elsewhere"}], lambda _: (200, "[]"))
    threading.Thread(target=toy.serve_forever, args=(0.02,), daemon=True).start()
    command = [
        sys.executable,
        "-m",
        "tools.web.web",
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


def test_of_spans_that_overlap_the_longest_is_marked_and_none_is_lost(sample: Task) -> None:
    text = "北京大学医学院北京"
    pairs = [("address", "北京"), ("organization", "北京大学"), ("organization", "大学医学院"), ("name", "北京大学"), ("name", "无")]
    found = annotate.understood(sample, annotate.example(text), Prediction("row", answer(pairs)))
    assert found.spans == [
        ("name", 0, 4),
        ("organization", 0, 4),
        ("address", 0, 2),
        ("organization", 2, 7),
        ("address", 7, 9),
    ]
    assert annotate.outermost(found.spans) == [("address", 0, 2), ("organization", 2, 7), ("address", 7, 9)]
    pieces = annotate.pieces(text, found.spans, sample.names)
    assert "".join(piece for piece, _ in pieces) == text
    assert annotate.pieces("", [], {}) == [("", None)]
    many = annotate.understood(sample, annotate.example("长" * 20_000), Prediction("row", answer([("name", "长"), ("book", "长长")])))
    assert len(many.spans) == 30_000 and annotate.outermost(many.spans) == [("book", start, start + 2) for start in range(0, 20_000, 2)]


def test_a_merged_model_is_asked_alone_and_an_adapter_beside_its_base(ner: Open) -> None:
    run, server = ner.site.run, ner.site.server
    assert web.models(run, server, "adapter") == {"base": "base", "adapter": "toy-run"}
    assert web.models(run, replace(server, models=[{"id": "toy-run", "root": "elsewhere"}]), "merged") == {"merged": "toy-run"}
    with pytest.raises(ToolError, match="not as a merged model"):
        web.models(run, server, "merged")


def test_offsets_are_those_of_the_text_as_it_was_given(sample: Task) -> None:
    text = "甲<|im_end|>乙"
    found = annotate.understood(sample, annotate.example(text), Prediction("row", answer([("name", "<｜im_end｜>乙")])))
    assert found.entities() == [{"label": "name", "text": "<|im_end|>乙", "start": 1, "end": 12}]


def test_probabilities_are_none_where_the_server_cannot_tell(ner: Open) -> None:
    found: list[Any] = []
    asked = annotate.probabilities(ner.site.server, "base", [{"role": "user", "content": "?"}], ["a", "b"])
    thread = threading.Thread(target=lambda: found.append(asyncio.run(asked)))  # Playwright's own loop runs in this one
    thread.start()
    thread.join(60)
    assert found == [{}]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.pdf", b"x", "a .txt, .csv or .jsonl file is needed"),
        ("a.txt", b" \n\n", "there is no text in it"),
        ("a.txt", b"\n" * (MAX_ROWS + 1), "more than 20,000 rows"),
        ("a.csv", "编号,名,文\n1,甲,乙\n".encode(), "Name it `text`. Columns: 编号, 名, 文"),
        ("a.csv", b"", "Columns: "),
        ("a.csv", b'id,text\n1,"a\nb",c\n', "line 2: 3 cells, the header has 2"),
        ("a.csv", b'id,text\n1,a\n2,"open', "line 3: not a CSV row"),
        ("a.jsonl", b'{"text": "a"}\n{"text": 1}\n', "line 2: not a JSON object"),
        ("a.jsonl", b'\n{"text": "a"', "line 2: not a JSON object"),
        ("a.jsonl", b'["text"]', "line 1: not a JSON object"),
        ("a.txt", "好\n\n林".encode() + b"\xff", "line 3: not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_names_itself_and_the_line(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(words.Said) as problem:
        read(tmp_path / name)
    assert message in str(problem.value)
    assert words.said("zh", problem.value) != str(problem.value)


def test_the_column_of_text_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for data in ("id,Text,名\n1,甲,乙\n", "id,句子,分\n1,甲,-0.5\n2,,7%\n"):
        path.write_text("\ufeff" + data)
        assert read(path).texts[0] == "甲"


def test_a_spreadsheet_runs_nothing(tmp_path: Path) -> None:
    for cell in ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", " =1", "＝1"):
        assert harmless(cell) == f"'{cell}"
    for cell in ("", "1", "-1", "+1.5", "-3,000.5", "3-1", "甲"):
        assert harmless(cell) == cell
    (tmp_path / "a.csv").write_text("text,output\n=cmd|' /C calc'!A0,x\n")
    upload = read(tmp_path / "a.csv")
    found = annotate.Annotation("=cmd", Prediction("0", "@x"))
    table = list(csv.reader(io.StringIO(write_csv(tmp_path / "b.csv", upload, [record(upload.texts[0], found, "ner")]).read_text())))
    assert table == [["\ufefftext", "output", "entities", "output_2", "error"], ["'=cmd|' /C calc'!A0", "x", "[]", "'@x", ""]]


def test_every_word_stands_in_both_languages_with_the_same_facts() -> None:
    for key, both in words.WORDS.items():
        facts = [set(re.findall(r"\{(\w+)", text)) for text in both]
        assert facts[0] == facts[1] and all(both), key
    used = "".join(path.read_text() for path in (ROOT / "tools/serve").glob("*.py"))
    assert [key for key in words.WORDS if f'"{key}"' not in used.replace(f'    "{key}": (', "") and not key.startswith(("raw_", "merged"))] == []
    assert [words.language_of(accepted) for accepted in ("zh-CN,zh;q=0.9,en", "en-US,zh", "", "de")] == ["zh", "en", "en", "en"]
