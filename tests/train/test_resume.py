"""An interrupted training goes on from its newest whole checkpoint, and never from another training's."""

import json
from pathlib import Path

import pytest

from tests.train.test_checkpoints import make_checkpoint
from tools.conf.run import Run, load_run
from tools.conf.task import find_task
from tools.errors import ToolError
from tools.train.resume import next_start, starting_point
from tools.train.train import to_yaml

CONF = "conf/tiny-qwen2-sample-ner-lora-sft.yaml"


def interrupted(tmp_path: Path, **values: object) -> Run:
    """A run of which a checkpoint is there, begun with the sample run's values."""
    run = load_run(Path(CONF), [f"output_dir={tmp_path}/tiny-qwen2-sample-ner-lora-sft"])
    make_checkpoint(run.output_dir / "checkpoint-2")
    run.resolved.write_text(to_yaml({**run.values, "resume_from_checkpoint": None, "logging_steps": 5, **values}))
    return run


def test_an_interrupted_run_goes_on_from_its_newest_whole_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = interrupted(tmp_path)
    make_checkpoint(run.output_dir / "checkpoint-4")
    (run.output_dir / "checkpoint-4/optimizer.pt").write_bytes(b"PK")
    log = run.output_dir / "trainer_log.jsonl"
    log.write_text('{"current_steps": 2}\n{"current_steps": 3}\n{"curr')
    assert starting_point(run) == run.output_dir / "checkpoint-2"
    assert "checkpoint-4: not whole (optimizer.pt:" in capsys.readouterr().out
    assert (run.output_dir / "torn-checkpoint-4").is_dir()
    assert log.read_text() == '{"current_steps": 2}\n'


@pytest.mark.parametrize(("key", "then"), [("lora_rank", 8), ("learning_rate", 1e-4), ("max_steps", 5), ("seed", 1)])
def test_a_checkpoint_of_another_training_isnt_gone_on_from(tmp_path: Path, key: str, then: float) -> None:
    run = interrupted(tmp_path, **{key: then})
    with pytest.raises(ToolError, match=rf"`{key}` is .* began with {then}.*--fresh"):
        starting_point(run)


def test_a_checkpoint_of_other_data_isnt_gone_on_from(tmp_path: Path) -> None:
    run = interrupted(tmp_path)
    prompt = str(find_task("sample").prompt)
    (run.output_dir / "manifest.json").write_text(json.dumps({"sha256": {prompt: "0" * 64}}))
    with pytest.raises(ToolError, match=rf"{prompt}: has changed since the interrupted training"):
        starting_point(run)


def test_a_checkpoint_that_the_user_names_must_be_whole(tmp_path: Path) -> None:
    run = load_run(Path(CONF), [f"resume_from_checkpoint={tmp_path}/checkpoint-2"])
    with pytest.raises(ToolError, match=r"not a whole checkpoint: no trainer_state\.json"):
        starting_point(run)
    make_checkpoint(tmp_path / "checkpoint-2")
    assert starting_point(run) == tmp_path / "checkpoint-2"


def test_a_pissa_run_that_was_interrupted_is_told_to_start_over(tmp_path: Path) -> None:
    run = interrupted(tmp_path)
    pissa = Run(run.path, {**run.values, "pissa_init": True})
    with pytest.raises(ToolError, match=rf"none can go on from a checkpoint.*make train CONF={CONF} ARGS=--fresh"):
        starting_point(pissa)
    assert f"make train CONF={CONF} ARGS=--fresh" in next_start(pissa, None)
    assert "goes on from checkpoint-2" in next_start(run, None)
