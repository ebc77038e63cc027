"""Lists the GPUs of this machine.

In: nvidia-smi and CUDA_VISIBLE_DEVICES. Out: each GPU's name, driver and memory, and how many this process may use.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cache

QUERY = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,memory.used", "--format=csv,noheader,nounits"]


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name, its driver's version, its memory in bytes, and the bytes in use when it was asked. Bytes that the driver doesn't tell are 0."""

    name: str
    driver: str
    memory: int
    used: int


def gpus_now() -> list[Gpu]:
    """Returns the GPUs that nvidia-smi lists; none where there is no driver."""
    try:
        listed = subprocess.run(QUERY, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    rows = [[part.strip() for part in line.rsplit(",", 3)] for line in listed.strip().splitlines()]
    return [Gpu(name, driver, *(int(mebibytes) << 20 if mebibytes.isdigit() else 0 for mebibytes in memory)) for name, driver, *memory in rows]


@cache
def gpus() -> list[Gpu]:
    """Returns the GPUs as `gpus_now` does, asked once; what is in use may have changed since."""
    return gpus_now()


def visible_gpus() -> int:
    """Returns how many GPUs this process may use. The driver is asked, for torch takes seconds to import."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    return len(gpus())
