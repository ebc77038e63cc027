"""What the service within vLLM's process is told about the served runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tools.chat.thinking import Thinking
from tools.chat.windows import Reach
from tools.conf.run import Run, load_run
from tools.serve import served as module
from tools.serve.served import Served, ServedRun, read_served, served, write_served

CONF = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")


@pytest.fixture(autouse=True)
def lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "trained_reach", lambda trained: Reach(40, 24))


def told(which: str = "adapter", others: tuple[Run, ...] = (), **flags: Any) -> Served:
    found, problems = served(load_run(CONF), which, others, {"max-num-seqs": 16, **flags})
    assert problems == []
    return found


def test_an_adapter_is_told_with_its_task_and_what_is_read_back_is_the_same(tmp_path: Path) -> None:
    run = load_run(CONF)
    found = told(**{"lora-modules": [f"{run.name}={run.output_dir}"]})
    assert found == Served(16, [ServedRun(run.name, str(CONF), [], "adapter", "sample", Thinking(), Reach(40, 24), 512)])
    write_served(tmp_path / "served.json", found)
    assert read_served(tmp_path / "served.json") == found
    thinks = replace(found, runs=[replace(found.runs[0], thinking=Thinking({"enable_thinking": False}, "", "\n"), reach=None)])
    write_served(tmp_path / "served.json", thinks)
    assert read_served(tmp_path / "served.json") == thinks


def test_each_adapter_has_its_own_word() -> None:
    run = load_run(CONF)
    other = replace(run, path=Path("conf/other.yaml"))
    adapters = [f"{run.name}={run.output_dir}", f"{run.name}@40={run.output_dir}/checkpoint-40", "other=data/outputs/other"]
    found = told(others=(other,), **{"lora-modules": adapters})
    assert [(one.model, one.which, one.conf) for one in found.runs] == [
        (run.name, "adapter", str(CONF)),
        (f"{run.name}@40", "checkpoint-40", str(CONF)),
        ("other", "adapter", "conf/other.yaml"),
    ]
    best = told("best", **{"lora-modules": [f"{run.name}={run.output_dir}/checkpoint-40"]})
    assert [one.which for one in best.runs] == ["best"]


@pytest.mark.parametrize(("which", "name"), [("merged-awq", "tiny-qwen2-sample-ner-lora-sft"), ("base", "tiny-qwen2")])
def test_a_whole_model_answers_for_its_run(which: str, name: str) -> None:
    assert [(one.model, one.which, one.task) for one in told(which, **{"served-model-name": name}).runs] == [(name, which, "sample")]


def test_a_run_without_a_task_of_its_own_is_not_answered_for_and_that_is_told(run_: Run) -> None:
    found, [problem] = served(run_, "merged", (), {"served-model-name": "run"})
    assert found.runs == [] and "run: not answered at /extract: " in problem and "names no single task" in problem
