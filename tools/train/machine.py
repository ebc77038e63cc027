"""The GPUs of this machine.

In: nvidia-smi and CUDA_VISIBLE_DEVICES. Out: what the plan and the manifest say of the machine.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cache


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


def visible_gpus() -> int:
    """How many GPUs this process may use, asked of the driver (torch takes seconds to tell)."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    return len(gpus())
