"""The engines' own parsers are asked, and their objections to this machine are told apart from those to the run."""

import shutil
from pathlib import Path

import pytest

from tools.conf.run import load_run
from tools.train.machine import visible_gpus
from tools.train.native_parser import objections

CONF = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")
PEFT = Path("conf/peft/tiny-qwen2-sample-ner-ptuning.yaml")


@pytest.mark.parametrize(("path", "engine"), [(CONF, "llamafactory"), (PEFT, "peft")])
def test_a_run_that_only_this_machine_cant_train_is_told_apart(path: Path, engine: str, tmp_path: Path) -> None:
    if visible_gpus():
        pytest.skip("this machine has a GPU")
    values = {**load_run(path).values, "bf16": True, "output_dir": str(tmp_path), "overwrite_output_dir": True}
    values.pop("use_cpu", None)
    found = objections(engine, values)
    assert found.anywhere == ""
    assert "doesn't support bf16" in found.here
    assert objections(engine, {**values, "use_cpu": True}) == ("", "")


@pytest.mark.parametrize(
    ("path", "engine", "wrong", "message"),
    [
        (CONF, "llamafactory", {"load_best_model_at_end": True, "save_strategy": "epoch"}, "--load_best_model_at_end requires"),
        (PEFT, "peft", {"eval_dataset": "a", "val_size": 0.1}, "Cannot specify `val_size` if `eval_dataset` is not None"),
    ],
)
def test_settings_that_exclude_each_other_are_wrong_anywhere(path: Path, engine: str, wrong: dict, message: str, tmp_path: Path) -> None:
    values = {**load_run(path).values, "output_dir": str(tmp_path), "overwrite_output_dir": True, "use_cpu": True, **wrong}
    found = objections(engine, values)
    assert message in found.anywhere
    assert found.here == ""


def test_a_processor_that_cant_be_loaded_is_found_with_the_template_that_needs_it(tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree("models/tiny-qwen2", base, ignore=shutil.ignore_patterns("*.safetensors", "make"))
    (base / "preprocessor_config.json").write_text('{"image_processor_type": "Nothing"}')
    values = {**load_run(CONF).values, "output_dir": str(tmp_path / "out"), "use_cpu": True, "model_name_or_path": str(base), "template": "qwen3_5"}
    assert "LLaMA-Factory can't encode a row with `template: qwen3_5`: Processor was not found" in objections("llamafactory", values).anywhere
    assert objections("llamafactory", {**values, "template": "qwen3"}) == ("", "")
