"""What a run's folder records."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tools import cli
from tools.conf.run import Run
from tools.predict.predictions import PredictionsMeta
from tools.report import report
from tools.report.evaluations import Evaluation
from tools.web.run_facts import facts, losses, report_command


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
    assert (facts(run), losses(run)) == ([], [])
    run.output_dir.mkdir()
    (run.output_dir / "trainer_log.jsonl").write_text('{"current_steps": 10, "loss": 1')
    assert losses(run) == []
    (run.output_dir / "trainer_log.jsonl").write_text(
        '{"current_steps": 10, "loss": 1}\n{"current_steps": 10, "eval_loss": 2.5}\n{"current_steps": 20}\n'
    )
    assert losses(run) == [(10, 1.0, "train"), (10, 2.5, "eval")]
