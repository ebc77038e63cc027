"""Both tabs ask as the run was trained."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.web.toy_page import Open
from tools.conf.run import Run
from tools.web import file_tab, sentence_tab

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
    site = replace(ner.site, run=Run(run.path, {**run.values, "template": "qwen3_nothink", "output_dir": str(tmp_path / "toy-run")}))
    (tmp_path / "toy-run").mkdir()
    (tmp_path / "toy-run/run.yaml").write_text(json.dumps({**run.values, **values}))  # as it was trained
    ner.toy.reply = lambda _: (200, before + '[{"label": "name", "text": "林晓"}]')
    ner.toy.others = lambda path, request: {"count": 600, "max_model_len": 1000}
    shown = asyncio.run(sentence_tab.answered(site, "林晓来了", [], "en"))
    assert ["0–2" in said for said in shown[4::3]] == [True, True]  # the place of 林晓, for both models
    (tmp_path / "rows.txt").write_text("林晓来了\n")

    async def file() -> list[Any]:
        return [outputs async for outputs in file_tab.annotated(site, str(tmp_path / "rows.txt"), "toy-run", [], "en", asyncio.Event())]

    assert "1 answered, 1 entities" in asyncio.run(file())[-1][0]
    ner.toy.reply = lambda _: (400, "maximum context length")
    assert "too long" in asyncio.run(sentence_tab.answered(site, "林晓", [], "en"))[0]
    assert len(ner.toy.requests) == 2 + 1 + 2 + 1  # both models, the file, both models, and the length
    assert [request.get("chat_template_kwargs") for request in ner.toy.requests] == [kwargs] * len(ner.toy.requests)
