"""Computes a run's steps, tokens and padding from the lengths of its rows. Nothing is loaded and nothing runs.

In: a run, its rows' token counts, the number of processes. Out: a Plan.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from tools.conf.run import Run
from tools.train.arguments import with_defaults
from tools.train.sharing import SharedWork, TokenRow, shared_tokens, shared_work

PAD_TO = 8  # LLaMA-Factory's collator pads to a multiple of it
MEGABATCH = 50  # batches that transformers' length-grouped sampler sorts at a time


@dataclass(frozen=True)
class Plan:
    """A run in numbers. `tokens` counts an epoch's tokens without padding, `padding` is the share of its `positions` that are padding, `widest_batch` counts positions.

    `shared` is the work of the forward that computes shared first tokens once; None for LLaMA-Factory's own.
    """

    rows: int
    held_out: int
    processes: int
    batch: int
    accumulation: int
    steps_per_epoch: int
    steps: int
    epochs: float
    tokens: int
    longest: int
    padding: float
    positions: int
    widest_batch: int
    shared: SharedWork | None = None

    @property
    def effective_batch(self) -> int:
        """The number of rows in one optimizer step."""
        return self.batch * self.accumulation * self.processes


def make_plan(run: Run, lengths: list[int], processes: int = 1, rows: list[TokenRow] | None = None) -> Plan:
    """Returns the plan for rows of these token counts. The `rows` are given where their first tokens are shared. Steps are counted as transformers' Trainer does (Trainer.set_initial_training_values, 5.5.4)."""
    values = with_defaults(run)
    held_out = _held_out(values["val_size"], len(lengths))
    limit = int(values["cutoff_len"])
    order = list(range(len(lengths)))
    random.Random(int(values["seed"])).shuffle(order)
    order = order[: len(order) - held_out]
    kept = [min(lengths[place], limit) for place in order]
    batch, accumulation = int(values["per_device_train_batch_size"]), int(values["gradient_accumulation_steps"])
    units = _packed(kept, limit) if values.get("packing") or values.get("neat_packing") else kept
    batches_per_epoch = max(1, math.ceil(math.ceil(len(units) / batch) / processes))
    steps_per_epoch = max(1, math.ceil(batches_per_epoch / accumulation))
    steps = int(values["max_steps"]) if int(values["max_steps"]) > 0 else math.ceil(float(values["num_train_epochs"]) * steps_per_epoch)
    padded = list(_padded(units, batch, grouped=values.get("train_sampling_strategy") == "group_by_length"))
    positions = sum(count * width for count, width in padded)
    return Plan(
        rows=len(kept),
        held_out=held_out,
        processes=processes,
        batch=batch,
        accumulation=accumulation,
        steps_per_epoch=steps_per_epoch,
        steps=steps,
        epochs=steps / steps_per_epoch,
        tokens=sum(kept),
        longest=max(kept, default=0),
        padding=1 - sum(kept) / positions if positions else 0.0,
        positions=positions,
        widest_batch=max((count * width for count, width in padded), default=0),
        shared=_shared([rows[place] for place in order], batch, limit) if rows is not None else None,
    )


def _shared(rows: list[TokenRow], batch: int, limit: int) -> SharedWork:
    """Returns the work of an epoch. Rows of one batch may share more than all rows do, so it is an upper bound."""
    sizes = [(min(row.length, limit), min(row.answer, limit)) for row in rows]
    return shared_work([sizes[start : start + batch] for start in range(0, len(sizes), batch)], shared_tokens(rows))


def _held_out(val_size: float, rows: int) -> int:
    """Returns the number of rows that `val_size` takes: a number above 1, a share below (datasets' train_test_split rounds up)."""
    return min(rows, int(val_size) if val_size > 1 else math.ceil(rows * val_size)) if val_size > 1e-6 else 0


def _packed(lengths: list[int], limit: int) -> list[int]:
    """Returns the lengths of packed blocks, all `limit` tokens.

    LLaMA-Factory's greedy_knapsack packs a thousand rows at a time, the longest first, each where the least room is left, and pads each block to the full length.
    """
    blocks = 0
    for start in range(0, len(lengths), 1000):
        room: list[int] = []
        for length in sorted(lengths[start : start + 1000], reverse=True):
            fitting = [(free, place) for place, free in enumerate(room) if free >= length]
            if fitting:
                room[min(fitting)[1]] -= length
            else:
                room.append(limit - length)
        blocks += len(room)
    return [limit] * blocks


def _padded(lengths: list[int], batch: int, grouped: bool) -> Iterator[tuple[int, int]]:
    """Yields (rows, padded width) of each batch of an epoch. `grouped` sorts within megabatches, as transformers' get_length_grouped_indices does."""
    if grouped:
        size = min(max(len(lengths) // (batch * 4), 1), MEGABATCH) * batch
        lengths = [length for start in range(0, len(lengths), size) for length in sorted(lengths[start : start + size], reverse=True)]
    for start in range(0, len(lengths), batch):
        rows = lengths[start : start + batch]
        yield len(rows), -(-max(rows) // PAD_TO) * PAD_TO
