"""Finds where an interrupted training goes on, and refuses a checkpoint of another training.

In: a run and its output folder. Out: the newest whole checkpoint, or None to begin at the beginning. The values and the data must be those that the
interrupted training began with.

    ./ner train conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import json
from pathlib import Path

from tools.conf.run import Run
from tools.errors import ToolError, all_at_once
from tools.files import write_text
from tools.train import manifest
from tools.train.checkpoints import checkpoints, fault, newest_whole, set_aside, step_of
from tools.train.pissa import start_over
from tools.train.plan import Plan

# Values that may differ between an interrupted training and the one that goes on from it: they don't change what is learned.
FREE = {
    *("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "overwrite_cache", "preprocessing_num_workers", "dataloader_num_workers"),
    *("logging_steps", "save_steps", "save_strategy", "save_total_limit", "plot_loss", "report_to", "run_name", "ddp_timeout"),
    "per_device_eval_batch_size",
}


def starting_point(run: Run) -> Path | None:
    """Returns the checkpoint to go on from, or None. Torn ones are set aside, with a line that says so.

    Raises ToolError when the interrupted training had other values or other data, and for a PiSSA run, which can't go on.
    """
    if own := run.values.get("resume_from_checkpoint"):
        if problem := fault(Path(str(own))):
            raise ToolError(f"{run.path}: `resume_from_checkpoint: {own}`: not a whole checkpoint: {problem}.")
        return Path(str(own))
    need_no_pissa(run)
    whole, torn = newest_whole(run.output_dir)
    if whole:
        all_at_once(differences(run))
    for checkpoint, problem in torn:
        print(f"{checkpoint}: not whole ({problem}); set aside as {set_aside(checkpoint).name}", flush=True)
    if whole:
        print(f"{run.output_dir}: an earlier training was interrupted; going on from {whole.name}", flush=True)
        _trim_log(run.output_dir / "trainer_log.jsonl", step_of(whole))
    elif torn:
        print(f"{run.output_dir}: no checkpoint is whole; starting at the beginning", flush=True)
    return whole


def need_no_pissa(run: Run) -> None:
    """Raises ToolError where a PiSSA run has checkpoints: its adapter fits weights that are gone, so training can't go on from one."""
    if run.values.get("pissa_init") and checkpoints(run.output_dir):
        raise ToolError(f"{run.output_dir}: a PiSSA run was interrupted here, and none can go on from a checkpoint. {start_over(run)}")


def differences(run: Run) -> list[str]:
    """Returns one message for each value and each data file that differs from what the checkpoints in the output folder were trained with."""
    way_out = f"Put it back. {start_over(run)}"
    if not run.resolved.is_file():
        return [f"{run.output_dir}: holds checkpoints and no run.yaml, so nothing tells what they were trained with. {start_over(run)}"]
    before = run.trained().values
    found = [
        f"{run.path}: `{key}` is {json.dumps(run.values.get(key))}, the interrupted training in {run.output_dir} began with {json.dumps(before.get(key))}. {way_out}"
        for key in sorted({*before, *run.values} - FREE)
        if before.get(key) != run.values.get(key)
    ]
    record = manifest.read(run.output_dir)
    recorded = record.sha256 if record else {}
    changed = [path for path, digest in manifest.inputs(run).items() if path != str(run.resolved) and recorded.get(path, digest) != digest]
    return found + [f"{path}: has changed since the interrupted training in {run.output_dir} began. {way_out}" for path in changed]


def next_start(run: Run, plan: Plan | None) -> str:
    """Returns what the next `make train` would do about a training that has just stopped."""
    again = f"make train CONF={run.path}"
    if run.values.get("pissa_init"):
        return f"A PiSSA run can't go on from a checkpoint. {start_over(run)}"
    whole, _ = newest_whole(run.output_dir)
    if not whole:
        return f"No checkpoint was written, so the next training starts at the beginning (save_steps makes checkpoints): {again}"
    of = f" of {plan.steps}" if plan else ""
    return f"The same command goes on from {whole.name}, step {step_of(whole)}{of}: {again}"


def _trim_log(log: Path, step: int) -> None:
    """Takes out of trainer_log.jsonl what came after the checkpoint: it will come again."""
    if log.is_file():
        kept = [line for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if _logged_step(line) <= step]
        write_text(log, "".join(kept))


def _logged_step(line: str) -> float:
    try:
        return float(json.loads(line)["current_steps"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # torn
