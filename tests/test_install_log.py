import io
import re
import sys
from pathlib import Path

import pytest

from tools.install_log import STEP, InstallLog, phase

DOWNLOADS = "Resolved 216 packages in 2.07s\nDownloading torch (502.2MiB)\nDownloading gradio (60.6MiB)\n   Building seqeval==1.2.2\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ("", "downloading torch, 0 of 563 MiB done"),
        (" Downloaded torch\n", "downloading gradio, 502 of 563 MiB done"),
        (" Downloaded torch\n Downloaded gradio\n", "building seqeval==1.2.2"),
        (" Downloaded torch\n Downloaded gradio\n      Built seqeval==1.2.2\n", ""),
        (" Downloaded torch\nPrepared 216 packages in 2m 18s\n", "putting the packages in place"),
        ("Downloading nvidia-cublas (1.5GiB)\nDownloading small (12KiB)\n", "downloading nvidia-cublas, 0 of 2,099 MiB done"),
    ],
)
def test_uvs_lines_tell_what_it_is_doing(more: str, shown: str) -> None:
    assert phase(DOWNLOADS + more) == shown


def test_an_output_without_such_lines_tells_nothing() -> None:
    assert phase("") == phase("Using Python 3.11.7 environment at: .venv/train\nerror: Downloading failed") == ""
    assert STEP.match(" + torch==2.13.0")


def test_a_terminal_shows_one_moving_line_that_is_gone_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    code = f"import time; time.sleep(0.5); print({DOWNLOADS!r}, flush=True); time.sleep(1)"
    with InstallLog(tmp_path / "e.log", "e") as log:
        assert log.run([sys.executable, "-c", code], None, "looking up") == 0
    assert terminal.getvalue().count("\n") == 1
    *moving, end = terminal.getvalue().split("\r\x1b[K")
    assert any(re.fullmatch(r"setup: e, 0:0\d, looking up …", line) for line in moving)
    assert any(re.fullmatch(r"setup: e, 0:0\d, downloading torch, 0 of 563 MiB done …", line) for line in moving)
    assert re.fullmatch(r"setup: made e in \d+ s \(log: \S+e\.log\)\n", end)


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "dumb")
    with InstallLog(tmp_path / "e.log", "e") as log:
        log.run([sys.executable, "-c", "print(1)"], None, "looking up")
    assert re.fullmatch(r"setup: making e \(log: \S+\) …\nsetup: made e in \d+ s \(log: \S+\)\n", terminal.getvalue())


def test_the_reason_is_the_end_of_the_newest_commands_output(tmp_path: Path) -> None:
    with InstallLog(tmp_path / "e.log", "e") as log:
        log.run([sys.executable, "-c", "print('of the first')"], None, "")
        assert log.run([sys.executable, "-c", "print('x' * 999, *range(40), ' + torch==2.13.0', sep='\\n'); raise SystemExit('why')"], None, "") == 1
        *lines, where = log.reason().splitlines()
        assert lines == [*map(str, range(26, 40)), "why"]
        assert re.fullmatch(r"The whole log: \S+e\.log", where)
        assert log.last_line() == "why"
        assert log.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], None, "") == 137
        assert log.last_line() == "no message"
    assert "of the first" in (tmp_path / "e.log").read_text()
