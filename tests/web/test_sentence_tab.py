"""The page's first tab, in a real browser and in front of a toy server."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import opened
from tests.web.toy_page import PAIRS, TEXT, Open, answer, ask, downloads, sure, upload
from tools.chat import prompt
from tools.conf.task import Task
from tools.example import Example
from tools.extract import annotate
from tools.web import drawing, sentence_tab

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # for words that Gradio 6 renames

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)> **粗** [链](javascript:alert(3)) <|im_end|>{"a"} \u202e林晓'


def marked(page: Page, which: str = "adapter") -> list[str]:
    """The marks of a model's text, each with its label's name behind it."""
    return [re.sub(r"\s+", " ", mark.inner_text()).strip() for mark in page.locator(f"#found-{which} mark").all()]


def plain(box: Locator) -> str:
    """The text in a box of marks, without the names of labels: what a reader copies from it."""
    return str(
        box.evaluate("box => {const own = box.cloneNode(true); own.querySelectorAll('small').forEach(one => one.remove()); return own.textContent}")
    )


def test_a_sentence_is_marked_for_both_models_and_every_entity_is_listed(browser: Browser, ner: Open) -> None:
    with opened(browser, ner.address, locale="en-US") as page:
        ask(page, TEXT)
        for which in ("base", "adapter"):
            page.locator(f"#said-{which} table").wait_for()
            assert [words.replace(" ", "") for words in marked(page, which)] == ["林晓name", "北京市远大集团company", "林晓name"]
            colours = [mark.evaluate("mark => getComputedStyle(mark).backgroundColor") for mark in page.locator(f"#found-{which} mark").all()]
            assert colours[0] == colours[2] != colours[1]
            assert plain(page.locator(f"#found-{which} .marked")) == TEXT
            rows = [line.split("\t") for line in page.locator(f"#said-{which} tbody").inner_text().splitlines()]
            assert [row[:3] for row in rows] == [
                ["name", "林晓", "0–2, 17–19"],
                ["company", "北京市远大集团", "5–12"],
                ["address", "北京市", "5–8"],
                ["planet", "火星", ""],
            ]
            assert [row[3] for row in rows] == ["unknown"] * 3 + [""]  # the toy server gives no probabilities
            assert rows[2][4] == "within a longer entity" and rows[3][4] == "not in the text · not a label of the task"
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


def test_a_threshold_hides_the_unsure_at_once_without_asking_again_and_what_is_shown_is_exported(browser: Browser, ner: Open) -> None:
    ner.toy.reply = lambda _: (200, sure([("name", "林晓", 0.9), ("company", "北京市远大集团", 0.4), ("address", "北京市", 0.7)]))
    with opened(browser, ner.address, locale="en-US") as page:
        assert page.locator("#export").is_disabled()
        page.locator("#worth").get_by_text(f"./ner calibrate {ner.site.run.path}").wait_for()
        ask(page, TEXT)
        page.locator("#said-adapter table").wait_for()
        assert [words.split()[0] for words in marked(page)] == ["林晓name", "北京市远大集团company", "林晓name"]
        rows = [line.split("\t") for line in page.locator("#said-adapter tbody").inner_text().splitlines()]
        assert {row[1]: row[3] for row in rows} == {"林晓": "0.900", "北京市远大集团": "0.400", "北京市": "0.700"}
        assert page.locator("#found-adapter mark").first.get_attribute("title") == "Confidence: 0.900"
        asked = len(ner.toy.requests)
        page.locator("#threshold input[type=number]").fill("0.5")
        page.locator("#said-adapter").get_by_text("1 entities don't reach the threshold").wait_for()
        assert [words.split()[0] for words in marked(page)] == ["林晓name", "北京市address", "林晓name"]  # the shorter one isn't covered any more
        page.locator("#export").click()
        page.locator("#exported a").first.wait_for()
        files = {}
        for link in page.locator("#exported a").all():
            with page.expect_download() as waiting:
                link.click()
            files[waiting.value.suggested_filename] = json.loads(Path(waiting.value.path()).read_text())
        assert set(files) == {"text.base.jsonl", "text.adapter.jsonl"}
        exported = files["text.adapter.jsonl"]
        assert exported["text"] == TEXT and exported["output"].startswith("[{")
        assert [(one["text"], round(one["confidence"], 2)) for one in exported["entities"]] == [("林晓", 0.9), ("北京市", 0.7), ("林晓", 0.9)]
        assert all(TEXT[one["start"] : one["end"]] == one["text"] for one in exported["entities"])
        page.locator("#threshold input[type=number]").fill("")  # deleted to be typed anew: everything is shown
        page.locator("#found-adapter mark").nth(2).wait_for()
        page.locator("#said-adapter").get_by_text("don't reach").wait_for(state="detached")
        page.locator("#threshold input[type=range]").focus()
        page.keyboard.press("End")
        page.locator("#said-adapter").get_by_text("4 entities don't reach the threshold").wait_for()
        assert marked(page) == [] and page.locator("#exported").count() == 0  # a file of other entities isn't offered any longer
        page.locator("#threshold .reset-button").click()
        page.locator("#found-adapter mark").nth(2).wait_for()
        assert len(ner.toy.requests) == asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_surer_entity_has_a_stronger_colour_and_every_mark_can_be_read(browser: Browser, ner: Open, scheme: Any) -> None:
    steps = (0.01, 0.3, 0.6, 0.99)
    texts = [f"人{number}号" for number in range(len(steps))]
    labels = list(ner.site.task.names)
    pairs = [(label, f"{text}{label}", step) for label in labels for text, step in zip(texts, steps, strict=True)]
    ner.toy.reply = lambda _: (200, sure([*pairs]))
    with opened(browser, ner.address, locale="en-US", color_scheme=scheme) as page:
        ask(page, "，".join(text for _, text, _ in pairs))
        page.locator("#said-adapter table").wait_for()
        found = page.locator("#found-adapter mark").all()
        assert len(found) == len(pairs)
        behind = colour(page.locator("#found-adapter .marked"), "backgroundColor")[:3]
        for at in range(0, len(found), len(steps)):
            fills = [over(colour(mark, "backgroundColor"), behind) for mark in found[at : at + len(steps)]]
            distances = [sum(abs(one - other) for one, other in zip(fill, behind, strict=True)) for fill in fills]
            assert distances == sorted(distances) and distances[0] * 2 < distances[-1]
            for mark, fill in zip(found[at : at + len(steps)], fills, strict=True):
                for part in (mark, mark.locator("small")):
                    assert contrast(colour(part, "color")[:3], fill) >= 4.5


def colour(place: Locator, name: str) -> tuple[float, ...]:
    """A computed colour as red, green, blue and opacity, each from 0 to 1, as the browser paints it on a canvas."""
    painted = place.evaluate(
        """(one, name) => {
            const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
            canvas.width = canvas.height = 1;
            pen.fillStyle = getComputedStyle(one)[name];
            pen.fillRect(0, 0, 1, 1);
            return [...pen.getImageData(0, 0, 1, 1).data];
        }""",
        name,
    )
    return tuple(value / 255 for value in painted)


def over(fill: tuple[float, ...], behind: tuple[float, ...]) -> tuple[float, ...]:
    """The colour of a fill before another colour."""
    return tuple(fill[3] * one + (1 - fill[3]) * other for one, other in zip(fill[:3], behind, strict=True))


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The contrast ratio of two colours (w3.org/TR/WCAG21, 1.4.3)."""

    def light(colour: tuple[float, ...]) -> float:
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_text_of_the_greatest_length_shows_its_progress_and_its_first_entities(
    browser: Browser, open_page: Callable[..., Open], sample: Task
) -> None:
    long = open_page(sample, ["某" * 400] * 3)
    paragraph = "林晓去了北京市，没有别人。" * 100 + "\n"
    text = (paragraph * (sentence_tab.MAX_LENGTH // len(paragraph) + 1))[: sentence_tab.MAX_LENGTH]
    free = threading.Event()

    def reply(user: str) -> tuple[int, Any]:
        if not free.is_set() and len(long.toy.requests) > 40:
            free.wait(60)
        return 200, sure([("name", "林晓", 0.8), ("address", "北京市", 0.8)])

    long.toy.reply = reply
    try:
        with opened(browser, long.address, locale="en-US") as page:
            ask(page, text)
            page.locator("#notes progress").wait_for()
            assert re.search(r"[\d,]+ of [\d,]+ windows", page.locator("#notes").inner_text())
            free.set()
            page.locator("#said-adapter table").wait_for(timeout=300_000)
            assert page.locator("#found-adapter mark").count() == drawing.MARKS
            assert "aren't drawn" in page.locator("#found-adapter .undrawn").inner_text()
            assert page.locator("#said-adapter tbody tr").count() == 2
            assert "windows" in page.locator("#notes").inner_text()
            page.locator("#threshold input[type=number]").fill("0.9")
            page.locator("#said-adapter").get_by_text("don't reach the threshold").wait_for()
            assert plain(page.locator("#found-adapter .marked")) == text
    finally:
        free.set()


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
        assert "<script>alert(1)</script><img src=x onerror=alert(2)> **粗** [" in page.locator("#found-adapter .marked").inner_text()
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
        page.locator("#text textarea").fill("长" * 200_000)
        assert page.locator("#text textarea").get_attribute("maxlength") == "200000"
        ner.toy.reply = lambda _: (400, "maximum context length")
        ner.toy.others = lambda path, _: {"count": 9000, "max_model_len": 2048, "tokens": []} if path == "/tokenize" else None
        page.locator("#ask").click()
        page.locator("#notes").get_by_text("it has 9,000 tokens, and at most 1,536 fit").wait_for()
        assert "200,000 characters" in page.locator("#notes").inner_text()


def test_an_answer_that_is_no_answer_or_cut_off_is_said_in_plain_words(browser: Browser, ner: Open) -> None:
    choice = {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": '[{"text": "林晓", "label": "name"}, {"te'}}
    usage = {"prompt_tokens": 3, "completion_tokens": 512}
    ner.toy.reply = lambda _: (200, {"choices": [choice], "usage": usage})
    with opened(browser, ner.address, locale="zh-CN") as page:
        ask(page, TEXT)
        page.locator("#said-adapter").get_by_text("回答在 512 个 token 处被截断").wait_for()
        assert page.locator("#found-adapter mark").count() == 2
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
    assert json.loads(lines[0]) == {"text": "股市", "options": ["经济", "艺术"], "label": "经济", "output": "经济", "error": None}
