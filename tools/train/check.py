"""Checks tasks, or a run before it is trained: what it will do, what it will cost, and everything wrong with it, in seconds and without a GPU.

In: task files with key=value words, or a run with overlays and key=value words; the first file decides. Out, for a task: the data doctor's findings. Out,
for a run: its values with their origin, its rows compared with cutoff_len, steps, tokens, padding, memory, disk and the exact command, then the doctor's findings
on its raw files, where they are here. The exit code is 2 if anything would stop or damage the run, and 1 if the doctor finds what would damage it.

    ./ner check conf/task/clue.yaml
    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml lora_rank=16
    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml conf/overlay/fast.yaml --all
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from tools.conf.overlays import RUNS, available, load_yaml
from tools.conf.run import Run, load_run, origins
from tools.conf.task import TASKS, find_task
from tools.data.doctor import examine as doctor
from tools.data.sources import Source
from tools.errors import ToolError, all_at_once
from tools.text import one_line
from tools.train import arguments, distributed
from tools.train.examination import Examination, examine, size
from tools.train.memory import Estimate
from tools.train.plan import Plan
from tools.train.sharing import LEAST


def is_run(words: Sequence[str]) -> bool:
    """Returns whether the first file among the words is a run; False for a task, and where no file is named. Raises ToolError for a file that is neither."""
    files = [Path(word) for word in words if "=" not in word]
    if not files:
        return False
    if not files[0].exists():
        raise ToolError(f"{files[0]}: no such file. Runs:{available(RUNS)} Tasks:{available(TASKS)}")
    try:
        keys = load_yaml(files[0])
    except ToolError:
        if any("raw" in _keys(file) for file in files[1:]):  # one task of several: the others are checked
            return False
        raise
    if "model_name_or_path" in keys:
        return True
    if "raw" in keys or "kind" in keys:
        return False
    raise ToolError(f"{files[0]}: neither a run, which has `model_name_or_path`, nor a task, which has `kind` and `raw`.")


def _keys(file: Path) -> Container[Any]:
    try:
        return load_yaml(file)
    except ToolError:
        return ()


def check_run(run: Run, args: argparse.Namespace) -> int:
    """Prints the run's page and the doctor's. Returns the doctor's exit code; raises ToolError with everything wrong with the run."""
    found = examine(run, distributed.processes(args))
    print(report(found, args.all), flush=True)
    code = _check_raw(run, args)
    all_at_once(found.problems)
    print(f"\n{run.path}: {_verdict(run, bool(found.here), bool(code))}")
    return code


def _verdict(run: Run, here: bool, raw: bool) -> str:
    """Returns the last line's words: what is wrong besides the run (`here` this machine, `raw` the raw files), and the next command."""
    beside = " and ".join(["with this machine"] * here + ["with its raw data"] * raw)
    told = f"nothing is wrong with the run{f', but {beside}' if beside else ''}. "
    return told + (f"next: mend the errors above, then make data TASK={run.task}" if raw else f"next: make train CONF={run.path}")


def report(found: Examination, everything: bool = False) -> str:
    """Returns the page on a run: values, data, plan, memory, command, remarks."""
    parts = [values_table(found.run, everything)]
    if found.plan:
        parts += [_data_lines(found, found.plan), _plan_lines(found.run, found.plan), _shared_line(found.run, found.native, found.plan)]
    if found.estimate:
        parts.append(_memory_lines(found.run, found.estimate))
    parts.append(f"command   {distributed.typed(found.command(found.run.resolved))}")
    parts += [f"remark    {remark}" for remark in [*found.remarks, *found.here]]
    return "\n".join(parts)


def values_table(run: Run, everything: bool = False) -> str:
    """Returns a table of the values that differ from their default (or of all), each with its origin and its default."""
    known, origin = arguments.arguments(run.engine), origins(run)
    rows = [("key", "value", "from", "default")]
    for name in sorted({*run.values, *known}) if everything else run.values:
        default = known.get(name, {}).get("default")
        value = run.values.get(name, default)
        if everything or name not in known or value != default:
            rows.append((name, _shown(value), origin.get(name, "default"), _shown(default)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*(word.ljust(width) for word, width in zip(row, widths, strict=False)), row[3]]).rstrip() for row in rows)


def _data_lines(found: Examination, plan: Plan) -> str:
    names = ", ".join(dataset.name for dataset in found.train)
    held = f", {plan.held_out:,} more held out (val_size)" if plan.held_out else ""
    limit = arguments.with_defaults(found.run)["cutoff_len"]
    return (
        f"\ndata      {names}: {plan.rows:,} rows{held}, {plan.tokens:,} tokens an epoch, the longest row {plan.longest:,} of {limit:,} (cutoff_len)"
    )


def _plan_lines(run: Run, plan: Plan) -> str:
    grouped = "" if run.values.get("train_sampling_strategy") == "group_by_length" else "; train_sampling_strategy: group_by_length lowers it"
    about = "about " if run.values.get("packing") or run.values.get("neat_packing") else ""
    padding = f"\npadding   {plan.padding:.1%} of all positions{grouped if plan.padding > 0.05 else ''}"
    return (
        f"plan      {about}{plan.steps:,} steps = {plan.epochs:.4g} epochs of {plan.steps_per_epoch:,}, effective batch {plan.effective_batch}"
        f" ({plan.batch} a device × {plan.accumulation} accumulated × {plan.processes} processes){'' if plan.shared else padding}"
    )


def _shared_line(run: Run, native: list[str], plan: Plan) -> str:
    """Returns the line about shared first tokens: what they save, or why none are shared."""
    if plan.shared is None:
        return f"shared    nothing: {'; '.join(native)}"
    tokens, rows, work = plan.shared.tokens, max(plan.rows, 1), plan.shared
    logits = f"logits at {work.logits / rows:.0f} of them"
    if plan.batch < 2 or not tokens:
        why = "one row a device (per_device_train_batch_size)" if tokens else f"the rows don't begin with {LEAST} tokens that all have"
        return (
            f"shared    nothing: {why}. Without padding {work.positions / rows:.0f} positions a row instead of {plan.positions / rows:.0f}, {logits}"
        )
    dropout = "; lora_dropout drops the same of them for all rows" if run.values.get("lora_dropout") else ""
    return (
        f"shared    the first {tokens} tokens of all rows, computed once a batch: {work.positions / rows:.0f} positions a row instead of"
        f" {plan.positions / rows:.0f} ({work.positions / plan.positions:.0%}), {logits}{dropout}. Plain LLaMA-Factory: --native"
    )


def _memory_lines(run: Run, estimate: Estimate) -> str:
    now, then = ("with", "without") if estimate.checkpointing else ("without", "with it")
    lines = [
        f"{'memory' if run.values.get('use_cpu') else 'GPU':9} about {size(estimate.total)} {now} gradient checkpointing, {size(estimate.other_total)} {then}: weights {size(estimate.weights)}, {estimate.trained_parameters:,} trained parameters {size(estimate.trained)}, "
        f"activations {size(estimate.activations)}, logits {size(estimate.logits)}"
    ]
    if estimate.checkpoints:
        lines.append(f"disk      {estimate.checkpoints} checkpoints of {size(estimate.checkpoint)}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 60)


def _check_raw(run: Run, args: argparse.Namespace) -> int:
    """Runs the data doctor on the run's raw files, where its task is one of ours and they are here. Returns its exit code, 0 where it isn't asked."""
    try:
        task = find_task(run.task)
    except ToolError:
        return 0
    places = {split: Source.parse(value).path for split, value in task.raw.items()}
    absent = {split: path for split, path in places.items() if not path.exists()}
    if len(absent) == len(places):
        return 0
    if absent:  # no fault of the run: its data may have been converted from files that stood behind `make data`, such as slices of one
        named, words = ", ".join(map(str, absent.values())), " ".join(f"raw.{split}=FILE" for split in absent)
        print(f'\nraw data  not examined, {named} isn\'t here. Converted from elsewhere? make check TASK={task.name} ARGS="{words}"')
        return 0
    print(f"\nraw data  make check TASK={task.name}", flush=True)
    return doctor.check(task, [], None, run.dataset / "check" / task.name, args.fix, args.plots)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the files, and the options of tasks and of runs."""
    parser.add_argument(
        "words", nargs="*", metavar="conf/<run>.yaml|TASK.yaml|overlay.yaml|key=value", help="the run or the tasks (make: CONF=…, TASK=…)"
    )
    parser.add_argument("--all", action="store_true", help="of a run: list every value, not only those that differ from their default")
    doctor.add_task_options(parser)
    distributed.add_options(parser)


def main(args: argparse.Namespace) -> int:
    """Checks the run or the tasks that the words name."""
    if not is_run(args.words):
        return doctor.check_tasks(args, args.words)
    files = [word for word in args.words if "=" not in word]
    overrides = list(args.words)
    overrides.remove(files[0])
    return check_run(load_run(Path(files[0]), overrides), args)
