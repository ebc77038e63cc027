"""Texts that are longer than any text of the training."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.predict.conftest import asking, predict_train
from tests.toy_server import ADAPTER, Faulty
from tools.chat.windows import Reach
from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import ToolError
from tools.example import Example
from tools.files import write_text
from tools.predict.predict import finished
from tools.predict.predictions import Prediction, as_prediction, read_predictions
from tools.predict.questions import Asking, by_row, combined, questions, separated
from tools.predict.server import Server, find

LONG = "第1句去成都。第2句去北京。第3句去上海。"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let training have shown texts of eight characters at most."""
    monkeypatch.setattr(Asking, "reach", Reach(8, 8))


def found(server: Faulty) -> Server:
    answer = find(server.url)
    assert answer
    return answer


def lengthen(task: Task, dataset: Path) -> None:
    """Let the third row have a long text."""
    path = dataset / "examples/toy_train.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[2] |= {"text": LONG, "entities": []}
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@pytest.fixture
def examples(run_: Run, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengthen(task, tmp_path)
    monkeypatch.setattr("tools.predict.questions.need_examples", lambda run, task, split: task.examples(split, run.dataset))


def test_a_long_text_is_asked_in_windows_and_told(
    start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path, short: None, examples: None, capsys: pytest.CaptureFixture
) -> None:
    server = start([ADAPTER], lambda user: (200, json.dumps([{"label": "address", "text": user[-3:-1]}], ensure_ascii=False)))
    rows = read_predictions(predict_train(run_, task, found(server), tmp_path / "out"))
    assert len(rows) == 7 and len(server.requests) == 9
    row = rows["toy-train-000003"]
    assert [(LONG[part.window.first : part.window.last], json.loads(part.output)[0]["text"]) for part in row.parts] == [
        ("第1句去成都。", "成都"),
        ("第2句去北京。", "北京"),
        ("第3句去上海。", "上海"),
    ]
    assert row.output == "\n".join(part.output for part in row.parts)
    assert (row.finish_reason, row.prompt_tokens, row.completion_tokens) == ("stop", 9, 6)
    assert "1 of 7 rows are longer than any text of the training (8 characters), and are asked in 3 windows" in capsys.readouterr().out


def test_a_row_of_which_a_window_is_refused_is_refused(
    start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path, short: None, examples: None
) -> None:
    server = start([ADAPTER], lambda user: (400, "no") if "北京" in user else (200, "[]"))
    row = read_predictions(predict_train(run_, task, found(server), tmp_path / "out"))["toy-train-000003"]
    assert row.output is None and row.error == "window 2 of 3: HTTP 400: no"


def test_windows_that_are_answered_are_not_asked_again(
    start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path, short: None, examples: None
) -> None:
    refuse = {"北京"}
    server = start([ADAPTER], lambda user: (400, "no") if any(word in user for word in refuse) else (200, "[]"))
    predict_train(run_, task, found(server), tmp_path / "out")
    assert finished(asking(run_, task), tmp_path / "out") is None
    refuse.clear()
    predict_train(run_, task, found(server), tmp_path / "out")
    assert finished(asking(run_, task), tmp_path / "out")
    predict_train(run_, task, found(server), tmp_path / "out")
    assert len(server.requests) == 9 + 3


def test_a_row_with_the_id_of_another_rows_window_is_an_error(
    start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path, short: None, examples: None
) -> None:
    path = tmp_path / "examples/toy_train.jsonl"
    write_text(path, path.read_text().replace('"toy-train-000005"', '"toy-train-000003#0"'))
    server = start([ADAPTER])
    with pytest.raises(ToolError, match="'toy-train-000003#0' has the id of a window of the long row 'toy-train-000003'"):
        predict_train(run_, task, found(server), tmp_path / "out")
    assert server.requests == []


def test_a_class_is_asked_of_the_whole_text(task: Task) -> None:
    one = Example("a", LONG, [], label="甲", options=["甲", "乙"])
    [asked] = questions(task.changed(kind="classification"), [one], "free", reach=Reach(8, 8))
    assert asked.window is None and LONG in asked.messages[1]["content"]


def test_a_prediction_in_windows_is_the_same_after_it_was_written(task: Task) -> None:
    asked = list(questions(task, [Example("a", LONG, []), Example("b#1", "短", [])], "schema", reach=Reach(8, 8)))
    assert [[question.id for question in row] for row in by_row(asked)] == [["a#0", "a#1", "a#2"], ["b#1"]]
    answers = {question.id: Prediction(question.id, f"[{question.id}]", "stop", tokens=(("甲", -0.5), ("]", 0.0))) for question in asked}
    made = combined(asked[:3], answers)
    assert [(one.id, one.output, one.tokens) for one in separated(made)] == [(one.id, one.output, one.tokens) for one in list(answers.values())[:3]]
    assert as_prediction(json.loads(made.to_json()), "here") == made
    assert combined(asked[3:], answers) is answers["b#1"]
