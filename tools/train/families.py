"""Tells what the installed transformers, PEFT and vLLM can't do for a base model's family, before anything is trained.

In: a run whose base model's folder is here. Out: a message for each thing, with what works instead. The packages' own tables of classes are read as text: importing
transformers or vLLM takes seconds.

    ./ner check conf/Qwen3.5-4B-clue-ner-lora-sft.yaml neat_packing=true
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tools.conf.run import PEFT_METHODS, Run
from tools.errors import choices
from tools.files import ROOT, read_json, read_text
from tools.train.weights import read_weights

SERVE = ROOT / ".venv" / "serve"
ALL, PERCEPTRON = "all", ("gate_proj", "up_proj", "down_proj")
RECURRENT = ("linear_attention", "mamba", "recurrent", "conv")  # values of `layer_types`
RECURRENT_MODELS = ("qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text", "qwen3_next")  # where a config.json leaves `layer_types` out


def problems(run: Run) -> list[str]:
    """Returns a message for each thing that a package can't do for the family of the run's base model; none where its config.json can't be read."""
    file = Path(run.base_model) / "config.json"
    config = read_json(file) if file.is_file() else None
    if not isinstance(config, dict):
        return []
    text = text_config(config)
    checks = (_unknown(run, config), _unserved(run, config), _text_alone(run, config), _experts(run, text), _fused(run, config), _packed(run, text))
    return [f"{run.path}: {problem}" for problem in checks if problem]


def is_mixture(config: dict[str, Any]) -> bool:
    """Returns whether a config.json is that of a mixture of experts that transformers holds as one tensor a layer."""
    return _holds_experts_as_one(str(text_config(config).get("model_type", "")))


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a config.json with the keys of its text model on top: a vision-language model's has them apart."""
    return {**config, **(config.get("text_config") or {})}


def is_recurrent(text: dict[str, Any]) -> bool:
    """Returns whether a model of this `text_config` has recurrent layers."""
    layers = set(map(str, text.get("layer_types") or ()))
    return bool(layers.intersection(RECURRENT)) if layers else text.get("model_type") in RECURRENT_MODELS


def _unknown(run: Run, config: dict[str, Any]) -> str:
    """A model of a type that transformers doesn't have ends with a traceback once the training starts."""
    kind, known = str(config.get("model_type", "")), _types(_package("transformers"))
    if not kind or not known or kind in known or (config.get("auto_map") and run.values.get("trust_remote_code")):
        return ""
    if config.get("auto_map"):
        return f"{run.base_model} brings its own code. Where you trust it, say trust_remote_code: true; it runs with your rights."
    return (
        f"{run.base_model}: the installed transformers has no model of `model_type: {kind}`.{choices(kind, known)} Take a base model of such a type."
    )


def _unserved(run: Run, config: dict[str, Any]) -> str:
    """A model of an architecture that vLLM doesn't have would be trained and never served."""
    names, served = config.get("architectures") or [], _served(SERVE)
    if not names or not served or run.values.get("finetuning_type") in PEFT_METHODS or any(name in served for name in names):
        return ""
    return (
        f"{run.base_model}: vLLM in {SERVE} has no class for {', '.join(map(str, names))}, so the trained model couldn't be served."
        f"{choices(str(names[0]), served)} Take a base model of such a class."
    )


def _text_alone(run: Run, config: dict[str, Any]) -> str:
    """The PEFT engine trains a vision-language model's text form, whose layers have other names than vLLM's."""
    names = [str(name) for name in config.get("architectures") or [] if str(name).endswith("ForConditionalGeneration")]
    if run.engine != "peft" or not names or run.values.get("finetuning_type") in PEFT_METHODS or "vision_config" not in config:
        return ""
    return (
        f"{run.base_model} is a {names[0]}, of which the PEFT engine trains the text form: vLLM would find none of the adapter's layers under their names."
        " Put the run into conf/, not conf/peft/: LLaMA-Factory trains the whole form."
    )


def _experts(run: Run, text: dict[str, Any]) -> str:
    """transformers holds a layer's experts as one tensor, which is no linear layer: LoRA leaves them out without a word."""
    named = _names(run.values.get("lora_target") or ALL)
    if run.values.get("finetuning_type", "lora") != "lora" or not is_mixture(text):
        return ""
    others = _other_layers(Path(run.base_model))
    unreached = [name for name in named if name == ALL or (name in PERCEPTRON and name not in others)]
    if not unreached:
        return ""
    return (
        f"`lora_target: {','.join(named)}`: {run.base_model} is a mixture of experts, which the installed transformers holds as one tensor a layer: LoRA would leave"
        f" them out without a word, and train the other layers alone. Name those, lora_target: {','.join(others)}, or take a dense model."
    )


def _fused(run: Run, config: dict[str, Any]) -> str:
    """vLLM refuses an adapter of a layer that its class knows as the parts of which it is fused, such as `gate_up_proj` of a GLM-4."""
    if run.values.get("finetuning_type", "lora") != "lora" or ALL not in _names(run.values.get("lora_target") or ALL):
        return ""
    layers, architecture = _other_layers(Path(run.base_model)), next(map(str, config.get("architectures") or ()), "")
    parts = _parts(SERVE, architecture)
    fused = [name for name in layers if name not in parts.get(name, [name])]
    if not fused:
        return ""
    rest = ",".join(name for name in layers if name not in fused)
    return (
        f"`lora_target: all`: vLLM takes no adapter of {', '.join(fused)}: its {architecture} has {', '.join(parts[fused[0]])} instead. Say lora_target: {rest}."
        f" To train all layers and serve the run merged alone, name them all: lora_target: {','.join(layers)}."
    )


def _packed(run: Run, text: dict[str, Any]) -> str:
    """A recurrent layer carries its state from one packed row into the next: LLaMA-Factory tells it the borders only with flash attention 2."""
    if not run.values.get("neat_packing") or not is_recurrent(text) or run.values.get("flash_attn") == "fa2":
        return ""
    return (
        f"`neat_packing: true`: the recurrent layers of {run.base_model} carry each packed row into the next. Leave it out; train_sampling_strategy:"
        " group_by_length saves the padding too. With flash_attn: fa2 and the package flash-linear-attention, LLaMA-Factory keeps the rows apart."
    )


def _names(target: Any) -> list[str]:
    parts = target if isinstance(target, list) else str(target).split(",")
    return [str(part).strip() for part in parts]


def _other_layers(folder: Path) -> list[str]:
    """Returns the last names of the linear layers of a mixture of experts that LoRA reaches; attention's where its weights can't be read."""
    weights = read_weights(folder)
    found = weights.linear() if weights else {}
    names = {name.rpartition(".")[2] for name in found if ".experts." not in name and not name.endswith((".gate", "_gate"))}
    return sorted(names) or ["q_proj", "k_proj", "v_proj", "o_proj"]


def _holds_experts_as_one(kind: str) -> bool:
    """Returns whether transformers' model of a type has a class of all experts, instead of a list of layers."""
    name, package = kind.removesuffix("_text"), _package("transformers")
    source = package / "models" / name / f"modeling_{name}.py" if package and name else None
    return bool(source and source.is_file() and re.search(r"^class \w+Experts\(nn\.Module\):", read_text(source), re.MULTILINE))


@cache
def _types(transformers: Path | None) -> Collection[str]:
    """Returns the model types that transformers knows; none where its table can't be read."""
    source = transformers / "models" / "auto" / "configuration_auto.py" if transformers else None
    return dict(_table(source, "CONFIG_MAPPING_NAMES")) if source and source.is_file() else {}


@cache
def _served(environment: Path) -> Collection[str]:
    """Returns the architectures that vLLM has a class for, or can take from its transformers; none where it isn't installed."""
    for source in environment.glob("lib/python3*/site-packages/vllm/model_executor/models/registry.py"):
        auto = source.parents[3] / "transformers" / "models" / "auto" / "modeling_auto.py"
        dropped = set(re.findall(r'"(\w+)"', _block(read_text(source), "_PREVIOUSLY_SUPPORTED_MODELS")))
        named = re.findall(r'"([A-Z]\w+)": \(', read_text(source)) + (re.findall(r'"([A-Z]\w+)"', read_text(auto)) if auto.is_file() else [])
        return set(named) - dropped
    return ()


@cache
def _parts(environment: Path, architecture: str) -> dict[str, list[str]]:
    """Returns fused layer → its parts as vLLM's class of an architecture declares them itself; nothing where it doesn't."""
    for source in environment.glob("lib/python3*/site-packages/vllm/model_executor/models/registry.py"):
        if place := re.search(rf'"{re.escape(architecture)}": \(\s*"(\w+)",\s*"(\w+)"', read_text(source)):
            body = next((node.body for node in _classes(source.with_name(f"{place[1]}.py")) if node.name == place[2]), [])
            declared = [
                node.value for node in body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "packed_modules_mapping"
            ]
            return ast.literal_eval(declared[0]) if declared and isinstance(declared[0], ast.Dict) else {}
    return {}


def _classes(source: Path) -> list[ast.ClassDef]:
    return [node for node in ast.parse(read_text(source)).body if isinstance(node, ast.ClassDef)] if source.is_file() else []


def _block(source: str, name: str) -> str:
    """Returns the text of a table in a source, from its name to the brace that ends it."""
    return source.partition(f"\n{name} = {{")[2].partition("\n}")[0]


def _table(source: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yields the pairs of `name = OrderedDict([(key, value), …])` in a source."""
    for node in ast.parse(read_text(source)).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name and isinstance(node.value, ast.Call) and node.value.args:
            yield from ast.literal_eval(node.value.args[0])


def _package(name: str) -> Path | None:
    package = find_spec(name)
    return Path(package.submodule_search_locations[0]) if package and package.submodule_search_locations else None
