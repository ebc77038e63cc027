"""Each method's overlay, trained on the tiny model through the real launcher and merged by LLaMA-Factory's export."""

import importlib
import json
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.conf.run import Run, load_run
from tools.errors import ToolError
from tools.evaluate.best import need_checkpoints
from tools.files import ROOT
from tools.predict.engines import hf as local
from tools.serve.serve import plan
from tools.train import pissa
from tools.train.export import export

RUN = "tiny-qwen2-sample-ner-lora-sft"
BASE = "models/tiny-qwen2"
# DoRA, rsLoRA and LoRA+ are three independent switches: one run tries them together, and shows that they get along.
METHODS = {"qlora": ["qlora"], "dora": ["dora", "rslora", "loraplus"], "pissa": ["pissa"]}
# With PiSSA's checkpoints on the way.
SAVE = {"pissa": ["save_strategy=steps", "save_steps=2"]}
SHORT = ["max_steps=4", "max_samples=32", "per_device_train_batch_size=4", "warmup_steps=0", "plot_loss=false", "logging_steps=1"]


def call(module: str, *words: str) -> str:
    """A tool's output, stdout and stderr together; it must end well."""
    command = ["nice", sys.executable, "-m", module, *words]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Every method's output folder, with its merged model, and what LLaMA-Factory printed."""
    folder = tmp_path_factory.mktemp("methods")
    call("tools.data.convert", "conf/task/sample.yaml", "--out", str(folder / "dataset"))

    def words(method: str) -> list[str]:
        overlays = [f"conf/overlay/{name}.yaml" for name in METHODS[method]]
        return [*overlays, f"output_dir={folder / method / RUN}", f"dataset_dir={folder}/dataset/alpaca", *SHORT, *SAVE.get(method, [])]

    # Two at a time: most of the time is spent in importing, on one core.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda method: call("tools.train.train", f"conf/{RUN}.yaml", *words(method)), METHODS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        # LLaMA-Factory's export in this process, which has imported it already; tests/test_chain.py has it in its own.
        patch.setattr("tools.train.export.call", export_here)
        for method in METHODS:
            export(load_run(Path(f"conf/{RUN}.yaml"), words(method)))
    return {method: (folder / method / RUN, (folder / method / RUN / "train.log").read_text()) for method in METHODS}


def export_here(command: list[str], log: object = None) -> int:
    importlib.import_module("llamafactory.train.tuner").export_model(yaml.safe_load(Path(command[-1]).read_text()))
    return 0


def first_loss(out: Path) -> float:
    """The loss of the first batch, before anything is learned."""
    return float(json.loads((out / "trainer_log.jsonl").read_text().splitlines()[0])["loss"])


def config(adapter: Path) -> dict[str, Any]:
    return dict(json.loads((adapter / "adapter_config.json").read_text()))


def logits(model: str | Path, adapter: Path | None = None) -> Any:
    """Next-token logits of a rendered sentence, in float32."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    if adapter:
        loaded = PeftModel.from_pretrained(loaded, adapter)
    tokens = AutoTokenizer.from_pretrained(BASE)("李明在北京大学读书，他喜欢看《红楼梦》。", return_tensors="pt")
    with torch.no_grad():
        return loaded.eval()(**tokens).logits


def close(one: Any, other: Any) -> float:
    """How far two logits are apart, as a share of how far the adapter moved the base model's."""
    return float((one - other).abs().max() / (other - logits(BASE)).abs().max())


@pytest.mark.parametrize("method", METHODS)
def test_the_merged_model_is_the_base_model_with_the_adapter(runs: dict[str, tuple[Path, str]], method: str) -> None:
    out, _ = runs[method]
    assert (out / "merged/export.json").is_file()
    # bf16 keeps 8 bits of a weight; an adapter that wasn't applied, or applied with the wrong scaling, is at 1 or half of it.
    assert close(logits(out / "merged"), logits(BASE, out)) < 0.1


def test_qlora_holds_the_base_model_in_4_bits_and_merges_onto_the_unquantised_one(runs: dict[str, tuple[Path, str]]) -> None:
    out, printed = runs["qlora"]
    assert "Quantizing model to 4 bit with bitsandbytes" in printed
    # The other run begins on the same rows with an adapter that does nothing yet, so what differs is the base model's rounding.
    assert 0 < abs(first_loss(out) - first_loss(runs["dora"][0])) < 0.2
    assert "quantization_config" not in json.loads((out / "merged/config.json").read_text())


def test_dora_rslora_and_lora_plus_are_on(runs: dict[str, tuple[Path, str]]) -> None:
    from safetensors.torch import load_file

    out, printed = runs["dora"]
    written = config(out)
    assert (written["use_dora"], written["use_rslora"]) == (True, True)
    assert "Using LoRA+ optimizer with loraplus lr ratio 16.00." in printed
    assert any("lora_magnitude_vector" in name for name in load_file(out / pissa.WEIGHTS))


def test_pissas_adapter_is_made_a_plain_one_for_the_model_on_disk(runs: dict[str, tuple[Path, str]]) -> None:
    from safetensors.torch import load_file

    out, printed = runs["pissa"]
    assert "Using PiSSA initialization with FSVD steps 16" in printed
    rank = load_run(Path(f"conf/{RUN}.yaml")).values["lora_rank"]
    written, theirs = config(out), config(out / "pissa_converted")
    assert (written["r"], written["lora_alpha"], written["init_lora_weights"]) == (2 * rank, theirs["lora_alpha"], True)
    # PEFT made the same conversion from the live model.
    ours, expected = load_file(out / pissa.WEIGHTS), load_file(out / "pissa_converted" / pissa.WEIGHTS)
    assert ours.keys() == expected.keys()
    for name, tensor in ours.items():
        assert tensor.equal(expected[name]), name
    # What LLaMA-Factory leaves by itself does something else to the model on disk.
    assert close(logits(BASE, out / pissa.ENDED), logits(BASE, out)) > 1
    assert not pissa.convert(out), "a second conversion changes nothing"


def test_pissas_checkpoints_have_plain_copies_and_stay_what_training_goes_on_from(runs: dict[str, tuple[Path, str]], tmp_path: Path) -> None:
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    out, _ = runs["pissa"]
    copies = out / PLAIN_CHECKPOINTS
    assert sorted(path.name for path in copies.iterdir()) == ["checkpoint-2", "checkpoint-4"]
    # After the last step a checkpoint is the run's own adapter.
    last, final = load_file(copies / "checkpoint-4" / pissa.WEIGHTS), load_file(out / pissa.WEIGHTS)
    assert all(tensor.equal(final[name]) for name, tensor in last.items())
    assert config(copies / "checkpoint-4") == config(out)
    assert not is_pissa(copies / "checkpoint-2")
    assert is_pissa(out / "checkpoint-2")
    # PEFT converts the checkpoint to the same tensors.
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(BASE), out / "checkpoint-2")
    model.save_pretrained(str(tmp_path), path_initial_model_for_weight_conversion=str(out / pissa.BEGUN))
    ours, expected = (load_file(folder / pissa.WEIGHTS) for folder in (copies / "checkpoint-2", tmp_path))
    assert ours.keys() == expected.keys()
    assert all(tensor.equal(expected[name]) for name, tensor in ours.items())
    assert any(not tensor.equal(final[name]) for name, tensor in ours.items())


def serve(this: Run) -> None:
    plan(this, merged=False, port=8000)


def ask_here(this: Run) -> None:
    local.load(this, "adapter")


USES = [export, serve, ask_here, need_checkpoints]
# The launcher, killed between LLaMA-Factory's end and the conversion.
KILLED = "import os; from tools.train import launch, pissa; pissa.convert = lambda folder: os.kill(os.getpid(), 9); launch.main()"


def test_a_pissa_run_killed_before_its_conversion_is_refused_until_make_train_converts_it(runs: dict[str, tuple[Path, str]], tmp_path: Path) -> None:
    done, out = runs["pissa"][0], tmp_path / RUN
    for name in ("checkpoint-2", PLAIN_CHECKPOINTS, pissa.BEGUN):
        shutil.copytree(done / name, out / name)
    shutil.copy(done / "run.yaml", out)
    words = ["conf/overlay/pissa.yaml", f"output_dir={out}", f"dataset_dir={done.parents[1]}/dataset/alpaca", *SHORT, *SAVE["pissa"]]
    killed = subprocess.run([sys.executable, "-c", KILLED, f"conf/{RUN}.yaml", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (killed.returncode, "going on from checkpoint-2" in killed.stdout) == (-signal.SIGKILL, True), killed.stderr[-2000:]
    assert (out / "train_results.json").is_file()
    this = load_run(Path(f"conf/{RUN}.yaml"), words)
    for use in USES:
        with pytest.raises(ToolError, match=rf"still PiSSA's own adapter.*make train CONF=conf/{RUN}\.yaml"):
            use(this)
    # Neither the overlay nor the data is needed again.
    assert "what was left of PiSSA was now made plain LoRA adapters" in call("tools.train.train", f"conf/{RUN}.yaml", f"output_dir={out}")
    assert need_checkpoints(this) == [2, 4]
    assert plan(this, merged=False, port=8000, adapters="checkpoints")["lora-modules"][1:] == [
        f"{RUN}@{step}={out / PLAIN_CHECKPOINTS}/checkpoint-{step}" for step in (2, 4)
    ]
    # It went on from a checkpoint that had a plain copy beside it, and came to what the run that wasn't interrupted came to.
    assert close(logits(BASE, out), logits(BASE, done)) < 0.01
