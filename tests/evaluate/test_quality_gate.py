"""A run that is worse than its baseline beyond chance is refused with exit code 1; what can't be compared is refused too, with the next command."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.report import conftest
from tests.report.conftest import Evaluate, answer, noisy, sentences
from tools.conf.run import Run
from tools.conf.task import Task, find_task, load_task
from tools.errors import ToolError
from tools.evaluate.quality_gate import PAIRED, UNPAIRED, GateResult, complaint, gate, need_evaluation, table
from tools.files import read_json, sha256, write_json
from tools.predict.predictions import FILE, META
from tools.report.baseline import Baseline
from tools.report.evaluations import read_evaluation
from tools.score.score_file import FILE as SCORE

evaluation, task, trained = conftest.evaluation, conftest.task, conftest.trained  # fixtures
GOLD = sentences(300)
RIGHT = [answer(one.pairs()) for one in GOLD]
NO_FIRMS = [answer([pair for pair in one.pairs() if pair[0] != "company"]) for one in GOLD]


def held(task: Task, folder: Path, baseline: Path | str, **options: Any) -> GateResult:
    """What the gate says of the evaluation in a folder."""
    found = Baseline.of(str(baseline), folder.parents[2], task.name, "dev")
    examples = task.examples("dev", folder.parents[3] / "dataset")
    return gate(task, read_evaluation(folder), found, examples, **{"samples": 500, **options})[0]


def without_predictions(folder: Path, kept: Path, *others: str) -> Path:
    """A copy of an evaluation's score.json, and of the other files that are named."""
    kept.mkdir(parents=True)
    for name in (SCORE, *others):
        shutil.copy(folder / name, kept / name)
    return kept / SCORE


def change(path: Path, **values: Any) -> None:
    write_json(path, {**read_json(path), **values})


def test_a_worse_run_is_not_passed_and_its_loss_stands_first(task: Task, evaluation: Evaluate) -> None:
    baseline, run = evaluation(task, GOLD, noisy(GOLD, 0.1, 1), "b"), evaluation(task, GOLD, noisy(GOLD, 0.4, 2), "r")
    result = held(task, run, baseline)
    assert (result["passed"], result["test"], result["micro"]["verdict"]) == (False, PAIRED, "worse")
    assert result["micro"]["difference"] == pytest.approx(read_json(run / SCORE)["micro"]["f1"] - read_json(baseline / SCORE)["micro"]["f1"])
    assert result["micro"]["low"] <= result["micro"]["difference"] <= result["micro"]["high"] < 0


def test_a_run_that_is_better_or_the_same_is_passed(task: Task, evaluation: Evaluate) -> None:
    good, bad, again = (evaluation(task, GOLD, noisy(GOLD, errors, 1), name) for name, errors in (("g", 0.1), ("b", 0.4), ("a", 0.1)))
    assert held(task, good, bad)["passed"]
    same = held(task, again, good)
    assert (same["passed"], same["micro"]["p"], same["findable"]) == (True, 1, 0)
    assert "both have as many items right" in table(same)


def test_a_label_alone_can_be_worse(task: Task, evaluation: Evaluate) -> None:
    """The run has lost one label of three, and won as much elsewhere: micro F1 is higher."""
    before = noisy(GOLD, 0.75, 1)
    result = held(task, evaluation(task, GOLD, NO_FIRMS, "r"), evaluation(task, GOLD, before, "b"))
    verdicts = {one["label"]: one["verdict"] for one in result["labels"]}
    assert result["micro"]["difference"] > 0 and not result["passed"]
    assert (result["micro"]["verdict"], verdicts["company"], verdicts["name"]) == ("no loss found", "worse", "no loss found")


def test_the_command_refuses_with_exit_code_1_and_names_loss_and_next_command(
    tool: Callable[..., subprocess.CompletedProcess[str]], evaluation: Evaluate, tmp_path: Path
) -> None:
    task = find_task("sample")
    baseline, run = evaluation(task, GOLD, RIGHT, "b"), evaluation(task, GOLD, NO_FIRMS, "r")
    conf = tmp_path / "r.yaml"
    output = tmp_path / "outputs/r"
    conf.write_text(
        f"model_name_or_path: models/toy\noutput_dir: {output}\ndataset: alpaca_{task.name}_train\ndataset_dir: {tmp_path / 'dataset/alpaca'}\n"
    )
    (output / "run.yaml").write_text(conf.read_text())
    words = [conf, "--samples", 200]
    done = tool("gate", *words, "--baseline", "b")
    assert done.returncode == 1, done.stderr
    assert f"worse than {baseline} beyond chance: Micro Avg. by 0.2000 (1.0000 → 0.8000, p " in done.stderr
    assert "company by 1.0000" in done.stderr and f'make compare ARGS="{baseline} {run}"' in done.stderr
    record = json.loads((output / "gate.json").read_text())
    assert (record["passed"], record["run"], record["baseline"], record["rows"]) == (False, "r", str(baseline), 300)
    assert [one["label"] for one in record["labels"]] == task.labels
    evaluation(task, GOLD, [*NO_FIRMS[:-1], "[]"], "b")
    passed = tool("gate", *words, "--baseline", baseline / SCORE)
    assert (passed.returncode, passed.stderr) == (0, "") and f"passed: no loss against {baseline}" in passed.stdout
    assert json.loads((output / "gate.json").read_text())["passed"]
    (task.path.parent / "other.json").write_text("{}", encoding="utf-8")
    missing = ["--baseline", "baselines/nope"], ["--baseline", str(task.path.parent / "other.json")]
    for wrong in (["--alpha", "0"], ["--alpha", "x"], ["--baseline", "nobody"], [], *missing):
        refused = tool("gate", *words, *wrong)
        assert refused.returncode == 2 and refused.stderr.startswith("error: "), wrong


def test_a_score_alone_is_compared_by_its_interval_and_that_is_said(task: Task, evaluation: Evaluate, tmp_path: Path) -> None:
    baseline, bad, near = (evaluation(task, GOLD, noisy(GOLD, errors, 1), name) for name, errors in (("b", 0.1), ("r", 0.5), ("n", 0.12)))
    kept = without_predictions(baseline, tmp_path / "kept")
    result = held(task, bad, kept)
    assert (result["passed"], result["test"]) == (False, UNPAIRED)
    assert "isn't known" in table(result) and "keep predictions.jsonl" in table(result)
    assert "make report CONF=conf/r.yaml" in complaint(Path("conf/r.yaml"), result, [result["micro"]], read_evaluation(bad))
    assert held(task, near, kept)["passed"]
    assert held(task, near, kept)["findable"] > held(task, near, baseline)["findable"]
    with_meta = without_predictions(baseline, tmp_path / "meta", META)
    assert "isn't known" not in table(held(task, near, with_meta))


def test_a_score_beside_predictions_without_their_record_is_compared_alone(task: Task, evaluation: Evaluate, tmp_path: Path) -> None:
    baseline, run = evaluation(task, GOLD, noisy(GOLD, 0.1, 1), "b"), evaluation(task, GOLD, noisy(GOLD, 0.2, 2), "r")
    assert held(task, run, without_predictions(baseline, tmp_path / "kept", FILE))["test"] == UNPAIRED


def test_a_folder_with_all_three_files_is_compared_row_by_row_wherever_it_is(task: Task, evaluation: Evaluate, tmp_path: Path) -> None:
    baseline, run = evaluation(task, GOLD, noisy(GOLD, 0.1, 1), "b"), evaluation(task, GOLD, noisy(GOLD, 0.2, 2), "r")
    kept = without_predictions(baseline, tmp_path / "kept", META, FILE)
    for word in (kept, kept.parent):
        result = held(task, run, word)
        assert (result["test"], result["baseline"]) == (PAIRED, str(kept.parent))
    assert result["micro"] == held(task, run, baseline)["micro"]


@pytest.mark.parametrize("key", ["task", "task_version", "split", "examples_sha256", "prompt_sha256"])
def test_a_baseline_of_something_else_is_refused_with_the_next_command(task: Task, evaluation: Evaluate, tmp_path: Path, key: str) -> None:
    baseline, run = evaluation(task, GOLD, RIGHT, "b"), evaluation(task, GOLD, RIGHT, "r")
    value = 9 if key == "task_version" else "cd" * 32
    with_meta = without_predictions(baseline, tmp_path / "meta", META)
    change(with_meta.with_name(META), **{key: value})
    whole = Baseline.of(str(baseline), baseline.parents[2], task.name, "dev")
    assert whole.whole
    other = replace(whole, whole=replace(whole.whole, meta=replace(whole.whole.meta, **{key: value})))
    examples = task.examples("dev", run.parents[3] / "dataset")
    for bad in (other, Baseline.of(str(with_meta), tmp_path, task.name, "dev")):
        with pytest.raises(ToolError, match="can't be compared") as refused:
            gate(task, read_evaluation(run), bad, examples)
        assert refused.value.exit_code == 1 and "make eval CONF=conf/r.yaml" in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("task", "other", "task other and"), ("version", 9, "task version 9 and 1"), ("split", "test", "split"), ("rows", 7, "rows 7")],
)
def test_a_score_alone_of_something_else_is_refused(task: Task, evaluation: Evaluate, tmp_path: Path, key: str, value: Any, said: str) -> None:
    kept = without_predictions(evaluation(task, GOLD, RIGHT, "b"), tmp_path / "kept")
    change(kept, **{key: value})
    with pytest.raises(ToolError, match=said):
        held(task, evaluation(task, GOLD, RIGHT, "r"), kept)


def test_a_score_with_other_gold_items_is_of_other_examples(task: Task, evaluation: Evaluate, tmp_path: Path) -> None:
    other = sentences(299)
    kept = without_predictions(evaluation(task, [*other, replace(other[0], id="x", entities=[])], ["[]"] * 300, "b"), tmp_path / "kept")
    with pytest.raises(ToolError, match="gold items of address 299 and 300"):
        held(task, evaluation(task, GOLD, RIGHT, "r"), kept)


def test_a_score_without_intervals_says_nothing_of_chance(task: Task, evaluation: Evaluate, tmp_path: Path) -> None:
    kept = without_predictions(evaluation(task, GOLD, RIGHT, "b"), tmp_path / "kept")
    write_json(kept, {key: value for key, value in read_json(kept).items() if key != "intervals"})
    with pytest.raises(ToolError, match="has no intervals"):
        held(task, evaluation(task, GOLD, RIGHT, "r"), kept)


def test_an_evaluation_is_no_baseline_of_itself(task: Task, evaluation: Evaluate) -> None:
    run = evaluation(task, GOLD, RIGHT, "r")
    with pytest.raises(ToolError, match="is the evaluation itself") as refused:
        held(task, run, "r")
    assert refused.value.exit_code == 2


def test_a_run_without_an_evaluation_or_with_one_of_other_weights_names_the_command(
    write_task: Callable[..., Path], evaluation: Evaluate, trained: Callable[..., Run]
) -> None:
    task = load_task(write_task(conftest.ROWS, labels=conftest.LABELS))
    run = trained(task, "r")
    with pytest.raises(ToolError, match=r"no evaluation in it\. To make one: make eval CONF=conf/r\.yaml WHICH=base"):
        need_evaluation(run.variant("base"), task, "dev")
    weights = run.output_dir / "adapter_model.safetensors"
    folder = evaluation(task, GOLD, RIGHT, "r", adapter_sha256=sha256(weights))
    assert need_evaluation(run.variant("adapter"), task, "dev").folder == folder
    weights.write_bytes(b"trained anew")
    with pytest.raises(ToolError, match=r"made with another model than the one in .* Evaluate again: make eval CONF=conf/r.yaml") as refused:
        need_evaluation(run.variant("adapter"), task, "dev")
    assert refused.value.exit_code == 1
    weights.unlink()  # on a machine that has the evaluation alone
    assert need_evaluation(run.variant("adapter"), task, "dev").folder == folder


def test_few_rows_are_said_and_what_could_have_been_found(task: Task, evaluation: Evaluate) -> None:
    few = GOLD[:12]
    result = held(task, evaluation(task, few, noisy(few, 0.3, 2), "r"), evaluation(task, few, noisy(few, 0.2, 1), "b"))
    shown = table(result)
    assert "note: few rows, 12" in shown
    assert result["findable"] > 0.05 and f"A loss of {result['findable']:.4f} of micro F1 would be found in 95% of such tests" in shown
