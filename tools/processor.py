"""Says what this machine's processor computes with, where that decides which weights it can hold or serve.

In: /proc/cpuinfo, and torch where it is asked for bf16. Out: names of instructions, and whether bf16 is slow.

    is_slow_in_bf16()
"""

from __future__ import annotations

from pathlib import Path


def instructions() -> set[str]:
    """Returns the processor's flags as Linux names them, such as avx512f."""
    return set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())


def is_slow_in_bf16() -> bool:
    """Returns whether oneDNN can't compute this processor's bf16 products, so that torch does it one number at a time: 60 times as long as float32."""
    import torch

    return not torch.ops.mkldnn._is_mkldnn_bf16_supported()
