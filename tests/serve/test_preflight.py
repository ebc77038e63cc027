"""Flags of vLLM, and everything that it would refuse; that it serves is shown by tests/test_chain.py."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.serve.conftest import write_config, write_weights
from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import write_json
from tools.serve import installed, preflight
from tools.serve.installed import on_cpu
from tools.serve.preflight import ANSWER_TOKENS, max_lora_rank, plan


@pytest.mark.parametrize(("rank", "flag"), [(1, 1), (2, 8), (8, 8), (16, 16), (33, 64), (64, 64), (300, 320), (512, 512)])
def test_the_rank_flag_is_the_smallest_that_takes_the_adapter(run_: Run, rank: int, flag: int) -> None:
    write_config(run_.output_dir, r=rank)
    assert max_lora_rank(run_, run_.output_dir, Path("models/tiny-qwen2")) == flag


def test_a_rank_pattern_counts_too(run_: Run) -> None:
    write_config(run_.output_dir, rank_pattern={"q_proj": 64})
    assert max_lora_rank(run_, run_.output_dir, Path("models/tiny-qwen2")) == 64


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"r": 513}, "rank 513; vLLM takes 512 at most"),
        ({"use_dora": True}, "doesn't take DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"peft_type": "PREFIX_TUNING"}, "this is PREFIX_TUNING"),
    ],
)
def test_an_adapter_that_vllm_refuses_says_what_to_do_instead(run_: Run, values: dict, message: str) -> None:
    write_config(run_.output_dir, **values)
    with pytest.raises(ToolError, match=message) as error:
        plan(run_, run_.variant("adapter"), 8000)
    assert ("--engine hf" if "PREFIX" in message else "WHICH=merged") in str(error.value)


def test_base_and_adapter_are_served_under_their_own_names_on_loopback(run_: Run) -> None:
    write_config(run_.output_dir, r=64)
    flags = plan(run_, run_.variant("adapter"), 8123)
    assert (flags["host"], flags["port"], flags["generation-config"]) == ("127.0.0.1", 8123, "vllm")
    assert (flags["model"], flags["served-model-name"]) == ("models/tiny-qwen2", "tiny-qwen2")
    assert (flags["max-lora-rank"], flags["lora-modules"]) == (64, [f"run={run_.output_dir}"])
    assert flags["max-model-len"] == 512 + ANSWER_TOKENS
    assert "trust-remote-code" not in flags


def test_what_was_trained_counts_not_what_the_conf_says_now(run_: Run) -> None:
    write_config(run_.output_dir)
    run_.resolved.write_text(f"model_name_or_path: models/tiny-qwen2\noutput_dir: {run_.output_dir}\ncutoff_len: 256\n")
    changed = Run(run_.path, {**run_.values, "model_name_or_path": "models/other", "cutoff_len": 999})
    flags = plan(changed, changed.variant("adapter"), 8000)
    assert (flags["model"], flags["max-model-len"]) == ("models/tiny-qwen2", 256 + ANSWER_TOKENS)


def make_whole(run: Run, word: str, record: str) -> Path:
    """A merged or quantised model, made from the run's last adapter."""
    folder = run.output_dir / word
    shutil.copytree("models/tiny-qwen2", folder, dirs_exist_ok=True)
    write_json(folder / record, run.variant("adapter").origin_here().to_dict())
    return folder


def test_a_merged_model_of_an_older_adapter_is_refused(run_: Run) -> None:
    write_config(run_.output_dir)
    merged = run_.variant("merged")
    with pytest.raises(ToolError, match="Not merged yet: make export CONF="):
        plan(run_, merged, 8000)
    folder = make_whole(run_, "merged", "export.json")
    flags = plan(run_, merged, 8000)
    assert (flags["model"], flags["served-model-name"], "enable-lora" in flags) == (str(folder), "run", False)
    write_weights(run_.output_dir, 128)
    with pytest.raises(ToolError, match=r"older adapter.*make export"):
        plan(run_, merged, 8000)


def test_a_quantised_model_of_an_earlier_merge_is_refused(run_: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "instructions", lambda: {"avx512f"})
    write_config(run_.output_dir)
    make_whole(run_, "merged", "export.json")
    folder = make_whole(run_, "merged-awq", "quantize.json")
    awq = run_.variant("merged-awq")
    assert plan(run_, awq, 8000)["model"] == str(folder)
    (run_.output_dir / "checkpoint-2").mkdir()
    write_weights(run_.output_dir / "checkpoint-2", 64)
    write_json(folder.with_name("merged") / "export.json", run_.variant("checkpoint-2").origin_here().to_dict())  # as `export --which best` leaves it
    with pytest.raises(ToolError, match=r"merged-awq: made from another merged model.*make quantize CONF=.*--method awq"):
        plan(run_, awq, 8000)


def test_a_checkpoint_is_served_under_its_own_name(run_: Run) -> None:
    folder = run_.output_dir / "checkpoint-40"
    write_config(run_.output_dir)
    with pytest.raises(ToolError, match="checkpoint-40: no such checkpoint"):
        plan(run_, run_.variant("checkpoint-40"), 8000)
    shutil.copytree(run_.output_dir, folder)
    assert plan(run_, run_.variant("checkpoint-40"), 8000)["lora-modules"] == [f"run@40={folder}"]
    assert plan(run_, run_.variant("adapter"), 8000, checkpoints=True)["lora-modules"] == [f"run={run_.output_dir}", f"run@40={folder}"]


def test_the_base_model_is_served_alone_and_needs_no_training(run_: Run) -> None:
    for path in run_.output_dir.iterdir():
        path.unlink()
    flags = plan(run_, run_.variant("base"), 8000)
    assert (flags["model"], flags["served-model-name"], "lora-modules" in flags) == ("models/tiny-qwen2", "tiny-qwen2", False)


def test_an_adapter_of_another_base_model_is_refused(run_: Run) -> None:
    write_config(run_.output_dir)
    write_weights(run_.output_dir, 3584)
    with pytest.raises(ToolError, match=r"q_proj takes 3,584 values and gives 3,584, in models/tiny-qwen2 it takes 256 and gives 256"):
        plan(run_, run_.variant("adapter"), 8000)
    (run_.output_dir / "adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(ToolError, match="torn, or not a safetensors file"):
        plan(run_, run_.variant("adapter"), 8000)


def test_an_adapter_of_which_vllm_would_apply_nothing_is_refused_with_the_way_out(run_: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_config(run_.output_dir)
    write_weights(run_.output_dir, 256, "model.language_model.layers.0.self_attn.q_proj")
    asked: list[str] = []

    def names(python: Path, architecture: str, names: Iterable[str]) -> dict[str, str]:
        asked.append(architecture)
        return {name: name.replace("model.language_model.", prefix) for name in names}

    monkeypatch.setattr(preflight, "vllm_names", names)
    prefix = "language_model.model."  # as vLLM holds the vision-language form
    with pytest.raises(ToolError, match=r"1 of the 1 layers .* aren't in models/tiny-qwen2.*model\.language_model\.layers\.0.*WHICH=merged") as error:
        plan(run_, run_.variant("adapter"), 8000)
    assert error.value.exit_code == 1
    prefix = "model."  # as it holds the text-only form, which takes both layouts
    assert plan(run_, run_.variant("adapter"), 8000)["max-lora-rank"] == 8
    assert asked == ["Qwen2ForCausalLM"] * 2
    write_weights(run_.output_dir, 256, b=0.0)
    with pytest.raises(ToolError, match="changes nothing"):
        plan(run_, run_.variant("adapter"), 8000)


def test_adapters_of_several_runs_stand_beside_one_base_model(run_: Run, tmp_path: Path) -> None:
    write_config(run_.output_dir)
    folder = tmp_path / "second"
    shutil.copytree(run_.output_dir, folder)
    second = Run(tmp_path / "second.yaml", {**run_.values, "output_dir": str(folder), "cutoff_len": 1000})
    write_config(second.output_dir, r=32)
    flags = plan(run_, run_.variant("adapter"), 8000, others=[second])
    assert flags["lora-modules"] == [f"run={run_.output_dir}", f"second={folder}"]
    assert (flags["max-lora-rank"], flags["max-model-len"]) == (32, 1000 + ANSWER_TOKENS)
    assert (flags["max-loras"], "worker-cls" in flags) == (2, on_cpu())
    other = Run(tmp_path / "second.yaml", {**second.values, "model_name_or_path": "models/other"})
    with pytest.raises(ToolError, match=r"second\.yaml: trained on models/other, and .*run\.yaml on models/tiny-qwen2; one server holds"):
        plan(run_, run_.variant("adapter"), 8000, others=[other])
    with pytest.raises(ToolError, match="leave WHICH= out"):
        plan(run_, run_.variant("merged"), 8000, others=[second])


def test_the_longest_prompt_is_read_from_the_data(run_: Run, tmp_path: Path) -> None:
    write_config(run_.output_dir)
    data = tmp_path / "alpaca"
    data.mkdir()
    rows = [{"instruction": "你", "input": "字" * length, "output": "[]"} for length in (3, 900, 5)]
    (data / "alpaca_toy_dev.json").write_text(json.dumps(rows))
    run = Run(run_.path, {**run_.values, "template": "qwen", "dataset": "alpaca_toy_train", "dataset_dir": str(data)})
    assert plan(run, run.variant("adapter"), 8000)["max-model-len"] > 900 + ANSWER_TOKENS
    assert plan(run_, run_.variant("adapter"), 8000)["max-model-len"] == 512 + ANSWER_TOKENS


@pytest.mark.parametrize(
    ("cpu", "slow", "layers", "dtype"),
    [
        (True, True, ["full_attention"], "float32"),
        (True, True, ["linear_attention", "full_attention"], None),  # vLLM's recurrent layers compute in bf16 alone
        (True, False, ["full_attention"], None),
        (False, True, ["full_attention"], None),
    ],
)
def test_a_processor_without_bf16_serves_in_float32(
    run_: Run, monkeypatch: pytest.MonkeyPatch, cpu: bool, slow: bool, layers: list[str], dtype: str | None
) -> None:
    monkeypatch.setattr(preflight, "on_cpu", lambda: cpu)
    monkeypatch.setattr(preflight, "is_slow_in_bf16", lambda: slow)
    monkeypatch.setattr(preflight, "text_config", lambda config: {**config, "layer_types": layers})
    write_config(run_.output_dir)
    assert plan(run_, run_.variant("adapter"), 8000).get("dtype") == dtype
