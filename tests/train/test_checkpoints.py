"""Torn checkpoints are found whatever is missing of them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.train.checkpoints import checkpoints, fault, newest_whole, set_aside, step_of


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


def test_a_whole_checkpoint_has_no_fault(tmp_path: Path) -> None:
    assert fault(make_checkpoint(tmp_path / "checkpoint-20")) == ""


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
    assert [step_of(path) for path in checkpoints(tmp_path)] == [100, 20, 9]
    (tmp_path / "checkpoint-100/trainer_state.json").unlink()
    whole, torn = newest_whole(tmp_path)
    assert (whole, torn) == (tmp_path / "checkpoint-20", [(tmp_path / "checkpoint-100", "no trainer_state.json")])
    assert set_aside(tmp_path / "checkpoint-100") == tmp_path / "torn-checkpoint-100"
    make_checkpoint(tmp_path / "checkpoint-100")
    assert set_aside(tmp_path / "checkpoint-100") == tmp_path / "torn-checkpoint-100.2"
    assert newest_whole(tmp_path) == (tmp_path / "checkpoint-20", [])


def test_a_deepspeed_checkpoint_has_its_optimizer_in_the_folder_that_latest_names(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint-4")
    (folder / "optimizer.pt").unlink()
    (folder / "latest").write_text("global_step4\n")
    assert fault(folder) == "no global_step4"
    (folder / "global_step4").mkdir()
    assert fault(folder) == ""
