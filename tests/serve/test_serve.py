"""What is known before vLLM starts; that it serves is shown by tests/test_chain.py."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from safetensors.numpy import save_file

from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import sha256, write_json
from tools.serve import serve as vllm

CONF = "conf/tiny-qwen2-sample-ner-lora-sft.yaml"


@pytest.fixture
def run_(tmp_path: Path) -> Run:
    """A run that looks trained."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "train_results.json").write_text("{}")
    weights(folder, 256)
    return Run(tmp_path / "run.yaml", {"model_name_or_path": "models/tiny-qwen2", "output_dir": str(folder), "cutoff_len": 512})


def weights(folder: Path, width: int) -> None:
    """An adapter of rank 8 for a model of that width."""
    save_file({"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": numpy.zeros((8, width), "f")}, folder / "adapter_model.safetensors")


def adapter(run: Run, **values: Any) -> None:
    (run.output_dir / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8, **values}))


@pytest.mark.parametrize(("rank", "flag"), [(1, 1), (2, 8), (8, 8), (16, 16), (33, 64), (64, 64), (300, 320), (512, 512)])
def test_the_rank_flag_is_the_smallest_that_takes_the_adapter(run_: Run, rank: int, flag: int) -> None:
    adapter(run_, r=rank)
    assert vllm.max_lora_rank(run_, run_.output_dir, Path("models/tiny-qwen2")) == flag


def test_a_rank_pattern_counts_too(run_: Run) -> None:
    adapter(run_, rank_pattern={"q_proj": 64})
    assert vllm.max_lora_rank(run_, run_.output_dir, Path("models/tiny-qwen2")) == 64


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
    adapter(run_, **values)
    with pytest.raises(ToolError, match=message) as error:
        vllm.plan(run_, False, 8000)
    assert ("ENGINE=hf" if "PREFIX" in message else "MERGED=1") in str(error.value)


def test_base_and_adapter_are_served_under_their_own_names_on_loopback(run_: Run) -> None:
    adapter(run_, r=64)
    flags = vllm.plan(run_, False, 8123)
    assert (flags["host"], flags["port"], flags["generation-config"]) == ("127.0.0.1", 8123, "vllm")
    assert (flags["model"], flags["served-model-name"]) == ("models/tiny-qwen2", "tiny-qwen2")
    assert (flags["max-lora-rank"], flags["lora-modules"]) == (64, [f"run={run_.output_dir}"])
    assert flags["max-model-len"] == 512 + vllm.ANSWER_TOKENS
    assert "trust-remote-code" not in flags


def test_what_was_trained_counts_not_what_the_conf_says_now(run_: Run) -> None:
    adapter(run_)
    run_.resolved.write_text(f"model_name_or_path: models/tiny-qwen2\noutput_dir: {run_.output_dir}\ncutoff_len: 256\n")
    changed = Run(run_.path, {**run_.values, "model_name_or_path": "models/other", "cutoff_len": 999})
    flags = vllm.plan(changed, False, 8000)
    assert (flags["model"], flags["max-model-len"]) == ("models/tiny-qwen2", 256 + vllm.ANSWER_TOKENS)


def test_a_merged_model_of_an_older_adapter_is_refused(run_: Run) -> None:
    adapter(run_)
    with pytest.raises(ToolError, match="Not merged yet: make export CONF="):
        vllm.plan(run_, True, 8000)
    shutil.copytree("models/tiny-qwen2", run_.merged)
    write_json(run_.merged / "export.json", {"adapter_sha256": sha256(run_.output_dir / "adapter_model.safetensors")})
    flags = vllm.plan(run_, True, 8000)
    assert (flags["model"], flags["served-model-name"], "enable-lora" in flags) == (str(run_.merged), "run", False)
    weights(run_.output_dir, 128)
    with pytest.raises(ToolError, match=r"older adapter.*make export"):
        vllm.plan(run_, True, 8000)


def test_an_adapter_of_another_base_model_is_refused(run_: Run) -> None:
    adapter(run_)
    weights(run_.output_dir, 3584)
    with pytest.raises(ToolError, match=r"trained on a model 3,584 wide, and models/tiny-qwen2 is 256 wide"):
        vllm.plan(run_, False, 8000)
    (run_.output_dir / "adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(ToolError, match="not a whole safetensors file"):
        vllm.plan(run_, False, 8000)


def test_adapters_of_several_runs_stand_beside_one_base_model(run_: Run, tmp_path: Path) -> None:
    adapter(run_)
    folder = tmp_path / "second"
    shutil.copytree(run_.output_dir, folder)
    second = Run(tmp_path / "second.yaml", {**run_.values, "output_dir": str(folder), "cutoff_len": 1000})
    adapter(second, r=32)
    flags = vllm.plan(run_, False, 8000, others=[second])
    assert flags["lora-modules"] == [f"run={run_.output_dir}", f"second={folder}"]
    assert (flags["max-lora-rank"], flags["max-model-len"]) == (32, 1000 + vllm.ANSWER_TOKENS)
    assert flags["max-loras"] == 2 + vllm.on_cpu(), "an empty slot for the base model's tokens, where the CPU kernels need one"
    other = Run(tmp_path / "second.yaml", {**second.values, "model_name_or_path": "models/other"})
    with pytest.raises(ToolError, match=r"second\.yaml: trained on models/other, and .*run\.yaml on models/tiny-qwen2; one server holds"):
        vllm.plan(run_, False, 8000, others=[other])
    with pytest.raises(ToolError, match="leave MERGED=1 and QUANTIZED= out"):
        vllm.plan(run_, True, 8000, others=[second])


def test_the_longest_prompt_is_read_from_the_data(run_: Run, tmp_path: Path) -> None:
    adapter(run_)
    data = tmp_path / "alpaca"
    data.mkdir()
    rows = [{"instruction": "你", "input": "字" * length, "output": "[]"} for length in (3, 900, 5)]
    (data / "alpaca_toy_dev.json").write_text(json.dumps(rows))
    run = Run(run_.path, {**run_.values, "template": "qwen", "dataset": "alpaca_toy_train", "dataset_dir": str(data)})
    assert vllm.plan(run, False, 8000)["max-model-len"] > 900 + vllm.ANSWER_TOKENS
    assert vllm.plan(run_, False, 8000)["max-model-len"] == 512 + vllm.ANSWER_TOKENS


def test_an_untrained_run_names_the_command_that_trains_it(tool: Callable, tmp_path: Path) -> None:
    done = tool("serve", CONF, f"output_dir={tmp_path}/tiny-qwen2-sample-ner-lora-sft")
    assert (done.returncode, f"make train CONF={CONF}" in done.stderr) == (2, True), done.stderr


def test_a_taken_port_is_named(run_: Run) -> None:
    adapter(run_)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ToolError, match=rf"127\.0\.0\.1:{port}: Address already in use.*PORT={port + 1}"):
            vllm.serve(run_, vllm.plan(run_, False, port), [])


def test_two_servers_cant_start_at_one_port_together(run_: Run) -> None:
    adapter(run_)
    with vllm._hold(8123), pytest.raises(ToolError, match="8123: another server is starting there"):
        vllm.serve(run_, vllm.plan(run_, False, 8123), [])
    with vllm._hold(8123):
        pass


@pytest.mark.parametrize("port", [-1, 70000])
def test_a_port_that_cant_be_is_named(run_: Run, port: int) -> None:
    adapter(run_)
    with pytest.raises(ToolError, match=str(port)):
        vllm.serve(run_, vllm.plan(run_, False, port), [])


def test_an_open_address_demands_a_key(run_: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter(run_)
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    with pytest.raises(ToolError, match="export VLLM_API_KEY"):
        vllm.serve(run_, {**vllm.plan(run_, False, 8000), "host": "0.0.0.0"}, [])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "INFO fine\nTraceback (most recent call last):\nValueError: the cause\nRuntimeError: Engine core initialization failed.\n",
            ["ValueError: the cause"],
        ),
        (
            "(APIServer pid=1) WARNING 11-23 00:02:32 [x.py:2] may cause `OSError: [Errno 24]`\n"
            "(EngineCore pid=2) ERROR 11-23 00:02:33 [core.py:9] pydantic.ValidationError: 1 error\n  Value error, too long\n",
            ["pydantic.ValidationError: 1 error", "Value error, too long"],
        ),
        ("a\nb\nc\nKilled\n", ["b", "c", "Killed"]),
    ],
)
def test_the_cause_is_picked_from_the_log(tmp_path: Path, text: str, shown: list[str]) -> None:
    log = tmp_path / "serve.log"
    log.write_text(text)
    assert vllm.reason(log).splitlines() == [*shown, f"The whole log: {log}"]
