"""Runs the commands of an installation: their output goes to a log, and what they are doing to one line.

In: commands of Python, pip and uv. Out: their exit codes, and the log. A terminal shows one moving line; anything else a line at the beginning and one at the end.
Python's standard library is enough.

    with InstallLog(Path(".venv/train.log"), ".venv/train") as log: ...
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tools.files import ROOT
from tools.process import Child
from tools.text import clipped

POLL_S = 0.2
SHOWN_LINES = 15  # of the log, when a command fails
LONGEST_LINE = 500  # characters of such a line
# uv's lines about single packages: "Downloading torch (502.2MiB)", " Downloaded torch", "   Building seqeval==1.2.2", "      Built seqeval==1.2.2", " + torch==2.13.0".
STEP = re.compile(r"^ *(Downloading|Downloaded|Building|Built|Prepared|Installed|\+) (\S+)(?: \(([\d.]+)([KMG])iB\))?", re.MULTILINE)
MIB = {"": 0.0, "K": 1 / 1024, "M": 1.0, "G": 1024.0}


class InstallLog:
    """A log at `path`, written anew, of the commands that make `what`. The last line on stderr says in how many seconds it was made, if nothing was raised."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self._what = path, what

    def __enter__(self) -> InstallLog:
        self._started, self._command_at = time.monotonic(), 0
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._file = open(self.path, "w", encoding="utf-8")
        if not self._terminal:
            print(f"setup: making {self._what} (log: {self._shown_path()}) …", file=sys.stderr, flush=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        self._move_to("")
        if kind is None:
            print(f"setup: made {self._what} in {self._seconds():.0f} s (log: {self._shown_path()})", file=sys.stderr, flush=True)

    def run(self, command: Sequence[str], env: Mapping[str, str] | None, doing: str) -> int:
        """Runs a command in the checkout to its end, `doing` being shown meanwhile. Returns its exit code, 128 + n when signal n ended it."""
        self._file.write(f"$ {shlex.join(command)}\n")
        self._file.flush()
        self._command_at = self._file.tell()
        with Child(command, env, self._file, cwd=ROOT) as process:
            while (code := _wait(process)) is None:
                seconds = int(self._seconds())
                self._move_to(f"setup: {self._what}, {seconds // 60}:{seconds % 60:02}, {phase(self.output()) or doing} …")
        return code if code >= 0 else 128 - code

    def output(self) -> str:
        """Returns what the newest command has printed so far."""
        with open(self.path, "rb") as log:
            log.seek(self._command_at)
            return log.read().decode("utf-8", "replace")

    def reason(self) -> str:
        """Returns the last SHOWN_LINES lines of the newest command's output, without uv's lines about its progress, and where the log is."""
        lines = [line for line in self.output().splitlines() if line.strip() and not STEP.match(line)]
        return "\n".join([*(line.rstrip()[:LONGEST_LINE] for line in lines[-SHOWN_LINES:]), self.where()])

    def last_line(self) -> str:
        """Returns the last line of the newest command's output."""
        return (self.output().strip().splitlines() or ["no message"])[-1]

    def where(self) -> str:
        """Returns the line that names the log."""
        return f"The whole log: {self._shown_path()}"

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _shown_path(self) -> str:
        return os.path.relpath(self.path, ROOT)

    def _move_to(self, line: str) -> None:
        """Replaces the moving line, where there is a terminal."""
        if self._terminal:
            width = 80
            with suppress(OSError):
                width = os.get_terminal_size(sys.stderr.fileno()).columns or width
            print(f"\r\x1b[K{clipped(line, width - 1)}", end="", file=sys.stderr, flush=True)  # ECMA-48, EL: erase to the end of the line


def phase(output: str) -> str:
    """Returns what uv is doing, by the lines it has printed; '' where they don't tell."""
    sizes: dict[str, float] = {}
    ended: set[str] = set()
    building: dict[str, None] = {}  # in order
    for step, name, size, unit in STEP.findall(output):
        if step == "Downloading":
            sizes[name] = float(size or 0) * MIB[unit]
        elif step == "Downloaded":
            ended.add(name)
        elif step == "Building":
            building[name] = None
        elif step == "Built":
            building.pop(name, None)
        elif step == "Prepared":
            return "putting the packages in place"
    waiting = {name: size for name, size in sizes.items() if name not in ended}
    if waiting:
        done = sum(size for name, size in sizes.items() if name in ended)
        return f"downloading {max(waiting, key=lambda name: waiting[name])}, {done:,.0f} of {sum(sizes.values()):,.0f} MiB done"
    return f"building {next(iter(building))}" if building else ""


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return process.wait(POLL_S)
    return None
