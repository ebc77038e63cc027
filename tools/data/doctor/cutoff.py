"""Compares each row's token count with the run's `cutoff_len`. The run's own tokenizer counts.

In: a run, and examples in any number. Out: the token count of each, and the longest. `./ner check TASK.yaml --conf conf/<run>.yaml` reports them.
"""

from __future__ import annotations

from collections.abc import Callable

from tools.chat import prompt
from tools.conf.run import Run
from tools.conf.task import Task
from tools.data.doctor.findings import Place
from tools.data.readers.row import LONE_SURROGATE
from tools.errors import ToolError
from tools.example import Example

BATCH = 256
DEFAULT = 2048  # LLaMA-Factory's own, for a run that names none


class Cutoff:
    """Counts tokens in batches, and calls `measured(place, tokens)` for each row. A row of more than `limit` tokens is cut off.

    Raises ToolError if the run's tokenizer isn't here.
    """

    def __init__(self, run: Run, task: Task, render: Callable[[Example], str], measured: Callable[[Place, int], None]) -> None:
        from tools.chat.token_ids import token_counter

        self.run, self.longest = run, 0
        # LLaMA-Factory takes one off when it packs (hparams/data_args.py).
        self._spare = int(bool(run.values.get("packing") or run.values.get("neat_packing")))
        self.limit = _cutoff_len(run) - self._spare
        self._task, self._render, self._measured = task, render, measured
        self._count = token_counter(run)
        self._waiting: list[tuple[Place, dict[str, str]]] = []

    def add(self, place: Place, example: Example) -> None:
        """Measures a row, now or with the next ones. Leaves out a row that no tokenizer takes."""
        row = prompt.alpaca(self._task, example, self._render)
        if not LONE_SURROGATE.search(row["input"] + row["output"]):
            self._waiting.append((place, row))
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Measures the waiting rows."""
        counts = self._count([row for _, row in self._waiting]) if self._waiting else []
        for (place, _), tokens in zip(self._waiting, counts, strict=True):
            self.longest = max(self.longest, tokens)
            self._measured(place, tokens)
        self._waiting.clear()

    @property
    def suggestion(self) -> int:
        """The cutoff_len that holds the longest row: a multiple of 8, as the collator pads."""
        return -(-(self.longest + self._spare) // 8) * 8


def _cutoff_len(run: Run) -> int:
    value = run.values.get("cutoff_len", DEFAULT)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ToolError(f"{run.path}: cutoff_len must be a whole number above 0, this is {value!r}.")
    return value
