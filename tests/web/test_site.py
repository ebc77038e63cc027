"""Both tabs ask as the run was trained, and read confidences by its calibration."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.web.toy_page import Open, sure
from tools.chat.windows import Reach
from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import ToolError
from tools.variant import Variant
from tools.web import file_tab, sentence_tab, site
from tools.web.site import Site

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # for words that Gradio 6 renames


@pytest.mark.parametrize(
    ("values", "kwargs", "before"),
    [({"template": "qwen3", "enable_thinking": False}, {"enable_thinking": False}, ""), ({"template": "qwen3"}, None, "<think>\n\n</think>\n\n")],
    ids=["in the prompt", "in the answer"],
)
def test_a_sentence_and_a_file_are_asked_and_read_as_the_run_was_trained(
    ner: Open, tmp_path: Path, values: dict[str, Any], kwargs: dict[str, bool] | None, before: str
) -> None:
    run = ner.site.run
    there = replace(ner.site, run=Run(run.path, {**run.values, "template": "qwen3_nothink", "output_dir": str(tmp_path / "toy-run")}))
    (tmp_path / "toy-run").mkdir()
    (tmp_path / "toy-run/run.yaml").write_text(json.dumps({**run.values, **values}))  # as it was trained
    ner.toy.reply = lambda _: (200, before + '[{"label": "name", "text": "林晓"}]')
    ner.toy.others = lambda path, request: {"count": 600, "max_model_len": 1000}
    answers = asyncio.run(sentence_tab.answered(there, "林晓来了", [], "en"))[-1]
    said = sentence_tab.views(there, answers, 0.0, "en")[1::2]
    assert ["0–2" in one for one in said] == [True, True]  # the place of 林晓, for both models
    (tmp_path / "rows.txt").write_text("林晓来了\n")

    async def file() -> list[Any]:
        return [outputs async for outputs in file_tab.annotated(there, str(tmp_path / "rows.txt"), "toy-run", [], "en", asyncio.Event())]

    assert "1 answered, 1 entities" in asyncio.run(file())[-1][0]
    ner.toy.reply = lambda _: (400, "maximum context length")
    assert "too long" in asyncio.run(sentence_tab.answered(there, "林晓", [], "en"))[0]
    assert len(ner.toy.requests) == 2 + 1 + 2 + 1  # both models, the file, both models, and the length
    assert [request.get("chat_template_kwargs") for request in ner.toy.requests] == [kwargs] * len(ner.toy.requests)


class Halved:
    """A calibration for which every confidence is half as high, and which promises 0.9 from 0.4321 on."""

    split = "dev"

    def confidence(self, raw: float) -> float:
        return raw / 2

    def threshold(self, precision: float) -> float | None:
        return 0.4321 if precision <= 0.9 else None


def found(site: Site, text: str) -> list[list[float | None]]:
    """The confidences of each model's entities."""
    answers = asyncio.run(sentence_tab.answered(site, text, [], "en"))[-1]
    return [[entity.confidence for entity in one.entities] for one in answers.found]


def test_the_runs_own_model_is_read_by_its_calibration_and_the_base_model_without(ner: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ner.toy.reply = lambda _: (200, sure([("name", "林晓", 0.8)]))
    there = replace(ner.site)
    assert found(there, "林晓来了") == [[pytest.approx(0.8)], [pytest.approx(0.8)]]
    assert f"./ner calibrate {there.run.path}" in sentence_tab.worth(there, "en") and "own" in sentence_tab.worth(there, "en")
    asked: list[str] = []

    def halved(run: Run, variant: Variant, task: Task) -> Any:
        asked.append(variant.word)
        return Halved()

    monkeypatch.setattr(site, "current_calibration", halved)
    there = replace(ner.site)
    assert found(there, "林晓来了") == [[pytest.approx(0.8)], [pytest.approx(0.4)]] and asked == ["adapter"]
    for language in ("en", "zh"):
        assert "0.433" in sentence_tab.worth(there, language) and "0.98" in sentence_tab.worth(there, language)  # rounded up
    (tmp_path / "rows.txt").write_text("林晓来了\n")
    for model, confidence in (("toy-run", 0.4), ("base", 0.8)):
        work = file_tab.Work(there, model, file_tab.to_ask(there, file_tab.read(tmp_path / "rows.txt"), []))

        async def all_of(work: file_tab.Work = work) -> None:
            async for _ in file_tab._asking(work, asyncio.Event()):
                pass

        asyncio.run(all_of())
        work.read()
        assert [one.confidence for one in work.made["0"].entities] == [pytest.approx(confidence)]
        assert work.made["0"].prediction.tokens is None


def test_a_calibration_that_is_stale_is_said_and_left_aside(ner: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(run: Run, variant: Variant, task: Task) -> None:
        raise ToolError("calibration.json: made from another <adapter>")

    monkeypatch.setattr(site, "current_calibration", stale)
    ner.toy.reply = lambda _: (200, sure([("name", "林晓", 0.8)]))
    there = replace(ner.site)
    assert found(there, "林晓来了")[1] == [pytest.approx(0.8)]
    assert "made from another &lt;adapter&gt;" in sentence_tab.worth(there, "en")


def test_a_long_text_and_a_long_row_are_asked_in_windows_and_placed_in_the_whole(long: Open, tmp_path: Path) -> None:
    text = "第一句话没有人。\n" * 3 + "林晓来了北京市。" + "又一句没有人。\n" * 4
    assert long.site.reach == Reach(10, 10, lines=False) and len(text) > 10
    long.toy.reply = lambda user: (200, sure([("name", "林晓", 0.8)] if "林晓" in user else []))
    counts: dict[str, tuple[int, int]] = {}
    notes, _, user, *_, answers = asyncio.run(sentence_tab.answered(long.site, text, [], "en", counts))
    windows = answers.windows
    assert windows > 5 and counts == {"base": (windows, windows), "toy-run": (windows, windows)} and len(long.toy.requests) == 2 * windows
    assert f"{windows} windows" in notes and "第一句话没有人。" in user and "林晓" not in user
    for one in answers.found:
        assert [(entity.text, entity.start) for entity in one.entities] == [("林晓", text.index("林晓"))]
    long.toy.reply = lambda _: (200, sure([("name", "林晓", 0.8), ("name", "火星", 0.8)]))
    answers = asyncio.run(sentence_tab.answered(long.site, text, [], "en"))[-1]
    said = sentence_tab.views(long.site, answers, 0.0, "en")[1]
    assert said.count("林晓") == 2 and "not in the window that it was found in" in said  # other windows' answers have it too
    assert said.count("火星") == 1 and "not in the text" in said
    long.toy.reply = lambda user: (200, sure([("name", "林晓", 0.8)] if "林晓" in user else []))
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": text}) + "\n" + json.dumps({"text": "林晓"}) + "\n")

    async def file() -> list[Any]:
        return [outputs async for outputs in file_tab.annotated(long.site, str(tmp_path / "rows.jsonl"), "toy-run", [], "en", asyncio.Event())]

    shown = asyncio.run(file())
    assert f"of {windows + 1} windows" in shown[0][0] and "2 rows in" in shown[-1][0] and "2 answered, 2 entities" in shown[-1][0]


def test_a_stopped_file_leaves_out_a_row_of_which_some_windows_are_answered(long: Open, tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("第一句话没有人。第二句话没有人。\n短。\n")
    work = file_tab.Work(long.site, "toy-run", file_tab.to_ask(long.site, file_tab.read(tmp_path / "rows.txt"), []))
    assert [question.id for question in work.asked] == ["0#0", "0#1", "1"]
    for id in ("0#0", "1"):
        work.keep(file_tab.Prediction(id, "[]", "stop"))
    work.read()
    assert (list(work.made), work.done) == (["1"], 2)
    work.keep(file_tab.Prediction("0#1", "[]", "stop"))
    work.read()
    assert set(work.made) == {"0", "1"} and work.found == {}
