"""Computes vLLM's flags for a run, and reports everything that vLLM would refuse before it starts.

In: a trained run and one of its models. Out: flags as vLLM's --config file takes them: conf/serve.yaml, overridden by what the run decides.

    ./ner serve conf/tiny-qwen2-sample-ner-lora-sft.yaml --which merged
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from heapq import nlargest
from pathlib import Path
from typing import Any

from tools.chat.probe import alpaca_rows
from tools.chat.prompt import ANSWER_TOKENS, answer_tokens
from tools.chat.token_ids import is_quick, token_counter
from tools.conf.overlays import container, load_yaml
from tools.conf.run import DATASET_NAME, Run, dataset_names
from tools.conf.task import TASKS, find_task
from tools.errors import ToolError
from tools.files import ROOT, need_file, read_json
from tools.processor import is_slow_in_bf16
from tools.serve.installed import PYTHON, lacking, on_cpu
from tools.serve.renaming import vllm_names
from tools.train.adapter import need_applied
from tools.train.families import is_mixture, is_recurrent, text_config
from tools.variant import FINISHED, Variant

# vLLM's choices for --max-lora-rank (vllm/config/lora.py).
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
WORKER = "tools.serve.cpu_adapters.GroupedWorker"
COUNTED = 64  # rows of a file whose tokens are counted: those with the most characters
REFUSED = (("use_dora", "DoRA adapters"), ("modules_to_save", "adapters with modules_to_save"))


def plan(run: Run, variant: Variant, port: int, others: Sequence[Run] = (), checkpoints: bool = False) -> dict[str, Any]:
    """Returns vLLM's flags. An adapter is served beside its base model, under names of their own.

    `others` are runs of the same base model whose adapters are served too; `checkpoints` serves every checkpoint of the run. Raises ToolError for a model that
    isn't there or is stale, and for what vLLM would refuse, with the command to use instead.
    """
    if others and not variant.is_adapter:
        raise ToolError("several runs share one server as adapters of one base model; leave WHICH= out, or serve each on a port of its own.")
    model = Path(run.trained().base_model) if variant.is_adapter else variant.folder
    if variant.is_adapter:
        own = _adapter_flags(run, [*(_all_adapters(run) if checkpoints else [variant.need()]), *_of_others(run, others)], model)
    else:
        _need_kernel(variant.need())
        own = {"served-model-name": variant.served_name}
    config = read_json(need_file(model / "config.json", f"{run.path} names it as base model."))
    positions = text_config(config).get("max_position_embeddings", 2**31)
    text_alone = {"language-model-only": True} if "vision_config" in config else {}  # no memory, and no warm-up, for pictures that nobody sends
    trained = [run.trained(), *(other.trained() for other in others)]
    length = min(max(longest_prompt(one) + longest_answer(one) for one in trained), int(positions))
    house = {**_house("serve"), **(_on_cpu(text_config(config)) if on_cpu() else {})}
    trust = {"trust-remote-code": True} if trained[0].values.get("trust_remote_code") else {}
    return {"max-model-len": length, **house, **text_alone, "model": str(model), **own, **trust, "port": port}


def whole_checkpoints(run: Run) -> dict[int, Variant]:
    """Returns step → checkpoint, in order; torn ones are left out. Raises ToolError for a PiSSA run, whose checkpoints fit no model on the disk."""
    steps = [step for step, folder in sorted(run.checkpoints()) if (folder / "adapter_config.json").is_file()]
    return {step: run.variant(f"checkpoint-{step}").need() for step in steps}


def longest_prompt(trained: Run) -> int:
    """Returns the tokens of the longest row that the server will be asked: counted in the run's own Alpaca files where that is quick, else its `cutoff_len`.

    Training cuts a longer row to `cutoff_len`. A server that did so would answer half a question, and one that refuses it loses the row.
    """
    cutoff = int(trained.values.get("cutoff_len", 2048))
    names = [f"{match['task']}_*" for name in dataset_names(trained.values.get("dataset")) if (match := DATASET_NAME.fullmatch(name))]
    files = sorted({path for name in names for path in (trained.dataset / "alpaca").glob(f"alpaca_{name}.json")})
    if not files or not is_quick(trained):
        return cutoff
    rows = [row for path in files for row in nlargest(COUNTED, alpaca_rows(path), key=lambda row: len(row["instruction"]) + len(row["input"]))]
    return max([cutoff, *token_counter(trained)([{**row, "output": ""} for row in rows])])


def longest_answer(trained: Run) -> int:
    """Returns the tokens that the server leaves for an answer to the run's tasks; a task whose file isn't here has short ones."""
    matches = map(DATASET_NAME.fullmatch, dataset_names(trained.values.get("dataset")))
    tasks = {match["task"] for match in matches if match}
    return max([ANSWER_TOKENS, *(answer_tokens(find_task(name), trained) for name in tasks if (TASKS / f"{name}.yaml").is_file())])


def max_lora_rank(run: Run, folder: Path, base: Path) -> int:
    """Returns the smallest --max-lora-rank that takes an adapter, read from its adapter_config.json.

    Raises ToolError for an adapter that vLLM refuses, and for one of which it would apply nothing or a part, such as one of another base model.
    """
    path = need_file(folder / "adapter_config.json", run.variant("adapter").made_by)
    config = read_json(path)
    instead = f"Serve it merged: make export CONF={run.path}, then make serve CONF={run.path} WHICH=merged"
    if config.get("peft_type") != "LORA":
        hint = f'Without a server: make eval CONF={run.path} ARGS="--engine hf"'
        raise ToolError(f"{path}: vLLM serves LoRA adapters, this is {config.get('peft_type')}. {hint}")
    for key, what in REFUSED:
        if config.get(key):
            raise ToolError(f"{path}: vLLM doesn't take {what}. {instead}")
    architecture = next(iter(read_json(base / "config.json").get("architectures") or []), "")
    need_applied(folder, base, instead, partial(vllm_names, PYTHON, architecture))
    rank = max([config["r"], *(config.get("rank_pattern") or {}).values()])
    if rank > RANKS[-1]:
        raise ToolError(f"{path}: rank {rank}; vLLM takes {RANKS[-1]} at most. {instead}")
    return next(known for known in RANKS if known >= rank)


def _all_adapters(run: Run) -> list[Variant]:
    """Returns the run's last adapter, where training has finished, and its checkpoints."""
    last = [run.variant("adapter").need()] if (run.output_dir / FINISHED).is_file() else []
    return [*last, *whole_checkpoints(run).values()]


def _adapter_flags(run: Run, adapters: Sequence[Variant], model: Path) -> dict[str, Any]:
    config = read_json(need_file(model / "config.json", f"{run.path} names it as base model."))
    if on_cpu() and is_mixture(config):
        raise ToolError(
            f"{model}: a mixture of experts, of which vLLM's CPU build serves no adapter (that kernel needs Triton). Serve it merged: make export CONF={run.path},"
            f" then make serve CONF={run.path} WHICH=merged"
        )
    return {
        "served-model-name": run.variant("base").served_name,
        "enable-lora": True,
        "max-loras": len(adapters),
        "max-lora-rank": max(max_lora_rank(run, adapter.folder, model) for adapter in adapters),
        "lora-modules": [f"{adapter.served_name}={adapter.folder}" for adapter in adapters],
        **({"worker-cls": WORKER} if on_cpu() else {}),
    }


def _of_others(run: Run, others: Sequence[Run]) -> list[Variant]:
    """Returns other runs' adapters. Raises ToolError for one that isn't trained, or has another base model."""
    found, mine = [other.variant("adapter").need() for other in others], Path(run.trained().base_model)
    for variant in found:
        if mine.resolve() != Path(variant.base_model).resolve():
            raise ToolError(
                f"{variant.conf}: trained on {variant.base_model}, and {run.path} on {mine}; one server holds adapters of one base model. Serve it on a port of"
                " its own."
            )
    return found


def _need_kernel(variant: Variant) -> None:
    if missing := lacking(variant.quantization):
        raise ToolError(
            f"{variant.folder}: this processor has no {missing}, without which vLLM's CPU build has no fast kernel for {variant.quantization} weights."
            f" Serve it on a GPU, or serve the merged model: make serve CONF={variant.conf} WHICH=merged"
        )


def _on_cpu(text: dict[str, Any]) -> dict[str, Any]:
    # vLLM on a processor with AVX2 alone took 35 s for eight answers of a 0.5 B model in bf16, and 7 s in float32. Its recurrent layers compute in bf16 alone
    # (vllm/model_executor/layers/mamba/ops/cpu/gdn_attention.py).
    wide = is_slow_in_bf16() and not is_recurrent(text)
    return {**_house("serve-cpu"), **({"dtype": "float32"} if wide else {})}


def _house(name: str) -> dict[str, Any]:
    path = ROOT / "conf" / f"{name}.yaml"
    return container(load_yaml(path), path)
