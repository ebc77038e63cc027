"""An interrupted training goes on from its newest whole checkpoint, and never from another training's."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf.run import Run, load_run
from tools.conf.task import find_task
from tools.errors import ToolError
from tools.train.resume import fault, newest_whole, next_start, set_aside, starting_point
from tools.train.train import to_yaml
from tools.variant import FINISHED

CONF = "conf/tiny-qwen2-sample-ner-lora-sft.yaml"


def make_checkpoint(folder: Path) -> Path:
    """A checkpoint with the files that transformers' Trainer writes for LoRA, small."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    save_file({"lora_A.weight": torch.ones(8, 64)}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}')
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        torch.save({"state": torch.arange(1000)}, folder / name)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": int(folder.name.rpartition("-")[2])}))
    return folder


def cut(name: str, share: float) -> Callable[[Path], object]:
    def do(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])

    return do


def damage(name: str) -> Callable[[Path], object]:
    def do(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 255
        (folder / name).write_bytes(bytes(data))

    return do


def test_a_whole_checkpoint_has_no_fault_whatever_its_folder_is_called(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint-20")
    assert fault(folder) == ""
    assert fault(folder.rename(tmp_path / "kept")) == ""


@pytest.mark.parametrize(
    ("tear", "message"),
    [
        (lambda f: (f / "trainer_state.json").unlink(), "no trainer_state.json"),
        (lambda f: (f / "optimizer.pt").unlink(), "no optimizer.pt"),
        (lambda f: (f / "scheduler.pt").unlink(), "no scheduler.pt"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "no weights"),
        (cut("trainer_state.json", 0.5), "trainer_state.json:"),
        (cut("optimizer.pt", 0.9), "optimizer.pt:"),
        (cut("optimizer.pt", 0), "optimizer.pt:"),
        (damage("optimizer.pt"), "optimizer.pt:"),
        (cut("rng_state.pth", 0.5), "rng_state.pth:"),
        (cut("adapter_model.safetensors", 0.9), "torn"),
        (cut("adapter_model.safetensors", 0), "not a safetensors file"),
        (cut("adapter_config.json", 0.5), "adapter_config.json:"),
        (lambda f: (f / "trainer_state.json").write_text('{"global_step": 19}'), "is of step 19"),
    ],
)
def test_a_torn_checkpoint_is_known_by_reading_it(tmp_path: Path, tear: Callable[[Path], object], message: str) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint-20")
    tear(folder)
    assert message in fault(folder)


def test_the_newest_whole_one_is_taken_by_number_and_newer_torn_ones_are_told(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        make_checkpoint(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-old").mkdir()
    run = Run(Path("conf/x.yaml"), {"output_dir": str(tmp_path)})
    (tmp_path / "checkpoint-100/trainer_state.json").unlink()
    whole, torn = newest_whole(run)
    assert (whole, torn) == (tmp_path / "checkpoint-20", [(tmp_path / "checkpoint-100", "no trainer_state.json")])
    assert set_aside(tmp_path / "checkpoint-100", "torn-checkpoint-100") == tmp_path / "torn-checkpoint-100"
    make_checkpoint(tmp_path / "checkpoint-100")
    assert set_aside(tmp_path / "checkpoint-100", "torn-checkpoint-100") == tmp_path / "torn-checkpoint-100.2"
    assert newest_whole(run) == (tmp_path / "checkpoint-20", [])


def test_a_deepspeed_checkpoint_has_its_optimizer_in_the_folder_that_latest_names(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint-4")
    (folder / "optimizer.pt").unlink()
    (folder / "latest").write_text("global_step4\n")
    assert fault(folder) == "no global_step4"
    (folder / "global_step4").mkdir()
    assert fault(folder) == ""


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
    with pytest.raises(ToolError, match=rf"{prompt}: has changed since the training in"):
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


def test_a_training_that_is_stopped_behind_its_last_step_is_told_what_follows(tmp_path: Path) -> None:
    run = interrupted(tmp_path)
    (run.output_dir / FINISHED).touch()
    assert next_start(run, None) == f"Its steps were done. To score it: make eval CONF={CONF}"
