"""The GPUs are those that nvidia-smi lists."""

from pathlib import Path

import pytest

from tools.train.machine import Gpu, gpus_now


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 'NVIDIA H200, 580.65.06, 143771, 512'", [Gpu("NVIDIA H200", "580.65.06", 143771 << 20, 512 << 20)]),
        ("echo 'A, B, 550.1, [N/A], [N/A]'", [Gpu("A, B", "550.1", 0, 0)]),
        ("echo 'no driver'; exit 9", []),
    ],
)
def test_a_gpu_is_read_from_nvidia_smis_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: list[Gpu]) -> None:
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus_now() == found
