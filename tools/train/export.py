"""Merges an adapter into the base model with LLaMA-Factory, checks every tensor of the result, and only then moves it into place.

In: a trained run. Out: data/outputs/<run>/merged/, a model that transformers and vLLM load without PEFT, with export.json, which names the adapter.

    ./ner export conf/tiny-qwen2-sample-ner-lora-sft.yaml
    ./ner export conf/tiny-qwen2-sample-ner-lora-sft.yaml --which best
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from tools.chat.own_format import find_template
from tools.conf.run import Run, run_from
from tools.errors import WANTING, ToolError, all_at_once
from tools.files import one_at_a_time, read_json, replacing, write_json, write_text
from tools.process import call
from tools.train.adapter import need_mergeable
from tools.train.arguments import base_model_problems
from tools.train.engines.engine_table import llamafactory_cli
from tools.train.merged_names import restore_names
from tools.train.train import reason, to_yaml
from tools.train.weights import tensors
from tools.variant import Variant

LOG = "export.log"
LEFT_OUT = re.compile(r"Found missing adapter keys while loading the checkpoint: \[([^\]]*)")  # PEFT 0.18.1 (peft_model.py) only warns
# Tied embeddings may be stored once or twice; the layers that guess further tokens (Qwen3.5) are loaded by no model of transformers, and by vLLM only to guess.
LEFT_BEHIND = ("lm_head.weight", "mtp.")
PASSED_ON = ("model_name_or_path", "template", "finetuning_type", "trust_remote_code", "cache_dir", "infer_dtype")


def export(run: Run, variant: Variant) -> Path:
    """Merges one of the run's adapters, checks the result and puts it in place; returns the merged folder. The old one stays until the new one is known to be good.

    Raises ToolError: exit code 2 when there is no such adapter or no base model, 1 when the base model would take nothing or a part of the adapter, when the merge
    failed or its result isn't whole.
    """
    if not variant.is_adapter:
        raise ToolError(f"--which {variant.word}: only an adapter can be merged. Choices: adapter, best, checkpoint-<step>.")
    variant.need()
    kind = read_json(variant.folder / "adapter_config.json").get("peft_type")
    if kind != "LORA":
        raise ToolError(
            f'{variant.folder}: {kind} adapters have no weights to merge. To score it without merging: make eval CONF={run.path} ARGS="--engine hf"'
        )
    trained, merged = run.trained(), run.variant("merged")
    all_at_once(base_model_problems(trained))
    need_mergeable(variant.folder, Path(trained.base_model))
    with one_at_a_time(run.output_dir, "export"), replacing(merged.folder) as new:
        origin = variant.origin_here()
        _merge(trained, variant.folder, new)
        restore_names(new, Path(trained.base_model))
        changed = check(new, Path(trained.base_model))
        write_json(new / merged.record.name, {**origin.to_dict(), "changed_tensors": changed})
    return merged.folder


def check(merged: Path, base: Path) -> int:
    """Reads every tensor of a merged model and returns how many the merge changed.

    Raises ToolError (exit code 1) when a file is torn, a tensor of the base model is missing, of another shape or not finite, when nothing changed (the adapter
    wasn't applied), or when tokenizer or chat template are missing.
    """
    import torch
    from tqdm import tqdm

    expected, changed, found = dict(tensors(base)), 0, set()
    for name, tensor in tqdm(tensors(merged), total=len(expected), desc="checking", unit=" tensors", disable=None, leave=False):
        found.add(name)
        if not torch.isfinite(tensor).all():
            raise ToolError(f"{merged}: tensor {name} holds values that aren't finite; the adapter diverged.", WANTING)
        if name in expected:
            if tensor.shape != expected[name].shape:
                raise ToolError(f"{merged}: tensor {name} is {tuple(tensor.shape)}, the base model's is {tuple(expected[name].shape)}.", WANTING)
            changed += not torch.equal(tensor, expected[name].to(tensor.dtype))
    if lost := sorted(name for name in set(expected) - found if not name.startswith(LEFT_BEHIND)):
        raise ToolError(f"{merged}: {len(lost)} tensors of the base model are missing, e.g. {lost[0]}.", WANTING)
    if not changed:
        raise ToolError(f"{merged}: equal to the base model: the adapter changed nothing. Was it trained for a step?", WANTING)
    check_chat(merged)
    return changed


def check_chat(model: Path) -> None:
    """Raises ToolError (exit code 1) when a model folder has no tokenizer or no chat template."""
    if not any((model / name).is_file() for name in ("tokenizer.json", "vocab.json", "tokenizer.model")):
        raise ToolError(f"{model}: no tokenizer: LLaMA-Factory couldn't save it. Its reason is in {LOG}.", WANTING)
    if find_template(model)[1] is None:
        raise ToolError(f"{model}: no chat template; the base model has none to copy.", WANTING)


def _merge(run: Run, adapter: Path, folder: Path) -> None:
    """Runs LLaMA-Factory's export of an adapter into a folder. Raises ToolError with the last error of its log."""
    values: dict[str, Any] = {key: run.values[key] for key in PASSED_ON if key in run.values}
    values |= {"adapter_name_or_path": str(adapter), "export_dir": str(folder), "export_size": 5, "export_device": "cpu"}
    values |= {key: value for key, value in run.values.items() if key.startswith("export_") and key != "export_dir"}
    conf = run.output_dir / "export.yaml"
    write_text(conf, to_yaml(values))
    log_path = run.output_dir / LOG
    print(f"merging {adapter} into {run.base_model} (log: {log_path}) …", flush=True)
    with open(log_path, "w", encoding="utf-8") as log:
        code = call([llamafactory_cli(), "export", str(conf)], log=log)
    if code:
        raise ToolError(f"{conf}: LLaMA-Factory's export stopped with exit code {code}.\n{reason(log_path)}", WANTING)
    if found := LEFT_OUT.search(log_path.read_text(encoding="utf-8", errors="replace")):
        raise ToolError(
            f"{adapter}: PEFT found no weights for layers that adapter_config.json names, and left them as they were: {found[1][:200]} … Was it"
            f" trained on another base model? Train again. The whole log: {log_path}",
            WANTING,
        )


def main(args: argparse.Namespace) -> None:
    """Merges the adapter that the words name."""
    run = run_from(args)
    folder = export(run, run.variant(args.which))
    print(f"merged: {folder}  next: {run.variant('merged').command('serve')}")
