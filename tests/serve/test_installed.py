"""The installed vLLM."""

from pathlib import Path

import pytest

from tools.serve import installed
from tools.serve.installed import environment, reason


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "INFO fine\nTraceback (most recent call last):\nValueError: the cause\nRuntimeError: Engine core initialization failed.\n",
            ["ValueError: the cause"],
        ),
        (
            "(APIServer pid=1) WARNING 11-23 00:02:32 [x.py:2] may cause `OSError: [Errno 24]`\n"
            "(EngineCore pid=2) ERROR 11-23 00:02:33 [core.py:9] pydantic.ValidationError: 1 error\n  Value error, too long\n",
            ["pydantic.ValidationError: 1 error", "Value error, too long"],
        ),
        ("a\nb\nc\nKilled\n", ["b", "c", "Killed"]),
    ],
)
def test_the_cause_is_picked_from_the_log(tmp_path: Path, text: str, shown: list[str]) -> None:
    log = tmp_path / "serve.log"
    log.write_text(text)
    assert reason(log).splitlines() == [*shown, f"The whole log: {log}"]


@pytest.mark.parametrize(("cpu", "cores", "reserved"), [(True, 2, "0"), (True, 8, None), (False, 2, None)])
def test_a_small_machine_computes_with_every_core_and_an_allocator_that_keeps_big_blocks(
    monkeypatch: pytest.MonkeyPatch, cpu: bool, cores: int, reserved: str | None
) -> None:
    monkeypatch.delenv("VLLM_CPU_NUM_OF_RESERVED_CPU", raising=False)
    monkeypatch.setattr(installed, "on_cpu", lambda: cpu)
    monkeypatch.setattr(installed, "preload", lambda: {"LD_PRELOAD": "/mine:/x.so"})
    monkeypatch.setattr(installed.os, "sched_getaffinity", lambda process: set(range(cores)))
    found = environment()
    assert (found.get("VLLM_CPU_NUM_OF_RESERVED_CPU"), found.get("LD_PRELOAD")) == (reserved, "/mine:/x.so" if cpu else None)
    monkeypatch.setenv("VLLM_CPU_NUM_OF_RESERVED_CPU", "1")
    assert "VLLM_CPU_NUM_OF_RESERVED_CPU" not in environment()
