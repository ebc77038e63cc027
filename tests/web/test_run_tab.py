"""The page's third tab: what a run's folder records, and the tab in a real browser."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import opened
from tests.web.toy_page import Open, answer
from tools import cli
from tools.conf.run import Run
from tools.conf.task import Task
from tools.predict.predictions import Prediction, PredictionsMeta
from tools.report import report
from tools.report.evaluations import Evaluation
from tools.web.run_tab import facts, losses, report_command

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # for words that Gradio 6 renames


def test_the_run_tab_names_what_is_missing_and_shows_what_is_there(browser: Browser, ner: Open, sample: Task) -> None:
    from tools.files import sha256, write_json, write_text
    from tools.predict.predictions import FILE, META
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
        page.locator("#scores").get_by_text("make report CONF=conf/toy-run.yaml WHICH=base").wait_for()
        assert page.locator("#scores tbody").inner_text().splitlines()[0].split("\t") == ["name", "0.0000", "0.0000", "0.0000", "1"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "toy-run.yaml", {"model_name_or_path": "models/base", "output_dir": str(tmp_path / "toy-run")})


@pytest.mark.parametrize(("split", "decoding"), [("dev", "free"), ("test", "free"), ("dev", "schema")])
def test_the_command_for_a_report_is_one_that_the_verb_takes(run: Run, split: str, decoding: str) -> None:
    variant = run.variant("merged")
    folder = variant.evaluation("sample", split, decoding)
    meta = PredictionsMeta(run="toy-run", task="sample", task_version=1, split=split, examples_sha256="0", rows=0)
    score: Any = {}
    command = report_command(Evaluation(folder, variant, replace(meta, decoding=decoding), score))
    assert command.startswith(f"make report CONF={run.path} WHICH=merged")
    assert ("SPLIT=test" in command) == (split == "test")
    words = command.partition('ARGS="')[2].rstrip('"').split()
    assert cli.parser_of("report", report).parse_args([str(run.path), *words]).folder == (folder if decoding == "schema" else None)


def test_a_run_that_is_not_trained_has_no_facts_and_a_torn_log_no_losses(run: Run) -> None:
    assert (facts(run), len(losses(run))) == ([], 0)
    run.output_dir.mkdir()
    (run.output_dir / "trainer_log.jsonl").write_text('{"current_steps": 10, "loss": 1')
    assert len(losses(run)) == 0
    (run.output_dir / "trainer_log.jsonl").write_text(
        '{"current_steps": 10, "loss": 1}\n{"current_steps": 10, "eval_loss": 2.5}\n{"current_steps": 20}\n'
    )
    assert losses(run).values.tolist() == [[10, "train", 1.0], [10, "eval", 2.5]]
