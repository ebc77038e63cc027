"""The page's second tab, in a real browser and in front of a toy server."""

from __future__ import annotations

import csv
import io
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.browser import opened
from tests.web.toy_page import Open, answer, downloads, sure, upload
from tools.extract.annotated_file import MAX_BYTES, Fault, read
from tools.web.words import say_fault

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # for words that Gradio 6 renames


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
        assert page.locator("#preview mark.unsure").count() == page.locator("#preview mark").count() == 3
        assert page.locator("#preview li").count() == 4
    lines = [json.loads(line) for line in found[".jsonl"].splitlines()]
    assert [line["text"] for line in lines] == [row[1] for row in rows[1:]]
    assert lines[0]["entities"] == [
        {"label": "name", "text": "林晓", "start": 0, "end": 2, "confidence": None},
        {"label": "name", "text": "=SUM(1)", "start": 3, "end": 10, "confidence": None},
    ]
    assert lines[1] == {"id": "2", "text": "", "entities": [], "output": None, "error": None}
    assert lines[2] == {"id": "=2+3", "text": "坏", "entities": [], "output": None, "error": "HTTP 400: refused <b>"}
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


def test_every_entity_of_a_file_has_its_confidence_and_a_long_row_is_asked_in_windows(browser: Browser, long: Open) -> None:
    text = "第一句话没有人。\n林晓来了。后来又走了。没有别人了。"
    long.toy.reply = lambda user: (200, sure([("name", "林晓", 0.625)] if "林晓" in user else []))
    with opened(browser, long.address, locale="en-US") as page:
        upload(page, "texts.jsonl", (json.dumps({"id": 7, "text": text}) + "\n").encode())
        line = json.loads(downloads(page)[".jsonl"])
        assert page.locator("#preview mark").get_attribute("title") == "Confidence: 0.625"
    assert len(long.toy.requests) > 1 and line["id"] == 7
    assert [(one["start"], one["end"]) for one in line["entities"]] == [(text.index("林晓"), text.index("林晓") + 2)]
    assert line["entities"][0]["confidence"] == pytest.approx(0.625)


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
    with pytest.raises(Fault) as problem:
        read(large)
    assert "10.0 MB; at most 10 MB" in say_fault("en", problem.value)
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
