"""A real browser for tests of pages: the system's Chromium, headless, driven by Playwright.

A test module that looks at a page takes the fixture with `from tests.browser import browser`; one browser serves the whole module.
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
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, or a skip that says how to get one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright isn't installed: make setup")
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if not found:
        pytest.skip("no Chromium here; on Debian: apt-get install -y chromium fonts-noto-cjk")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium's sandbox doesn't work for root
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=found, args=[*sandbox, "--disable-dev-shm-usage"])
        yield chromium
        chromium.close()


@contextmanager
def opened(browser: Browser, place: Path | str, **context: Any) -> Iterator[Page]:
    """A page of a file, or at an address; when the block ends, it must have made no request to elsewhere, shown no dialog and logged no error.

    A file's page must not warn either, and a server must have found all that it was asked for.

    `context` are Playwright's own options.
    """
    faults: list[str] = []
    home = place if isinstance(place, str) else place.as_uri()
    loud = ("error",) if isinstance(place, str) else ("error", "warning")
    ours = (home, "data:", "blob:") if isinstance(place, str) else (home,)
    with browser.new_context(**context) as room:
        page = room.new_page()
        page.on("request", lambda request: None if request.url.startswith(ours) else faults.append(f"request: {request.url}"))
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda message: faults.append(f"console: {message.text}") if message.type in loud else None)
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.goto(home)
        yield page
        assert faults == []
