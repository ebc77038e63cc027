"""Each row's tokens against the run's `cutoff_len`, by the run's own tokenizer.

In: a run, and examples in any number. Out: the number of tokens of each, and which are too long. `make check TASK=clue CONF=conf/<run>.yaml` asks for it.
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
DEFAULT = 2048  # LLaMA-Factory's own, where a run names none


class Cutoff:
    """Counts tokens in batches and gives each count to `measured(place, tokens)`; a row of more than `limit` loses something.

    Raises ToolError where the run's tokenizer isn't here.
    """

    def __init__(self, run: Run, task: Task, render: Callable[[Example], str], measured: Callable[[Place, int], None]) -> None:
        from tools.chat.lengths import token_counter

        self.run, self.longest = run, 0
        # LLaMA-Factory takes one off when it packs (hparams/data_args.py).
        self._spare = int(bool(run.values.get("packing") or run.values.get("neat_packing")))
        self.limit = _cutoff_len(run) - self._spare
        self._task, self._render, self._measured = task, render, measured
        self._count = token_counter(run)
        self._places: list[Place] = []
        self._rows: list[dict[str, str]] = []

    def add(self, place: Place, example: Example) -> None:
        """Measure a row, now or with the next ones; one that no tokenizer takes is passed over."""
        row = prompt.alpaca(self._task, example, self._render)
        if not LONE_SURROGATE.search(row["input"] + row["output"]):
            self._places.append(place)
            self._rows.append(row)
        if len(self._rows) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Measure what is waiting."""
        if self._rows:
            for place, tokens in zip(self._places, self._count(self._rows), strict=True):
                self.longest = max(self.longest, tokens)
                self._measured(place, tokens)
        self._places.clear()
        self._rows.clear()

    @property
    def suggestion(self) -> int:
        """The cutoff_len that holds the longest row: a multiple of 8, as the collator pads."""
        return -(-(self.longest + self._spare) // 8) * 8


def _cutoff_len(run: Run) -> int:
    value = run.values.get("cutoff_len", DEFAULT)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ToolError(f"{run.path}: cutoff_len must be a whole number above 0, this is {value!r}.")
    return value
