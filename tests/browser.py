"""A real browser for tests of pages: the system's Chromium, headless, driven by Playwright.

A test module takes the fixture with `from tests.browser import browser`, or its conftest does; one browser serves the whole module.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

# Gradio's page names this script; the Content-Security-Policy of ./ner web makes the browser refuse it.
GRADIO_SCRIPT = "https://cdnjs.cloudflare.com/ajax/libs/iframe-resizer/4.3.1/iframeResizer.contentWindow.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL = "on Debian: apt-get install -y chromium fonts-noto-cjk"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, or a skip that says how to get one."""
    pytest.importorskip("playwright.sync_api", reason="Playwright isn't installed: make setup")
    if not executable():
        pytest.skip(f"no Chromium here; {INSTALL}")
    with launched() as chromium:
        yield chromium


def executable() -> str | None:
    """The system's Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """A headless Chromium until the block ends."""
    from playwright.sync_api import sync_playwright

    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium's sandbox doesn't work for root
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable(), args=[*sandbox, "--disable-dev-shm-usage"])
        yield chromium
        chromium.close()


@contextmanager
def opened(browser: Browser, place: Path | str, **context: Any) -> Iterator[Page]:
    """Opens a page in a file, or at an address, with Playwright's own options `context`.

    When the block ends, it must have made no request to elsewhere, shown no dialog and logged no error. A file's page must not warn either. A server's page may name
    GRADIO_SCRIPT, which its policy must refuse.
    """
    faults: list[str] = []
    home = place if isinstance(place, str) else place.as_uri()
    loud = ("error",) if isinstance(place, str) else ("error", "warning")
    ours = (home, "data:", "blob:") if isinstance(place, str) else (home,)

    def on_request(request: Request) -> None:
        if not request.url.startswith(ours):
            faults.append(f"request: {request.url}")

    def on_failure(request: Request) -> None:
        if (request.url, request.failure) == (GRADIO_SCRIPT, "csp") and isinstance(place, str):
            faults.remove(f"request: {request.url}")

    def on_console(message: ConsoleMessage) -> None:
        refused = isinstance(place, str) and message.text.startswith(
            f"Loading the script '{GRADIO_SCRIPT}' violates the following Content Security Policy"
        )
        if message.type in loud and not refused:
            faults.append(f"console: {message.text}")

    with browser.new_context(**context) as room:
        page = room.new_page()
        page.on("request", on_request)
        page.on("requestfailed", on_failure)
        page.on("console", on_console)
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.goto(home)
        yield page
        assert faults == [], faults  # pytest explains asserts of test files alone
