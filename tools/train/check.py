"""Plan before you spend: what a run will do, what it will cost, and all that is wrong with it, in seconds, without a GPU and without loading a weight.

In: a run. Out: its values with where each comes from, its rows against cutoff_len, steps, tokens, padding, memory, disk, the exact command; then the data doctor
on its raw files, where they are here. Exit code 2 if anything would stop or damage the run, 1 if the doctor finds something that would damage it.

    python -m tools.train.check conf/tiny-qwen2-sample-ner-lora-sft.yaml lora_rank=16
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shlex
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.chat import template as parity
from tools.chat.lengths import token_counter
from tools.conf.run import Run, origins
from tools.conf.task import find_task
from tools.data.sources import Source
from tools.errors import ToolError, all_at_once, choices, run
from tools.files import write_json
from tools.process import call
from tools.train import arguments, distributed, memory, pissa
from tools.train import native_parser as parse
from tools.train.datasets import SHOWN, Dataset, datasets
from tools.train.distributed import Processes
from tools.train.engines import peft_engine
from tools.train.machine import gpus
from tools.train.memory import Estimate
from tools.train.plan import Plan, make_plan

REMEMBERED = 100  # runs that passed the slow checks


@dataclass
class Examination:
    """All that is known of a run before it starts. `problems` would stop or damage it, `remarks` wouldn't."""

    run: Run
    how: Processes = field(default_factory=Processes)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    train: list[Dataset] = field(default_factory=list)
    evaluation: list[Dataset] = field(default_factory=list)
    plan: Plan | None = None
    estimate: Estimate | None = None


def examine(this: Run, how: Processes | None = None) -> Examination:
    """Every check, for so many processes. The quick ones come first; LLaMA-Factory itself is asked only about a run in which they find nothing, and once."""
    how = how or Processes()
    found = Examination(this, how)
    found.problems = [
        *arguments.problems(this),
        *arguments.base_model_problems(this),
        *tracker_problems(this),
        *distributed.problems(this, how),
        *pissa.problems(this),
        *(peft_engine.problems(this) if this.engine == "peft" else []),
    ]
    found.train, found.evaluation = datasets(this)
    found.problems += [problem for dataset in [*found.train, *found.evaluation] for problem in dataset.problems]
    if any(not dataset.read and not dataset.problems for dataset in found.train):
        names = ", ".join(dataset.name for dataset in found.train if not dataset.read)
        found.remarks.append(f"{names}: not a local Alpaca file (JSON or JSON Lines), so its rows aren't examined and no plan is made.")
    if not found.problems:
        _add_rows(found)
    if not found.problems:
        _add_slow(found)
    return found


def tracker_problems(this: Run) -> list[str]:
    """`report_to` names that aren't installed: transformers would say so only when the model has been loaded."""
    value = this.values.get("report_to") or []
    names = value if isinstance(value, list) else [str(value)]
    absent = [str(name) for name in names if name not in ("none", "all") and importlib.util.find_spec(str(name).split(".")[0]) is None]
    return [f"{this.path}: report_to: {name}: no such package here.{choices(name, ('none', 'tensorboard', 'swanlab'))}" for name in absent]


def _add_rows(found: Examination) -> None:
    """Token lengths, the plan that follows from them, and what the run takes."""
    this, limit = found.run, int(arguments.with_defaults(found.run)["cutoff_len"])
    try:
        count = token_counter(this)
        lengths = [_measure(found, dataset, count, limit) for dataset in [*found.train, *found.evaluation]]
        weights = memory.read_weights(Path(this.base_model))
    except ToolError as error:
        found.problems.append(str(error))
        return
    if all(dataset.read for dataset in found.train):
        found.plan = make_plan(this, [length for of_one in lengths[: len(found.train)] for length in of_one], found.how.total)
    if found.plan and weights:
        found.estimate = memory.estimate(this, found.plan, weights)
    if found.plan and not weights:
        found.remarks.append(f"{this.base_model}: no safetensors files; without them there is no estimate of memory and disk.")
    elif found.plan and not found.estimate:
        found.remarks.append("memory and disk aren't estimated for this base model's config, or for this finetuning_type.")
    if found.estimate:
        _add_room(found, found.estimate)


def _measure(found: Examination, dataset: Dataset, count: Any, limit: int) -> list[int]:
    lengths: list[int] = count(dataset.rows)
    long = [number for number, length in enumerate(lengths, 1) if length > limit]
    if long:
        shown = ", ".join(f"{number} ({lengths[number - 1]:,})" for number in long[:SHOWN])
        found.problems.append(
            f"{dataset.path}: {len(long):,} of {len(lengths):,} rows are longer than cutoff_len {limit:,} and would lose the end of their prompt: row {shown}"
            f"{' …' if len(long) > SHOWN else ''}. Say cutoff_len={-(-max(lengths) // 8) * 8}, or leave these rows out."
        )
    return lengths


def _add_room(found: Examination, estimate: Estimate) -> None:
    folder = found.run.output_dir
    while not folder.exists():
        folder = folder.parent
    free, needed = shutil.disk_usage(folder).free, estimate.checkpoint * (estimate.checkpoints + 1)
    if needed > free:
        found.problems.append(
            f"{folder}: {_size(free)} free, and the run's {estimate.checkpoints} checkpoints take {_size(needed)}. Make room, save less often (save_steps), or keep "
            "fewer (save_total_limit)."
        )
    for gpu in gpus():
        if estimate.total > gpu.memory:
            found.remarks.append(
                f"{gpu.name} has {_size(gpu.memory)}, the run is estimated at {_size(estimate.total)}: lower per_device_train_batch_size, or quantise."
            )


def _add_slow(found: Examination) -> None:
    """What needs LLaMA-Factory itself, unless this very run with this very data has passed before."""
    rows = [row for dataset in found.train for row in dataset.rows]
    seen, path = _fingerprint(found), Path(sys.prefix) / "checked-runs.json"
    passed: list[str] = []
    with suppress(OSError, ValueError):
        passed = json.loads(path.read_text())
    if seen in passed:
        return
    print(f"asking LLaMA-Factory itself about {found.run.path}, once for each change of it …", flush=True)
    try:
        found.problems += parity.prompt_problems(found.run, rows) if rows and found.run.values.get("template") else []
    except ToolError as error:
        found.problems.append(str(error))
    if found.run.engine == "llamafactory":
        found.problems += parse.parser_problems(found.run)
    if not found.problems:
        with suppress(OSError):
            write_json(path, [*passed[-REMEMBERED:], seen])


def _fingerprint(found: Examination) -> str:
    """What the slow checks depend on: the values, the versions, and the files of base model and data by size and time."""
    files = [*Path(found.run.base_model).glob("*.json*"), *Path(found.run.base_model).glob("*.jinja"), *(d.path for d in found.train if d.path)]
    states = sorted((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file())
    known = [found.run.values, arguments.versions(), states]
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def report(found: Examination, everything: bool = False) -> str:
    """The page that a user reads: values, data, plan, memory, command, remarks."""
    parts = [values_table(found.run, everything)]
    if found.plan:
        parts += [_data_lines(found), _plan_lines(found.run, found.plan)]
    if found.estimate:
        parts.append(_memory_lines(found.estimate))
    parts.append(f"command   {shlex.join(command(found.run, found.how))}")
    parts += [f"remark    {remark}" for remark in found.remarks]
    return "\n".join(parts)


def values_table(this: Run, everything: bool = False) -> str:
    """Each value that differs from its default (or every value) with where it comes from and that default."""
    known, origin = arguments.arguments(this.engine), origins(this)
    names = sorted({*this.values, *known}) if everything else list(this.values)
    rows = []
    for name in names:
        default = known.get(name, {}).get("default")
        value = this.values.get(name, default)
        if everything or name not in known or value != default:
            rows.append((name, _shown(value), origin.get(name, "default"), _shown(default)))
    head = ("key", "value", "from", "default")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(3)]
    return "\n".join("  ".join([*(word.ljust(width) for word, width in zip(row, widths, strict=False)), row[3]]).rstrip() for row in [head, *rows])


def command(this: Run, how: Processes) -> list[str]:
    """What a user would type to train from the resolved file without this tool."""
    program = ["llamafactory-cli", "train"] if this.engine == "llamafactory" else ["python", "-m", "tools.train.engines.peft_engine"]
    return how.command(program, this.resolved)


def _data_lines(found: Examination) -> str:
    plan = found.plan
    assert plan is not None
    names = ", ".join(dataset.name for dataset in found.train)
    held = f", {plan.held_out:,} more held out (val_size)" if plan.held_out else ""
    limit = arguments.with_defaults(found.run)["cutoff_len"]
    return (
        f"\ndata      {names}: {plan.rows:,} rows{held}, {plan.tokens:,} tokens an epoch, the longest row {plan.longest:,} of {limit:,} (cutoff_len)"
    )


def _plan_lines(this: Run, plan: Plan) -> str:
    grouped = "" if this.values.get("train_sampling_strategy") == "group_by_length" else "; train_sampling_strategy: group_by_length lowers it"
    about = "about " if this.values.get("packing") or this.values.get("neat_packing") else ""
    return (
        f"plan      {about}{plan.steps:,} steps = {plan.epochs:.4g} epochs of {plan.steps_per_epoch:,}, effective batch {plan.effective_batch}"
        f" ({plan.batch} a device × {plan.accumulation} accumulated × {plan.processes} processes)\n"
        f"padding   {plan.padding:.1%} of all positions{grouped if plan.padding > 0.05 else ''}"
    )


def _memory_lines(this: Estimate) -> str:
    now, other = _size(this.total), _size(this.other_total)
    both = f"{now} with gradient checkpointing, {other} without" if this.checkpointing else f"{now} without gradient checkpointing, {other} with it"
    parts = (
        f"{this.trained_parameters:,} trained parameters {_size(this.trained)}, activations {_size(this.activations)}, logits {_size(this.logits)}"
    )
    lines = [f"GPU       about {both}: weights {_size(this.weights)}, {parts}"]
    if this.checkpoints:
        lines.append(f"disk      {this.checkpoints} checkpoints of {_size(this.checkpoint)}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) <= 60 else text[:59] + "…"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def doctor(this: Run) -> int:
    """The data doctor on the run's raw files, where its task is one of ours and they are here; its exit code."""
    try:
        task = find_task(this.task)
    except ToolError:
        return 0
    if not any(Source.parse(value).path.exists() for value in task.raw.values()):
        return 0
    print(f"\nraw data  make check TASK={task.name}", flush=True)
    return call([sys.executable, "-m", "tools.data.doctor.examine", str(task.path), "--out", str(this.dataset / "check")])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.train.check", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--all", action="store_true", help="list every value, not only those that differ from their default (make: ALL=1)")
    args, this, how = distributed.parse(parser)
    found = examine(this, how)
    print(report(found, args.all), flush=True)
    code = doctor(this)
    all_at_once(found.problems)
    print(f"\n{this.path}: nothing is wrong with the run. next: make train CONF={this.path}")
    return code


if __name__ == "__main__":
    run(main)
