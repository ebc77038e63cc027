"""A difference between runs is counted row by row, its chance is estimated, and evaluations that don't compare are refused."""

import json
import random
import subprocess
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest

from tests.report.conftest import Evaluate, answer, example, noisy, sentences
from tools.conf.task import Task, find_task
from tools.errors import ToolError
from tools.example import Example
from tools.files import write_text
from tools.predict.predictions import FILE
from tools.report.compare import compare, save, show
from tools.report.evaluations import Evaluation, read_evaluation
from tools.report.paired import count
from tools.score.counts import Counts

GOLD = sentences(120)
RIGHT = [answer(one.pairs()) for one in GOLD]


@pytest.fixture
def both(task: Task, evaluation: Evaluate) -> list[Evaluation]:
    """A bad run and a better one."""
    return [read_evaluation(evaluation(task, GOLD, noisy(GOLD, errors, seed), run)) for run, errors, seed in (("a", 0.5, 1), ("b", 0.2, 2))]


def examples(task: Task, evaluations: list[Evaluation]) -> Path:
    return task.examples("dev", evaluations[0].folder.parents[3] / "dataset")


def compared(task: Task, evaluations: list[Evaluation], **options: Any) -> dict[str, Any]:
    return compare(task, examples(task, evaluations), evaluations, **{"samples": 1000, **options})


def test_both_f1_are_the_scores_own_and_a_clear_difference_is_significant(task: Task, both: list[Evaluation]) -> None:
    result = compared(task, both)
    (one,) = result["comparisons"]
    for which in ("micro", "macro"):
        assert one[which]["a"] == pytest.approx(both[0].score[which]["f1"], abs=1e-12)
        assert one[which]["b"] == pytest.approx(both[1].score[which]["f1"], abs=1e-12)
        assert 0 < one[which]["low"] < one[which]["delta"] < one[which]["high"]
        assert one[which]["p"] == pytest.approx(1 / 1001)
    for label, counts in both[1].score["labels"].items():
        assert one["labels"][label]["b"] == pytest.approx(counts["f1"], abs=1e-12)
    assert result["notes"] == []
    assert [strict["f1"] for strict in one["strict"]] == [run.score["strict"]["micro"]["f1"] for run in both]
    a, b = one["strict"]
    assert f"answers in the trained form alone: {a['trained']} and {b['trained']} of 120" in show(result)  # type: ignore[arg-type]
    assert one["won"] > one["lost"] and one["won"] + one["lost"] + one["alike"] == len(GOLD) == result["rows"]


def test_a_run_against_itself_differs_in_nothing(task: Task, both: list[Evaluation]) -> None:
    (one,) = compared(task, [both[0], both[0]])["comparisons"]
    for difference in (one["micro"], one["macro"], *one["labels"].values()):
        assert (difference["delta"], difference["low"], difference["high"], difference["p"]) == (0, 0, 0, 1)
    assert (one["won"], one["lost"], one["changed"]) == (0, 0, [])


def test_equally_good_runs_are_hardly_ever_called_different(task: Task, evaluation: Evaluate) -> None:
    """Under the null hypothesis p is below 0.05 in about one of twenty pairs."""
    runs = [read_evaluation(evaluation(task, GOLD, noisy(GOLD, 0.3, seed), f"r{seed}")) for seed in range(30)]
    low = sum(compared(task, [runs[k], runs[k + 1]], samples=400)["comparisons"][0]["micro"]["p"] < 0.05 for k in range(0, 30, 2))
    assert low <= 4


def test_the_bootstrap_agrees_with_a_plain_one_that_draws_rows(task: Task, both: list[Evaluation]) -> None:

    paths = [one.folder / FILE for one in both]
    totals = [[astuple(sum(row.values(), Counts())) for row in count(task, GOLD, path).counts] for path in paths]
    rng, deltas = random.Random(0), []
    for _ in range(2000):
        drawn = [rng.randrange(len(GOLD)) for _ in GOLD]
        f1 = []
        for rows in totals:
            tp, fp, fn = (sum(rows[k][column] for k in drawn) for column in range(3))
            f1.append(2 * tp / (2 * tp + fp + fn))
        deltas.append(f1[1] - f1[0])
    deltas.sort()
    micro = compared(task, both, samples=2000)["comparisons"][0]["micro"]
    assert micro["low"] == pytest.approx(deltas[50], abs=0.015)
    assert micro["high"] == pytest.approx(deltas[1949], abs=0.015)


def test_the_same_seed_gives_the_same_result_and_the_order_of_rows_does_not_matter(task: Task, evaluation: Evaluate, both: list[Evaluation]) -> None:
    def figures(evaluations: list[Evaluation], **options: Any) -> Any:
        (one,) = compared(task, evaluations, **options)["comparisons"]
        return {key: value for key, value in one.items() if key != "changed"}

    once = figures(both)
    assert figures(both) == once
    assert figures(both, seed=1) != once
    order = random.Random(3).sample(range(len(GOLD)), len(GOLD))
    shuffled = []
    for run, errors, seed in (("a", 0.5, 1), ("b", 0.2, 2)):
        outputs = noisy(GOLD, errors, seed)
        shuffled.append(read_evaluation(evaluation(task, [GOLD[k] for k in order], [outputs[k] for k in order], run)))
    assert figures(shuffled) == once


def test_rows_won_and_lost_are_written_with_gold_and_both_predictions(task: Task, evaluation: Evaluate, tmp_path: Path) -> None:
    gold = [example(str(k), "林晓在北京", ("name", "林晓"), ("address", "北京")) for k in range(4)]
    right, half, none = answer([("name", "林晓"), ("address", "北京")]), answer([("name", "林晓")]), "[]"
    first = read_evaluation(evaluation(task, gold, [right, half, none, half], "a"))
    second = read_evaluation(evaluation(task, gold, [half, right, half, answer([("address", "北京")])], "b"))
    result = compared(task, [first, second])
    save(result, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out/compare.jsonl").read_text().splitlines()]
    assert [(line["id"], line["outcome"], line["errors"]) for line in lines] == [("0", "lost", [0, 1]), ("1", "won", [1, 0]), ("2", "won", [2, 1])]
    assert lines[0]["gold"] == lines[0]["first"] == [["name", "林晓"], ["address", "北京"]] and lines[0]["second"] == [["name", "林晓"]]
    assert (lines[0]["a"], lines[0]["b"]) == ("a", "b")
    saved = json.loads((tmp_path / "out/compare.json").read_text())
    assert (saved["comparisons"][0]["won"], saved["comparisons"][0]["lost"], saved["comparisons"][0]["alike"]) == (2, 1, 1)
    assert "changed" not in saved["comparisons"][0]
    shown = show(result, few=1).splitlines()
    assert [line.split()[:2] for line in shown if line.startswith(("won", "lost"))] == [["won", "1"], ["lost", "0"]]


def test_more_than_two_runs_are_each_compared_with_the_first(task: Task, evaluation: Evaluate, both: list[Evaluation]) -> None:
    third = read_evaluation(evaluation(task, GOLD, RIGHT, "c", "merged"))
    result = compared(task, [*both, third])
    assert (result["first"], [one["second"] for one in result["comparisons"]]) == ("a", ["b", "c:merged"])
    assert result["comparisons"][0] == compared(task, both)["comparisons"][0]
    assert result["comparisons"][1]["micro"]["b"] == 1


@pytest.mark.parametrize("key", ["task_version", "split", "examples_sha256", "prompt_sha256", "task"])
def test_runs_that_differ_in_what_must_be_equal_are_refused(task: Task, both: list[Evaluation], evaluation: Evaluate, key: str) -> None:
    merged = read_evaluation(evaluation(task, GOLD, noisy(GOLD, 0.2, 2), "b", "merged"))
    other = replace(merged, meta=replace(merged.meta, **{key: 9 if key == "task_version" else "cd" * 32}))
    with pytest.raises(ToolError, match="can't be compared") as refused:
        compared(task, [both[0], other])
    assert refused.value.exit_code == 1
    name = {"task_version": "task version 1 and 9", "split": "split dev and cdcdcdcd…", "task": "task toy and"}.get(key, key.partition("_")[0])
    assert name in str(refused.value)
    assert "make eval CONF=conf/b.yaml WHICH=merged" in str(refused.value)


def test_examples_that_changed_since_are_refused(task: Task, both: list[Evaluation]) -> None:
    path = examples(task, both)
    path.write_text(path.read_text() + GOLD[0].to_json().replace("000000", "x") + "\n")
    with pytest.raises(ToolError, match="aren't the examples that a was evaluated on"):
        compared(task, both)


def test_a_score_that_its_predictions_no_longer_give_is_said(task: Task, both: list[Evaluation]) -> None:
    lines = (both[0].folder / FILE).read_text().splitlines()
    (both[0].folder / FILE).write_text("\n".join(lines[:60]) + "\n")
    result = compared(task, both)
    assert len(result["notes"]) == 1 and "score.json counts (tp, fp, fn)" in result["notes"][0] and result["notes"][0] in show(result)


@pytest.mark.parametrize(
    "outputs",
    [[None] * 3, ["<script>alert(1)</script>", "[" * 1_000_000, "__import__('os')"], ['[{"label": "x\\u2028", "text": "\\ud800\\u0000"}]'] * 3],
)
def test_empty_and_hostile_answers_are_compared_too(task: Task, evaluation: Evaluate, tmp_path: Path, outputs: list[str | None]) -> None:
    gold = [example("1", "林晓在北京", ("name", "林晓")), example("2", "没有"), example("3", "北京", ("address", "北京"))]
    runs = [read_evaluation(evaluation(task, gold, texts, run)) for run, texts in (("a", outputs), ("b", ["[]"] * 3))]
    result = compared(task, runs)
    save(result, tmp_path / "out")
    assert result["comparisons"][0]["micro"]["b"] == 0
    assert all(line.isprintable() for line in show(result).splitlines())


def test_one_row_and_a_task_without_labels_of_its_own_compare(evaluation: Evaluate) -> None:

    fudan, gold = find_task("fudan"), [Example("1", "股市", [], "Economy", ["Economy", "Art"])]
    runs = [read_evaluation(evaluation(fudan, gold, [text], run)) for run, text in (("a", "Sport"), ("b", "Economy"))]
    result = compared(fudan, runs)
    (one,) = result["comparisons"]
    assert (one["micro"]["a"], one["micro"]["b"], one["won"], list(one["labels"])) == (0, 1, 1, ["Economy"])
    assert result["notes"] == ["few rows, 1: their intervals are too narrow"]


def test_no_answer_wins_no_row_from_a_wrong_class(evaluation: Evaluate) -> None:

    fudan, gold = find_task("fudan"), [Example(id, "股市", [], "Economy", ["Economy", "Art"]) for id in "12"]
    runs = [read_evaluation(evaluation(fudan, gold, texts, run)) for run, texts in (("a", ["Art", "Art"]), ("b", [None, "Economy"]))]
    (one,) = compared(fudan, runs)["comparisons"]
    assert (one["won"], one["lost"], one["alike"]) == (1, 0, 1)


def test_the_command_compares_refuses_and_lists(tool: Callable[..., subprocess.CompletedProcess[str]], evaluation: Evaluate, tmp_path: Path) -> None:
    sample = find_task("sample")
    evaluation(sample, GOLD, noisy(GOLD, 0.5, 1), "a")
    evaluation(sample, GOLD, noisy(GOLD, 0.2, 2), "b", "merged")
    evaluation(sample, GOLD, RIGHT, "c", prompt_sha256="00" * 32)
    write_text(tmp_path / "outputs/a/run.yaml", f"dataset_dir: {tmp_path / 'dataset/alpaca'}\n")  # the examples are where the run's dataset is
    words = ["--outputs", tmp_path / "outputs", "--samples", 200, "--out", tmp_path / "out"]
    done = tool("compare", "a", "b:merged", *words)
    assert done.returncode == 0, done.stderr
    assert "Micro Avg." in done.stdout and (tmp_path / "out/compare.jsonl").stat().st_size > 0
    refused = tool("compare", "a", "c", *words)
    assert (refused.returncode, refused.stdout) == (1, "") and "prompt abababab… and 00000000…" in refused.stderr
    listed = tool("compare", "--task", "sample", *words)
    assert listed.returncode == 0 and listed.stdout.count("sample dev: task version") == 2
    nothing = tool("compare", "--task", "clue", *words)
    assert nothing.returncode == 2 and "no evaluation of clue" in nothing.stderr and "make eval" in nothing.stderr
    assert tool("compare", "a", *words).returncode == 2
