"""Finds where an interrupted training goes on: at the newest whole checkpoint, and never at another training's.

LLaMA-Factory writes a checkpoint file by file and would resume from the newest, whole or not. In: a run and its output folder. Out: a checkpoint, or None to begin at
the beginning. Torn checkpoints are found by reading every file, and set aside. Values and data must be those that the interrupted training began with.

    ./ner train conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from tools.conf.run import Run
from tools.errors import ToolError, all_at_once
from tools.files import write_text
from tools.train import manifest
from tools.train.pissa import start_over
from tools.train.plan import Plan
from tools.train.weights import need_whole
from tools.variant import CHECKPOINT, FINISHED, is_pissa

STATE = "trainer_state.json"  # written last
# Training goes on from these and the weights; a checkpoint of `save_only_model` has none of them.
RESUMED = ("optimizer.pt", "scheduler.pt")
# Values that may differ between an interrupted training and the one that goes on from it: they don't change what is learned.
FREE = {
    *("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "overwrite_cache", "preprocessing_num_workers", "dataloader_num_workers"),
    *("logging_steps", "save_steps", "save_strategy", "save_total_limit", "plot_loss", "report_to", "run_name", "ddp_timeout"),
    "per_device_eval_batch_size",
}


def starting_point(run: Run) -> Path | None:
    """Returns the checkpoint to go on from, or None. Torn ones are set aside, and a printed line names them.

    Raises ToolError when the interrupted training had other values or other data, and for a PiSSA run, which can't go on.
    """
    if own := run.values.get("resume_from_checkpoint"):
        if problem := fault(Path(str(own))):
            raise ToolError(f"{run.path}: `resume_from_checkpoint: {own}`: not a whole checkpoint: {problem}.")
        return Path(str(own))
    need_no_pissa(run)
    whole, torn = newest_whole(run)
    if whole:
        all_at_once(differences(run))
    for checkpoint, problem in torn:  # "torn-…", for transformers counts every "checkpoint-…" and removes the oldest
        print(f"{checkpoint}: not whole ({problem}); set aside as {set_aside(checkpoint, f'torn-{checkpoint.name}').name}", flush=True)
    if whole:
        print(f"{run.output_dir}: an earlier training was interrupted; going on from {whole.name}", flush=True)
        _trim_log(run.output_dir / "trainer_log.jsonl", whole)
    elif torn:
        print(f"{run.output_dir}: no checkpoint is whole; starting at the beginning", flush=True)
    return whole


def need_no_pissa(run: Run) -> None:
    """Raises ToolError where a PiSSA run has checkpoints: its adapter fits weights that are gone, so training can't go on from one."""
    if run.values.get("pissa_init") and run.checkpoints():
        raise ToolError(f"{run.output_dir}: a PiSSA run was interrupted here, and none can go on from a checkpoint. {start_over(run)}")


def newest_whole(run: Run) -> tuple[Path | None, list[tuple[Path, str]]]:
    """Returns the run's newest whole checkpoint, and (checkpoint, fault) of each newer one. Nothing is changed."""
    torn: list[tuple[Path, str]] = []
    for _, checkpoint in sorted(run.checkpoints(), reverse=True):
        problem = fault(checkpoint)
        if not problem:
            return checkpoint, torn
        torn.append((checkpoint, problem))
    return None, torn


def set_aside(folder: Path, name: str) -> Path:
    """Renames a folder to `name`, or to `name.2` and so on where that is taken. Returns its new place."""
    number, aside = 1, folder.with_name(name)
    while aside.exists():
        number += 1
        aside = folder.with_name(f"{name}.{number}")
    return folder.rename(aside)


def fault(checkpoint: Path) -> str:
    """Returns why training can't go on from a checkpoint, or an empty string. Every file in it is read."""
    missing = [name for name in (STATE, *_missing_states(checkpoint)) if not (checkpoint / name).exists()]
    if not any(path.suffix in (".safetensors", ".bin", ".distcp") and path.name != "training_args.bin" for path in checkpoint.rglob("*")):
        missing.append("weights")
    if missing:
        return f"no {', '.join(missing)}"
    return next((problem for path in sorted(checkpoint.rglob("*")) if path.is_file() and (problem := _file_fault(path))), "")


def _missing_states(checkpoint: Path) -> list[str]:
    """Returns the optimizer's and scheduler's files that aren't there. DeepSpeed and FSDP have layouts of their own."""
    if (checkpoint / "latest").is_file():  # DeepSpeed: this file names the optimizer's folder
        states = checkpoint / (checkpoint / "latest").read_text(encoding="utf-8").strip()
        return [] if states.is_dir() else [states.name]
    missing = [name for name in RESUMED if not (checkpoint / name).is_file()]
    of_fsdp = any(checkpoint.glob("pytorch_model_fsdp*")) or (missing == ["optimizer.pt"] and any(checkpoint.glob("optimizer_*")))
    return [] if of_fsdp else missing


def _file_fault(path: Path) -> str:
    """Returns what is wrong with one file, or an empty string: JSON that doesn't parse, a torch archive with a wrong checksum, torn safetensors."""
    try:
        if path.suffix == ".json":
            value = json.loads(path.read_text(encoding="utf-8"))
            named = CHECKPOINT.fullmatch(path.parent.name)
            if path.name == STATE and named and value.get("global_step") != int(named["step"]):
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


def differences(run: Run) -> list[str]:
    """Returns one message for each value and each data file that differs from what the checkpoints in the output folder were trained with."""
    if not run.resolved.is_file():
        return [f"{run.output_dir}: holds checkpoints and no run.yaml, so nothing tells what they were trained with. {start_over(run)}"]
    before, way_out = run.trained().values, f"Put it back. {start_over(run)}"
    found = [
        f"{run.path}: `{key}` is {json.dumps(run.values.get(key))}, the training in {run.output_dir} began with {json.dumps(before.get(key))}. {way_out}"
        for key in sorted({*before, *run.values} - FREE)
        if before.get(key) != run.values.get(key)
    ]
    recorded = (manifest.read(run.output_dir) or manifest.Manifest()).sha256
    changed = [path for path, digest in manifest.inputs(run).items() if path != str(run.resolved) and recorded.get(path, digest) != digest]
    return found + [f"{path}: has changed since the training in {run.output_dir} began. {way_out}" for path in changed]


def next_start(run: Run, plan: Plan | None) -> str:
    """Returns what the next `make train` would do about a training that has just stopped."""
    again = f"make train CONF={run.path}"
    if (run.output_dir / FINISHED).is_file():
        return (
            f"Its steps were done. To convert its adapter: {again}"
            if is_pissa(run.output_dir)
            else f"Its steps were done. To score it: make eval CONF={run.path}"
        )
    if run.values.get("pissa_init"):
        return f"A PiSSA run can't go on from a checkpoint. {start_over(run)}"
    whole, _ = newest_whole(run)
    if not whole:
        return f"No checkpoint was written, so the next training starts at the beginning (save_steps makes checkpoints): {again}"
    return f"The same command goes on from {whole.name}{f' of {plan.steps} steps' if plan else ''}: {again}"


def _trim_log(log: Path, checkpoint: Path) -> None:
    """Takes out of trainer_log.jsonl what came after the checkpoint: it will come again."""
    if log.is_file():
        step = int(checkpoint.name.rpartition("-")[2])
        write_text(log, "".join(line for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if _logged_step(line) <= step))


def _logged_step(line: str) -> float:
    try:
        return float(json.loads(line)["current_steps"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # torn
