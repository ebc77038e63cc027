"""Merges the adapter into the base model with LLaMA-Factory, checks the result, and only then moves it into place.

In: a trained run. Out: data/outputs/<run>/merged/, a model that transformers and vLLM load without PEFT.

    python -m tools.train.export conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.conf.run import Run, run_from
from tools.errors import WANTING, ToolError, all_at_once, run
from tools.files import need_file, read_json, replacing, sha256, write_json, write_text
from tools.process import call
from tools.train.arguments import base_model_problems
from tools.train.train import llamafactory_cli, reason, to_yaml

LOG = "export.log"
ADAPTER = "adapter_model.safetensors"
ORIGIN = "export.json"  # in the merged folder, written last: which adapter it was made from
PASSED_ON = ("model_name_or_path", "template", "finetuning_type", "trust_remote_code", "cache_dir", "infer_dtype")


def export(this: Run, best: bool = False) -> Path:
    """Merge the run's adapter (or with `best` the checkpoint that `make best` found), check and put in place; returns the merged folder.

    Raises ToolError: exit code 2 when there is no adapter or no base model, 1 when the merge failed or its result isn't whole. The old merged
    model stays as it is until the new one is known to be good.
    """
    trained = this.trained()
    adapter = this.best_adapter() / ADAPTER if best else need_adapter(this)
    this.need_plain(adapter.parent)
    if (kind := read_json(adapter.with_name("adapter_config.json")).get("peft_type")) != "LORA":
        raise ToolError(f"{adapter.parent}: {kind} adapters have no weights to merge. Without merging: make eval CONF={this.path} ENGINE=hf")
    all_at_once(base_model_problems(trained))
    with replacing(this.merged) as new:
        _merge(trained, adapter.parent, new)
        changed = check(new, Path(trained.base_model))
        origin = {"adapter": os.path.relpath(adapter.parent, this.output_dir), "adapter_sha256": sha256(adapter)}
        write_json(new / ORIGIN, {"run": this.name, "base_model": trained.base_model, **origin, "changed_tensors": changed})
    return this.merged


def need_adapter(this: Run) -> Path:
    """The run's trained adapter file, or a ToolError with the command that trains it."""
    need_file(this.output_dir / "train_results.json", f"The run isn't trained yet, or its training didn't finish: make train CONF={this.path}")
    need_file(this.output_dir / "adapter_config.json", f"make train CONF={this.path}")
    return need_file(this.output_dir / ADAPTER, f"make train CONF={this.path}")


def need_merged(this: Run) -> Path:
    """The run's merged folder, when it was made from the adapter that is there now; else a ToolError with the command that makes it anew."""
    command = f"make export CONF={this.path}"
    need_adapter(this)
    if this.is_stale(need_file(this.merged / ORIGIN, f"Not merged yet: {command}")):
        raise ToolError(f"{this.merged}: made from an older adapter than the one in {this.output_dir}: {command}")
    return this.merged


def check(merged: Path, base: Path) -> int:
    """How many tensors the merge changed; every one is read.

    Raises ToolError (exit code 1) when a file is torn, a tensor of the base model is missing, of another shape or not finite, when nothing
    changed (the adapter wasn't applied), or when tokenizer or chat template are missing.
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
    # Tied embeddings may be stored once or twice.
    if lost := sorted(set(expected) - found - {"lm_head.weight"}):
        raise ToolError(f"{merged}: {len(lost)} tensors of the base model are missing, e.g. {lost[0]}.", WANTING)
    if not changed:
        raise ToolError(f"{merged}: equal to the base model: the adapter changed nothing. Was it trained for a step?", WANTING)
    check_chat(merged)
    return changed


def check_chat(model: Path) -> None:
    """Raise ToolError (exit code 1) when a model folder has no tokenizer or no chat template."""
    if not any((model / name).is_file() for name in ("tokenizer.json", "vocab.json", "tokenizer.model")):
        raise ToolError(f"{model}: no tokenizer; LLaMA-Factory could not save it (export.log says why).", WANTING)
    if not _has_chat_template(model):
        raise ToolError(f"{model}: no chat template; the base model has none to copy.", WANTING)


def _merge(this: Run, adapter: Path, folder: Path) -> None:
    values: dict[str, Any] = {key: this.values[key] for key in PASSED_ON if key in this.values}
    values |= {"adapter_name_or_path": str(adapter), "export_dir": str(folder), "export_size": 5, "export_device": "cpu"}
    values |= {key: value for key, value in this.values.items() if key.startswith("export_") and key != "export_dir"}
    conf = this.output_dir / "export.yaml"
    write_text(conf, to_yaml(values))
    log_path = this.output_dir / LOG
    print(f"merging {adapter} into {this.base_model} (log: {log_path}) …", flush=True)
    with open(log_path, "w", encoding="utf-8") as log:
        code = call([llamafactory_cli(), "export", str(conf)], log=log)
    if code:
        raise ToolError(f"{conf}: LLaMA-Factory's export stopped with exit code {code}.\n{reason(log_path)}", WANTING)


def tensors(folder: Path) -> Iterator[tuple[str, Any]]:
    """(name, tensor) of every weight in a model folder, one in memory at a time; a ToolError names a file that is missing or torn."""
    from safetensors import SafetensorError, safe_open

    index = folder / "model.safetensors.index.json"
    names = sorted(set(read_json(index)["weight_map"].values())) if index.is_file() else ["model.safetensors"]
    for name in names:
        try:
            with safe_open(need_file(folder / name), framework="pt") as weights:
                for key in weights.keys():  # noqa: SIM118 - safe_open isn't a mapping
                    yield key, weights.get_tensor(key)
        except SafetensorError as error:
            raise ToolError(f"{folder / name}: not readable: {error}.", WANTING) from None


def _has_chat_template(folder: Path) -> bool:
    config = folder / "tokenizer_config.json"
    return (folder / "chat_template.jinja").is_file() or (config.is_file() and bool(read_json(config).get("chat_template")))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.train.export", description=(__doc__ or "").split("\n\n")[0])
    add_run(parser)
    parser.add_argument("--best", action="store_true", help="merge the checkpoint that `make best` found (make: BEST=1)")
    args = parser.parse_args()
    this = run_from(args)
    print(f"merged: {export(this, args.best)}  next: make serve CONF={this.path} MERGED=1")


if __name__ == "__main__":
    run(main)
