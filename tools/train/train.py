"""Trains a run: checks it, gives its engine one resolved file, shows the progress, and goes on where an interrupted training stopped.

In: conf/<run>.yaml, overlays, key=value. Out: data/outputs/<run>/ with the adapter and LLaMA-Factory's own files, run.yaml, manifest.json and train.log.

    ./ner train conf/tiny-qwen2-sample-ner-lora-sft.yaml lora_rank=16
    ./ner train conf/tiny-qwen2-sample-ner-lora-sft.yaml --fresh
    ./ner train conf/<run>.yaml --nproc 2
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from tools.allocator import preload
from tools.conf.run import PEFT_METHODS, Run, run_from
from tools.errors import WANTING, ToolError, all_at_once
from tools.files import one_at_a_time, write_text
from tools.process import call
from tools.train import distributed, manifest, pissa
from tools.train.distributed import ALONE, Processes
from tools.train.examination import Examination, examine
from tools.train.machine import visible_gpus
from tools.train.plan import Plan
from tools.train.progress import LOG, watch
from tools.train.resume import need_no_pissa, newest_whole, next_start, set_aside, starting_point
from tools.variant import ADAPTER_WEIGHTS, FINISHED, is_pissa

INTERRUPTED, TERMINATED = 130, 143  # exit codes
# The last line of an error in a log: a Python exception, of a rank perhaps, or torchrun's line about a signal.
ERROR_LINE = re.compile(r"(\[\w+\]: *)?([\w.]*(Error|Exception|Interrupt)\b|.*Signal \d+ \(SIG\w+\) received by PID)")


def train(run: Run, fresh: bool = False, how: Processes = ALONE) -> None:
    """Trains the run in child processes, from its newest whole checkpoint where an earlier training stopped. `fresh` moves an earlier one aside first.

    Raises ToolError with exit code 2 for what can be known before the start, a finished run among it, and 1 when the training failed.
    """
    if not fresh:
        if how.leads and (run.output_dir / FINISHED).is_file() and is_pissa(run.output_dir):
            with one_at_a_time(run.output_dir, "conversion"):
                _finish(run)  # the training was stopped between its end and this
            return
        _need_unfinished(run)
    found = examine(run, how)
    all_at_once([*found.problems, *found.here])
    if not how.leads:
        _follow(found, fresh)
        return
    with one_at_a_time(run.output_dir, "training"):
        if fresh and (moved := move_away(run.output_dir)):
            print(f"{run.output_dir} was moved to {moved}", flush=True)
        _need_unfinished(run)
        start = starting_point(run)
        write_text(run.resolved, to_yaml(resolved_values(run, start)))
        _need_success(run, how, _attempt(found, start), found.plan)
        _finish(run)


def _attempt(found: Examination, start: Path | None) -> int:
    """Runs the engine and returns its exit code. The manifest records the attempt, also where a signal ends this process."""
    run, plan, command = found.run, found.plan, found.command(found.run.resolved)
    record, code = manifest.start(run, distributed.typed(command), start), INTERRUPTED
    try:
        code = watch(command, run, plan, _environment(found))
    except SystemExit as stopped:
        code = int(stopped.code or 0)  # 128 + the signal's number
        raise
    finally:
        manifest.end(run, record, code)
        if code in (INTERRUPTED, TERMINATED):
            print(f"\n{run.path}: stopped. {next_start(run, plan)}", file=sys.stderr)
    return code


def _environment(found: Examination) -> dict[str, str]:
    """Returns the variables that the engine is given. On a CPU it gets an allocator that keeps big blocks."""
    on_cpu = found.run.values.get("use_cpu") or not visible_gpus()
    return {**found.how.environment(), **(preload() if on_cpu else {})}


def _need_success(run: Run, how: Processes, code: int, plan: Plan | None) -> None:
    """Raises ToolError (exit code 1) for a training that failed, and for one that left no adapter."""
    if code:
        raise ToolError(
            f"{run.path}: the training stopped with exit code {code}.\n{reason(run.output_dir / LOG)}{how.hint()}\n{next_start(run, plan)}", WANTING
        )
    missing = [name for name in (FINISHED, "adapter_config.json", ADAPTER_WEIGHTS) if not (run.output_dir / name).is_file()]
    if missing and run.values.get("finetuning_type", "lora") != "full":
        raise ToolError(
            f"{run.path}: the training ended well but left no {', '.join(missing)} in {run.output_dir}. Is `do_train: true` set?", WANTING
        )


def _finish(run: Run) -> None:
    """Converts the adapter where it is PiSSA's, and prints the next command."""
    if pissa.convert(run.output_dir):
        print(f"{run.output_dir}: PiSSA's adapter was converted into a plain LoRA adapter of twice the rank")
    merges = run.values.get("finetuning_type") not in PEFT_METHODS
    command = f"make export CONF={run.path}, or make eval CONF={run.path}" if merges else f'make eval CONF={run.path} ARGS="--engine hf"'
    print(f"trained: {run.output_dir}  next: {command}")


def _follow(found: Examination, fresh: bool) -> None:
    """Trains as a machine that isn't the first. The output folder may be the first machine's own, so nothing is written there.

    An interrupted run goes on from the newest whole checkpoint that this machine sees. Raises ToolError with exit code 2 for a finished run, 1 when the training failed.
    """
    run, how, start = found.run, found.how, None
    if not fresh:
        need_no_pissa(run)
        start = starting_point(run) if run.values.get("resume_from_checkpoint") else newest_whole(run)[0]
    with tempfile.TemporaryDirectory(prefix="ner-train-") as folder:
        conf = Path(folder) / "run.yaml"
        write_text(conf, to_yaml(resolved_values(run, start)))
        code = call(found.command(conf), env=_environment(found))
    if code:
        raise ToolError(f"{run.path}: machine {how.node_rank} stopped with exit code {code}; the reason is in its output above.{how.hint()}", WANTING)
    print(f"machine {how.node_rank} is done; the adapter is on machine 0, in {run.output_dir}")


def resolved_values(run: Run, start: Path | None) -> dict[str, Any]:
    """Returns the values that the engine is given: the run's own, and the checkpoint to go on from, if there is one."""
    return {**run.values, "overwrite_output_dir": start is None, "resume_from_checkpoint": str(start) if start else None}


def move_away(folder: Path) -> Path | None:
    """Moves a run's folder with all that is in it to a neighbour named by the time it was last written; returns the neighbour, None when there is no folder."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    ended = datetime.fromtimestamp(max(path.stat().st_mtime for path in folder.iterdir())).strftime("%Y%m%d-%H%M%S")
    return set_aside(folder, f"{folder.name}.{ended}")


def to_yaml(values: dict[str, Any]) -> str:
    """Returns `values` as YAML that LLaMA-Factory's loader reads back as the same values ("no" stays text, 1e-4 a number)."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(values))


def reason(log: Path) -> str:
    """Returns the last error in a log, and where the rest is. Of several processes it is the cause, and not torchrun's line that there was one."""
    lines = [line.strip()[:500] for line in log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines() if line.strip()]
    errors = [line for line in lines if ERROR_LINE.match(line) and "ChildFailedError" not in line]
    return "\n".join([*(errors[-1:] or lines[-3:]), f"The whole log: {log}"])


def _need_unfinished(run: Run) -> None:
    if (run.output_dir / FINISHED).is_file():
        raise ToolError(
            f"{run.output_dir}: this run is finished. To score it: make eval CONF={run.path}. {pissa.start_over(run)}, which moves the folder aside."
        )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares --fresh and the options of several processes."""
    parser.add_argument("--fresh", action="store_true", help="move the earlier training aside and start over")
    distributed.add_options(parser)


def main(args: argparse.Namespace) -> None:
    """Trains the run that the words name."""
    train(run_from(args), args.fresh, distributed.processes(args))
