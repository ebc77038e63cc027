"""Starts child processes that never outlive this one.

In: a command. Out: its exit code, or a running process that a `with` block stops. Signals reach the child, and a terminal in ASCII doesn't stop it.

    call(["llamafactory-cli", "train", "run.yaml"])
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Child:
    """A command in a process group of its own. It is stopped when the block ends: SIGTERM, then SIGKILL after `patience` seconds.

    Inside the block SIGTERM and SIGHUP raise SystemExit, as Ctrl-C raises KeyboardInterrupt. If this process is killed outright, the kernel ends the child.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        log: IO[str] | None = None,
        patience: float = 30,
        cwd: Path | None = None,
    ) -> None:
        self._command = [str(word) for word in command]
        self._env, self._log, self._patience, self._cwd = env, log, patience, cwd
        self._handlers: dict[signal.Signals, object] = {}

    def __enter__(self) -> subprocess.Popen[bytes]:
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, _interrupt)
        self.process = subprocess.Popen(
            self._command,
            cwd=self._cwd,
            env={**os.environ, "PYTHONIOENCODING": _never_fails(os.environ.get("PYTHONIOENCODING", "")), **(self._env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        return self.process

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave an orphan
        try:
            for number, wait in ((signal.SIGTERM, self._patience), (signal.SIGKILL, None)):
                try:
                    os.killpg(self.process.pid, number)  # the group, also when its leader is gone
                except ProcessLookupError:
                    break
                try:
                    self.process.wait(wait)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            signal.signal(signal.SIGINT, previous)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)  # type: ignore[arg-type]


def call(command: Sequence[str | Path], env: Mapping[str, str] | None = None, log: IO[str] | None = None) -> int:
    """Runs a command to its end. Returns its exit code, 128 + n when signal n ended it. An interrupt stops the command too."""
    with Child(command, env, log) as process:
        code = process.wait()
    return code if code >= 0 else 128 - code


def die_with_parent() -> None:
    """Makes the kernel send this process SIGTERM when the process that started it has ended."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _never_fails(encoding: str) -> str:
    """Returns PYTHONIOENCODING with an error handler: a character that a terminal in ASCII can't show is written as an escape."""
    return encoding if ":" in encoding else f"{encoding}:backslashreplace"


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
