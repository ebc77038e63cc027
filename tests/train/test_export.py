"""What a merge must be to be taken, and what it records."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
import yaml

from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import one_at_a_time, read_json
from tools.train.export import check, export

BASE = Path("models/tiny-qwen2")


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """A folder like an exported model: the tiny base with one tensor changed."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "merged"
    shutil.copytree(BASE, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] + torch.ones(1, dtype=weights["model.norm.weight"].dtype)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def change(folder: Path, edit: Callable[[dict], object]) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors")


def test_a_whole_merge_passes(merged: Path) -> None:
    assert check(merged, BASE) == 1


def truncate(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "model.safetensors: torn"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: no such file"),
        (lambda f: change(f, lambda w: w.pop("model.norm.weight")), "1 tensors of the base model are missing, e.g. model.norm.weight"),
        (lambda f: change(f, lambda w: w.update({"model.norm.weight": w["model.norm.weight"][:3].clone()})), "model.norm.weight is (3,)"),
        (lambda f: change(f, lambda w: w["model.norm.weight"].fill_(float("nan"))), "aren't finite"),
        (lambda f: shutil.copy(BASE / "model.safetensors", f), "the adapter changed nothing"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda f: (f / "chat_template.jinja").unlink(), "no chat template"),
    ],
)
def test_a_damaged_merge_is_refused(merged: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(merged)
    with pytest.raises(ToolError) as error:
        check(merged, BASE)
    assert message in str(error.value)
    assert "merged" in str(error.value)


def write_adapter(folder: Path, layer: str = "model.layers.0.self_attn.q_proj") -> None:
    """Write an adapter of rank 1 for one layer of the tiny base."""
    import numpy
    from safetensors.numpy import save_file

    shapes = {"A": (1, 256), "B": (256, 1)}
    save_file(
        {f"base_model.model.{layer}.lora_{side}.weight": numpy.ones(shapes[side], "f") for side in shapes}, folder / "adapter_model.safetensors"
    )


@pytest.fixture
def run_(tmp_path: Path) -> Run:
    """A run that looks trained, with a merged model of before."""
    folder = tmp_path / "run"
    (folder / "merged").mkdir(parents=True)
    (folder / "merged" / "old").write_text("old")
    for name in ("train_results.json", "adapter_config.json"):
        (folder / name).write_text(json.dumps({"peft_type": "LORA"}))
    write_adapter(folder)
    return Run(tmp_path / "run.yaml", {"model_name_or_path": str(BASE), "output_dir": str(folder), "template": "qwen"})


def test_a_failing_merge_leaves_the_old_one_and_no_litter(run_: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(command: list, log: IO[str]) -> int:
        log.write("loading\nValueError: the adapter doesn't fit\n")
        return 3

    monkeypatch.setattr("tools.train.export.call", failing)
    with pytest.raises(ToolError, match="exit code 3") as error:
        export(run_, run_.variant("adapter"))
    assert error.value.exit_code == 1
    assert str(error.value).splitlines()[1:] == ["ValueError: the adapter doesn't fit", f"The whole log: {run_.output_dir / 'export.log'}"]
    assert (run_.variant("merged").folder / "old").read_text() == "old"
    assert not [path.name for path in run_.output_dir.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("layer", "words", "message"),
    [
        ("model.layers.0.self_attn.query", "", "1 of the 1 layers .*self_attn.query"),
        ("model.layers.99.self_attn.q_proj", "", "1 of the 1 layers"),
        (
            "model.language_model.layers.0.self_attn.q_proj",  # the same block, under another form's prefix: PEFT knows
            "UserWarning: Found missing adapter keys while loading the checkpoint: ['base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight'].",
            "PEFT found no weights for layers .*'base_model.model.model.layers.0",
        ),
    ],
)
def test_an_adapter_that_would_be_merged_in_part_is_refused(run_: Run, monkeypatch: pytest.MonkeyPatch, layer: str, words: str, message: str) -> None:
    def merging(command: list, log: IO[str]) -> int:
        log.write(words)
        return 0

    write_adapter(run_.output_dir, layer)
    monkeypatch.setattr("tools.train.export.call", merging)
    with pytest.raises(ToolError, match=message):
        export(run_, run_.variant("adapter"))
    assert (run_.variant("merged").folder / "old").read_text() == "old"


def test_a_torn_merge_leaves_the_old_one(run_: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(command: list, log: IO[str]) -> int:
        new = Path(yaml.safe_load(Path(command[-1]).read_text())["export_dir"])
        shutil.copytree(BASE, new, dirs_exist_ok=True)
        truncate(new)
        return 0

    monkeypatch.setattr("tools.train.export.call", torn)
    with pytest.raises(ToolError, match="torn"):
        export(run_, run_.variant("adapter"))
    assert (run_.variant("merged").folder / "old").read_text() == "old"


def test_an_untrained_run_names_the_command_that_trains_it(tool: Callable, tmp_path: Path) -> None:
    done = tool("export", "conf/tiny-qwen2-sample-ner-lora-sft.yaml", f"output_dir={tmp_path}/tiny-qwen2-sample-ner-lora-sft")
    assert (done.returncode, "make train CONF=conf/tiny-qwen2-sample-ner-lora-sft.yaml" in done.stderr) == (2, True), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_without_weights_to_merge_says_what_to_do_instead(tmp_path: Path) -> None:
    run = Run(Path("conf/x.yaml"), {"model_name_or_path": str(BASE), "output_dir": str(tmp_path)})
    (tmp_path / "train_results.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"x")
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "PREFIX_TUNING"}')
    with pytest.raises(ToolError, match=r"PREFIX_TUNING adapters have no weights to merge.*--engine hf"):
        export(run, run.variant("adapter"))


@pytest.mark.parametrize("word", ["merged", "base", "merged-awq"])
def test_only_an_adapter_is_merged(run_: Run, word: str) -> None:
    with pytest.raises(ToolError, match=rf"--which {word}: only an adapter can be merged\. Choices: adapter, best, checkpoint-<step>"):
        export(run_, run_.variant(word))


def test_an_export_waits_for_no_training_of_the_same_run(run_: Run) -> None:
    with one_at_a_time(run_.output_dir, "training"), pytest.raises(ToolError, match=r"in use by training.*To start the export, wait"):
        export(run_, run_.variant("adapter"))
    assert (run_.variant("merged").folder / "old").read_text() == "old"


def test_the_merged_model_records_the_adapter_that_it_was_made_from(run_: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def merge(command: list, log: IO[str]) -> int:
        shutil.copytree(BASE, yaml.safe_load(Path(command[-1]).read_text())["export_dir"], dirs_exist_ok=True)
        return 0

    monkeypatch.setattr("tools.train.export.call", merge)
    monkeypatch.setattr("tools.train.export.check", lambda merged, base: 7)
    shutil.copytree(run_.output_dir, run_.output_dir / "checkpoint-2", ignore=shutil.ignore_patterns("merged", "checkpoint-2"))
    write_adapter(run_.output_dir / "checkpoint-2", "model.layers.1.self_attn.q_proj")
    for word in ("adapter", "checkpoint-2"):
        data = run_.variant(word).weights.read_bytes()
        export(run_, run_.variant(word))
        record = read_json(run_.variant("merged").record)
        assert (record["adapter"], record["adapter_sha256"], record["changed_tensors"]) == (word, hashlib.sha256(data).hexdigest(), 7)
        assert run_.variant("merged").need()
        assert run_.variant("merged").source().word == word
    (run_.output_dir / "checkpoint-2/adapter_model.safetensors").write_bytes(b"third")
    assert "made from an older adapter" in run_.variant("merged").stale()
