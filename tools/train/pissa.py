"""Makes a plain LoRA adapter of what PiSSA trained, so that it fits the base model that everybody has.

PiSSA takes the largest singular values out of the base model's weights and trains those: W = W' + s·B₀A₀ becomes W' + s·BA. What LLaMA-Factory leaves is
(A, B), which fits W' alone: PEFT would compute another W' (its decomposition is a random one), and vLLM refuses it. The same model on the
untouched W is the adapter [A; A₀], [B, -B₀] of twice the rank, for s·BA - s·B₀A₀ is what training changed.

In: the output folder of a run with `pissa_init: true` and `pissa_convert: true`. Out: its adapter_model.safetensors and adapter_config.json, converted, and
of each checkpoint a converted copy in pissa_checkpoints/: the checkpoint itself stays as it is, for training can go on from that alone. (The copy isn't in
the checkpoint's own folder: transformers takes every adapter in there for one that the model has.) The launcher does it when training ends. For a run that
was trained natively, with llamafactory-cli:

    python -m tools.train.pissa data/outputs/<run>
"""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

from tools.conf.run import Run
from tools.errors import ToolError, run
from tools.files import need_file, read_json, replacing, replacing_file, write_json
from tools.train.checkpoints import checkpoints, file_fault

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# LLaMA-Factory's folders: the adapter before the first step (written anew whenever training begins), and after the last.
BEGUN, ENDED = "pissa_init", "pissa_backup"
FIRST = "pissa_first"  # ours: the adapter before the first step of a run that was resumed


def problems(this: Run) -> list[str]:
    """What would make a PiSSA run's adapter one that fits no model; none for other runs."""
    values, found = this.values, []
    if not values.get("pissa_init"):
        return []
    if not values.get("pissa_convert"):
        found.append(
            f"{this.path}: `pissa_init` without `pissa_convert: true` leaves an adapter that fits no model; lay conf/overlay/pissa.yaml over the run."
        )
    for key in ("use_dora", "quantization_bit", "additional_target"):
        if values.get(key):
            found.append(f"{this.path}: `pissa_init` and `{key}` don't go together; keep one of them.")
    if values.get("fsdp") or "zero3" in str(values.get("deepspeed")):
        found.append(f"{this.path}: PiSSA decomposes whole weights, and FSDP and ZeRO-3 divide them; ZeRO-2 does not.")
    if values.get("resume_from_checkpoint") and not any((this.output_dir / name / WEIGHTS).is_file() for name in (FIRST, BEGUN)):
        found.append(f"{this.output_dir / BEGUN}: no {WEIGHTS}: without the adapter before the first step, a resumed PiSSA run can't be converted.")
    return found


def before(this: Run) -> None:
    """Before training: keep a resumed run's first adapter, which LLaMA-Factory would overwrite with the checkpoint's; a fresh run has none to keep.

    Copies of checkpoints go: they may be another training's, and are made anew when this one ends.
    """
    begun, first = this.output_dir / BEGUN, this.output_dir / FIRST
    shutil.rmtree(this.output_dir / PLAIN_CHECKPOINTS, ignore_errors=True)
    if not this.values.get("resume_from_checkpoint"):
        shutil.rmtree(first, ignore_errors=True)
    elif begun.is_dir() and not first.is_dir():
        os.replace(begun, first)


def convert(folder: Path) -> bool:
    """Replace the PiSSA adapter in a run's `folder` by the plain LoRA adapter that does the same to the original base model; False when nothing is left to do.

    Its checkpoints get converted copies first, so that a conversion that is cut short is done anew. The formula and the new rank and alpha are PEFT's own
    (LoraModel.subtract_mutated_init and PeftModel.save_pretrained with path_initial_model_for_weight_conversion). PEFT needs the base model in memory for it; and
    on a resumed run LLaMA-Factory takes the checkpoint for the adapter before the first step. Raises ToolError when one of the adapters is missing.
    """
    if not (todo := left(folder)):
        return False
    from safetensors.torch import load_file

    begun = folder / (FIRST if (folder / FIRST).is_dir() else BEGUN)
    hint = "`pissa_convert: true` writes it; train again with conf/overlay/pissa.yaml and FRESH=1."
    first, ended = load_file(need_file(begun / WEIGHTS, hint)), need_file(folder / ENDED / WEIGHTS, hint)
    for place in todo:
        if place == folder:
            _write(folder, first, ended, folder / CONFIG)
        else:
            with replacing(folder / PLAIN_CHECKPOINTS / place.name) as copy:
                _write(copy, first, place / WEIGHTS, place / CONFIG)
    return True


def left(folder: Path) -> list[Path]:
    """What must still be converted of an ended run: checkpoints that have no copy (all, where copies may be an earlier training's), then the run's own folder."""
    own = is_pissa(folder)
    found = [
        checkpoint
        for checkpoint in checkpoints(folder)
        if (own or not (folder / PLAIN_CHECKPOINTS / checkpoint.name).is_dir()) and _is_whole(checkpoint) and is_pissa(checkpoint)
    ]
    return [*found, *([folder] if own else [])]


def _is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint's adapter can be read; whether training could go on from it is another question."""
    return all((checkpoint / name).is_file() and not file_fault(checkpoint / name) for name in (CONFIG, WEIGHTS))


def _write(folder: Path, first: dict[str, Any], weights: Path, config: Path) -> None:
    """Put the plain adapter of PiSSA's `weights` and `config` into `folder`."""
    from safetensors.torch import load_file, save_file

    with replacing_file(folder / WEIGHTS) as new:
        save_file({name: _join(name, tensor, first[name]) for name, tensor in load_file(weights).items()}, new, metadata={"format": "pt"})
    write_json(folder / CONFIG, _twice(read_json(config)))  # the mark that it is done, so last


def _join(name: str, last: Any, first: Any) -> Any:
    import torch

    return torch.cat([last, first], dim=0) if "lora_A" in name else torch.cat([last, -first], dim=1)


def _twice(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration at twice the rank, with the scaling kept: alpha / r, or alpha / √r for rsLoRA."""
    grow = math.sqrt(2) if config.get("use_rslora") else 2
    return {**config, "init_lora_weights": True, "r": config["r"] * 2, "lora_alpha": config["lora_alpha"] * grow}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.train.pissa", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path, metavar="data/outputs/<run>", help="a trained run's output folder")
    folder = parser.parse_args().folder
    need_file(folder / CONFIG, "make train CONF=…")
    if not convert(folder):
        raise ToolError(f"{folder / CONFIG}: not a PiSSA adapter, or converted already; nothing is left to do.")
    print(f"converted: {folder / WEIGHTS}")


if __name__ == "__main__":
    run(main)
