"""What happens when a server misbehaves; that a real one answers is shown by tests/test_chain.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.predict.conftest import asking, convert_changed, predict_train
from tests.toy_server import ADAPTER, Faulty
from tools.conf.run import Run
from tools.conf.task import Task, load_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.files import write_text
from tools.predict.client import engine_of
from tools.predict.engines import ENGINES, Engine, Options
from tools.predict.predict import collect, finished
from tools.predict.predictions import Prediction, read_predictions
from tools.predict.questions import Asking, Question
from tools.predict.server import Server, find


def found(server: Faulty) -> Server:
    answer = find(server.url)
    assert answer
    return answer


def test_every_row_is_asked_greedily_with_the_trained_prompt(start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path) -> None:
    server = start([ADAPTER], lambda user: (200, user[-3:]))
    path = predict_train(run_, task, found(server), tmp_path / "out", 3)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["id"], row["output"]) for row in rows] == [(f"toy-train-{n:06}", f"第{n}句") for n in range(1, 8)]
    assert list(rows[0]) == ["id", "output", "finish_reason", "error", "prompt_tokens", "completion_tokens", "latency_s"]
    trained = {row["input"]: row["instruction"] for row in json.loads((tmp_path / "alpaca/alpaca_toy_train.json").read_text())}
    for request in server.requests:
        system, user = request["messages"]
        assert trained[user["content"]] == system["content"]
        assert (request["model"], request["temperature"]) == ("toy-run", 0.0)
    meta = json.loads((tmp_path / "out/predictions.meta.json").read_text())
    assert (meta["task"], meta["task_version"], meta["model"], meta["engine"]) == ("toy", 1, "toy-run", "vllm 0")


def test_a_refused_row_is_recorded_and_said(
    start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    server = start([ADAPTER], lambda user: (400, "too long") if "第3句" in user else (200, "[]"))
    rows = [json.loads(line) for line in predict_train(run_, task, found(server), tmp_path / "out", 2).read_text().splitlines()]
    assert [row["error"] is not None for row in rows] == [False, False, True, False, False, False, False]
    assert rows[2]["output"] is None
    assert "too long" in rows[2]["error"]
    assert "1 of 7 rows were refused" in capsys.readouterr().out


def test_an_evaluation_is_finished_only_when_no_row_was_refused(start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path) -> None:
    refuse = {"第3句"}
    server = start([ADAPTER], lambda user: (400, "too long") if user[-3:] in refuse else (200, "[]"))
    out = tmp_path / "out"
    predict_train(run_, task, found(server), out)
    assert finished(asking(run_, task), out) is None
    refuse.clear()
    predict_train(run_, task, found(server), out)
    assert finished(asking(run_, task), out) == out / "predictions.jsonl"
    assert len(server.requests) == 7 + 1
    convert_changed(task, tmp_path, "第3句", "第三句")
    assert finished(asking(run_, task), out) is None


def test_an_engine_that_leaves_rows_out_is_an_error_that_keeps_the_others(run_: Run, task: Task, tmp_path: Path) -> None:
    def half(asked: list[Question], keep: Callable[[Prediction], None]) -> None:
        for question in asked[:3]:
            keep(Prediction(question.id, "[]"))

    with pytest.raises(ToolError, match=r"ended without an answer to 4 rows, e\.g\. toy-train-000004\. 3 of 7 rows are answered and kept"):
        collect(asking(run_, task), tmp_path / "out", Engine("m", "e", "vLLM", half), Options())
    assert not (tmp_path / "out/predictions.jsonl").exists()


@pytest.mark.parametrize(
    "body", [{}, {"choices": []}, {"choices": [{"message": None}]}, {"choices": [{"message": {"content": 3}}]}, ["x"], {"choices": 5}]
)
def test_an_answer_that_isnt_a_completion_is_recorded(start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path, body: Any) -> None:
    server = start([ADAPTER], lambda user: (200, body if "第3句" in user else "[]"))
    rows = [json.loads(line) for line in predict_train(run_, task, found(server), tmp_path / "out").read_text().splitlines()]
    assert [row["output"] is None for row in rows] == [False, False, True, False, False, False, False]
    assert "not a chat completion" in rows[2]["error"]


def test_a_server_that_refuses_every_row_is_an_error(start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path) -> None:
    server = start([ADAPTER], lambda user: (404, "no such model"))
    with pytest.raises(ToolError, match=r"refused every row.*no such model"):
        predict_train(run_, task, found(server), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_text_that_cant_be_sent_is_recorded(start: Callable[..., Faulty], run_: Run, write_task: Callable[..., Path], tmp_path: Path) -> None:
    toy = load_task(write_task([{"text": "好", "label": {}}, {"text": "坏", "label": {}}]))
    convert(toy, tmp_path)
    examples = toy.examples("train", tmp_path)
    examples.write_text(examples.read_text().replace("坏", "坏\\ud800"))  # conversion refuses such a text
    (tmp_path / "alpaca/dataset_info.json").unlink()  # and stamps what it wrote
    rows = [json.loads(line) for line in predict_train(run_, toy, found(start([ADAPTER])), tmp_path / "out").read_text().splitlines()]
    assert [row["output"] for row in rows] == ["[]", None]
    assert "can't be sent" in rows[1]["error"]


def test_missing_examples_name_the_command_that_writes_them(tool: Callable, tmp_path: Path) -> None:
    done = tool("eval", "conf/tiny-qwen2-sample-ner-lora-sft.yaml", f"dataset_dir={tmp_path}/alpaca")
    assert (done.returncode, "make data TASK=sample" in done.stderr) == (2, True), done.stderr
    done = tool("eval")
    assert (done.returncode, "CONF=conf/<run>.yaml" in done.stderr) == (2, True), done.stderr


def test_an_examples_file_that_conversion_did_not_write_is_refused(run_: Run, task: Task, tmp_path: Path) -> None:
    examples = task.examples("train", tmp_path)
    examples.write_text(examples.read_text().replace("第3句", "第三句"))
    with pytest.raises(ToolError, match=r"toy_train\.jsonl: doesn't belong to .*ner data"):
        asking(run_, task).questions()


def test_questions_of_ones_own_take_the_place_of_a_split(start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path) -> None:
    own = tmp_path / "mine.jsonl"
    rows = [{"id": name, "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": name}]} for name in "ab"]
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = Asking(run_, task, own.stem, run_.variant("adapter"), file=own, sampling={"temperature": 0, "max_tokens": 7})
    server = start([ADAPTER], lambda user: (200, user))
    path = collect(asked, tmp_path / "out", engine_of(found(server), asked, 2), Options())
    assert [(row.id, row.output) for row in read_predictions(path).values()] == [("a", "a"), ("b", "b")]
    assert {request["max_tokens"] for request in server.requests} == {7}
    own.write_text(json.dumps(rows[0]) + "\n" + json.dumps(rows[0]) + "\n")
    with pytest.raises(ToolError, match=r"mine\.jsonl:2: the id 'a' stands twice"):
        asked.questions()
    own.write_text('{"id": 1}\n')
    with pytest.raises(ToolError, match=r"mine\.jsonl:1: not a question"):
        asked.questions()


def test_sampling_of_ones_own_needs_questions_of_ones_own(tool: Callable, tmp_path: Path) -> None:
    done = tool("predict", "conf/tiny-qwen2-sample-ner-lora-sft.yaml", "--sampling", '{"temperature": 1}', "--out", tmp_path)
    assert (done.returncode, "--sampling goes with --questions" in done.stderr) == (2, True), done.stderr


def test_a_model_that_no_run_has_is_refused_with_the_choices(tool: Callable, tmp_path: Path) -> None:
    for engine in ENGINES:
        done = tool("predict", "conf/tiny-qwen2-sample-ner-lora-sft.yaml", "--which", "mergd", "--engine", engine, "--out", tmp_path)
        assert (done.returncode, "Did you mean 'merged'?" in done.stderr) == (2, True), done.stderr


THOUGHT = "<think>\n\n</think>\n\n"


def test_every_request_carries_what_the_run_says_of_thinking_and_a_change_asks_anew(
    start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path
) -> None:
    def run(**values: Any) -> Run:
        return Run(run_.path, {**run_.values, "template": "qwen3", **values})

    server, out = start([ADAPTER]), tmp_path / "out"
    for values, kwargs, thought in (
        ({"enable_thinking": False}, {"enable_thinking": False}, ""),
        ({}, None, THOUGHT),
        ({"template": "qwen"}, None, ""),
    ):
        server.requests.clear()
        predict_train(run(**values), task, found(server), out)
        assert [request.get("chat_template_kwargs") for request in server.requests] == [kwargs] * 7
        meta = json.loads((out / "predictions.meta.json").read_text())
        assert (meta.get("template_kwargs"), meta.get("thought", "")) == (kwargs, thought)
        assert finished(asking(run(**values), task), out)
        assert not finished(asking(run(template="qwen3", enable_thinking=not values.get("enable_thinking", True)), task), out)


def test_what_was_trained_counts_and_not_what_the_conf_says_now(start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path) -> None:
    write_text(run_.resolved, json.dumps({**run_.values, "template": "qwen3", "enable_thinking": False}))
    server = start([ADAPTER])
    predict_train(Run(run_.path, {**run_.values, "template": "qwen3_nothink"}), task, found(server), tmp_path / "out")
    assert {json.dumps(request["chat_template_kwargs"]) for request in server.requests} == {'{"enable_thinking": false}'}


def test_a_constraint_allows_the_thought_that_was_trained(start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path) -> None:
    server, run = start([ADAPTER]), Run(run_.path, {**run_.values, "template": "qwen3"})
    asked = Asking(run, task, "train", run.variant("adapter"), "schema")
    collect(asked, tmp_path / "out", engine_of(found(server), asked, 2), Options())
    roots = {request["structured_outputs"]["grammar"].splitlines()[0] for request in server.requests}
    assert roots == {r'root ::= "<think>\n\n</think>\n\n[" (object (", " object)*)? "]"'}


def test_questions_of_ones_own_carry_it_too(start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path) -> None:
    own = tmp_path / "mine.jsonl"
    own.write_text(json.dumps({"id": "a", "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}]}) + "\n")
    server, run = start([ADAPTER]), Run(run_.path, {**run_.values, "template": "qwen3_5", "enable_thinking": False})
    asked = Asking(run, task, own.stem, run.variant("adapter"), file=own, sampling={"temperature": 1})
    collect(asked, tmp_path / "out", engine_of(found(server), asked, 2), Options())
    assert [(request["chat_template_kwargs"], request["temperature"]) for request in server.requests] == [({"enable_thinking": False}, 1)]
