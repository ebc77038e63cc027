import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.files import ROOT
from tools.process import Child, call


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int, patience: float = 20) -> bool:
    """Whether the process ends within `patience` seconds."""
    end = time.monotonic() + patience
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(pid)


def test_call_returns_the_exit_code_or_the_signal() -> None:
    assert call([sys.executable, "-c", "raise SystemExit(7)"]) == 7
    assert call([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) == 128 + 9


def test_a_child_and_its_own_children_end_with_the_block(tmp_path: Path) -> None:
    with Child(["sh", "-c", f"sleep 600 & echo $! > {tmp_path}/pid; wait"]) as process:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            time.sleep(0.05)
        grandchild = int((tmp_path / "pid").read_text())
        assert alive(grandchild)
    assert gone(process.pid)
    assert gone(grandchild)


def test_a_child_that_ignores_sigterm_is_killed() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    with Child([sys.executable, "-c", code], patience=0.5) as process:
        time.sleep(1)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_we_end_the_child_ends_too(number: signal.Signals, tmp_path: Path) -> None:
    code = (
        "import sys; from tools.errors import run; from tools.process import Child\n"
        "def main():\n with Child(['sleep', '600']) as c: print(c.pid, flush=True); c.wait()\n"
        "run(main)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as ours:
        assert ours.stdout is not None
        child = int(ours.stdout.readline())
        assert alive(child)
        os.kill(ours.pid, number)
    assert gone(child)
    assert ours.returncode == (-number if number == signal.SIGKILL else 128 + number)
