"""A training's records become one line that is worth reading."""

import json
from pathlib import Path

import pytest

from tools.conf.run import Run
from tools.train import progress
from tools.train.plan import make_plan
from tools.train.progress import View


def record(log: Path, **values: object) -> None:
    with open(log, "a") as handle:
        handle.write(json.dumps(values) + "\n")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_tell_step_loss_speed_and_time_left(tmp_path: Path, capsys: pytest.CaptureFixture, clock: list[float]) -> None:
    log = tmp_path / "trainer_log.jsonl"
    log.write_text('{"current_steps": 1, "total_steps": 99, "loss": 9.0}\n')  # an earlier attempt's
    plan = make_plan(Run(Path("x"), {"per_device_train_batch_size": 4, "num_train_epochs": 1}), [100] * 400)
    with View(log, plan, terminal=False) as view:
        record(log, current_steps=10, total_steps=100, loss=2.5, lr=0.001)
        view.update()
        clock[0] += 10
        record(log, current_steps=30, total_steps=100, loss=1.25, lr=0.0005)
        with open(log, "a") as handle:
            handle.write('{"current_st')  # not whole yet
        view.update()  # too soon for a line
        clock[0] += 30
        record_tail = 'eps": 50, "total_steps": 100, "eval_loss": 1.5}\n'
        with open(log, "a") as handle:
            handle.write(record_tail)
        view.update()
    first, second = capsys.readouterr().out.splitlines()
    assert first == "step 10/100  loss 2.5, lr 0.001"
    # 40 steps since the first record, of 4 rows of 100 tokens, in 40 s; 50 steps are left.
    assert second == "step 50/100  loss 1.25, eval loss 1.5, lr 0.0005, 4 rows/s, 400 tokens/s, 00:50 left"


def test_a_log_that_begins_anew_is_read_from_its_start(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    log = tmp_path / "trainer_log.jsonl"
    log.write_text('{"current_steps": 100, "total_steps": 100, "loss": 9.0, "epoch": 1.0}\n')
    with View(log, None, terminal=False) as view:
        view.update()
        log.write_text('{"current_steps": 1, "total_steps": 5, "loss": 2.0}\n')
        view.update()
    assert capsys.readouterr().out == "step 1/5  loss 2\n"


def test_on_a_terminal_one_line_moves(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    log = tmp_path / "trainer_log.jsonl"
    plan = make_plan(Run(Path("x"), {"per_device_train_batch_size": 4, "num_train_epochs": 1}), [100] * 400)
    with View(log, plan, terminal=True) as view:
        record(log, current_steps=50, total_steps=100, loss=2.5)
        view.update()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "50%|" in shown.err
    assert "50/100" in shown.err
    assert "loss 2.5" in shown.err
