"""What `make` prints: every public target once, under its step, as wide as the terminal."""

import os
import re
import subprocess

from tools.conf import ROOT
from tools.help import INDENT, MAKEFILE, shown
from tools.terminal import columns

TEXT = MAKEFILE.read_text(encoding="utf-8")
STEPS = ["First steps", "1. Data", "2. Train", "3. Export", "4. Serve", "5. Evaluate"]


def test_every_target_stands_under_a_step() -> None:
    lines = shown(TEXT, 100).splitlines()
    assert [line for line in lines if line in STEPS] == STEPS
    targets = re.findall(r"^([a-z0-9_-]+):.*##", TEXT, re.MULTILINE)
    assert [found[1] for line in lines if (found := re.match(r"  make (\S+)", line))] == targets


def test_no_line_is_wider_than_the_terminal_but_for_a_word_that_is() -> None:
    for language in ("C.UTF-8", "zh_CN.UTF-8"):
        for width in (60, 100):
            environ = {**os.environ, "LC_ALL": language, "COLUMNS": str(width)}
            printed = subprocess.run(["make"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout
            assert [line for line in printed.splitlines() if columns(line) > width and " " in line[INDENT:].strip()] == []
            assert max(columns(line) for line in printed.splitlines()) > width - 15


def test_the_help_is_chinese_where_the_locale_is() -> None:
    environ = {**os.environ, "LC_ALL": "zh_CN.UTF-8"}
    printed = subprocess.run(["make", "help"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout
    assert "1. 数据" in printed
    assert "make data " in printed
    assert "原始标注 → 样本" in printed
