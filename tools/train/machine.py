"""The GPUs of this machine, and how many processes a run will use on it.

In: nvidia-smi and the environment. Out: what the plan and the manifest say of the machine.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from tools.conf import Run


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name, its memory in bytes, its driver's version."""

    name: str
    memory: int
    driver: str


def gpus() -> list[Gpu]:
    """Those that nvidia-smi lists; none where there is no driver."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, check=False)
    except OSError:
        return []
    if listed.returncode:
        return []
    found = []
    for line in listed.stdout.strip().splitlines():
        name, memory, driver = (part.strip() for part in line.rsplit(",", 2))
        found.append(Gpu(name, int(memory) << 20 if memory.isdigit() else 0, driver))
    return found


def processes_of(run: Run) -> int:
    """Processes that share a step: all GPUs of a node, unless NPROC_PER_NODE says otherwise, on each of NNODES nodes; LLaMA-Factory reads the same variables."""
    nodes = int(os.environ.get("NNODES") or 1)
    ours = os.environ.get("NPROC_PER_NODE")
    on_gpu = 1 if run.values.get("use_cpu") else max(1, len(gpus()))
    return nodes * (int(ours) if ours and ours.isdigit() else on_gpu)
