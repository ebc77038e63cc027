"""Tells whole checkpoints from torn ones. LLaMA-Factory writes them file by file and would resume from the newest, whole or not.

In: a run's output folder. Out: the newest whole checkpoint. Torn ones are found by reading every file, and can be set aside under another name.

    ./ner train conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from tools.errors import ToolError
from tools.train.weights import need_whole
from tools.variant import CHECKPOINT

TORN = "torn-"  # not "checkpoint-…": transformers counts those, and removes the oldest
STATE = "trainer_state.json"  # written last
# Training goes on from these and the weights; a checkpoint of `save_only_model` has none of them.
RESUMED = ("optimizer.pt", "scheduler.pt")


def checkpoints(folder: Path) -> list[Path]:
    """Returns the checkpoint folders of a run, the newest first, whole or not."""
    return sorted((path for path in folder.glob("checkpoint-*") if CHECKPOINT.fullmatch(path.name) and path.is_dir()), key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """Returns the optimizer step after which a checkpoint was written; 0 for a folder with another kind of name."""
    match = CHECKPOINT.fullmatch(checkpoint.name)
    return int(match["step"]) if match else 0


def fault(checkpoint: Path) -> str:
    """Returns why training can't go on from a checkpoint, or an empty string. Every file in it is read."""
    missing = [name for name in (STATE, *_missing_states(checkpoint)) if not (checkpoint / name).exists()]
    if not any(path.suffix in (".safetensors", ".bin", ".distcp") and path.name != "training_args.bin" for path in checkpoint.rglob("*")):
        missing.append("weights")
    if missing:
        return f"no {', '.join(missing)}"
    return next((problem for path in sorted(checkpoint.rglob("*")) if path.is_file() and (problem := file_fault(path))), "")


def _missing_states(checkpoint: Path) -> list[str]:
    """Returns the optimizer's and scheduler's files that aren't there. DeepSpeed and FSDP have layouts of their own."""
    if (checkpoint / "latest").is_file():  # DeepSpeed: this file names the optimizer's folder
        states = checkpoint / (checkpoint / "latest").read_text(encoding="utf-8").strip()
        return [] if states.is_dir() else [states.name]
    missing = [name for name in RESUMED if not (checkpoint / name).is_file()]
    of_fsdp = any(checkpoint.glob("pytorch_model_fsdp*")) or (missing == ["optimizer.pt"] and any(checkpoint.glob("optimizer_*")))
    return [] if of_fsdp else missing


def file_fault(path: Path) -> str:
    """Returns what is wrong with one file, or an empty string: JSON that doesn't parse, a torch archive with a wrong checksum, torn safetensors."""
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
            need_whole(path)
    except ToolError as error:
        return str(error)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        return f"{path.name}: {str(error).splitlines()[0][:200]}"
    return ""


def newest_whole(folder: Path) -> tuple[Path | None, list[tuple[Path, str]]]:
    """Returns the newest whole checkpoint, and (checkpoint, fault) of each newer one. Nothing is changed."""
    torn: list[tuple[Path, str]] = []
    for checkpoint in checkpoints(folder):
        problem = fault(checkpoint)
        if not problem:
            return checkpoint, torn
        torn.append((checkpoint, problem))
    return None, torn


def set_aside(checkpoint: Path) -> Path:
    """Renames a torn checkpoint, so that neither LLaMA-Factory nor transformers takes it for one. Returns its new place."""
    number, aside = 1, checkpoint.with_name(TORN + checkpoint.name)
    while aside.exists():
        number += 1
        aside = checkpoint.with_name(f"{TORN}{checkpoint.name}.{number}")
    return checkpoint.rename(aside)
