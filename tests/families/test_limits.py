"""What the installed packages can't do for a family is refused before training, with what works instead."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from safetensors.numpy import save_file

from tools.conf.run import Run
from tools.errors import ToolError
from tools.serve import preflight
from tools.train import families
from tools.train.examination import examine

VISION_LANGUAGE = {
    "architectures": ["Qwen3_5ForConditionalGeneration"],
    "model_type": "qwen3_5",
    "text_config": {"model_type": "qwen3_5_text"},
    "vision_config": {},
}
MIXTURE = {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_experts": 4}


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., list[str]]:
    """Returns the problems of a run on a base model with this config.json."""

    def problems(config: dict[str, Any], conf: str = "conf/x.yaml", **values: Any) -> list[str]:
        (tmp_path / "config.json").write_text(json.dumps(config))
        return families.problems(
            Run(Path(conf), {"model_name_or_path": str(tmp_path), "finetuning_type": "lora", "output_dir": str(tmp_path), **values})
        )

    return problems


@pytest.mark.parametrize(
    "config",
    [
        {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"},
        {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"},
        {"architectures": ["Qwen3_5ForCausalLM"], "model_type": "qwen3_5_text", "layer_types": ["linear_attention", "full_attention"]},
        VISION_LANGUAGE,
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
        {"architectures": ["Glm4ForCausalLM"], "model_type": "glm4"},
        {"architectures": ["GlmForCausalLM"], "model_type": "glm"},  # vLLM takes it from transformers
        {"model_type": "qwen2"},
        {},
    ],
)
def test_todays_families_are_taken(found: Callable[..., list[str]], config: dict[str, Any]) -> None:
    assert found(config, lora_target="all") == []


def test_a_type_that_transformers_has_not_is_refused(found: Callable[..., list[str]]) -> None:
    [problem] = found({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3_55"})
    assert "the installed transformers has no model of `model_type: qwen3_55`. Did you mean 'qwen3_5'?" in problem


def test_a_model_with_code_of_its_own_says_how_to_run_it(found: Callable[..., list[str]]) -> None:
    config = {"architectures": ["ChatGLMModel"], "model_type": "chatglm", "auto_map": {"AutoConfig": "x.Y"}}
    assert "say trust_remote_code: true" in found(config)[0]
    assert found(config, trust_remote_code=True) == []


@pytest.mark.parametrize("architecture", ["Qwen55ForCausalLM", "Phi3SmallForCausalLM"])  # the second was dropped by vLLM
def test_an_architecture_that_vllm_has_not_is_refused(found: Callable[..., list[str]], architecture: str) -> None:
    config = {"architectures": [architecture], "model_type": "qwen3"}
    assert f"no class for {architecture}, so the trained model couldn't be served" in found(config)[0]
    assert found(config, finetuning_type="prefix") == [], "vLLM serves no prefix anyway"


def test_without_vllm_here_nothing_is_known_of_it(found: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(families, "SERVE", tmp_path)
    assert found({"architectures": ["Qwen55ForCausalLM"], "model_type": "qwen3"}) == []


def test_the_peft_engine_leaves_vision_language_models_to_llamafactory(found: Callable[..., list[str]]) -> None:
    assert "Put the run into conf/, not conf/peft/" in found(VISION_LANGUAGE, "conf/peft/x.yaml")[0]
    assert found(VISION_LANGUAGE, "conf/peft/x.yaml", finetuning_type="p_tuning") == []


@pytest.mark.parametrize("target", ["all", "q_proj, up_proj", ["q_proj", "down_proj"], None])
def test_lora_on_experts_is_refused_with_the_layers_that_it_reaches(found: Callable[..., list[str]], tmp_path: Path, target: Any) -> None:
    layer, matrix = "model.layers.0.", numpy.zeros((2, 2), "f")
    names = ("self_attn.q_proj", "self_attn.o_proj", "mlp.experts.0.up_proj", "mlp.experts.0.down_proj", "mlp.gate")
    save_file({f"{layer}{name}.weight": matrix for name in names}, tmp_path / "model.safetensors")
    assert "a mixture of experts" in found(MIXTURE, lora_target=target)[0]
    assert "lora_target: o_proj,q_proj, or take a dense model" in found(MIXTURE, lora_target=target)[0]
    assert found(MIXTURE, lora_target="o_proj,q_proj") == []
    assert found(MIXTURE, finetuning_type="full") == []


def test_a_shared_expert_is_a_layer_that_lora_reaches(found: Callable[..., list[str]], tmp_path: Path) -> None:
    names = ("linear_attn.out_proj", "mlp.shared_expert.up_proj", "mlp.shared_expert_gate", "visual.qkv")
    save_file({f"model.{name}.weight": numpy.zeros((2, 2), "f") for name in names}, tmp_path / "model.safetensors")
    config = {"architectures": ["Qwen3_5MoeForConditionalGeneration"], "model_type": "qwen3_5_moe", "text_config": {"model_type": "qwen3_5_moe_text"}}
    assert "lora_target: out_proj,up_proj, or" in found(config, lora_target="all")[0]
    assert found(config, lora_target="up_proj,out_proj") == []


def test_a_layer_that_vllm_has_in_parts_is_trained_by_its_name_alone(found: Callable[..., list[str]], tmp_path: Path) -> None:
    save_file({f"model.{name}.weight": numpy.zeros((2, 2), "f") for name in ("q_proj", "gate_up_proj", "down_proj")}, tmp_path / "model.safetensors")
    config = {"architectures": ["Glm4ForCausalLM"], "model_type": "glm4"}
    assert "no adapter of gate_up_proj: its Glm4ForCausalLM has gate_proj, up_proj instead. Say lora_target: down_proj,q_proj." in found(config)[0]
    assert found(config, lora_target="down_proj,q_proj") == found(config, lora_target="down_proj,gate_up_proj,q_proj") == []
    assert found({"architectures": ["Phi3ForCausalLM"], "model_type": "phi3"}) == [], "vLLM has the fused layer itself"


@pytest.mark.parametrize(
    "text", [{"model_type": "qwen3_5_text"}, {"model_type": "qwen3_5_text", "layer_types": ["linear_attention", "full_attention"]}]
)
def test_rows_packed_before_recurrent_layers_are_refused(found: Callable[..., list[str]], text: dict[str, Any]) -> None:
    config = {**VISION_LANGUAGE, "text_config": text}
    assert "carry each packed row into the next. Leave it out" in found(config, neat_packing=True)[0]
    assert found(config, neat_packing=True, flash_attn="fa2") == []
    assert found({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "layer_types": ["full_attention"]}, neat_packing=True) == []


def test_a_packed_row_really_runs_into_the_next_in_a_gated_delta_net_and_not_in_attention() -> None:
    import torch
    from transformers import AutoModelForCausalLM, Qwen3_5TextConfig, Qwen3Config

    from tests.families.models import GATED, LAYERS, SIZES

    rows, least = torch.arange(40).view(2, 20), torch.finfo(torch.float32).min
    mask = torch.full((40, 40), least)
    for row in (slice(0, 20), slice(20, 40)):
        mask[row, row] = torch.triu(torch.full((20, 20), least), 1)
    apart = {}
    for kind, config in (
        ("recurrent", Qwen3_5TextConfig(**{**SIZES, **GATED, "vocab_size": 64})),
        ("attention", Qwen3Config(**SIZES, **LAYERS, vocab_size=64)),
    ):
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        with torch.no_grad():
            packed = model(rows.view(1, 40), position_ids=torch.arange(20).repeat(2)[None], attention_mask=mask[None, None]).logits[0, 20:]
            apart[kind] = float((packed - model(rows[1:]).logits[0]).abs().max())
    assert apart["attention"] < 1e-3 < apart["recurrent"]


def test_the_check_of_a_run_says_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["Qwen55ForCausalLM"], "model_type": "qwen55"}))
    found = examine(Run(Path("conf/x.yaml"), {"model_name_or_path": str(tmp_path), "output_dir": str(tmp_path), "dataset": "a", "template": "qwen"}))
    assert [problem for problem in found.problems if "no model of `model_type: qwen55`" in problem]


def test_a_vision_language_model_is_served_for_text_alone_and_within_its_own_positions(tmp_path: Path) -> None:
    for config, length in (
        (VISION_LANGUAGE | {"text_config": {"max_position_embeddings": 640}}, 640),
        ({"architectures": ["Qwen3ForCausalLM"]}, 768),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config))
        run = Run(
            Path("conf/x.yaml"),
            {"model_name_or_path": str(tmp_path), "output_dir": str(tmp_path / "x"), "dataset": "alpaca_x_train", "cutoff_len": 256},
        )
        flags = preflight.plan(run, run.variant("base"), 8000)
        assert (flags.get("language-model-only", False), flags["max-model-len"]) == ("vision_config" in config, length)


@pytest.mark.parametrize("cpu", [True, False])
def test_an_adapter_of_a_mixture_of_experts_is_served_by_no_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpu: bool) -> None:
    monkeypatch.setattr(preflight, "on_cpu", lambda: cpu)
    (tmp_path / "config.json").write_text(json.dumps(MIXTURE))
    run = Run(Path("conf/x.yaml"), {"model_name_or_path": str(tmp_path), "output_dir": str(tmp_path / "x"), "dataset": "alpaca_x_train"})
    if cpu:
        with pytest.raises(ToolError, match=r"a mixture of experts.*WHICH=merged"):
            preflight._adapter_flags(run, [], tmp_path)
    else:
        with pytest.raises(ValueError, match="empty"):  # there is no adapter here
            preflight._adapter_flags(run, [], tmp_path)
