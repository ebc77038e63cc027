"""Which of a run's checkpoints can be trusted: LLaMA-Factory writes them file by file, and would resume from the newest whatever is in it.

In: a run's output folder. Out: the newest whole checkpoint; torn ones are found by reading every byte, and set aside under another name.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from tools.errors import ToolError
from tools.train.memory import read_weights
from tools.variant import CHECKPOINT

TORN = "torn-"  # not "checkpoint-…": transformers counts those, and removes the oldest
STATE = "trainer_state.json"  # written last
# What training goes on from beside the weights; a checkpoint of `save_only_model` has none of it.
RESUMED = ("optimizer.pt", "scheduler.pt")


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoint folders of a run, the newest first, whole or not."""
    found = [(int(match["step"]), path) for path in folder.glob("checkpoint-*") if (match := CHECKPOINT.fullmatch(path.name)) and path.is_dir()]
    return [path for _, path in sorted(found, reverse=True)]


def fault(checkpoint: Path) -> str:
    """Why training can't go on from a checkpoint ('' for nothing); every file in it is read."""
    if (checkpoint / "latest").is_file():  # DeepSpeed's own layout: the optimizer is in a folder that this file names
        states = checkpoint / (checkpoint / "latest").read_text(encoding="utf-8").strip()
        needed = [] if states.is_dir() else [states.name]
    else:
        needed = [name for name in RESUMED if not (checkpoint / name).is_file()]
        if (needed == ["optimizer.pt"] and any(checkpoint.glob("optimizer_*"))) or any(checkpoint.glob("pytorch_model_fsdp*")):
            needed = []  # FSDP's
    missing = [name for name in (STATE, *needed) if not (checkpoint / name).exists()]
    if not any(path.suffix in (".safetensors", ".bin", ".distcp") and path.name != "training_args.bin" for path in checkpoint.rglob("*")):
        missing.append("weights")
    if missing:
        return f"no {', '.join(missing)}"
    return next((problem for path in sorted(checkpoint.rglob("*")) if path.is_file() and (problem := file_fault(path))), "")


def file_fault(path: Path) -> str:
    """What is wrong with one file: JSON that doesn't parse, a torch archive with a wrong checksum, safetensors shorter than their header says."""
    try:
        if path.suffix == ".json":
            value = json.loads(path.read_text(encoding="utf-8"))
            if path.name == STATE and value.get("global_step") != step_of(path.parent):
                return f"{path.name} is of step {value.get('global_step')}"
        elif path.suffix in (".pt", ".pth", ".bin"):
            with zipfile.ZipFile(path) as archive:  # torch.save's format; its CRCs are read, nothing is unpickled
                if torn := archive.testzip():
                    return f"{path.name}: {torn} is damaged"
        elif path.suffix == ".safetensors":
            read_weights(path.parent)
    except (ValueError, OSError, zipfile.BadZipFile, ToolError) as error:
        return f"{path.name}: {str(error).splitlines()[0][:200]}"
    return ""


def newest_whole(folder: Path) -> tuple[Path | None, list[tuple[Path, str]]]:
    """(the newest checkpoint that is whole, those newer than it with why they aren't). Nothing is changed."""
    torn: list[tuple[Path, str]] = []
    for checkpoint in checkpoints(folder):
        problem = fault(checkpoint)
        if not problem:
            return checkpoint, torn
        torn.append((checkpoint, problem))
    return None, torn


def set_aside(checkpoint: Path) -> Path:
    """Rename a torn checkpoint, so that neither LLaMA-Factory nor transformers takes it for one; returns its new place."""
    number, aside = 1, checkpoint.with_name(TORN + checkpoint.name)
    while aside.exists():
        number += 1
        aside = checkpoint.with_name(f"{TORN}{checkpoint.name}.{number}")
    return checkpoint.rename(aside)


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which a checkpoint was written."""
    match = CHECKPOINT.fullmatch(checkpoint.name)
    return int(match["step"]) if match else 0
