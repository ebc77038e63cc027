"""A training is recorded, and its record is read back as a type."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import sha256
from tools.train import manifest


def test_the_manifest_records_inputs_versions_and_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (tmp_path / "alpaca").mkdir()
    (tmp_path / "alpaca/dataset_info.json").write_text('{"alpaca_sample_train": {"file_name": "rows.json"}}')
    (tmp_path / "alpaca/rows.json").write_text("[]")
    run = Run(tmp_path / "run.yaml", {"output_dir": str(folder), "dataset_dir": str(tmp_path / "alpaca"), "dataset": "alpaca_sample_train"})
    folder.mkdir()
    run.resolved.write_text("x: 1")
    started = manifest.start(run, "llamafactory-cli train 'a b.yaml'")
    written = json.loads((folder / "manifest.json").read_text())
    assert written == asdict(started)
    assert manifest.read(folder) == started
    assert (written["command"], written["ended"], written["exit_code"]) == ("llamafactory-cli train 'a b.yaml'", None, None)
    assert written["sha256"] == {str(p): sha256(p) for p in (run.resolved, tmp_path / "alpaca/rows.json", Path("data/prompts/sample_prompt.txt"))}
    assert written["versions"]["llamafactory"] == "0.9.5"
    manifest.end(run, started, 3)
    ended = json.loads((folder / "manifest.json").read_text())
    assert (ended["exit_code"], ended["started"]) == (3, started.started)
    assert ended["ended"] >= ended["started"]


def test_an_attempt_that_goes_on_is_added_to_the_earlier_ones(tmp_path: Path) -> None:
    run = Run(tmp_path / "run.yaml", {"output_dir": str(tmp_path), "dataset_dir": str(tmp_path)})
    manifest.end(run, manifest.start(run, "train"), 143)
    manifest.start(run, "train", tmp_path / "checkpoint-2")
    found = manifest.read(tmp_path)
    assert found is not None
    assert [(attempt.exit_code, attempt.resumed_from) for attempt in found.attempts] == [(143, None), (None, "checkpoint-2")]


def test_a_manifest_of_another_release_is_read_and_anything_else_is_named(tmp_path: Path) -> None:
    assert manifest.read(tmp_path) is None
    (tmp_path / "manifest.json").write_text('{"run": "x", "later": 1, "machine": {"cores": 2, "later": 1}, "attempts": [{"exit_code": 0}]}')
    found = manifest.read(tmp_path)
    assert found is not None
    assert (found.run, found.machine.cores, found.attempts[0].exit_code, found.sha256) == ("x", 2, 0, {})
    for text in ("[]", '{"attempts": [3]}', '{"machine": "x"}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(ToolError, match="not the record of a training"):
            manifest.read(tmp_path)
