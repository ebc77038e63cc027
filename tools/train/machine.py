"""Lists the GPUs of this machine.

In: nvidia-smi and CUDA_VISIBLE_DEVICES. Out: each GPU's name, memory and driver, the memory in use, and how many this process may use.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml
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
    """Returns the GPUs that nvidia-smi lists; none where there is no driver."""
    found = []
    for line in _nvidia_smi("name,memory.total,driver_version"):
        name, memory, driver = (part.strip() for part in line.rsplit(",", 2))
        found.append(Gpu(name, int(memory) << 20 if memory.isdigit() else 0, driver))
    return found


def gpus_in_use() -> list[tuple[int, int]]:
    """Returns (bytes in use, bytes of memory) of each GPU now."""
    if not gpus():
        return []
    pairs = [line.split(",") for line in _nvidia_smi("memory.used,memory.total")]
    return [(int(used) << 20, int(memory) << 20) for used, memory in pairs if used.strip().isdigit() and memory.strip().isdigit()]


def visible_gpus() -> int:
    """Returns how many GPUs this process may use. The driver is asked, for torch takes seconds to import."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    return len(gpus())


def _nvidia_smi(fields: str) -> list[str]:
    try:
        listed = subprocess.run(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"], capture_output=True, text=True, check=False)
    except OSError:
        return []
    return listed.stdout.strip().splitlines() if listed.returncode == 0 else []
