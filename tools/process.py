"""Child processes that never outlive us: signals reach them, and they are gone before we are.

In: a command. Out: its exit code, or a running Child that a `with` block stops.
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
    """A command in a process group of its own, stopped (SIGTERM, then SIGKILL after `patience` seconds) when the block ends, however it ends.

    Inside the block SIGTERM and SIGHUP raise SystemExit, as Ctrl-C raises KeyboardInterrupt; should we be killed outright, the kernel ends the child.
    """

    def __init__(self, command: Sequence[str | Path], env: Mapping[str, str] | None = None, log: IO[str] | None = None, patience: float = 30) -> None:
        self._command = [str(word) for word in command]
        self._env, self._log, self._patience = env, log, patience
        self._handlers: dict[signal.Signals, object] = {}

    def __enter__(self) -> subprocess.Popen[bytes]:
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, _interrupt)
        self.process = subprocess.Popen(
            self._command,
            env={**os.environ, **(self._env or {})},
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
    """Run a command to its end and return its exit code (128 + n when signal n ended it); an interrupt stops it too."""
    with Child(command, env, log) as process:
        code = process.wait()
    return code if code >= 0 else 128 - code


def die_with_parent() -> None:
    """Let the kernel send this process SIGTERM when the one that started it is gone, however it went."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
