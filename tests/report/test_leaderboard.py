"""The leaderboard keeps apart what does not compare."""

import csv
import json
from pathlib import Path

from tests.report.conftest import Evaluate, answer, noisy, sentences
from tools.conf.task import Task
from tools.predict.predictions import META
from tools.report.evaluations import find_evaluations
from tools.report.leaderboard import leaderboard, save_leaderboard, table

GOLD = sentences(120)
RIGHT = [answer(one.pairs()) for one in GOLD]


def test_the_leaderboard_keeps_apart_what_does_not_compare_and_says_why(task: Task, evaluation: Evaluate, tmp_path: Path) -> None:
    evaluation(task, GOLD, noisy(GOLD, 0.6, 1), "low")
    evaluation(task, GOLD, RIGHT, "high", "merged", base_model="models/b|c")
    evaluation(task, GOLD, noisy(GOLD, 0.3, 1), "middle")
    old = evaluation(task, GOLD, RIGHT, "old")
    for file in (old / META, old / "score.json"):
        values = json.loads(file.read_text())
        file.write_text(json.dumps({**values, "task_version" if file.name == META else "version": 0}))
    evaluation(task, GOLD, RIGHT, "prompted", prompt_sha256="cd" * 32)
    found, problems = find_evaluations(tmp_path / "outputs")
    blocks = leaderboard(found)
    assert [[one.name for one in block] for block in blocks] == [["high:merged", "middle", "low"], ["prompted"], ["old"]]
    assert problems == []
    shown = table(blocks).splitlines()
    headings = [line for line in shown if line.startswith("toy dev: ")]
    assert "not comparable" not in headings[0]
    assert headings[1].endswith("not comparable with the block above: prompt abababab… and cdcdcdcd…")
    assert "not comparable with the block above: task version 1 and 0" in headings[2]
    assert [line.split()[:2] for line in shown if line.startswith(("high", "old"))] == [["high:merged", "1.0000"], ["old", "1.0000"]]
    save_leaderboard(blocks, ["x: torn"], tmp_path / "out")
    lines = list(csv.DictReader((tmp_path / "out/leaderboard.csv").open()))
    assert [line["run"] for line in lines] == ["high", "middle", "low", "prompted", "old"] and lines[4]["task_version"] == "0"
    page = (tmp_path / "out/leaderboard.md").read_text()
    assert page.count("\n## ") == 2 and "models/b\\|c" in page and "- x: torn" in page
