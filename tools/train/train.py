"""Trains: checks a run, gives LLaMA-Factory the one resulting file, shows how it goes, and goes on where an interrupted training stopped.

In: conf/<run>.yaml, overlays, key=value. Out: data/outputs/<run>/ with LLaMA-Factory's own files, run.yaml, manifest.json and train.log.

    python -m tools.train.train conf/tiny-qwen2-sample-ner-lora-sft.yaml lora_rank=16
    python -m tools.train.train conf/tiny-qwen2-sample-ner-lora-sft.yaml --fresh
    python -m tools.train.train conf/<run>.yaml --nproc 2
"""

from __future__ import annotations

import fcntl
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tools.conf.run import PEFT_METHODS, Run
from tools.errors import WANTING, ToolError, all_at_once, run
from tools.files import read_json, write_text
from tools.process import call
from tools.train import distributed, manifest, pissa
from tools.train.check import examine
from tools.train.checkpoints import fault, newest_whole, set_aside, step_of
from tools.train.distributed import Processes
from tools.train.plan import Plan
from tools.train.progress import LOG, watch

# Written by the engine after the model: the marks of a finished run.
FINISHED = ("train_results.json", "adapter_config.json", "adapter_model.safetensors")
# How a log tells why it ends: a Python exception, of a rank perhaps, or torchrun's line about a signal.
ERROR_LINE = re.compile(r"(\[\w+\]: *)?([\w.]*(Error|Exception|Interrupt)\b|.*Signal \d+ \(SIG\w+\) received by PID)")
# Values that may differ between an interrupted training and the one that goes on from it: they don't change what is learned.
FREE = {
    "output_dir",
    "overwrite_output_dir",
    "resume_from_checkpoint",
    "overwrite_cache",
    "preprocessing_num_workers",
    "dataloader_num_workers",
    "logging_steps",
    "save_steps",
    "save_strategy",
    "save_total_limit",
    "plot_loss",
    "report_to",
    "run_name",
    "ddp_timeout",
    "per_device_eval_batch_size",
}


def train(this: Run, fresh: bool = False, how: Processes | None = None) -> None:
    """Train the run in child processes, from its newest whole checkpoint where an earlier training stopped, and see that it left an adapter.

    `fresh` moves what is there to a neighbour first. Raises ToolError with exit code 2 for what can be known before the start, among it a run that is finished, and
    1 when the training failed.
    """
    how = how or Processes()
    if how.leads and not fresh and _finish(this):
        return
    found = examine(this, how)
    all_at_once(found.problems)
    if not how.leads:
        return follow(this, how, fresh)
    with only_one(this):
        if fresh and (moved := move_away(this.output_dir)):
            print(f"{this.output_dir} was moved to {moved}", flush=True)
        _need_unfinished(this)
        start = starting_point(this)
        resolved = Run(this.path, resolved_values(this, start))
        all_at_once(pissa.problems(resolved))
        write_text(this.resolved, to_yaml(resolved.values))
        pissa.before(resolved)
        command = how.command(engine_command(this), this.resolved)
        record = manifest.start(this, [Path(command[0]).name, *command[1:]], start)
        code = 130  # unless it gets as far as an exit code of its own
        try:
            code = watch(command, this, found.plan, how.environment())
        except SystemExit as stopped:  # a signal: 128 + its number
            code = int(stopped.code or 0)
            raise
        finally:
            manifest.end(this, record, code)
            if code in (130, 143):
                print(f"\n{this.path}: stopped. {_goes_on(this, found.plan)}", file=sys.stderr)
        if code:
            raise ToolError(
                f"{this.path}: the training stopped with exit code {code}.\n{reason(this.output_dir / LOG)}{how.hint()}\n{_goes_on(this, found.plan)}",
                WANTING,
            )
        missing = [name for name in FINISHED if not (this.output_dir / name).is_file()]
        if this.values.get("finetuning_type", "lora") != "full" and missing:
            raise ToolError(
                f"{this.path}: the training ended well but left no {', '.join(missing)} in {this.output_dir}. Is `do_train: true` set?", WANTING
            )
        if pissa.convert(this.output_dir):
            print(f"{this.output_dir}: PiSSA's adapter was made a plain LoRA adapter of twice the rank")
    _say_next(this)


def _finish(this: Run) -> bool:
    """Convert what a PiSSA run left that was stopped when its training had ended and its adapters weren't converted yet; False for any other run."""
    if not (this.output_dir / FINISHED[0]).is_file() or not pissa.left(this.output_dir):
        return False
    with only_one(this):
        pissa.convert(this.output_dir)
    print(f"{this.output_dir}: the training had ended before; what was left of PiSSA was now made plain LoRA adapters of twice the rank")
    _say_next(this)
    return True


def _say_next(this: Run) -> None:
    merges = this.values.get("finetuning_type") not in PEFT_METHODS
    command = f"make export CONF={this.path}, or make eval CONF={this.path}" if merges else f"make eval CONF={this.path} ENGINE=hf"
    print(f"trained: {this.output_dir}  next: {command}")


def follow(this: Run, how: Processes, fresh: bool = False) -> None:
    """Train as a machine that isn't the first: the output folder may be the first one's own, so nothing is written there from here.

    An interrupted run goes on from the newest whole checkpoint in the folder that this machine sees. Raises ToolError with exit code 2 for a finished run, 1 when
    the training failed.
    """
    start = None
    if not fresh:
        _need_unfinished(this)
        start = starting_point(this) if this.values.get("resume_from_checkpoint") else newest_whole(this.output_dir)[0]
    with tempfile.TemporaryDirectory(prefix="ner-train-") as folder:
        conf = Path(folder) / "run.yaml"
        write_text(conf, to_yaml(resolved_values(this, start)))
        code = call(how.command(engine_command(this), conf), env=how.environment())
    if code:
        raise ToolError(f"{this.path}: machine {how.node_rank} stopped with exit code {code}; what it printed above says why.{how.hint()}", WANTING)
    print(f"machine {how.node_rank} is done; the adapter is on machine 0, in {this.output_dir}")


def starting_point(this: Run) -> Path | None:
    """The checkpoint to go on from: the newest that is whole; torn ones are set aside, and said. None to begin at the beginning.

    Raises ToolError when the interrupted training was another: other values, or other data.
    """
    if own := this.values.get("resume_from_checkpoint"):
        if problem := fault(Path(str(own))):
            raise ToolError(f"{this.path}: `resume_from_checkpoint: {own}`: not a whole checkpoint: {problem}.")
        return Path(str(own))
    whole, torn = newest_whole(this.output_dir)
    if whole:
        all_at_once(differences(this))
    for checkpoint, problem in torn:
        print(f"{checkpoint}: not whole ({problem}); set aside as {set_aside(checkpoint).name}", flush=True)
    if whole:
        print(f"{this.output_dir}: an earlier training was interrupted; going on from {whole.name}", flush=True)
        _trim_log(this.output_dir / "trainer_log.jsonl", step_of(whole))
    elif torn:
        print(f"{this.output_dir}: no checkpoint is whole; starting at the beginning", flush=True)
    return whole


def differences(this: Run) -> list[str]:
    """Why the checkpoints in the output folder aren't this run's: one message for each value, and each data file, that was another one then."""
    way_out = f"Put it back, or start over: make train CONF={this.path} FRESH=1"
    if not this.resolved.is_file():
        return [f"{this.output_dir}: holds checkpoints, and no run.yaml that says of what. Start over: make train CONF={this.path} FRESH=1"]
    before = this.trained().values
    found = [
        f"{this.path}: `{key}` is {json.dumps(this.values.get(key))}, the interrupted training in {this.output_dir} began with {json.dumps(before.get(key))}. {way_out}"
        for key in sorted({*before, *this.values} - FREE)
        if before.get(key) != this.values.get(key)
    ]
    recorded = read_json(this.output_dir / manifest.NAME).get("sha256", {}) if (this.output_dir / manifest.NAME).is_file() else {}
    changed = [path for path, digest in manifest.inputs(this).items() if path != str(this.resolved) and recorded.get(path, digest) != digest]
    return found + [f"{path}: not what the interrupted training in {this.output_dir} began with. {way_out}" for path in changed]


def resolved_values(this: Run, start: Path | None) -> dict[str, Any]:
    """What LLaMA-Factory is given: the run's values, and whether it goes on or begins. Nothing is overwritten that `train` hasn't looked at."""
    return {**this.values, "overwrite_output_dir": start is None, "resume_from_checkpoint": str(start) if start else None}


def move_away(folder: Path) -> Path | None:
    """Move a run's folder, checkpoints, scores and merged model with it, to a neighbour named by the time it was last written; None when there is none."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    ended = datetime.fromtimestamp(max(path.stat().st_mtime for path in folder.iterdir())).strftime("%Y%m%d-%H%M%S")
    moved, number = folder.with_name(f"{folder.name}.{ended}"), 1
    while moved.exists():
        number += 1
        moved = folder.with_name(f"{folder.name}.{ended}.{number}")
    folder.rename(moved)
    return moved


@contextmanager
def only_one(this: Run) -> Iterator[None]:
    """Hold the run: a second training in the same folder would write over the first's checkpoints. The kernel lets go of it however we end."""
    this.output_dir.parent.mkdir(parents=True, exist_ok=True)
    with open(this.output_dir.parent / f".{this.output_dir.name}.lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ToolError(f"{this.output_dir}: another training of this run is under way.") from None
        yield


def engine_command(this: Run) -> list[str]:
    """The program that trains the run, in this Python's environment; it takes the resolved file."""
    return [llamafactory_cli(), "train"] if this.engine == "llamafactory" else [sys.executable, "-m", "tools.train.engines.peft_engine"]


def llamafactory_cli() -> str:
    """LLaMA-Factory's command in this Python's environment."""
    program = Path(sys.executable).with_name("llamafactory-cli")
    if not program.is_file():
        raise ToolError(f"{program}: no such file; `make setup` installs LLaMA-Factory, and .venv/train/bin/python runs this tool.")
    return str(program)


def to_yaml(values: dict[str, Any]) -> str:
    """`values` as YAML that LLaMA-Factory's loader reads back as the same values ("no" stays text, 1e-4 a number)."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(values))


def reason(log: Path) -> str:
    """The last error that a log holds, and where the rest is. Of several processes it is the cause, and not torchrun's word that there was one."""
    lines = [line.strip()[:500] for line in log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines() if line.strip()]
    errors = [line for line in lines if ERROR_LINE.match(line) and "ChildFailedError" not in line]
    return "\n".join([*(errors[-1:] or lines[-3:]), f"The whole log: {log}"])


def _need_unfinished(this: Run) -> None:
    if (this.output_dir / FINISHED[0]).is_file():
        raise ToolError(
            f"{this.output_dir}: this run is finished. To score it: make eval CONF={this.path}. To start over: make train CONF={this.path} FRESH=1, which moves the"
            " folder aside."
        )


def _trim_log(log: Path, step: int) -> None:
    """Take out of trainer_log.jsonl what came after the checkpoint: it will come again."""
    if log.is_file():
        kept = [line for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if _logged_step(line) <= step]
        write_text(log, "".join(kept))


def _logged_step(line: str) -> float:
    try:
        return float(json.loads(line)["current_steps"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # torn


def _goes_on(this: Run, plan: Plan | None) -> str:
    whole, _ = newest_whole(this.output_dir)
    if not whole:
        return f"No checkpoint was written, the next training starts at the beginning (save_steps makes some): make train CONF={this.path}"
    of = f" of {plan.steps}" if plan else ""
    return f"The same command goes on from {whole.name}, step {step_of(whole)}{of}: make train CONF={this.path}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.train.train", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--fresh", action="store_true", help="move what is in the output folder aside and start over (make: FRESH=1)")
    args, this, how = distributed.parse(parser)
    train(this, args.fresh, how)


if __name__ == "__main__":
    run(main)
