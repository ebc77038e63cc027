"""The page as a whole: languages, phones, who may see what, and whom its browser asks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser import GRADIO_SCRIPT, opened
from tests.web.toy_page import Open, ask
from tools.files import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Request

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # for words that Gradio 6 renames


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


def test_a_page_gives_away_no_file_and_no_interface(ner: Open) -> None:
    shown = httpx.get(ner.address)
    assert "default-src 'self'" in shown.headers["content-security-policy"]
    assert "googleapis" in shown.text and "preconnect" not in shown.text  # no policy stops a connection without a request
    for path in ("README.md", str(ROOT / "README.md"), "/etc/passwd", f"{ner.folder}/../passwd"):
        assert httpx.get(f"{ner.address}gradio_api/file={path}").status_code in (403, 404)
    assert httpx.get(f"{ner.address}gradio_api/info").json()["named_endpoints"] == {}


def test_the_browser_refuses_every_request_to_elsewhere(browser: Browser, ner: Open) -> None:
    refused: list[str] = []

    def on_failure(request: Request) -> None:
        if request.failure == "csp":
            refused.append(request.url)

    with opened(browser, ner.address) as first:
        page = first.context.new_page()  # a reload would end the first page's stream, which Gradio logs as an error
        page.on("requestfailed", on_failure)
        page.goto(ner.address)
        page.locator("#head h1").wait_for()
        assert refused == [GRADIO_SCRIPT]  # which Gradio's own page names
        assert page.locator("link[rel=preconnect]").count() == 0
    elsewhere = "https://example.org/"
    with pytest.raises(AssertionError, match=re.escape(elsewhere)), opened(browser, ner.address) as page:
        page.on("requestfailed", on_failure)
        page.evaluate("address => fetch(address).catch(() => null)", elsewhere)
        page.evaluate("address => new Promise(done => {const one = new Image(); one.onerror = done; one.src = address})", elsewhere)
    assert elsewhere in refused
