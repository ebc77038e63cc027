"""What the tests of the data doctor share: a way to examine a task and look at its findings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.conf.run import Run
from tools.conf.task import load_task
from tools.data.doctor.examine import check


class Report(dict[str, Any]):
    """report.json, with the exit code and the findings by kind."""

    code: int

    def kinds(self, *severities: str) -> set[str]:
        return {finding["kind"] for finding in self["findings"] if finding["severity"] in (severities or ("error", "warning", "note"))}

    def finding(self, kind: str) -> dict[str, Any]:
        return next((finding for finding in self["findings"] if finding["kind"] == kind), {"count": 0, "by_split": {}, "examples": [], "advice": ""})

    def lines(self, kind: str) -> list[int]:
        return [example["line"] for example in self.finding(kind)["examples"]]


@pytest.fixture
def examine(tmp_path: Path) -> Callable[..., Report]:
    """Examine a task (its file, then key=value words) as the command does; the report is below tmp_path / 'check'."""

    def call(path: Path, *words: str, run: Run | None = None, fix: bool = False, plots: bool = False) -> Report:
        task = load_task(path, words)
        out = tmp_path / "check" / task.name
        code = check(task, list(words), run, out, fix, plots)
        report = Report(json.loads((out / "report.json").read_text(encoding="utf-8")))
        report.code = code
        return report

    return call
