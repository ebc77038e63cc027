"""The page's first tab, in a real browser and in front of a toy server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import opened
from tests.web.toy_page import PAIRS, TEXT, Open, answer, ask, downloads, upload
from tools.chat import prompt
from tools.conf.task import Task
from tools.example import Example
from tools.extract import annotate

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # for words that Gradio 6 renames

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)> **粗** [链](javascript:alert(3)) <|im_end|>{"a"} \u202e林晓'


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
            assert rows[2][3] == "within a longer entity" and rows[3][3] == "not in the text · not a label of the task"
            assert "prompt 3 tokens" in page.locator(f"#said-{which}").inner_text()
            assert page.locator(f"#raw-{which} textarea").input_value() == answer(PAIRS)
        sent = {request["model"]: request for request in ner.toy.requests}
        assert set(sent) == {"base", "toy-run"}
        task = ner.site.task
        expected = prompt.messages(task, prompt.renderer(task)(Example("row", TEXT, [])))
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
        page.locator("#notes").get_by_text("it has 9,000 tokens, and at most 1,536 fit").wait_for()
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
