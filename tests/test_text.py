"""Colours and columns: what a terminal shows, and what a file gets."""

import os
import pty
import subprocess
import sys

from tools.files import ROOT
from tools.text import columns, padded


def in_a_terminal(*words: str, **environ: str) -> str:
    """What a command prints on a terminal, stdout and stderr together."""
    ours, theirs = pty.openpty()
    environment = {**{name: value for name, value in os.environ.items() if name != "NO_COLOR"}, "TERM": "xterm", **environ}
    with subprocess.Popen([sys.executable, *words], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        process.wait()
    os.close(ours)
    return shown.decode()


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 65536)
    except OSError:  # Linux's way to say that the other end is closed
        return b""


def test_colours_are_for_terminals_and_for_those_who_want_them() -> None:
    words = ("-m", "tools", "check", "conf/nothing.yaml")
    assert "\x1b[31merror\x1b[0m: conf/nothing.yaml: no such file." in in_a_terminal(*words)
    for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = in_a_terminal(*words, **plain)
        assert "error: conf/nothing.yaml: no such file." in shown
        assert "\x1b" not in shown
    assert "\x1b[1m1. Data\x1b[0m" in in_a_terminal("-m", "tools.help")
    piped = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert piped.stderr.startswith("error: conf/nothing.yaml")


def test_a_chinese_character_takes_two_columns() -> None:
    assert columns("标签 ab") == 7
    assert padded("标签", 6) == "标签  "
    assert padded("标签", -6) == "  标签"
    assert padded("标签", 3) == "标签"
