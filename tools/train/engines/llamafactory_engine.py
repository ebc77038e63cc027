"""Trains a run with LLaMA-Factory's own run_exp: in this process, or as one of torchrun's.

In: a resolved run, and torchrun's variables (RANK, WORLD_SIZE, …) in the environment, if there are several processes. Out: LLaMA-Factory's files. What differs from
`llamafactory-cli train`: the model's forward costs less (tools.train.engines.shared_prefix), unless --native is given; bf16 weights are held in float32 on a processor
without bf16 arithmetic (tools.train.engines.wide_weights); a process ends when its parent is gone; and
ranks on CPUs can resume: accelerate calls their device `cpu:0`, and torch can't load an optimizer's state onto that.

    .venv/train/bin/python -m tools.train.engines.llamafactory_engine data/outputs/<run>/run.yaml
    .venv/train/bin/python -m torch.distributed.run --nproc-per-node 2 --module tools.train.engines.llamafactory_engine --native data/outputs/<run>/run.yaml
"""

from __future__ import annotations

import sys

from tools.process import die_with_parent

NATIVE = "--native"
PRIORITY = 15  # between torch's own CPU (10) and CUDA (20)


def train() -> None:
    """Trains the run that argv names; LLaMA-Factory reads it from there."""
    die_with_parent()
    native = NATIVE in sys.argv
    sys.argv = [word for word in sys.argv if word != NATIVE]
    from torch.serialization import register_package

    # The writing of a storage is left to torch; a storage of `cpu:0` is read as it is.
    register_package(PRIORITY, lambda storage: None, lambda storage, location: storage if location.startswith("cpu:") else None)
    from llamafactory.train.tuner import run_exp

    from tools.train.engines.wide_weights import WideWeights

    if native:
        run_exp(callbacks=[WideWeights()])
        return
    from tools.train.engines.shared_prefix import Sharing

    run_exp(callbacks=[WideWeights(), Sharing()])


if __name__ == "__main__":
    train()
