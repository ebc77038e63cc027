"""Confidences of entities from the log-probabilities of their tokens, and the calibration that is read without any scientific package."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import toy_server
from tools.chat.windows import Window
from tools.conf.run import Run
from tools.conf.task import Task, load_task
from tools.errors import ToolError
from tools.extract.confidence import (
    Calibration,
    Curve,
    asking_to_calibrate,
    calibration_file,
    current_calibration,
    load_calibration,
    made_from,
    raw_confidences,
    stale,
    whole_confidence,
)
from tools.files import ROOT, write_json
from tools.predict.predictions import Tokens, WindowAnswer
from tools.variant import Variant

run_, toy_task = toy_server.run_, toy_server.task  # fixtures

TEXT = "叶老桂在成都，叶老桂"
ANSWER = '[{"label": "name", "text": "叶老桂"}, {"label": "address", "text": "成都"}]'


@pytest.fixture
def task(write_task: Callable[..., Path]) -> Task:
    return load_task(write_task())


def part(output: str, tokens: Tokens | None, text: str = TEXT) -> WindowAnswer:
    return WindowAnswer(Window(0, len(text), 0, len(text)), output, "stop", tokens)


def one_each(output: str, logprobs: dict[str, float] | None = None) -> Tokens:
    """A token a character; those of `logprobs` have their log-probabilities, all others none to speak of."""
    return tuple((char, (logprobs or {}).get(char, 0.0)) for char in output)


def test_an_entity_is_as_sure_as_the_tokens_of_its_label_and_string_together(task: Task) -> None:
    tokens = (
        ('[{"label": "', -9.0),
        ("na", -0.1),
        ('me", "', -0.2),  # ends within what follows the label: it overlaps the label, so it counts
        ('text": ', -9.0),
        ('"叶', -0.4),
        ("老桂", -0.8),
        ('"}, {"label": "', -9.0),
        ("address", -1.6),
        ('", "text": "', -9.0),
        ("成都", -3.2),
        ('"}]', -9.0),
    )
    found = raw_confidences(task, TEXT, part(ANSWER, tokens))
    assert found == pytest.approx({("name", "叶老桂"): math.exp(-1.5), ("address", "成都"): math.exp(-4.8)})


def test_a_token_that_holds_label_and_string_counts_once(task: Task) -> None:
    assert raw_confidences(task, TEXT, part('[{"label": "name", "text": "叶老桂"}]', (('[{"label": "name", "text": "叶老桂"}]', -0.5),))) == {
        ("name", "叶老桂"): pytest.approx(math.exp(-0.5))
    }


def test_the_first_tokens_of_a_character_count_with_it_and_those_of_its_neighbours_do_not(task: Task) -> None:
    output = '[{"label": "name", "text": "叶老"}]'
    before, behind = output.split("叶老")
    tokens = ((before, 0.0), ("", -0.1), ("", -0.2), ("叶", -0.4), ("", -0.8), ("老", -1.6), ("", -9.0), (behind, -9.0), ("", -9.0))
    assert raw_confidences(task, TEXT, part(output, tokens)) == {("name", "叶老"): pytest.approx(math.exp(-3.1))}


@pytest.mark.parametrize("end", [(), (("", -9.0),), (("<|im_end|>", -9.0),)])
def test_the_token_that_ends_the_answer_may_stand_behind_it(task: Task, end: Tokens) -> None:
    assert len(raw_confidences(task, TEXT, part(ANSWER, one_each(ANSWER) + end))) == 2


@pytest.mark.parametrize("tokens", [None, (), one_each(ANSWER)[1:], one_each(ANSWER)[:-2], one_each(ANSWER.replace("成都", "都成"))])
def test_tokens_of_another_output_tell_nothing(task: Task, tokens: Tokens | None) -> None:
    assert raw_confidences(task, TEXT, part(ANSWER, tokens)) == {}


@pytest.mark.parametrize(
    "output",
    [
        "答案：" + ANSWER,
        ANSWER.replace('", "', '","'),
        ANSWER[:-1],
        '{"name": ["叶老桂"]}',
        ANSWER.replace('"name"', '"Name "'),
        "",
    ],
)
def test_an_answer_in_another_form_has_no_confidence_for_a_known_label(task: Task, output: str) -> None:
    assert ("name", "叶老桂") not in raw_confidences(task, TEXT, part(output, one_each(output)))


def test_a_whole_answer_is_as_sure_as_all_its_tokens_with_the_one_that_ends_it() -> None:
    assert whole_confidence("[]", (("[]", -0.1), ("<|im_end|>", -0.2))) == pytest.approx(math.exp(-0.3))
    assert whole_confidence("[]", (("[", -0.1), ("]", 0.0))) == pytest.approx(math.exp(-0.1))
    assert whole_confidence("[]", (("[", -0.1), ("}", -0.1))) is None
    assert whole_confidence("[]", None) is None and whole_confidence("", ()) is None


def test_a_label_by_another_of_its_names_is_not_the_trained_form(task: Task) -> None:
    named = task.changed(aliases={"name": ["人名"]})
    output = ANSWER.replace('"name"', '"人名"')
    assert raw_confidences(named, TEXT, part(output, one_each(output))) == {}


def test_a_labels_name_in_answers_becomes_the_tasks_own(write_task: Callable[..., Path]) -> None:
    named = load_task(write_task(labels={"name": "人名", "address": "地址"}))
    output = '[{"label": "人名", "text": "叶老桂"}, {"label": "其他", "text": "成都"}]'
    assert set(raw_confidences(named, TEXT, part(output, one_each(output)))) == {("name", "叶老桂"), ("其他", "成都")}


@pytest.mark.parametrize("before", ["", "<think>\n\n</think>\n\n", "\n"])
@pytest.mark.parametrize("behind", ["", "\n"])
def test_what_stands_around_an_answer_moves_no_place(task: Task, before: str, behind: str) -> None:
    output = before + ANSWER + behind
    tokens = tuple((char, -9.0) for char in before) + one_each(ANSWER, {"都": -0.5}) + tuple((char, -9.0) for char in behind)
    found = raw_confidences(task, TEXT, part(output, tokens), before.strip("\n") and before)
    assert found == pytest.approx({("name", "叶老桂"): 1.0, ("address", "成都"): math.exp(-0.5)})


def test_a_pair_that_stands_twice_is_as_sure_as_its_surer_place(task: Task) -> None:
    one = '{"label": "name", "text": "叶老桂"}'
    tokens = (("[" + one, -2.0), (", ", 0.0), (one + "]", -1.0))
    assert raw_confidences(task, TEXT, part(f"[{one}, {one}]", tokens)) == {("name", "叶老桂"): pytest.approx(math.exp(-1.0))}


@given(cuts=st.sets(st.integers(1, len(ANSWER) - 1)), data=st.data())
def test_however_an_answer_is_cut_into_tokens_the_tokens_over_an_entity_count_and_no_other(cuts: set[int], data: st.DataObject) -> None:
    task = load_task(ROOT / "conf/task/clue.yaml")
    edges = [0, *sorted(cuts), len(ANSWER)]
    tokens = tuple((ANSWER[start:end], data.draw(st.floats(-5, 0))) for start, end in pairwise(edges))
    found = raw_confidences(task, TEXT, part(ANSWER, tokens))
    for label, string in (("name", "叶老桂"), ("address", "成都")):
        starts = [(ANSWER.index(f'"{word}"') + 1, len(word)) for word in (label, string)]
        own = {place for start, length in starts for place in range(start, start + length)}
        counted = sum(logprob for (piece, logprob), start in zip(tokens, edges, strict=False) if own & set(range(start, start + len(piece))))
        assert found[label, string] == pytest.approx(math.exp(counted))


CURVE = Curve((0.0, 0.2, 0.6, 1.0), (0.1, 0.5, 0.5, 0.9), ((0.5, 0.7), (0.8, 0.9), (0.9, 0.95)))


def test_a_confidence_lies_on_the_line_between_its_knots() -> None:
    raw = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
    assert [CURVE.confidence(one) for one in raw] == pytest.approx([0.1, 0.3, 0.5, 0.5, 0.5, 0.7, 0.9])
    inner = Curve((0.3, 0.4), (0.2, 0.6), ())
    assert (inner.confidence(0.1), inner.confidence(0.9)) == (0.2, 0.6)


def test_a_promise_is_kept_by_the_lowest_threshold_and_none_is_made_beyond_the_best() -> None:
    assert [CURVE.threshold(precision) for precision in (0.5, 0.7, 0.71, 0.9, 0.95, 0.951)] == [0.5, 0.5, 0.8, 0.8, 0.9, None]
    assert CURVE.best_precision == 0.95
    assert (Curve((0.0,), (1.0,), ()).threshold(0.5), Curve((0.0,), (1.0,), ()).best_precision) == (None, 0.0)


def saved(folder: Path, **values: object) -> Path:
    plain = Calibration((0.0, 1.0), (0.1, 0.9), ((0.5, 0.7),), "train", {"run": "toy-run"}, 7, 9, 8, 6, 1, (0.1, 0.0, 0.2), (0.01, 0.0, 0.02))
    write_json(folder / "calibration.json", plain.to_dict() | values)
    return folder / "calibration.json"


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = load_calibration(saved(tmp_path))
    assert found and found.to_dict() == {**json.loads((tmp_path / "calibration.json").read_text()), "x": (0.0, 1.0), "y": (0.1, 0.9)} | {
        "promises": ((0.5, 0.7),),
        "ece_before": (0.1, 0.0, 0.2),
        "ece_after": (0.01, 0.0, 0.02),
    }
    assert load_calibration(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    "values",
    [
        {"x": [0.0]},
        {"x": [1.0, 0.0]},
        {"y": [0.1, 1.5]},
        {"y": "high"},
        {"x": [], "y": []},
        {"promises": [[0.5, 0.9], [0.6, 0.8]]},
        {"split": None},
    ],
)
def test_a_file_that_is_no_calibration_is_a_message(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(ToolError, match=r"calibration\.json: no calibration: .*\./ner calibrate") as error:
        load_calibration(saved(tmp_path, **values))
    assert error.value.exit_code == 1


def test_reading_needs_no_scientific_package() -> None:
    code = "import sys; import tools.extract.confidence; print(sorted({'numpy', 'scipy', 'sklearn', 'torch', 'pandas', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.fixture
def adapter(run_: Run) -> Variant:
    variant = run_.variant("adapter")
    variant.folder.mkdir(parents=True)
    variant.weights.write_bytes(b"first")
    return variant


def calibration(run: Run, variant: Variant, task: Task) -> Calibration:
    made = Calibration((0.0, 1.0), (0.1, 0.9), (), "train", made_from(asking_to_calibrate(run, task, "train", variant)))
    write_json(calibration_file(variant, task.name), made.to_dict())
    return made


def test_a_calibration_belongs_to_its_model_task_and_rows(run_: Run, adapter: Variant, toy_task: Task, tmp_path: Path) -> None:
    run = Run(run_.path, run_.values | {"dataset_dir": str(tmp_path / "alpaca")})
    made = calibration(run, adapter, toy_task)
    assert stale(made, run, adapter, toy_task) == ""
    assert current_calibration(run, adapter, toy_task) == made
    other = {
        "task version": toy_task.changed(version=2),
        "task (its system line, labels or answer)": toy_task.changed(system="别的"),
        "task (its system line, labels or answer)  ": toy_task.changed(aliases={"name": ["人名"]}),
    }
    for name, task in other.items():
        assert stale(made, run, adapter, task) == f"made from another {name.strip()} than today's"
    assert "base model" in stale(made, run, replace(adapter, base_model="other"), toy_task)
    adapter.weights.write_bytes(b"second")
    toy_task.prompt.write_text("别的 {text}", encoding="utf-8")
    assert stale(made, run, adapter, toy_task) == "made from another prompt, and another adapter than today's"


def test_a_stale_calibration_is_refused_with_the_command(run_: Run, adapter: Variant, toy_task: Task) -> None:
    assert current_calibration(run_, adapter, toy_task) is None
    calibration(run_, adapter, toy_task)
    adapter.weights.write_bytes(b"second")
    with pytest.raises(ToolError, match=r"toy\.json: made from another adapter than today's\. To calibrate again: \./ner calibrate .* --split train"):
        current_calibration(run_, adapter, toy_task)


def test_rows_that_changed_make_a_calibration_stale_and_rows_that_are_elsewhere_do_not(run_: Run, adapter: Variant, toy_task: Task) -> None:
    made = calibration(run_, adapter, toy_task)
    examples = toy_task.examples("train", run_.dataset)
    examples.write_text(examples.read_text(encoding="utf-8").replace("第1句", "第9句"), encoding="utf-8")
    assert stale(made, run_, adapter, toy_task) == "made from another examples file than today's"
    examples.unlink()
    assert stale(made, run_, adapter, toy_task) == ""


def test_each_model_of_a_run_has_a_calibration_of_its_own(run_: Run) -> None:
    files = [calibration_file(run_.variant(word), "toy") for word in ("adapter", "merged", "checkpoint-4")]
    assert [file.name for file in files] == ["toy.json", "toy-merged.json", "toy-checkpoint-4.json"]
    assert {file.parent for file in files} == {run_.output_dir / "calibration"}
