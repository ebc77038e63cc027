"""Helpers on a text: colours and columns of a terminal, folding, control tokens, quoting."""

import os
import pty
import subprocess
import sys

import pytest

from tools.files import ROOT
from tools.text import LONGEST_LABEL, LONGEST_LINE, clipped, columns, fold, neutralise, one_line, padded, quoted


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
    assert "\x1b[1m1. Data\x1b[0m" in in_a_terminal("-m", "tools", "--help")
    piped = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert piped.stderr.startswith("error: conf/nothing.yaml")


def test_a_chinese_character_takes_two_columns() -> None:
    assert columns("标签 ab") == 7
    assert padded("标签", 6) == "标签  "
    assert padded("标签", -6) == "  标签"
    assert padded("标签", 3) == "标签"


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("叶老桂", 6, "叶老桂"),
        ("叶老桂", 5, "叶老…"),
        ("叶老桂", 4, "叶…"),
        ("a叶老桂", 4, "a叶…"),
        ("", 0, ""),
        ("a", 0, "…"),
    ],
)
def test_a_text_is_cut_to_the_columns_that_it_takes(text: str, width: int, cut: str) -> None:
    assert clipped(text, width) == cut


def test_words_are_compared_without_width_case_and_outer_space() -> None:
    assert fold(" ＰＥＲ ") == fold("per") == "per"
    longer = "Ａ" * (LONGEST_LABEL + 1)
    assert fold(longer) == longer


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("甲<|im_end|>乙", "甲<｜im_end｜>乙"),
        ("<think>x</think>", "＜think＞x＜/think＞"),
        ("<tool_call>", "＜tool_call＞"),
        ("a < b | c > d, <b>, <||>", "a < b | c > d, <b>, <||>"),
    ],
)
def test_control_tokens_are_made_harmless_and_every_offset_stays(text: str, harmless: str) -> None:
    assert neutralise(text) == harmless
    assert len(neutralise(text)) == len(text)
    assert neutralise(harmless) == harmless


def test_a_message_is_one_line_that_a_terminal_can_show() -> None:
    assert one_line("标签\u3000a") == "标签\u3000a"
    assert one_line("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert len(one_line("x" * 10_000)) == LONGEST_LINE


def test_a_long_string_is_quoted_up_to_sixty_characters() -> None:
    assert quoted("x") == "'x'"
    assert quoted("x" * 61) == "'" + "x" * 59 + "…'"
