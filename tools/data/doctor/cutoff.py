"""Compares each row's tokens with the run's `cutoff_len`, with what its base model can read, and with what evaluation lets it write. The run's own tokenizer counts.

In: a run, and examples in any number. Out: the token counts of each, and the longest. `./ner check TASK.yaml --conf conf/<run>.yaml` reports them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tools.chat import prompt
from tools.conf.run import Run
from tools.conf.task import Task
from tools.data.doctor.findings import Place
from tools.data.raw.row import LONE_SURROGATE
from tools.errors import ToolError
from tools.example import Example
from tools.files import read_json

DEFAULT = 2048  # LLaMA-Factory's own, for a run that names none


class Cutoff:
    """Counts tokens, and calls `measured(place, tokens, tokens of the answer)` for each row. A row of more than `limit` tokens is cut off.

    `positions` are the tokens that the base model can read, None where its config.json doesn't tell; `answer_tokens` those that an evaluation lets it write. Raises ToolError if the run's tokenizer isn't here.
    """

    def __init__(self, run: Run, task: Task, render: Callable[[Example], str], measured: Callable[[Place, int, int], None]) -> None:
        from tools.chat.token_ids import trained_ids

        self.run, self.longest = run, 0
        # LLaMA-Factory takes one off when it packs (hparams/data_args.py).
        self._spare = int(bool(run.values.get("packing") or run.values.get("neat_packing")))
        self.limit = _cutoff_len(run) - self._spare
        self._task, self._render, self._measured = task, render, measured
        self._ids = trained_ids(run)
        self.positions = _positions(run)
        self.answer_tokens = prompt.answer_tokens(task, run)

    def add(self, place: Place, example: Example) -> None:
        """Measures a row. Leaves out one that no tokenizer takes, and one whose answer can't be written."""
        try:
            row = prompt.alpaca(self._task, example, self._render)
        except ToolError:
            return
        if LONE_SURROGATE.search(row["input"] + row["output"]):
            return
        asked, answer = map(len, self._ids(row))
        self.longest = max(self.longest, asked + answer)
        self._measured(place, asked + answer, answer)

    @property
    def suggestion(self) -> int:
        """The cutoff_len that holds the longest row: a multiple of 8, as the collator pads."""
        return -(-(self.longest + self._spare) // 8) * 8

    @property
    def advice(self) -> str:
        """What to do about rows that are cut off."""
        longest = f"The longest row has {self.longest:,} tokens"
        if self.positions and self.suggestion > self.positions:
            read = f"{longest}, and {self.run.base_model} reads {self.positions:,} at most"
            return f"{read}: divide the longer texts, or take a model that reads more; cutoff_len alone can't help."
        return f"{longest}: write cutoff_len: {self.suggestion} in {self.run.path}."


def _cutoff_len(run: Run) -> int:
    value = run.values.get("cutoff_len", DEFAULT)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ToolError(f"{run.path}: cutoff_len must be a whole number above 0, this is {value!r}.")
    return value


def _positions(run: Run) -> int | None:
    path = Path(run.base_model) / "config.json"
    config = read_json(path) if path.is_file() else {}
    found = config.get("max_position_embeddings") if isinstance(config, dict) else None
    return found if type(found) is int and found > 0 else None
