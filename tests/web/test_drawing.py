"""Texts with their entities, as HTML."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tools.conf.task import Task
from tools.extract.annotate import Found
from tools.web import drawing
from tools.web.site import grid, note

TEXT = "北京大学<b>\u202e在&北京\ud800。"


def plain(html: str) -> str:
    """The text that a browser shows, without the names of labels."""
    return unescape(re.sub(r"<[^>]*>", "", re.sub(r"<small>.*?</small>", "", html)))


def test_the_whole_text_is_drawn_and_nothing_of_it_is_html(sample: Task) -> None:
    found = [Found("organization", "北京大学", 0, 4, 0.9), Found("address", "北京", 0, 2, 0.99), Found("<i>", "北京", 10, 12)]
    html = drawing.drawn(TEXT, found, sample, "en")
    assert plain(html) == TEXT.replace("\ud800", "\ufffd")
    assert re.findall(r"<(\w+)", html) == ["mark", "small", "mark", "small"]
    assert re.findall(r"--s:([\d.]+)", html) == ["0.90"] and html.count('class="unsure"') == 1
    assert 'title="Confidence: 0.900"' in html and "置信度: 未知" in drawing.drawn(TEXT, found, sample, "zh")
    assert drawing.drawn("", [], sample, "en") == ""
    for part in (html, drawing.box(html, "en"), drawing.chip("<\ud800>", "#ffffff"), note("<\ud800>"), grid(["<\ud800>"], [["<\ud800>"]])):
        assert "<\ufffd" not in part and part.encode()  # what can't be encoded can't be sent


def test_of_labels_at_one_place_the_surest_is_marked(sample: Task) -> None:
    found = [Found("address", "北京", 0, 2, 0.2), Found("name", "北京", 0, 2, 0.7), Found("scene", "北京", 0, 2)]
    assert [one.label for one in drawing.marked(found)] == ["name"]


def test_a_text_with_more_entities_than_are_drawn_ends_behind_the_last_and_says_so(sample: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MARKS", 2)
    text = "甲，乙，丙，丁。"
    found = [Found("name", text[start], start, start + 1, 0.5) for start in (0, 2, 4, 6)]
    html = drawing.drawn(text, found, sample, "en")
    assert plain(html).startswith("甲，乙…") and "5 more characters with 2 marked entities" in html
    assert plain(drawing.drawn(text, found[:2], sample, "en")) == text


@pytest.mark.parametrize(
    ("confidences", "words"), [([0.5], "0.500"), ([0.9, 0.25], "0.250–0.900"), ([None], "unknown"), ([0.9, None, 0.9], "0.900, unknown"), ([], "")]
)
def test_confidences_of_several_places_are_said_as_their_range(confidences: list[float | None], words: str) -> None:
    assert drawing.certainty(confidences, "en") == words
