"""What confidences are worth: the curve, its error on rows that it wasn't fitted on, and the precision that a threshold keeps on new rows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

from tests import toy_server
from tests.toy_server import ADAPTER, Faulty
from tools.conf.run import Run
from tools.conf.task import Task, load_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.extract.calibrate import (
    BINS,
    LEAST,
    Judged,
    bins,
    calibrated,
    clustering,
    corrected,
    cross_fitted,
    ece,
    fitted,
    learned,
    promise_table,
    promised,
    promises,
    reliability_table,
)
from tools.extract.confidence import Calibration, asking_to_calibrate, current_calibration
from tools.predict.engines import Options
from tools.predict.questions import Asking

run_, start = toy_server.run_, toy_server.start  # fixtures


def made_up(seed: int, rows: int = 500, worth: Callable[[numpy.ndarray], Any] = lambda raw: 0.2 + 0.79 * raw**2) -> Judged:
    """Entities of known truth: an entity of raw confidence r is right with probability worth(r), far from r itself. Two a row on average."""
    random = numpy.random.default_rng(seed)
    row = numpy.repeat(numpy.arange(rows), random.poisson(2, rows))
    raw = random.beta(2, 0.4, len(row))
    right = (random.random(len(row)) < worth(raw)).astype(float)
    return Judged([f"{seed}-{number}" for number in range(rows)], [2] * rows, row, raw, right)


def test_the_curve_finds_the_truth_and_never_falls() -> None:
    found = made_up(0, 5000)
    curve = fitted(found.raw, found.right)
    grid = numpy.linspace(0.3, 0.99, 40)
    assert abs(corrected(curve, grid) - (0.2 + 0.79 * grid**2)).max() < 0.08
    assert list(curve.y) == sorted(curve.y)


def test_the_curve_is_scikit_learns() -> None:
    from sklearn.isotonic import IsotonicRegression

    found = made_up(1)
    theirs = IsotonicRegression().fit(numpy.append(found.raw, (0, 1)), numpy.append(found.right, (1, 0)))
    grid = numpy.append(found.raw, numpy.linspace(0, 1, 101))
    assert corrected(fitted(found.raw, found.right), grid) == pytest.approx(theirs.predict(grid))


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_a_few_entities_that_all_are_right_or_wrong_make_no_certainty(right: float) -> None:
    curve = fitted(numpy.linspace(0.5, 0.9, 9), numpy.full(9, right))
    assert all(0.05 < curve.confidence(raw) < 0.95 for raw in (0.5, 0.7, 0.9))


def test_an_entitys_cross_fitted_confidence_does_not_depend_on_whether_its_row_is_right() -> None:
    found = made_up(2, 100)
    before = cross_fitted(found)
    own = found.row == 7
    assert own.any()
    turned = Judged(found.ids, found.gold, found.row, found.raw, numpy.where(own, 1 - found.right, found.right))
    after = cross_fitted(turned)
    assert (after[own] == before[own]).all()
    assert (after[~own] != before[~own]).any()


def test_bins_hold_equally_many_entities_and_the_error_is_the_mean_distance() -> None:
    raw = numpy.array([0.2] * 50 + [0.8] * 50)
    right = numpy.array([0.0] * 50 + [1.0, 0.0] * 25)
    found = Judged([str(number) for number in range(100)], [1] * 100, numpy.arange(100), raw, right)
    made = bins(raw, right)
    assert [one.entities for one in made] == [10] * BINS
    assert [(one.said, one.right) for one in made] == [(pytest.approx(0.2), 0.0)] * 5 + [(pytest.approx(0.8), pytest.approx(0.5, abs=0.1))] * 5
    value, low, high = ece(found, raw)
    assert value == pytest.approx(0.25)
    assert low < 0.25 < high


def test_the_error_falls_on_rows_that_the_curve_was_not_fitted_on() -> None:
    found = made_up(3, worth=lambda raw: 0.1 + 0.7 * raw)
    before, after = ece(found, found.raw), ece(found, cross_fitted(found))
    assert before[1] > 0.05 > after[0]
    assert after[2] < before[1]
    new = made_up(4, worth=lambda raw: 0.1 + 0.7 * raw)
    assert ece(new, corrected(learned(found), new.raw))[0] < 0.05


@pytest.mark.parametrize("precision", [0.85, 0.9, 0.95])
def test_a_promised_precision_holds_on_new_rows(precision: float) -> None:
    """In 90 of 100 pairs of samples at least, each of the same size: the new rows' own chance is part of the promise."""
    held, made = 0, 0
    for seed in range(100):
        old, new = made_up(2 * seed, 400), made_up(2 * seed + 1, 400)
        curve = learned(old)
        threshold = curve.threshold(precision)
        kept = numpy.ones(0) if threshold is None else new.right[corrected(curve, new.raw) >= threshold]
        made += len(kept) > 0
        held += not len(kept) or kept.mean() >= precision
    assert held >= 90
    assert precision > 0.9 or made >= 90  # a promise that is never made is always kept


def test_what_the_model_cannot_reach_is_not_promised() -> None:
    curves = [learned(made_up(seed, worth=lambda raw: 0.7 + 0 * raw)) for seed in range(20)]
    assert sum(curve.threshold(0.75) is not None for curve in curves) <= 2
    assert all(curve.best_precision < 0.8 for curve in curves)


@pytest.mark.parametrize("seed", range(3))
def test_a_higher_precision_never_has_a_lower_threshold(seed: int) -> None:
    curve = learned(made_up(seed))
    asked = [curve.threshold(precision / 100) for precision in range(101)]
    found = [threshold for threshold in asked if threshold is not None]
    assert found == sorted(found) and len(set(found)) > 3
    assert asked[: len(found)] == found  # beyond the best there is none


def test_a_promise_is_the_exact_one_of_two_samples() -> None:
    """Against a count of all ways in which the errors may lie in two samples."""

    def chance(wrong: int, more: int, entities: int) -> float:
        ways = [
            math.comb(wrong + more, one) * math.comb(2 * entities - wrong - more, entities - one) for one in range(min(entities, wrong + more) + 1)
        ]
        return sum(ways[: wrong + 1]) / sum(ways)

    for wrong, entities in ((0, 50), (3, 50), (10, 60)):
        most = round((1 - promised(wrong, entities)) * entities)
        assert chance(wrong, most, entities) > 0.02 >= chance(wrong, most + 1, entities)
    assert [promised(0, 0), promised(5, 5), promised(2, 1)] == [0.0] * 3  # clustering rounds errors up and entities down


def test_entities_that_are_right_and_wrong_together_count_as_fewer() -> None:
    random = numpy.random.default_rng(5)
    row = numpy.repeat(numpy.arange(300), 4)
    together = clustering(row, numpy.repeat(random.normal(size=300), 4))
    alone = clustering(row, random.normal(size=1200))
    assert together == pytest.approx(4)
    assert 1 <= alone < 1.3
    assert clustering(row, numpy.zeros(1200)) == 1.0
    confidence, right = numpy.full(1200, 0.95), numpy.append(numpy.ones(1140), numpy.zeros(60))
    [(_, few)], [(_, many)] = promises(confidence, right, together), promises(confidence, right, alone)
    assert few < many < 0.95


def test_the_tables_say_what_a_promise_costs_and_what_cannot_be_promised() -> None:
    found = made_up(6)
    crossed = cross_fitted(found)
    curve = learned(found, crossed)
    result = Calibration(
        curve.x, curve.y, curve.promises, "dev", {}, 500, 1000, len(found.raw), int(found.right.sum()), 2, ece(found, found.raw), ece(found, crossed)
    )
    lines = promise_table(Judged(found.ids, found.gold, found.row, found.raw, found.right, (2, 0)), crossed, result).splitlines()
    best = math.floor(curve.best_precision * 100) / 100
    assert 0.9 < best < 0.98 and best != 0.95
    assert [line.split()[0] for line in lines] == ["precision", "any", *sorted({"0.90", "0.95", "0.98", f"{best:.2f}"})]
    [shown] = [line for line in lines if line.startswith(f"{best:.2f}")]
    assert float(shown.split()[1]) == curve.threshold(best)
    recall = (result.right + 2) / 1000
    assert float(lines[1].split()[2]) == pytest.approx(recall, abs=6e-4)
    _, threshold, kept, lost = map(float, lines[2].split())
    assert threshold == curve.threshold(0.9)
    assert kept + lost == pytest.approx(recall, abs=2e-3) and lost > 0
    assert lines[-1] == f"0.98       can't be promised: at most {best:.2f}"
    shown = reliability_table(bins(found.raw, found.right), bins(crossed, found.right), result)
    assert len(shown.splitlines()) == 4 + BINS + 1 + (result.ece_after[2] - result.ece_after[1] > 0.05)
    assert f"{result.ece_after[0]:.3f} [" in shown and "2 without one" in shown


# The verb.


@pytest.fixture
def task(write_task: Callable[..., Path], tmp_path: Path) -> Task:
    rows = [{"text": f"第{number}人张三在成都", "label": {"name": {"张三": [[len(str(number)) + 2] * 2]}}} for number in range(80)]
    for row in rows:
        start = row["text"].index("张三")
        row["label"] = {"name": {"张三": [[start, start + 1]]}}
    toy = load_task(write_task(rows, raw={"dev": str(tmp_path / "train.jsonl")}))
    convert(toy, tmp_path)
    return toy


def reply(user: str, tokens: bool = True) -> tuple[int, Any]:
    """A name that is right, and an address that isn't: the model is surer of the name."""
    answer = '[{"label": "name", "text": "张三"}, {"label": "address", "text": "成都"}]'
    logprobs = {"content": [{"token": char, "logprob": {"张": -0.1, "成": -1.0}.get(char, 0.0)} for char in answer]}
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": answer}} | ({"logprobs": logprobs} if tokens else {})
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


@pytest.fixture
def asking(run_: Run, task: Task) -> Asking:
    variant = run_.variant("adapter")
    variant.folder.mkdir(parents=True)
    variant.weights.write_bytes(b"weights")
    return asking_to_calibrate(run_, task, "dev", variant)


@pytest.fixture
def options(start: Callable[..., Faulty], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Options]:
    monkeypatch.setattr("tools.predict.client.need_trained_prompt", lambda *_: None)  # the toy server has no chat template

    def serve(answer: Callable[[str], tuple[int, Any]] = reply) -> Options:
        return Options(url=start([ADAPTER], answer).url, concurrency=4)

    return serve


def test_a_split_is_asked_once_and_gives_a_calibration_a_picture_and_two_tables(
    asking: Asking, options: Callable[..., Options], capsys: pytest.CaptureFixture[str]
) -> None:
    result = calibrated(asking, options())
    assert (result.rows, result.gold, result.entities, result.right, result.unsure) == (80, 80, 160, 80, 0)
    assert result.confidence(math.exp(-0.1)) > 0.95 and result.confidence(math.exp(-1)) < 0.05
    assert result.ece_before[0] > 0.1 > 0.05 > result.ece_after[0]
    threshold = result.threshold(0.9)
    assert threshold is not None and 0.25 < threshold < 0.75
    folder = asking.run.output_dir / "calibration"
    assert sorted(path.name for path in folder.iterdir()) == ["toy", "toy.json", "toy.png"]
    assert (folder / "toy.png").read_bytes().startswith(b"\x89PNG")
    assert current_calibration(asking.run, asking.variant, asking.task) == result
    shown = capsys.readouterr().out
    assert "160 entities with a confidence in 80 rows, 80 of them right" in shown and "precision  threshold" in shown
    assert calibrated(asking, Options(url="http://127.0.0.1:9/v1")) == result  # nobody is asked
    assert "every row was answered before" in capsys.readouterr().out


def test_a_server_without_log_probabilities_is_a_message_and_leaves_no_calibration(asking: Asking, options: Callable[..., Options]) -> None:
    with pytest.raises(ToolError, match=r"toy_dev\.jsonl: 0 entities with a confidence, and 100 are needed .* the server gave no log-prob") as error:
        calibrated(asking, options(lambda user: reply(user, tokens=False)))
    assert error.value.exit_code == 1
    assert not (asking.run.output_dir / "calibration" / "toy.json").exists()


def test_too_few_entities_are_a_message(asking: Asking, options: Callable[..., Options]) -> None:
    few = asking.task.examples("dev", asking.run.dataset)
    few.write_text("".join(few.read_text(encoding="utf-8").splitlines(keepends=True)[: LEAST // 2 - 1]), encoding="utf-8")
    info = asking.run.dataset / "alpaca" / "dataset_info.json"
    info.write_text(json.dumps({}), encoding="utf-8")  # no stamp
    with pytest.raises(ToolError, match=r"98 entities with a confidence, and 100 are needed .* too few"):
        calibrated(asking, options())


def test_rows_that_were_trained_on_and_a_classification_task_are_refused(asking: Asking) -> None:
    trained = Run(asking.run.path, asking.run.values | {"dataset": "alpaca_toy_train,alpaca_toy_dev"})
    with pytest.raises(ToolError, match="was trained on dev, where it is surer"):
        calibrated(Asking(trained, asking.task, "dev", asking.variant, sampling=asking.sampling), Options())
    classes = asking.task.changed(kind="classification")
    with pytest.raises(ToolError, match=r"toy\.yaml: a classification task isn't calibrated"):
        calibrated(Asking(asking.run, classes, "dev", asking.variant), Options())
