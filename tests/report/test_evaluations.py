"""An evaluation is found by its name or its folder, and a torn one is named; the leaderboard keeps apart what does not compare."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.report.conftest import Evaluate, answer, noisy, sentences
from tools.conf.task import Task
from tools.errors import ToolError
from tools.predict.predictions import FILE, META
from tools.report.evaluations import find_evaluations, leaderboard, named_evaluation, read_evaluation, save_leaderboard, table

GOLD = sentences(120)
RIGHT = [answer(one.pairs()) for one in GOLD]


def test_a_score_of_other_predictions_is_refused(task: Task, evaluation: Evaluate) -> None:
    folder = evaluation(task, GOLD[:2], RIGHT[:2])
    with (folder / FILE).open("a") as more:
        more.write("\n")
    with pytest.raises(ToolError, match=r"score\.json is of other predictions than those beside it"):
        read_evaluation(folder)


def test_a_run_is_named_with_its_variant_or_by_its_folder(task: Task, evaluation: Evaluate, tmp_path: Path) -> None:
    words = ("adapter", "base", "best", "merged", "merged-awq", "checkpoint-40")
    folders = {f"a:{which}": evaluation(task, GOLD[:2], RIGHT[:2], "a", which) for which in words}
    folders["a:schema"] = evaluation(task, GOLD[:2], RIGHT[:2], "a", decoding="schema")
    folders["a:merged-awq-schema"] = evaluation(task, GOLD[:2], RIGHT[:2], "a", "merged-awq", "schema")
    outputs = tmp_path / "outputs"
    assert named_evaluation("a", outputs).folder == folders["a:adapter"]
    for word, folder in folders.items():
        one = named_evaluation(word, outputs, "toy", "dev")
        assert (one.folder, one.name) == (folder, word.removesuffix(":adapter"))
        assert named_evaluation(str(folder), outputs).folder == folder
    assert named_evaluation("a:merged-awq", outputs).again == "make eval CONF=conf/a.yaml WHICH=merged-awq"
    assert named_evaluation("a:checkpoint-40", outputs).again == "make eval CONF=conf/a.yaml WHICH=checkpoint-40"
    assert named_evaluation("a:merged-awq-schema", outputs).again == 'make eval CONF=conf/a.yaml WHICH=merged-awq ARGS="--decoding schema"'


def test_a_name_that_fits_nothing_or_too_much_shows_the_choices(task: Task, evaluation: Evaluate, tmp_path: Path) -> None:
    folder = evaluation(task, GOLD[:2], RIGHT[:2], "run-one")
    outputs = tmp_path / "outputs"
    with pytest.raises(ToolError, match="Did you mean 'run-one'"):
        named_evaluation("run-on", outputs)
    with pytest.raises(ToolError, match=r"run-one:merged: no such evaluation\. Available: run-one \(toy dev\)"):
        named_evaluation("run-one:merged", outputs)
    other = shutil.copytree(folder, folder.with_name("toy_test"))
    (other / META).write_text(json.dumps({**json.loads((folder / META).read_text()), "split": "test"}))
    with pytest.raises(ToolError, match="2 evaluations have this name"):
        named_evaluation("run-one", outputs)
    assert named_evaluation("run-one", outputs, split="test").folder == other


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        (META, None, "no predictions.meta.json"),
        ("score.json", None, "no score.json"),
        (FILE, None, "no predictions.jsonl"),
        ("score.json", '{"task": "toy", "ro', "not JSON"),
        ("score.json", "[]", "not a score"),
        ("score.json", '{"rows": 3, "micro": {"f1": null}, "macro": {"f1": 1}}', "not a score"),
        ("score.json", '{"task": "toy", "version": true}', "not a score"),
        (META, '{"task": "toy"}', "no record of predictions: run: Field required"),
        (META, "null", "no record of predictions"),
    ],
)
def test_a_torn_folder_is_named_and_not_skipped(task: Task, evaluation: Evaluate, tmp_path: Path, file: str, content: str | None, says: str) -> None:
    evaluation(task, GOLD[:2], RIGHT[:2], "whole")
    torn = evaluation(task, GOLD[:2], RIGHT[:2], "torn")
    (torn / file).unlink() if content is None else (torn / file).write_text(content)
    found, problems = find_evaluations(tmp_path / "outputs", "toy")
    assert [one.name for one in found] == ["whole"]
    assert len(problems) == 1 and says in problems[0] and "torn" in problems[0]
    assert find_evaluations(tmp_path / "outputs", "clue") == ([], [])
    assert says in table(leaderboard(found), problems)


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
