"""Runs an engine and shows its progress: steps, loss, rows and tokens a second, time left, GPU memory.

In: the engine's command and the trainer_log.jsonl that it appends to. Out: one moving line on a terminal, a line every half minute elsewhere; the exit code. The
engine's own output goes to train.log.

    ./ner train conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tools.conf.run import Run
from tools.process import Child
from tools.train.machine import gpus_now
from tools.train.plan import Plan

LOG = "train.log"
POLL_S = 0.5
LINE_S = 30.0  # between lines where there is no terminal


def watch(command: Sequence[str], run: Run, plan: Plan | None, env: Mapping[str, str] | None = None) -> int:
    """Runs the engine to its end and returns its exit code (128 + n when signal n ended it). An interrupt stops it too."""
    path = run.output_dir / LOG
    print(f"training {run.name} (log: {path}) …", flush=True)
    view = View(run.output_dir / "trainer_log.jsonl", plan, sys.stderr.isatty())
    with open(path, "a", encoding="utf-8") as log, view, Child(command, env, log) as process:
        while (code := _wait(process)) is None:
            view.update()
        view.update(last=True)
    return code if code >= 0 else 128 - code


class View:
    """Shows the engine's records as a progress bar (on a terminal) or as lines. Rows and tokens are shown where there is a `plan`."""

    def __init__(self, records: Path, plan: Plan | None, terminal: bool) -> None:
        self._records, self._plan, self._terminal = records, plan, terminal
        self._read = records.stat().st_size if records.is_file() else 0
        self._newest: dict[str, Any] = {}
        self._losses: dict[str, float] = {}
        self._first: tuple[float, int] | None = None
        self._shown_at, self._shown_step = 0.0, -1

    def __enter__(self) -> View:
        from tqdm import tqdm

        bar = "{desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
        total = self._plan.steps if self._plan else None
        self._bar = tqdm(total=total, desc="training", bar_format=bar if total else None, disable=not self._terminal, leave=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, last: bool = False) -> None:
        """Reads new records and shows them."""
        fresh = self._read_records()
        step = int(self._newest.get("current_steps", 0))
        if self._terminal:
            if fresh:
                self._bar.total = self._newest.get("total_steps", self._bar.total)
                self._bar.n = step
                self._bar.set_postfix_str(self.describe(), refresh=False)
            self._bar.refresh()
        elif step > self._shown_step and fresh and (last or time.monotonic() - self._shown_at >= LINE_S):
            print(f"step {step}/{self._newest.get('total_steps', '?')}  {self.describe()}", flush=True)
            self._shown_at, self._shown_step = time.monotonic(), step

    def describe(self) -> str:
        """Returns loss, learning rate, speed, time left and memory, as far as they are known.

        The time left is ours: the engines' own counts the steps before an interruption as if they had been made since.
        """
        from tqdm import tqdm

        parts = [f"{name} {value:.4g}" for name, value in self._losses.items()]
        if "lr" in self._newest:
            parts.append(f"lr {self._newest['lr']:.3g}")
        speed = self._steps_per_second()
        if speed and self._plan:
            rows = speed * self._plan.effective_batch
            parts += [f"{rows:.3g} rows/s", f"{speed * self._plan.tokens / self._plan.steps_per_epoch:,.0f} tokens/s"]
        if speed and (total := self._newest.get("total_steps")):
            parts.append(f"{tqdm.format_interval((total - self._newest['current_steps']) / speed)} left")
        parts += [f"GPU {gpu.used / 1e9:.1f}/{gpu.memory / 1e9:.0f} GB" for gpu in gpus_now()[:1] if gpu.memory]
        return ", ".join(parts)

    def _read_records(self) -> bool:
        """Reads whole new lines; returns whether there were any."""
        if not self._records.is_file():
            return False
        if self._records.stat().st_size < self._read:  # the engine began a new file
            self._read = 0
        with open(self._records, "rb") as handle:
            handle.seek(self._read)
            lines = handle.read().rpartition(b"\n")[0]
        if not lines:
            return False
        self._read += len(lines) + 1
        for line in lines.splitlines():
            with suppress(ValueError):
                record = json.loads(line)
                self._newest |= record
                self._losses |= {name.replace("_", " "): float(record[name]) for name in ("loss", "eval_loss") if record.get(name) is not None}
        if self._first is None:
            self._first = (time.monotonic(), int(self._newest.get("current_steps", 0)))
        return True

    def _steps_per_second(self) -> float:
        """Returns the speed since the first record; before it the model was loaded."""
        if self._first is None:
            return 0.0
        seconds, steps = time.monotonic() - self._first[0], int(self._newest.get("current_steps", 0)) - self._first[1]
        return steps / seconds if seconds > 0 and steps > 0 else 0.0


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return process.wait(POLL_S)
    return None
