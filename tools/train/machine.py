"""The GPUs of this machine, and how many processes a run will use on it.

In: nvidia-smi and the environment. Out: what the plan and the manifest say of the machine.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cache

from tools.conf import Run


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name, its memory in bytes, its driver's version."""

    name: str
    memory: int
    driver: str


@cache
def gpus() -> list[Gpu]:
    """Those that nvidia-smi lists; none where there is no driver."""
    found = []
    for line in _nvidia_smi("name,memory.total,driver_version"):
        name, memory, driver = (part.strip() for part in line.rsplit(",", 2))
        found.append(Gpu(name, int(memory) << 20 if memory.isdigit() else 0, driver))
    return found


def gpus_in_use() -> list[tuple[int, int]]:
    """(bytes in use, bytes of memory) of each GPU now."""
    if not gpus():
        return []
    pairs = [line.split(",") for line in _nvidia_smi("memory.used,memory.total")]
    return [(int(used) << 20, int(memory) << 20) for used, memory in pairs if used.strip().isdigit() and memory.strip().isdigit()]


def _nvidia_smi(fields: str) -> list[str]:
    try:
        listed = subprocess.run(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"], capture_output=True, text=True, check=False)
    except OSError:
        return []
    return listed.stdout.strip().splitlines() if listed.returncode == 0 else []


def processes_of(run: Run) -> int:
    """Processes that share a step: all GPUs of a node, unless NPROC_PER_NODE says otherwise, on each of NNODES nodes; LLaMA-Factory reads the same variables."""
    nodes = int(os.environ.get("NNODES") or 1)
    ours = os.environ.get("NPROC_PER_NODE")
    on_gpu = 1 if run.values.get("use_cpu") else max(1, len(gpus()))
    return nodes * (int(ours) if ours and ours.isdigit() else on_gpu)
