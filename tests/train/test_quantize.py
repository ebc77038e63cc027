"""Real llm-compressor on the embedded model, which stands in for a merged one; its answers are compared before and after, and vLLM serves the AWQ one."""

import json
import random
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from make.corpus import make_sample

from bench.quantize import COMPARE
from tools.conf.run import Run, load_run
from tools.demo import free_port
from tools.errors import ToolError
from tools.files import one_at_a_time, read_json, sha256, write_json
from tools.predict.server import model_name, serving
from tools.serve import installed
from tools.serve.installed import lacking
from tools.serve.preflight import plan
from tools.train import quantize as module
from tools.train.quantize import calibrate_on, group_size, linear_inputs, quantize
from tools.variant import QUANTIZATIONS, Origin

BASE = Path("models/tiny-qwen2")
CONF = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")
ROWS = 32
CALIBRATING = 12


def make_run(folder: Path, **values: Any) -> Run:
    """A run that looks trained and exported: the embedded model as its merged one, its own tasks as training data."""
    run = folder / "outputs" / CONF.stem
    shutil.copytree(BASE, run / "merged", ignore=shutil.ignore_patterns("README.md", "loss.*"))
    for name in ("train_results.json", "adapter_config.json"):
        (run / name).write_text(json.dumps({"peft_type": "LORA", "r": 8}))
    (run / "adapter_model.safetensors").write_bytes(b"adapter")
    origin = Origin(CONF.stem, str(BASE), "adapter", sha256(run / "adapter_model.safetensors"))
    write_json(run / "merged" / "export.json", origin.to_dict())
    data, rng = folder / "dataset" / "alpaca", random.Random(7)
    samples = [make_sample(rng, 60) for _ in range(ROWS)]
    write_json(data / "alpaca_sample_train.json", [{"instruction": s.system, "input": s.prompt, "output": s.answer} for s in samples])
    columns = {"prompt": "input", "system": "instruction", "response": "output"}
    write_json(data / "dataset_info.json", {"alpaca_sample_train": {"file_name": "alpaca_sample_train.json", "columns": columns}})
    return load_run(CONF, [f"dataset_dir={data}", f"output_dir={run}", *(f"{key}={value}" for key, value in values.items())])


def folder_of(run: Run, method: str) -> Path:
    return run.variant(f"merged-{method}").folder


@pytest.fixture
def run_(tmp_path: Path) -> Run:
    return make_run(tmp_path)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose merged model was quantised by every method, the first as a user calls it."""
    run = make_run(tmp_path_factory.mktemp("quantized"))
    first, *others = QUANTIZATIONS
    command = [sys.executable, "-m", "tools", "quantize", CONF, *run.overrides, "--method", first, "--samples", CALIBRATING]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(rf"7\.2 → \d\.\d MiB  next: make eval CONF={CONF} WHICH=merged-{first}", done.stdout), done.stdout
    for method in others:
        quantize(run, method, CALIBRATING)
    return run


@pytest.fixture(scope="module")
def differences(quantized: Run) -> dict[str, dict[str, float]]:
    """How far each quantised model's logits are from the merged one's, as transformers loads it."""
    from transformers import AutoTokenizer

    tokenizer, rng = AutoTokenizer.from_pretrained(BASE), random.Random(8)
    rows, answers = [], []  # token ids, and where each answer begins
    for sample in (make_sample(rng, 60) for _ in range(16)):
        chat = [{"role": "system", "content": sample.system}, {"role": "user", "content": sample.prompt}]
        asked = tokenizer(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True), add_special_tokens=False)["input_ids"]
        answer = tokenizer(f"{sample.answer}<|im_end|>", add_special_tokens=False)["input_ids"]
        rows.append(asked + answer)
        answers.append(len(asked))
    write_json(quantized.output_dir / "rows.json", [rows, answers])
    paths = {method: str(folder_of(quantized, method)) for method in QUANTIZATIONS}
    command = [module.PYTHON, "-c", COMPARE, quantized.output_dir / "merged", quantized.output_dir / "rows.json", *paths.values()]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(found)
    return {method: found[path] for method, path in paths.items()}


@pytest.mark.parametrize(("method", "relative", "same"), [("awq", 0.2, 0.97), ("gptq", 0.15, 0.97), ("fp8", 0.1, 0.98)])
def test_a_quantised_model_says_nearly_what_the_merged_one_says(
    differences: dict[str, dict[str, float]], method: str, relative: float, same: float
) -> None:
    found = differences[method]
    assert 0 < found["relative"] < relative
    assert found["same"] > same


@pytest.mark.parametrize(("method", "bits", "share"), [("awq", 4, 0.4), ("gptq", 4, 0.4), ("fp8", 8, 0.6)])
def test_a_quantised_model_is_smaller_whole_and_recorded(quantized: Run, method: str, bits: int, share: float) -> None:
    folder = folder_of(quantized, method)
    record, config = read_json(folder / "quantize.json"), read_json(folder / "config.json")["quantization_config"]
    weights = config["config_groups"]["group_0"]["weights"]
    assert (config["quant_method"], weights["num_bits"], config["ignore"]) == ("compressed-tensors", bits, ["lm_head"])
    assert (record["group_size"], weights["group_size"]) == ((64, 64) if bits == 4 else (None, None))  # 448 isn't a multiple of 128
    assert weights["symmetric"] is (method != "awq")
    assert record["bytes"]["merged"] == (BASE / "model.safetensors").stat().st_size
    assert (folder / "model.safetensors").stat().st_size == record["bytes"]["quantized"] < share * record["bytes"]["merged"]
    assert (record["run"], record["method"], record["base_model"]) == (CONF.stem, method, str(BASE))
    assert record["merged_sha256"] == {"model.safetensors": sha256(BASE / "model.safetensors")}
    assert record["adapter_sha256"] == sha256(quantized.output_dir / "adapter_model.safetensors")
    assert record["versions"]["llmcompressor"].startswith("0.14")
    if method == "fp8":
        assert record["calibration"] is None
    else:
        data = quantized.dataset / "alpaca" / "alpaca_sample_train.json"
        assert (record["calibration"]["rows"], record["calibration"]["sha256"]) == (CALIBRATING, {str(data): sha256(data)})
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (folder / name).read_bytes() == (BASE / name).read_bytes()
    assert not [path.name for path in [*quantized.output_dir.iterdir(), *folder.iterdir()] if path.name.startswith(".")]


@pytest.mark.skipif(lacking("awq") is not None, reason="vLLM's CPU build serves 4-bit weights on a processor with AVX-512, and this one has none")
def test_vllm_serves_the_awq_model_under_the_runs_name(quantized: Run) -> None:
    rows = read_json(quantized.dataset / "alpaca" / "alpaca_sample_train.json")
    row = min((row for row in rows), key=lambda row: len(row["input"]))
    chat = [{"role": "system", "content": row["instruction"]}, {"role": "user", "content": row["input"]}]
    awq, gptq = quantized.variant("merged-awq"), quantized.variant("merged-gptq")
    with serving(quantized, awq, None, free_port()) as server:
        name = model_name(server, awq)
        body = {"model": name, "messages": chat, "temperature": 0, "max_tokens": 200}
        answer = httpx.post(f"{server.url}/chat/completions", json=body, timeout=120).json()["choices"][0]
        with pytest.raises(ToolError, match=r"serves .* from .*merged-awq, this run's is .*merged.*WHICH=merged-gptq"):
            model_name(server, gptq)
    assert name == quantized.name
    assert (answer["message"]["content"], answer["finish_reason"]) == (row["output"], "stop")


def test_what_is_served_quantised_must_come_from_the_adapter_that_is_there(run_: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "instructions", lambda: {"avx512f"})
    with pytest.raises(ToolError, match=r"Not quantised yet: make quantize CONF=.*--method gptq"):
        plan(run_, run_.variant("merged-gptq"), 8000)
    shutil.copytree(run_.output_dir / "merged", folder_of(run_, "gptq"))
    write_json(folder_of(run_, "gptq") / "quantize.json", read_json(run_.variant("merged").record))
    flags = plan(run_, run_.variant("merged-gptq"), 8000)
    assert (flags["model"], flags["served-model-name"], "enable-lora" in flags) == (str(folder_of(run_, "gptq")), run_.name, False)
    (run_.output_dir / "adapter_model.safetensors").write_bytes(b"another")
    with pytest.raises(ToolError, match=r"merged-gptq: made from an older adapter.*--method gptq"):
        plan(run_, run_.variant("merged-gptq"), 8000)


def test_a_quantised_model_is_stale_once_another_adapter_was_merged(run_: Run) -> None:
    merged, gptq = run_.variant("merged"), run_.variant("merged-gptq")
    shutil.copytree(merged.folder, gptq.folder)
    write_json(gptq.record, read_json(merged.record))
    assert gptq.need()
    origin = Origin(CONF.stem, str(BASE), "checkpoint-2", "0" * 64)
    write_json(merged.record, origin.to_dict())
    with pytest.raises(ToolError, match=r"merged-gptq: made from another merged model.*make quantize CONF=.*--method gptq"):
        plan(run_, gptq, 8000)


def test_a_quantisation_waits_for_no_export_of_the_same_run(run_: Run) -> None:
    with one_at_a_time(run_.output_dir, "export"), pytest.raises(ToolError, match=r"in use by export.*To start the quantisation, wait"):
        quantize(run_, "fp8")


@pytest.mark.parametrize(("method", "flag", "name"), [("awq", "avx512f", "AVX-512"), ("gptq", "avx512f", "AVX-512"), ("fp8", "amx_fp8", "AMX-FP8")])
def test_quantised_weights_arent_served_where_vllm_has_no_fast_kernel_for_them(
    run_: Run, monkeypatch: pytest.MonkeyPatch, method: str, flag: str, name: str
) -> None:
    folder = folder_of(run_, method)
    shutil.copytree(run_.output_dir / "merged", folder)
    write_json(folder / "quantize.json", read_json(run_.variant("merged").record))
    variant = run_.variant(f"merged-{method}")
    monkeypatch.setattr(installed, "on_cpu", lambda: True)
    monkeypatch.setattr(installed, "instructions", lambda: {"avx2"})
    with pytest.raises(ToolError, match=rf"merged-{method}: this processor has no {name}, .*{method} weights.*make serve CONF={CONF} WHICH=merged"):
        plan(run_, variant, 8000)
    monkeypatch.setattr(installed, "instructions", lambda: {"avx2", flag})
    assert plan(run_, variant, 8000)["model"] == str(folder)
    monkeypatch.setattr(installed, "on_cpu", lambda: False)
    monkeypatch.setattr(installed, "instructions", lambda: {"avx2"})
    assert plan(run_, variant, 8000)["model"] == str(folder)


def test_the_rows_that_calibrate_are_the_trained_ones_token_by_token(run_: Run) -> None:
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    template = get_template_and_fix_tokenizer(tokenizer, DataArguments(template="qwen"))
    trained = []
    for row in read_json(run_.dataset / "alpaca" / "alpaca_sample_train.json"):
        turns = [{"role": "user", "content": row["input"]}, {"role": "assistant", "content": row["output"]}]
        question, answer = template.encode_oneturn(tokenizer, turns, row["instruction"])
        trained.append(question + answer)
    record, rows = calibrate_on(run_, BASE, ROWS)
    assert sorted(rows) == sorted(trained)
    assert (record["rows"], record["tokens"]) == (ROWS, sum(map(len, trained)))


def test_the_choice_of_rows_is_seeded_and_no_row_is_longer_than_in_training(run_: Run, tmp_path: Path) -> None:
    whole = calibrate_on(run_, BASE, 10)[1]
    assert whole == calibrate_on(run_, BASE, 10)[1] != calibrate_on(run_, BASE, ROWS)[1][-10:]
    cut = calibrate_on(Run(run_.path, {**run_.values, "cutoff_len": 24}), BASE, 10)[1]
    assert cut == [row[:24] for row in whole]
    assert max(map(len, whole)) > 24


@pytest.mark.parametrize(("inputs", "size"), [((3584, 18944), 128), ((256, 448), 64), ((896, 4864), 128), ((96, 256), 32)])
def test_the_group_size_is_the_largest_that_divides_every_layer(inputs: tuple[int, ...], size: int) -> None:
    assert group_size({str(width): width for width in inputs}) == size


def test_a_layer_that_no_group_divides_is_named() -> None:
    with pytest.raises(ToolError, match=r"layers\.0\.o_proj has 80 inputs.*--method fp8"):
        group_size({"layers.0.q_proj": 128, "layers.0.o_proj": 80})


def test_every_linear_layer_but_the_head_is_quantised() -> None:
    inputs = linear_inputs(BASE)
    assert (len(inputs), set(inputs.values())) == (6 * 7, {256, 448})


def stale(run: Run) -> None:
    (run.output_dir / "adapter_model.safetensors").write_bytes(b"another")


def mark_quantised(folder: Path) -> None:
    write_json(folder / "config.json", {**read_json(folder / "config.json"), "quantization_config": {"quant_method": "gptq"}})


def shorten(run: Run) -> None:
    path = run.dataset / "alpaca" / "alpaca_sample_train.json"
    write_json(path, read_json(path)[:3])


def as_sharegpt(run: Run) -> None:
    write_json(
        run.dataset / "alpaca" / "dataset_info.json", {"alpaca_sample_train": {"file_name": "alpaca_sample_train.json", "formatting": "sharegpt"}}
    )


@pytest.mark.parametrize(
    ("method", "damage", "message", "code"),
    [
        ("agq", lambda run: None, r"unknown method 'agq'\. Did you mean 'awq'\? Available: awq, fp8, gptq", 2),
        ("awq", lambda run: shutil.rmtree(run.output_dir / "merged"), f"Not merged yet: make export CONF={CONF}", 2),
        ("awq", stale, f"made from an older adapter than the one in .*make export CONF={CONF}", 2),
        ("awq", lambda run: run.variant("merged").record.unlink(), f"export.json: no such file.*make export CONF={CONF}", 2),
        ("fp8", lambda run: mark_quantised(run.output_dir / "merged"), "quantised already", 2),
        ("gptq", shorten, "3 rows, 256 are to calibrate. To take them all: --samples 3", 2),
        ("gptq", as_sharegpt, "dataset alpaca_sample_train isn't a local Alpaca file", 2),
        ("gptq", lambda run: (run.dataset / "alpaca/alpaca_sample_train.json").write_text("{}"), "must be a list of objects", 2),
        ("gptq", lambda run: (run.dataset / "alpaca/alpaca_sample_train.json").unlink(), "alpaca_sample_train.json: no such file", 2),
    ],
)
def test_what_cant_be_quantised_is_a_message_and_leaves_nothing(
    run_: Run, method: str, damage: Callable[[Run], Any], message: str, code: int
) -> None:
    damage(run_)
    with pytest.raises(ToolError, match=message) as error:
        quantize(run_, method)
    assert error.value.exit_code == code
    assert not list(run_.output_dir.glob("*merged-*"))


def test_a_quantised_base_model_is_refused_before_anything_else(run_: Run, tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path / "base")
    mark_quantised(tmp_path / "base")
    with pytest.raises(ToolError, match=r"base/config.json: the model is quantised already.*make export"):
        quantize(Run(run_.path, {**run_.values, "model_name_or_path": str(tmp_path / "base")}), "awq")


def test_too_little_room_is_said_before_the_work(run_: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 2**20))  # type: ignore[attr-defined]
    with pytest.raises(ToolError, match=r"0\.00 GiB free, the quantised model may take 0\.01 GiB"):
        quantize(run_, "fp8")


@pytest.fixture
def small_files() -> Iterator[None]:
    """No process of this test may write a file of more than 2 MiB, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_the_old_model_and_no_litter(run_: Run, small_files: None, capfd: pytest.CaptureFixture[str]) -> None:
    folder_of(run_, "fp8").mkdir()
    (folder_of(run_, "fp8") / "old").write_text("old")
    with pytest.raises(ToolError, match="llm-compressor stopped with exit code 1") as error:
        quantize(run_, "fp8")
    assert error.value.exit_code == 1
    said = capfd.readouterr().err
    assert "File too large" in said
    assert "Traceback" not in said
    assert (folder_of(run_, "fp8") / "old").read_text() == "old"
    assert not [path.name for path in run_.output_dir.iterdir() if path.name.startswith(".")]


def nan(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), "torn"),
        (nan, "model.norm.weight holds values that aren't finite"),
        (lambda folder: shutil.copy(BASE / "config.json", folder), "no quantization_config"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "no chat template"),
    ],
)
def test_a_damaged_result_is_refused(quantized: Run, tmp_path: Path, damage: Callable[[Path], Any], message: str) -> None:
    folder = shutil.copytree(folder_of(quantized, "fp8"), tmp_path / "model")
    size = (BASE / "model.safetensors").stat().st_size
    module.check(folder, size)
    damage(folder)
    with pytest.raises(ToolError, match=message) as error:
        module.check(folder, size)
    assert error.value.exit_code == 1


def test_a_result_no_smaller_than_the_merged_model_is_refused(quantized: Run) -> None:
    with pytest.raises(ToolError, match="no smaller than the merged model's 1,000"):
        module.check(folder_of(quantized, "fp8"), 1000)
