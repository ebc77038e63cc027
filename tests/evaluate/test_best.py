"""The best checkpoint is the one with the highest F1; that a server holds them all is shown by tests/test_chain.py."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tools.conf.run import Run
from tools.conf.task import find_task
from tools.errors import ToolError
from tools.evaluate import best as module
from tools.evaluate.best import best, table
from tools.files import sha256
from tools.predict.engines import Options
from tools.predict.questions import Asking
from tools.predict.server import Server
from tools.variant import Variant

F1 = {2: 0.5, 4: 0.75, 6: 0.75, 10: 0.6}


@pytest.fixture
def run_(tmp_path: Path) -> Run:
    run = Run(Path("conf/toy.yaml"), {"output_dir": str(tmp_path / "toy"), "dataset_dir": str(tmp_path / "alpaca"), "model_name_or_path": "models/x"})
    for step in F1:
        (run.output_dir / f"checkpoint-{step}").mkdir(parents=True)
        (run.output_dir / f"checkpoint-{step}/adapter_model.safetensors").write_bytes(b"x")
        (run.output_dir / f"checkpoint-{step}/adapter_config.json").write_text("{}")
    (run.output_dir / "checkpoint-8").mkdir()  # torn: nothing in it
    (run.output_dir / "torn-checkpoint-12").mkdir()
    history = [{"step": 4, "eval_loss": 0.3}, {"step": 4, "loss": 1.0}, {"step": 10, "eval_loss": 0.2}]
    (run.output_dir / "checkpoint-10/trainer_state.json").write_text(json.dumps({"log_history": history}))
    return run


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces servers and predictions by known scores; returns which models were asked."""
    asked: list[str] = []

    @contextmanager
    def serving(run: Run, variant: Variant, url: None, port: int, checkpoints: bool) -> Iterator[Server]:
        assert checkpoints
        yield Server("http://127.0.0.1:8000/v1", [], "vllm")

    def evaluated(asking: Asking, options: Options) -> dict[str, Any]:
        asked.append(asking.variant.word)
        f1 = F1[int(asking.variant.word.rpartition("-")[2])]
        return {"micro": {"f1": f1}, "macro": {"f1": 1 - f1}, "unseen": {"f1": f1 / 2}}

    monkeypatch.setattr(module, "serving", serving)
    monkeypatch.setattr(module, "evaluated", evaluated)
    monkeypatch.setattr(module, "need_examples", lambda *_: None)
    return asked


def test_the_earliest_of_the_highest_is_best_whatever_the_loss_says(run_: Run, scored: list[str]) -> None:
    result = best(run_, find_task("sample"), "dev", "micro", 8000, 4)
    assert scored == ["checkpoint-2", "checkpoint-4", "checkpoint-6", "checkpoint-10"]
    assert result["checkpoint"] == "checkpoint-4"
    record = json.loads((run_.output_dir / "best.json").read_text())
    assert record == {**result, "adapter_sha256": sha256(run_.output_dir / "checkpoint-4/adapter_model.safetensors")}
    assert [row["eval_loss"] for row in result["steps"]] == [None, 0.3, None, 0.2]
    assert (run_.output_dir / "best.png").read_bytes().startswith(b"\x89PNG")
    assert [line.endswith("← best") for line in table(result).splitlines()] == [False, False, True, False, False]
    assert run_.variant("best").folder == run_.output_dir / "checkpoint-4"


def test_another_metric_may_choose_another(run_: Run, scored: list[str]) -> None:
    assert best(run_, find_task("sample"), "dev", "macro", 8000, 4)["checkpoint"] == "checkpoint-2"


def test_a_run_without_checkpoints_says_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"no checkpoints in it.*save_strategy=steps"):
        best(
            Run(Path("conf/toy.yaml"), {"output_dir": str(tmp_path), "model_name_or_path": "models/x"}), find_task("sample"), "dev", "micro", 8000, 4
        )


def test_a_pissa_run_is_refused_before_any_server_starts(run_: Run, scored: list[str]) -> None:
    (run_.output_dir / "checkpoint-4/adapter_config.json").write_text('{"init_lora_weights": "pissa_niter_16"}')
    with pytest.raises(ToolError, match=r"checkpoint-4: an adapter in PiSSA's own form.*make train CONF=conf/toy\.yaml"):
        best(run_, find_task("sample"), "dev", "micro", 8000, 4)
    assert scored == []


def test_best_before_make_best_names_the_command(run_: Run) -> None:
    with pytest.raises(ToolError, match=r"make best CONF=conf/toy\.yaml"):
        run_.variant("best").need()
    (run_.output_dir / "best.json").write_text('{"checkpoint": "checkpoint-99"}')
    with pytest.raises(ToolError, match=r"checkpoint-99.* is gone.*make best"):
        run_.variant("best").need()
