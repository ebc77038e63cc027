"""What becomes of answers when servers and networks fail."""

import json
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faulty_proxy import FAULTS, FaultyProxy
from tests.predict.conftest import convert_changed, predict_train
from tests.toy_server import ADAPTER, Faulty
from tools.conf.run import Run
from tools.conf.task import Task, load_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.files import ROOT
from tools.predict.client import Again, completion
from tools.predict.server import Server, find

ROWS = 120


@pytest.fixture
def many(write_task: Callable[..., Path], tmp_path: Path) -> Task:
    toy = load_task(write_task([{"text": f"第{n}句", "label": {}} for n in range(ROWS)]))
    convert(toy, tmp_path)
    return toy


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.predict.client.PAUSE_S", 0.01)
    monkeypatch.setattr("tools.predict.client.LONGEST_PAUSE_S", 0.1)


@pytest.fixture
def command(start: Callable[..., Faulty], tmp_path: Path) -> Callable[..., tuple[Faulty, list[str]]]:
    """A server with the given reply, and the real command that asks it for the sample's 300 rows, four at a time."""

    def make(reply: Callable[[str], tuple[int, str]]) -> tuple[Faulty, list[str]]:
        name = "tiny-qwen2-sample-ner-lora-sft"
        server = start([{"id": name, "parent": "tiny-qwen2", "root": "elsewhere"}], reply)
        convert(load_task(Path("conf/task/sample.yaml")), tmp_path)
        words = [f"dataset_dir={tmp_path}/alpaca", f"output_dir={tmp_path}/{name}", "--url", server.url, "--concurrency", "4"]
        return server, [sys.executable, "-m", "tools", "predict", f"conf/{name}.yaml", *words, "--out", f"{tmp_path}/out"]

    return make


def found(url: str) -> Server:
    server = find(url)
    assert server
    return server


def sentence(request: dict) -> str:
    return request["messages"][1]["content"].rpartition("\n")[2]


def answered(path: Path) -> list[tuple[str, str | None]]:
    return [(row["id"], row["output"]) for row in map(json.loads, path.read_text().splitlines())]


EXPECTED = [(f"toy-train-{n + 1:06}", f"第{n}句") for n in range(ROWS)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_row_is_answered_exactly_once_through_a_faulty_network(
    start: Callable[..., Faulty], run_: Run, many: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("tools.predict.client.TRIES", 50)
    server = start([ADAPTER], lambda user: (200, user.rpartition("\n")[2]))
    with FaultyProxy(server.url, 0.5, seed) as proxy:
        path = predict_train(run_, many, found(proxy.url), tmp_path / "out", 16)
        assert all(proxy.faults[fault] for fault in FAULTS), proxy.faults
    assert answered(path) == EXPECTED
    assert [file.name for file in path.parent.glob("answers-*")] == []


def test_one_row_goes_ahead_so_that_the_common_prompt_is_computed_once(
    start: Callable[..., Faulty], run_: Run, many: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def reply(user: str) -> tuple[int, str]:
        if len(server.requests) == 1:
            time.sleep(0.3)  # the others would be here by then
        seen.append(len(server.requests))
        return 200, user.rpartition("\n")[2]

    server = start([ADAPTER], reply)
    assert answered(predict_train(run_, many, found(server.url), tmp_path / "out", 16)) == EXPECTED
    assert seen[0] == 1
    monkeypatch.setattr("tools.predict.client.HEAD_START_S", 0.05)  # one that takes too long doesn't hold the others up
    seen.clear()
    server.requests.clear()
    predict_train(run_, many, found(server.url), tmp_path / "slow", 16)
    assert len(seen) == ROWS and seen[0] > 1


def test_a_row_may_wait_as_long_as_the_first_ones_time_says(
    start: Callable[..., Faulty], run_: Run, task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were given up while a slow server worked on them would begin anew, again and again."""
    monkeypatch.setattr("tools.predict.client.TIMEOUT_S", 1.0)
    monkeypatch.setattr("tools.predict.client.TRIES", 1)
    turn = threading.Lock()

    def reply(user: str) -> tuple[int, str]:
        with turn:  # one after the other
            time.sleep(0.25)
            return 200, user.rpartition("\n")[2]

    server = start([ADAPTER], reply)
    path = predict_train(run_, task, found(server.url), tmp_path / "out", 16)
    assert [output for _, output in answered(path)] == [f"第{n}句" for n in range(1, 8)]  # together longer than TIMEOUT_S


def test_a_server_that_is_killed_and_started_again_is_waited_for(start: Callable[..., Faulty], run_: Run, many: Task, tmp_path: Path) -> None:
    def reply(user: str) -> tuple[int, str]:
        if len(server.requests) == ROWS // 2:
            threading.Thread(target=restart).start()
        return (200, user.rpartition("\n")[2]) if len(server.requests) < ROWS // 2 else (0, "")

    def restart() -> None:
        port = server.server_port
        server.shutdown()
        server.server_close()
        time.sleep(1)
        second = Faulty([ADAPTER], lambda user: (200, user.rpartition("\n")[2]), port)
        threading.Thread(target=second.serve_forever, args=(0.02,), daemon=True).start()
        again.append(second)

    again: list[Faulty] = []
    server = start([ADAPTER], reply)
    path = predict_train(run_, many, found(server.url), tmp_path / "out", 4)
    assert answered(path) == EXPECTED
    assert len(again[0].requests) > ROWS // 2
    again[0].shutdown()
    again[0].server_close()


def test_a_server_that_is_gone_ends_it_with_what_was_answered_kept(
    start: Callable[..., Faulty], run_: Run, many: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("tools.predict.client.PATIENCE_S", 0.5)
    half, out = ROWS // 2, tmp_path / "out"
    server = start([ADAPTER], lambda user: (200, user.rpartition("\n")[2]) if len(server.requests) <= half else (0, ""))
    there = found(server.url)
    server.cards_fail = True
    with pytest.raises(
        ToolError, match=rf"no answer for 0 s .*{half} of {ROWS} rows are answered and kept in .*answers-.*the same command goes on"
    ) as error:
        predict_train(run_, many, there, out, 1)
    assert error.value.exit_code == 1
    assert not (out / "predictions.jsonl").exists()
    second = start([ADAPTER], lambda user: (200, user.rpartition("\n")[2]))
    assert answered(predict_train(run_, many, found(second.url), out, 4)) == EXPECTED
    assert Counter(map(sentence, second.requests)) == Counter(f"第{n}句" for n in range(half, ROWS))
    assert f"{half} of {ROWS} rows were answered before" in capsys.readouterr().out


def test_a_row_that_always_fails_is_recorded_and_the_others_are_answered(start: Callable[..., Faulty], run_: Run, many: Task, tmp_path: Path) -> None:
    status = {"第5句": 500, "第6句": 0}  # an error each time; a connection that is lost each time
    server = start([ADAPTER], lambda user: (status.get(user.rpartition("\n")[2], 200), user.rpartition("\n")[2]))
    out = tmp_path / "out"
    rows = [json.loads(line) for line in predict_train(run_, many, found(server.url), out, 8).read_text().splitlines()]
    assert [row["id"] for row in rows if row["error"]] == ["toy-train-000006", "toy-train-000007"]
    assert "HTTP 500" in rows[5]["error"]
    # The next time only these two are asked.
    server.requests.clear()
    status.clear()
    assert answered(predict_train(run_, many, found(server.url), out, 8)) == EXPECTED
    assert sorted(map(sentence, server.requests)) == ["第5句", "第6句"]


def test_a_server_that_answers_every_row_with_500_is_not_asked_for_all_of_them(
    start: Callable[..., Faulty], run_: Run, many: Task, tmp_path: Path
) -> None:
    server = start([ADAPTER], lambda user: (500, "broken"))
    with pytest.raises(ToolError, match=r"8 rows in a row weren't answered in 6 tries each \(HTTP 500: broken\)"):
        predict_train(run_, many, found(server.url), tmp_path / "out", 4)
    assert len(server.requests) < ROWS


def test_other_prompts_and_other_models_never_mix_with_old_answers(start: Callable[..., Faulty], run_: Run, many: Task, tmp_path: Path) -> None:
    server = start([ADAPTER], lambda user: (200, user.rpartition("\n")[2]))
    out = tmp_path / "out"

    def ask() -> int:
        server.requests.clear()
        predict_train(run_, many, found(server.url), out, 8)
        return len(server.requests)

    assert (ask(), ask()) == (ROWS, 0)
    convert_changed(many, tmp_path, "第3句", "第三句")
    assert ask() == ROWS, "the finished file is of other questions"
    weights = run_.output_dir / "adapter_model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"trained again")
    assert (ask(), ask()) == (ROWS, 0)
    many.prompt.write_text("别的：{text}\n")
    assert (ask(), ask()) == (ROWS, 0)


def test_a_torn_journal_loses_only_its_last_line_and_changed_rows_are_asked_again(
    start: Callable[..., Faulty], run_: Run, many: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.predict.client.PATIENCE_S", 0.2)
    out = tmp_path / "out"
    server = start([ADAPTER], lambda user: (200, user.rpartition("\n")[2]) if len(server.requests) <= 50 else (0, ""))
    there = found(server.url)
    server.cards_fail = True
    with pytest.raises(ToolError):
        predict_train(run_, many, there, out, 1)
    [journal] = out.glob("answers-*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-9])  # row 49 is torn
    convert_changed(many, tmp_path, "第3句", "第三句")
    second = start([ADAPTER], lambda user: (200, user.rpartition("\n")[2]))
    predict_train(run_, many, found(second.url), out, 4)
    assert Counter(map(sentence, second.requests)) == Counter(["第三句", *(f"第{n}句" for n in range(49, ROWS))])


def settled(server: Faulty) -> int:
    """The number of requests once no more arrive: those that a killed client had sent are still on their way when it is gone."""
    count = -1
    while count != (count := len(server.requests)):
        time.sleep(0.5)
    return count


def test_a_client_that_is_killed_goes_on_where_it_was(command: Callable[..., tuple[Faulty, list[str]]], tmp_path: Path) -> None:
    """The real command, killed outright in the middle, and called again."""

    def reply(user: str) -> tuple[int, str]:
        if len(server.requests) == 100:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.02)
        return 200, "[]"

    server, words = command(reply)
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert process.wait(60) == -signal.SIGKILL
    [journal] = (tmp_path / "out").glob("answers-*.jsonl")
    kept = {json.loads(line)["id"] for line in journal.read_text().splitlines()}
    assert 50 < len(kept) <= 100
    before = settled(server)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(kept)} of 300 rows were answered before" in done.stdout
    assert len(server.requests) - before == 300 - len(kept)
    assert len({row[0] for row in answered(tmp_path / "out/predictions.jsonl")}) == 300


def test_a_full_disk_ends_it_with_a_message_and_loses_nothing(command: Callable[..., tuple[Faulty, list[str]]], tmp_path: Path) -> None:
    server, words = command(lambda user: (200, "[]"))
    limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (20_000, 20_000))  # bytes a file
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=limited)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "File too large. " in done.stderr
    kept = int(re.findall(r"(\d+) of 300 rows are answered and kept", done.stderr)[0])
    assert 50 < kept < 300
    before = len(server.requests)
    assert subprocess.run(words, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert len(server.requests) - before == 300 - kept
    assert len(answered(tmp_path / "out/predictions.jsonl")) == 300


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(command: Callable[..., tuple[Faulty, list[str]]]) -> None:
    def reply(user: str) -> tuple[int, str]:
        if len(server.requests) == 60:
            process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        return 200, "[]"

    server, words = command(reply)
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        printed, errors = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in errors) == (130, False), errors
    assert re.search(r"\d+ of 300 rows are answered and kept in .*answers-\w+\.jsonl; the same command goes on from there", printed)


def test_two_predictions_of_the_same_rows_at_once_are_refused(start: Callable[..., Faulty], run_: Run, many: Task, tmp_path: Path) -> None:
    def reply(user: str) -> tuple[int, str]:
        if len(server.requests) == 1:
            with pytest.raises(ToolError, match="another prediction of the same rows is under way"):
                predict_train(run_, many, there, tmp_path / "out", 1)
            refused.append(True)
        return 200, "[]"

    refused: list[bool] = []
    server = start([ADAPTER], reply)
    there = found(server.url)
    predict_train(run_, many, there, tmp_path / "out", 1)
    assert refused == [True]


@pytest.mark.parametrize(
    ("message", "end", "output", "error"),
    [
        ({"content": "[]", "reasoning": "想"}, "stop", "[]", None),
        ({"content": None, "reasoning": "[]"}, "stop", None, "took the whole answer for a thought"),
        ({"content": "", "reasoning_content": "[]"}, "stop", None, "took the whole answer for a thought"),
        ({"content": None, "reasoning": "想"}, "length", "", None),  # a thought that was cut off
        ({"content": None}, "stop", "", None),
    ],
)
def test_an_answer_that_the_server_took_for_a_thought_isnt_an_empty_one(
    message: dict[str, Any], end: str, output: str | None, error: str | None
) -> None:
    found = completion("1", json.dumps({"choices": [{"message": message, "finish_reason": end}]}).encode(), 0.1)
    assert found.output == output
    assert (found.error is None) if error is None else error in str(found.error)


def test_an_answer_that_the_server_gave_up_is_asked_again() -> None:
    with pytest.raises(Again, match="before its end"):
        completion("1", json.dumps({"choices": [{"message": {"content": "[{"}, "finish_reason": "abort"}]}).encode(), 0.1)
