"""Sizes are held against the real model: its parameters, PEFT's adapter, and what autograd keeps."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tools.conf.run import Run
from tools.train.memory import estimate, lora_parameters, per_token
from tools.train.plan import make_plan
from tools.train.weights import read_weights

BASE = Path("models/tiny-qwen2")


def run(**values: Any) -> Run:
    return Run(Path("conf/x.yaml"), {"model_name_or_path": str(BASE), "lora_rank": 8, **values})


@pytest.mark.parametrize("target", ["all", "q_proj,v_proj", "down_proj"])
def test_the_adapter_has_as_many_parameters_as_pefts(target: str) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    weights = read_weights(BASE)
    assert weights is not None
    modules = "all-linear" if target == "all" else target.split(",")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(BASE), LoraConfig(r=16, target_modules=modules))
    assert lora_parameters(weights, target, 16) == model.get_nb_trainable_parameters()[0]


def test_of_a_vision_language_model_the_layers_that_llamafactory_trains_are_counted(tmp_path: Path) -> None:
    from llamafactory.hparams import FinetuningArguments
    from llamafactory.model.model_utils.misc import find_all_linear_modules
    from llamafactory.model.model_utils.visual import patch_target_modules
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    senses = {"depth": 2, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32, "deepstack_visual_indexes": [0]}
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config={**text, "vocab_size": 64}, vision_config=senses))
    model.save_pretrained(tmp_path)
    weights = read_weights(tmp_path)
    assert weights is not None
    trained = patch_target_modules(model, FinetuningArguments(), find_all_linear_modules(model, freeze_vision_tower=True))
    found = estimate(run(model_name_or_path=str(tmp_path), lora_target="all"), make_plan(run(), [10]), weights)
    assert found
    assert found.trained_parameters == get_peft_model(model, LoraConfig(r=8, target_modules=trained)).get_nb_trainable_parameters()[0]


@pytest.mark.parametrize(("shared", "dropout"), [(False, 0.0), (False, 0.1), (True, 0.0)])
def test_a_layer_keeps_what_autograd_saves(shared: bool, dropout: float) -> None:
    """Of two models that differ by a layer, the tensors saved for the backward pass, parameters left out."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from tools.train.engines.fused_lora import fuse
    from tools.train.engines.shared_prefix import share

    sizes = {"hidden": 256, "intermediate": 640, "query": 256, "keys": 128, "layers": 1, "vocabulary": 512}
    rank, rows, first, rest = 8, 8, 64, 32
    tokens = first + rows * rest if shared else rows * (first + rest)

    def saved(layers: int) -> int:
        config = Qwen2Config(
            vocab_size=512, hidden_size=256, intermediate_size=640, num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=2
        )
        model = get_peft_model(Qwen2ForCausalLM(config).to(torch.bfloat16), LoraConfig(r=rank, target_modules="all-linear", lora_dropout=dropout))
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        if shared:
            fuse(model)
            share(model.get_base_model())
        kept: dict[int, Any] = {}

        def pack(tensor: Any) -> Any:
            kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address is used twice
            return tensor

        ids = torch.cat([torch.randint(0, 512, (first,)).expand(rows, -1), torch.randint(0, 512, (rows, rest))], 1)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", dtype=torch.bfloat16):
            model(input_ids=ids, labels=ids)
        owned = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        return sum(tensor.untyped_storage().nbytes() for address, tensor in kept.items() if address not in owned)

    assert per_token(sizes, rank, half=True, dropout=bool(dropout)) == pytest.approx((saved(3) - saved(2)) / tokens, rel=0.05)


def test_checkpointing_trades_memory_for_time_and_quantising_shrinks_the_base() -> None:
    weights = read_weights(BASE)
    assert weights is not None
    plan = make_plan(run(per_device_train_batch_size=4), [200] * 100)
    free = estimate(run(bf16=True, disable_gradient_checkpointing=True), plan, weights)
    saving = estimate(run(bf16=True), plan, weights)
    small = estimate(run(bf16=True, quantization_bit=4), plan, weights)
    assert free and saving and small
    assert saving.activations < free.activations / 2
    assert (saving.other_activations, saving.total) == (free.activations, free.other_total)
    assert small.weights < weights.bytes / 2
    assert free.weights == weights.bytes


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"save_steps": 10}, 8),
        ({"save_steps": 10, "save_total_limit": 2}, 3),
        ({"save_strategy": "epoch"}, 3),
        ({"save_strategy": "no"}, 0),
        ({"save_steps": 0.25}, 4),
    ],
)
def test_checkpoints_are_counted_with_the_one_that_is_being_written(values: dict, count: int) -> None:
    weights = read_weights(BASE)
    assert weights is not None
    plan = make_plan(run(per_device_train_batch_size=4, num_train_epochs=3), [20] * 100)
    assert plan.steps == 75
    found = estimate(run(**values), plan, weights)
    assert found
    assert found.checkpoints == count


@pytest.mark.parametrize("change", [{"num_attention_heads": None}, {"layer_types": ["linear_attention", "full_attention"]}])
def test_a_config_that_tells_no_sizes_of_attention_gives_no_estimate(tmp_path: Path, change: dict[str, Any]) -> None:
    shutil.copytree(BASE, tmp_path / "base")
    config = json.loads((BASE / "config.json").read_text()) | change
    (tmp_path / "base/config.json").write_text(json.dumps(config))
    weights = read_weights(BASE)
    assert weights is not None
    assert estimate(run(model_name_or_path=str(tmp_path / "base")), make_plan(run(), [10]), weights) is None
