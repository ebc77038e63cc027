"""Examines a run before it starts: everything wrong with it, its plan, and what it takes.

In: a run, and the processes that are to train it. Out: an Examination. `./ner check` prints it, `./ner train` refuses a run with problems.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tools.chat import template
from tools.chat.qwen import TokenIds
from tools.chat.token_ids import trained_ids
from tools.conf.run import Run
from tools.data import stamp
from tools.errors import ToolError, choices
from tools.files import write_json
from tools.train import arguments, distributed, families, memory, native_parser, pissa, sharing
from tools.train.datasets import SHOWN, Dataset, datasets
from tools.train.distributed import ALONE, Processes
from tools.train.engines.engine_table import ENGINES
from tools.train.machine import gpus, visible_gpus
from tools.train.memory import Estimate
from tools.train.native_parser import Objections
from tools.train.plan import Plan, make_plan
from tools.train.sharing import TokenRow
from tools.train.weights import read_weights

# The slow checks replace these, so their result doesn't depend on them.
REPLACED = ("output_dir", "overwrite_output_dir", "resume_from_checkpoint")


@dataclass
class Examination:
    """The facts that are known of a run before it starts: `problems` would stop or damage it, `here` stops it on this machine alone, `remarks` don't stop it.

    `native` are the reasons to train it by LLaMA-Factory's own forward.
    """

    run: Run
    how: Processes = ALONE
    problems: list[str] = field(default_factory=list)
    here: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    train: list[Dataset] = field(default_factory=list)
    evaluation: list[Dataset] = field(default_factory=list)
    native: list[str] = field(default_factory=list)
    plan: Plan | None = None
    estimate: Estimate | None = None

    def command(self, conf: Path) -> list[str]:
        """Returns the command that trains the resolved run `conf`."""
        return self.how.command(ENGINES[self.run.engine].command(bool(self.native), bool(self.how.nproc)), conf)


def examine(run: Run, how: Processes = ALONE) -> Examination:
    """Returns the result of every check. The engine's own parser, which is slow, is asked only where the quick checks find nothing, and once for a run."""
    found = Examination(run, how)
    found.problems = [
        *arguments.problems(run),
        *arguments.base_model_problems(run),
        *families.problems(run),
        *tracker_problems(run),
        *distributed.problems(run, how),
        *pissa.problems(run),
        *ENGINES[run.engine].problems(run),
    ]
    found.native = sharing.reasons_for_native(run, how)
    found.train, found.evaluation = datasets(run)
    named = [*found.train, *found.evaluation]
    faults = [problem for dataset in named for problem in dataset.problems]
    found.problems += faults or stamp.problems(run.dataset, [dataset.name for dataset in named])
    if elsewhere := ", ".join(dataset.name for dataset in found.train if not dataset.read and not dataset.problems):
        found.remarks.append(f"{elsewhere}: not a local Alpaca file (JSON or JSON Lines), so its rows aren't examined and no plan is made.")
    if not found.problems:
        _add_slow(found)
    return found


def tracker_problems(run: Run) -> list[str]:
    """Returns a message for each package in `report_to` that isn't installed; transformers would tell only once the model is loaded."""
    value = run.values.get("report_to") or []
    names = [str(name) for name in (value if isinstance(value, list) else [value])]
    absent = [name for name in names if name not in ("none", "all") and importlib.util.find_spec(name.split(".")[0]) is None]
    return [f"{run.path}: report_to: {name}: no such package here.{choices(name, ('none', 'tensorboard', 'swanlab'))}" for name in absent]


def _add_rows(found: Examination) -> None:
    """Adds token lengths, the plan that follows from them, and the estimate."""
    run, limit = found.run, int(arguments.with_defaults(found.run)["cutoff_len"])
    try:
        ids = trained_ids(run)
        measured = [_measure(found, dataset, ids, limit) for dataset in [*found.train, *found.evaluation]]
        weights = read_weights(Path(run.base_model))
    except ToolError as error:
        found.problems.append(str(error))
        return
    if all(dataset.read for dataset in found.train):
        rows = [row for of_one in measured[: len(found.train)] for row in of_one]
        found.plan = make_plan(run, [row.length for row in rows], found.how.total, None if found.native else rows)
    if found.plan and weights:
        found.estimate = memory.estimate(run, found.plan, weights)
    if found.estimate:
        _add_room(found, found.estimate)
    elif found.plan:
        found.remarks.append(
            "memory and disk aren't estimated: that takes LoRA or full tuning, safetensors files, and a config.json that gives the sizes of layers of attention."
        )


def _measure(found: Examination, dataset: Dataset, ids: TokenIds, limit: int) -> list[TokenRow]:
    """Returns the dataset's rows in tokens. Adds a problem where one is longer than `limit`."""
    rows = [TokenRow(prompt, len(answer)) for prompt, answer in map(ids, dataset.rows)]
    lengths = [row.length for row in rows]
    long = [number for number, length in enumerate(lengths, 1) if length > limit]
    if long:
        shown = ", ".join(f"{number} ({lengths[number - 1]:,})" for number in long[:SHOWN])
        found.problems.append(
            f"{dataset.path}: {len(long):,} of {len(lengths):,} rows are longer than cutoff_len {limit:,} and would lose the end of their prompt: row {shown}"
            f"{' …' if len(long) > SHOWN else ''}. Say cutoff_len={-(-max(lengths) // 8) * 8}, or leave these rows out."
        )
    return rows


def _add_room(found: Examination, estimate: Estimate) -> None:
    folder = found.run.output_dir
    while not folder.exists():
        folder = folder.parent
    free, needed = shutil.disk_usage(folder).free, estimate.checkpoint * (estimate.checkpoints + 1)
    if needed > free:
        found.problems.append(
            f"{folder}: {size(free)} free, and the run's {estimate.checkpoints} checkpoints take {size(needed)}. Make room, save less often (save_steps), or keep "
            "fewer (save_total_limit)."
        )
    for gpu in gpus():
        if estimate.total > gpu.memory:
            found.remarks.append(
                f"{gpu.name} has {size(gpu.memory)}, the run is estimated at {size(estimate.total)}: lower per_device_train_batch_size, or quantise."
            )


def _add_slow(found: Examination) -> None:
    """Adds what the rows' tokens tell. Before them the prompt is compared, and the engine itself asked, unless the same run with the same data has passed before."""
    seen, path = _fingerprint(found), Path(sys.prefix) / "checked-runs.json"
    passed: dict[str, str] = {}  # fingerprint → the objection to this machine
    with suppress(OSError, ValueError, TypeError):
        passed = dict(json.loads(path.read_text()))
    if seen in passed:
        _add_rows(found)
    else:
        print(f"asking {ENGINES[found.run.engine].title} itself about {found.run.path}, once for each change of it …", flush=True)
        passed[seen] = _asked(found)
        if not found.problems:
            with suppress(OSError):
                write_json(path, passed)
    found.here += [passed[seen]] if passed[seen] else []


def _asked(found: Examination) -> str:
    """Adds what is wrong with the prompt, or else what the rows' tokens tell and what the engine objects to. Returns its objection to this machine, '' for none.

    The engine's parser is a child process that imports for ten seconds. It starts as soon as the prompts seem to agree, and the tokens are counted meanwhile.
    """
    run, rows = found.run, [row for dataset in found.train for row in dataset.rows]
    try:
        with ThreadPoolExecutor(1) as pool:
            objections = pool.submit(native_parser.ask, run) if not rows or template.agree_as_texts(run, rows) else None
            found.problems += template.prompt_problems(run, rows) if rows else []
            if not found.problems:
                _add_rows(found)
            if objections is None and not found.problems:
                objections = pool.submit(native_parser.ask, run)
    except ToolError as error:
        found.problems.append(str(error))
        return ""
    told = objections.result() if objections else Objections()
    found.problems += [told.anywhere] if told.anywhere else []
    return told.here


def _fingerprint(found: Examination) -> str:
    """Returns a hash of what the slow checks depend on: values, versions, GPUs, and the files of base model and data by size and time."""
    files = [*Path(found.run.base_model).glob("*.json*"), *Path(found.run.base_model).glob("*.jinja"), *(d.path for d in found.train if d.path)]
    states = sorted((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file())
    values = {key: value for key, value in found.run.values.items() if key not in REPLACED}
    known = [str(found.run.path), found.run.engine, values, arguments.versions(), visible_gpus(), states]
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def size(count: float) -> str:
    """Returns a number of bytes as text: '7.58 MB'."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
