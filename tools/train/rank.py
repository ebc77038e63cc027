"""Runs LLaMA-Factory's training as one of torchrun's processes, as LLaMA-Factory's own launcher.py does.

In: a resolved run, and torchrun's variables (RANK, WORLD_SIZE, …) in the environment. Out: LLaMA-Factory's files. Two things differ from its launcher: a rank ends
when torchrun is gone; and ranks on CPUs can resume: accelerate calls their device `cpu:0`, and torch can't load an optimizer's state onto that.

    python -m torch.distributed.run --nproc-per-node 2 --module tools.train.rank data/outputs/<run>/run.yaml
"""

from __future__ import annotations

from tools.process import die_with_parent

PRIORITY = 15  # between torch's own CPU (10) and CUDA (20)


def train() -> None:
    """Trains the run that argv names; LLaMA-Factory reads it from there."""
    die_with_parent()
    from torch.serialization import register_package

    # The writing of a storage is left to torch; a storage of `cpu:0` is read as it is.
    register_package(PRIORITY, lambda storage: None, lambda storage, location: storage if location.startswith("cpu:") else None)
    from llamafactory.train.tuner import run_exp

    run_exp()


if __name__ == "__main__":
    train()
