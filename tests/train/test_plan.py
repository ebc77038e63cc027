"""The plan's figures are transformers' and LLaMA-Factory's own."""

import random
from pathlib import Path
from typing import Any

import pytest

from tools.conf.run import Run
from tools.train.plan import MEGABATCH, make_plan

LENGTHS = [random.Random(n).randint(20, 300) for n in range(1003)]


def run(**values: Any) -> Run:
    return Run(Path("conf/x.yaml"), {"cutoff_len": 512, **values})


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "epochs"), [(1003, 4, 8, 3.0), (1003, 16, 1, 6.0), (7, 4, 3, 1.0), (33, 2, 2, 0.5), (1, 8, 8, 2)]
)
def test_steps_are_those_that_the_trainer_counts(rows: int, batch: int, accumulation: int, epochs: float, tmp_path: Path) -> None:
    import torch
    from transformers import Trainer, TrainingArguments

    values = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation, "num_train_epochs": epochs}
    trainer = Trainer(
        model=torch.nn.Linear(1, 1), args=TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", **values), train_dataset=list(range(rows))
    )
    _, steps_per_epoch, _, _, effective_batch, _, steps = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())
    plan = make_plan(run(**values), LENGTHS[:rows])
    assert (plan.steps_per_epoch, plan.steps, plan.effective_batch) == (steps_per_epoch, steps, effective_batch)


def test_several_processes_share_an_epoch() -> None:
    plan = make_plan(run(per_device_train_batch_size=4, gradient_accumulation_steps=2, num_train_epochs=1), LENGTHS[:1000], processes=4)
    assert (plan.effective_batch, plan.steps_per_epoch) == (32, 32)


@pytest.mark.parametrize(("val_size", "held_out"), [(0.1, 101), (100, 100), (0, 0), (0.5, 502)])
def test_what_val_size_holds_out_is_what_datasets_splits_off(val_size: float, held_out: int) -> None:
    from datasets import Dataset

    plan = make_plan(run(val_size=val_size), LENGTHS)
    assert (plan.held_out, plan.rows) == (held_out, len(LENGTHS) - held_out)
    if val_size:
        size = int(val_size) if val_size > 1 else val_size
        assert len(Dataset.from_dict({"x": LENGTHS}).train_test_split(test_size=size, seed=42)["train"]) == plan.rows


def test_padding_is_what_batches_of_like_length_save() -> None:
    from transformers.trainer_pt_utils import get_length_grouped_indices

    mixed = make_plan(run(per_device_train_batch_size=32), LENGTHS)
    grouped = make_plan(run(per_device_train_batch_size=32, train_sampling_strategy="group_by_length"), LENGTHS)
    assert 0.3 < mixed.padding < 0.5
    ordered = [LENGTHS[i] for i in get_length_grouped_indices(LENGTHS, 32)]
    positions = sum(-(-max(part) // 8) * 8 * len(part) for part in (ordered[i : i + 32] for i in range(0, len(ordered), 32)))
    assert grouped.padding == pytest.approx(1 - sum(LENGTHS) / positions, abs=0.02)
    assert MEGABATCH == 50
    assert make_plan(run(per_device_train_batch_size=1), [8, 16, 800]).padding == 0
    assert make_plan(run(per_device_train_batch_size=1), [8, 16, 800]).longest == 512


def test_packed_rows_are_about_as_many_as_llamafactory_packs() -> None:
    from llamafactory.data.processor.processor_utils import greedy_knapsack

    blocks = len(greedy_knapsack(list(LENGTHS[:1000]), 512))
    plan = make_plan(run(packing=True, per_device_train_batch_size=1, num_train_epochs=1), LENGTHS[:1000])
    assert plan.steps == pytest.approx(blocks, rel=0.02)
