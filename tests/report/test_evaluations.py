"""An evaluation is found by its name or its folder, and a torn one is named."""

import json
import shutil
from pathlib import Path

import pytest

from tests.report.conftest import Evaluate, answer, sentences
from tools.conf.task import Task
from tools.errors import ToolError
from tools.predict.predictions import FILE, META
from tools.report.evaluations import find_evaluations, named_evaluation, read_evaluation
from tools.report.leaderboard import leaderboard, table

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
