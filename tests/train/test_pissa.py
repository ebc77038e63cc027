"""PiSSA's adapters of a few numbers; tests/train/test_methods.py has them trained and held against PEFT's own conversion."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tools.conf.run import Run, load_run
from tools.errors import ToolError
from tools.train import pissa
from tools.train.train import train
from tools.variant import ADAPTER_WEIGHTS, is_pissa

CONF = "conf/tiny-qwen2-sample-ner-lora-sft.yaml"
A, B = "layer.lora_A.weight", "layer.lora_B.weight"


def write(folder: Path, value: float, init: str | bool = "pissa_niter_16", **config: object) -> None:
    """An adapter of rank 1, all of whose numbers are `value`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({A: torch.full((1, 3), value), B: torch.full((2, 1), value)}, folder / ADAPTER_WEIGHTS)
    (folder / pissa.CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": 2, "init_lora_weights": init, **config}))


@pytest.fixture
def ended(tmp_path: Path) -> Run:
    """A PiSSA run as LLaMA-Factory leaves it, with a checkpoint."""
    run = Run(Path("conf/toy.yaml"), {"output_dir": str(tmp_path / "toy"), "model_name_or_path": "models/x"})
    for name, value, init in ((pissa.BEGUN, 1.0, True), ("checkpoint-2", 2.0, "pissa"), (pissa.ENDED, 3.0, True)):
        write(run.output_dir / name, value, init)
    write(run.output_dir, 3.0)
    (run.output_dir / "train_results.json").write_text("{}")
    return run


def test_what_training_changed_is_the_difference_to_the_first_adapter(ended: Run) -> None:
    assert pissa.convert(ended.output_dir)
    plain = load_file(ended.output_dir / ADAPTER_WEIGHTS)
    assert (plain[B] @ plain[A]).equal(torch.full((2, 3), 3.0**2 - 1))
    assert json.loads((ended.output_dir / pissa.CONFIG).read_text()) == {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "init_lora_weights": True}
    assert is_pissa(ended.output_dir / "checkpoint-2"), "a checkpoint stays as it is"
    assert not pissa.convert(ended.output_dir), "a second conversion changes nothing"


def test_rslora_keeps_its_scaling(ended: Run) -> None:
    write(ended.output_dir, 3.0, use_rslora=True)
    pissa.convert(ended.output_dir)
    config = json.loads((ended.output_dir / pissa.CONFIG).read_text())
    assert config["lora_alpha"] / config["r"] ** 0.5 == pytest.approx(2)


def test_an_adapter_that_isnt_converted_and_a_checkpoint_are_refused_with_the_next_command(ended: Run) -> None:
    with pytest.raises(ToolError, match=r"PiSSA.*make train CONF=conf/toy\.yaml"):
        ended.variant("adapter").need()
    pissa.convert(ended.output_dir)
    assert ended.variant("adapter").need()
    with pytest.raises(ToolError, match=r"checkpoint-2.*PiSSA"):
        ended.variant("checkpoint-2").need()


def test_make_train_converts_what_was_left_without_base_model_and_data_and_starts_no_training(ended: Run, capsys: pytest.CaptureFixture) -> None:
    train(ended)
    assert "PiSSA's adapter was converted into a plain LoRA adapter" in capsys.readouterr().out
    assert not is_pissa(ended.output_dir)
    assert not (ended.output_dir / "manifest.json").exists()
    with pytest.raises(ToolError, match="this run is finished"):
        train(ended)


def test_a_conversion_cut_short_is_done_anew(ended: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(pissa, "write_json", full)
        pissa.convert(ended.output_dir)
    assert is_pissa(ended.output_dir)
    assert pissa.convert(ended.output_dir)
    plain = load_file(ended.output_dir / ADAPTER_WEIGHTS)
    assert (plain[B] @ plain[A]).equal(torch.full((2, 3), 8.0))


def test_a_run_without_its_first_adapter_is_told_to_train_again(ended: Run) -> None:
    (ended.output_dir / pissa.BEGUN / ADAPTER_WEIGHTS).unlink()
    with pytest.raises(ToolError, match=r"pissa_init/adapter_model.safetensors: no such file.*ARGS=--fresh"):
        pissa.convert(ended.output_dir)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("pissa_convert=false", "fits no model"),
        ("conf/overlay/dora.yaml", "`pissa_init` and `use_dora` exclude each other"),
        ("conf/overlay/zero3.yaml", "ZeRO-2 doesn't"),
        ("resume_from_checkpoint=checkpoint-2", "can't go on from a checkpoint. To start over: make train"),
    ],
)
def test_a_pissa_run_that_could_not_be_served_is_a_problem(tmp_path: Path, words: str, message: str) -> None:
    run = load_run(Path(CONF), ["conf/overlay/pissa.yaml", words, f"output_dir={tmp_path}/{Path(CONF).stem}"])
    assert message in "\n".join(pissa.problems(run))
