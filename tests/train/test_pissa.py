"""PiSSA's adapters of a few numbers; tests/train/test_methods.py has them trained, killed, resumed and held against PEFT's own conversion."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tools.conf.run import Run
from tools.errors import ToolError
from tools.evaluate.best import need_checkpoints
from tools.train import pissa
from tools.train.train import train

A, B = "layer.lora_A.weight", "layer.lora_B.weight"


def write(folder: Path, value: float, init: str | bool = "pissa_niter_16") -> None:
    """An adapter of rank 1, all of whose numbers are `value`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({A: torch.full((1, 3), value), B: torch.full((2, 1), value)}, folder / pissa.WEIGHTS)
    (folder / pissa.CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": 2, "init_lora_weights": init}))


@pytest.fixture
def ended(tmp_path: Path) -> Run:
    """A PiSSA run as LLaMA-Factory leaves it, with two checkpoints."""
    run = Run(Path("conf/toy.yaml"), {"output_dir": str(tmp_path / "toy"), "model_name_or_path": "models/x"})
    for name, value, init in ((pissa.BEGUN, 1.0, True), ("checkpoint-2", 2.0, "pissa"), ("checkpoint-4", 3.0, "pissa"), (pissa.ENDED, 3.0, True)):
        write(run.output_dir / name, value, init)
    write(run.output_dir, 3.0)
    (run.output_dir / "train_results.json").write_text("{}")
    return run


def test_what_training_changed_is_the_difference_to_the_first_adapter(ended: Run) -> None:
    assert pissa.convert(ended.output_dir)
    for folder, value in ((ended.output_dir, 3.0), (ended.adapter("checkpoint-2"), 2.0), (ended.adapter("checkpoint-4"), 3.0)):
        plain = load_file(folder / pissa.WEIGHTS)
        assert (plain[B] @ plain[A]).equal(torch.full((2, 3), value**2 - 1)), folder
        assert json.loads((folder / pissa.CONFIG).read_text()) == {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "init_lora_weights": True}
    assert ended.adapter("checkpoint-2").parent.name == PLAIN_CHECKPOINTS
    assert sorted(ended.checkpoints()) == [(step, ended.output_dir / f"checkpoint-{step}") for step in (2, 4)]
    assert is_pissa(ended.output_dir / "checkpoint-2")


def test_a_checkpoint_without_a_copy_is_refused_with_the_command_that_makes_one(ended: Run) -> None:
    with pytest.raises(ToolError, match=r"checkpoint-2: still PiSSA's own adapter.*make train CONF=conf/toy\.yaml"):
        need_checkpoints(ended)
    pissa.convert(ended.output_dir)
    assert need_checkpoints(ended) == [2, 4]
    ended.best_record.write_text('{"checkpoint": "checkpoint-4"}')
    assert ended.adapter("best") == ended.output_dir / PLAIN_CHECKPOINTS / "checkpoint-4"


def test_make_train_converts_what_was_left_without_base_model_and_data_and_starts_no_training(ended: Run, capsys: pytest.CaptureFixture) -> None:
    train(ended)
    assert "the training had ended before; what was left of PiSSA was now made plain LoRA adapters" in capsys.readouterr().out
    assert not is_pissa(ended.output_dir)
    assert not (ended.output_dir / "manifest.json").exists()


def test_a_torn_checkpoint_keeps_nothing_from_being_converted(ended: Run) -> None:
    (ended.output_dir / "checkpoint-2" / pissa.WEIGHTS).write_bytes(b"torn")
    (ended.output_dir / "checkpoint-6").mkdir()
    (ended.output_dir / "checkpoint-6" / pissa.CONFIG).write_text('{"init_')
    assert pissa.convert(ended.output_dir)
    assert [path.name for path in (ended.output_dir / PLAIN_CHECKPOINTS).iterdir()] == ["checkpoint-4"]


def test_a_conversion_cut_short_is_done_anew(ended: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = pissa.write_json, []

    def full(path: Path, value: object) -> None:
        written.append(path)
        if path.parent == ended.output_dir:
            raise OSError(28, "No space left on device")
        real(path, value)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(pissa, "write_json", full)
        pissa.convert(ended.output_dir)
    assert is_pissa(ended.output_dir)
    assert len(written) == 3
    assert pissa.convert(ended.output_dir)
    plain = load_file(ended.output_dir / pissa.WEIGHTS)
    assert (plain[B] @ plain[A]).equal(torch.full((2, 3), 8.0))


def test_copies_that_are_gone_are_made_again_and_no_others(ended: Run) -> None:
    train(ended)
    plain, copies = (ended.output_dir / pissa.WEIGHTS).read_bytes(), ended.output_dir / PLAIN_CHECKPOINTS
    assert pissa.left(ended.output_dir) == []
    (copies / "checkpoint-2").rename(ended.output_dir / "moved")
    (copies / "checkpoint-4" / "kept").touch()
    train(ended)
    assert (copies / "checkpoint-2" / pissa.WEIGHTS).read_bytes() == (ended.output_dir / "moved" / pissa.WEIGHTS).read_bytes()
    assert (copies / "checkpoint-4" / "kept").exists()
    assert (ended.output_dir / pissa.WEIGHTS).read_bytes() == plain


def test_copies_go_before_another_training(ended: Run) -> None:
    pissa.convert(ended.output_dir)
    pissa.before(Run(ended.path, {**ended.values, "resume_from_checkpoint": None}))
    assert ended.adapter("checkpoint-2") == ended.output_dir / "checkpoint-2"
