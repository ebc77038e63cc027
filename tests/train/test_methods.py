"""Each method's overlay, trained on the tiny model by the launcher and merged by the export.

LLaMA-Factory runs in this process, which imports it once: tests/test_chain.py and tests/train/test_interrupted.py start it as a user does.
"""

import importlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.conf.run import Run, load_run
from tools.conf.task import load_task
from tools.data.convert import convert
from tools.errors import ToolError
from tools.files import ROOT
from tools.predict.engines import hf
from tools.serve.preflight import plan
from tools.train import native_parser, pissa
from tools.train.export import export
from tools.train.train import train
from tools.variant import ADAPTER_WEIGHTS, is_pissa

RUN = "tiny-qwen2-sample-ner-lora-sft"
BASE = "models/tiny-qwen2"
# DoRA, rsLoRA and LoRA+ are three independent switches: one run tries them together, and shows that they get along.
METHODS = {"qlora": ["qlora"], "dora": ["dora", "rslora", "loraplus"], "pissa": ["pissa"]}
# With PiSSA's checkpoints on the way.
SAVE = {"pissa": ["save_strategy=steps", "save_steps=2"]}
SHORT = ["max_steps=4", "max_samples=32", "per_device_train_batch_size=4", "warmup_steps=0", "plot_loss=false", "logging_steps=1"]


def run_exp_here(command: list[str], run: Run, *_: object) -> int:
    """Takes the place of `watch`: the engine's training in this process, and its log in train.log."""
    handler = logging.FileHandler(run.output_dir / "train.log")
    logger = logging.getLogger("llamafactory")
    level = logger.level
    logger.setLevel(logging.INFO)  # a test before this one may have silenced it in this process
    logger.addHandler(handler)
    try:
        assert command[1:3] == ["-m", "tools.train.engines.llamafactory_engine"], "with shared first tokens"
        shared = importlib.import_module("tools.train.engines.shared_prefix").Sharing()
        importlib.import_module("llamafactory.train.tuner").run_exp(yaml.safe_load(Path(command[-1]).read_text()), [shared])
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return 0


def export_here(command: list[str], log: object = None) -> int:
    """Takes the place of `call`: LLaMA-Factory's export in this process."""
    importlib.import_module("llamafactory.train.tuner").export_model(yaml.safe_load(Path(command[-1]).read_text()))
    return 0


def killed(folder: Path) -> bool:
    raise KeyboardInterrupt


Uses = list[tuple[str, str]]
Runs = dict[str, tuple[Path, str, Uses]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Every method's output folder with its merged model, LLaMA-Factory's log, and the messages of uses before a PiSSA run was converted.

    PiSSA's training is killed between LLaMA-Factory's end and the conversion, and called again.
    """
    folder = tmp_path_factory.mktemp("methods")
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr("tools.train.train.watch", run_exp_here)
        patch.setattr("tools.train.export.call", export_here)
        patch.setattr(native_parser, "ask", lambda run: native_parser.Objections())
        convert(load_task(Path("conf/task/sample.yaml")), folder / "dataset")
        for method, overlays in METHODS.items():
            out = folder / method / RUN
            words = [f"conf/overlay/{name}.yaml" for name in overlays]
            words += [f"output_dir={out}", f"dataset_dir={folder}/dataset/alpaca", *SHORT, *SAVE.get(method, [])]
            run = load_run(Path(f"conf/{RUN}.yaml"), words)
            refused: Uses = []
            if method == "pissa":
                with patch.context() as kill, pytest.raises(KeyboardInterrupt):
                    kill.setattr(pissa, "convert", killed)
                    train(run)
                refused = refusals(run)
                train(load_run(Path(f"conf/{RUN}.yaml"), [f"output_dir={out}"]))  # neither the overlay nor the data is needed again
            else:
                train(run)
            export(run, run.variant("adapter"))
            found[method] = out, (out / "train.log").read_text(), refused
    return found


USES: dict[str, Callable[[Run], object]] = {
    "export": lambda run: export(run, run.variant("adapter")),
    "serve": lambda run: plan(run, run.variant("adapter"), 8000),
    "hf": lambda run: hf.load(run, run.variant("adapter")),
}


def refusals(run: Run) -> Uses:
    """(use, message) of each use that refuses the run's adapter."""
    found = []
    for name, use in USES.items():
        try:
            use(run)
        except ToolError as error:
            found.append((name, str(error)))
    return found


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
def test_the_merged_model_is_the_base_model_with_the_adapter(runs: Runs, method: str) -> None:
    out, _, _ = runs[method]
    assert (out / "merged/export.json").is_file()
    # bf16 keeps 8 bits of a weight; an adapter that wasn't applied, or applied with the wrong scaling, is at 1 or half of it.
    assert close(logits(out / "merged"), logits(BASE, out)) < 0.1


def test_qlora_holds_the_base_model_in_4_bits_and_merges_onto_the_unquantised_one(runs: Runs) -> None:
    out, printed, _ = runs["qlora"]
    assert "Quantizing model to 4 bit with bitsandbytes" in printed
    # The other run begins on the same rows with an adapter that does nothing yet, so what differs is the base model's rounding.
    assert 0 < abs(first_loss(out) - first_loss(runs["dora"][0])) < 0.2
    assert "quantization_config" not in json.loads((out / "merged/config.json").read_text())


def test_dora_rslora_and_lora_plus_are_on(runs: Runs) -> None:
    from safetensors.torch import load_file

    out, printed, _ = runs["dora"]
    written = config(out)
    assert (written["use_dora"], written["use_rslora"]) == (True, True)
    assert "Using LoRA+ optimizer with loraplus lr ratio 16.00." in printed
    assert any("lora_magnitude_vector" in name for name in load_file(out / ADAPTER_WEIGHTS))


def test_pissas_adapter_is_made_a_plain_one_for_the_model_on_disk(runs: Runs) -> None:
    from safetensors.torch import load_file

    out, printed, _ = runs["pissa"]
    assert "Using PiSSA initialization with FSVD steps 16" in printed
    rank = load_run(Path(f"conf/{RUN}.yaml")).values["lora_rank"]
    written, theirs = config(out), config(out / "pissa_converted")
    assert (written["r"], written["lora_alpha"], written["init_lora_weights"]) == (2 * rank, theirs["lora_alpha"], True)
    # PEFT made the same conversion from the live model.
    ours, expected = load_file(out / ADAPTER_WEIGHTS), load_file(out / "pissa_converted" / ADAPTER_WEIGHTS)
    assert ours.keys() == expected.keys()
    for name, tensor in ours.items():
        assert tensor.equal(expected[name]), name
    # What LLaMA-Factory leaves by itself does something else to the model on disk.
    assert close(logits(BASE, out / pissa.ENDED), logits(BASE, out)) > 1
    assert not pissa.convert(out), "a second conversion changes nothing"


def test_pissas_checkpoints_are_refused_and_stay_as_they_are(runs: Runs) -> None:
    out, _, _ = runs["pissa"]
    assert is_pissa(out / "checkpoint-2")
    run = load_run(Path(f"conf/{RUN}.yaml"), [f"output_dir={out}"])
    for use in (export, lambda run, variant: plan(run, variant, 8000), hf.load):
        with pytest.raises(ToolError, match=r"checkpoint-2: .*PiSSA"):
            use(run, run.variant("checkpoint-2"))  # type: ignore[operator]


def test_a_pissa_run_killed_before_its_conversion_is_refused_until_make_train_converts_it(runs: Runs) -> None:
    out, _, refused = runs["pissa"]
    assert [name for name, _ in refused] == list(USES)
    for _, message in refused:
        assert "PiSSA" in message
        assert f"make train CONF=conf/{RUN}.yaml" in message
    assert (out / "train_results.json").is_file()
    assert not is_pissa(out)
