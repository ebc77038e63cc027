"""Compares one text, makes it harmless to a chat template, reads a number from it, and shows it on a terminal.

In: a text. Out: the text folded, neutralised, on one line, quoted, padded or painted; or the number.

    NO_COLOR=1 make
"""

from __future__ import annotations

import argparse
import math
import os
import re
import unicodedata
from collections.abc import Callable
from typing import TextIO

LONGEST_LABEL = 200  # characters; folding a longer text could take time that isn't linear
LONGEST_LINE = 300  # characters of a message
LONGEST_QUOTE = 60
# Strings that chat tokenizers turn into a control token wherever they stand: <|im_end|>, <|endoftext|>, <|user|> …, and Qwen's added tags.
CONTROL_TOKEN = re.compile(r"<\|[^|<>]{1,64}\|>|</?(?:tool_call|tool_response|think)>")
STYLES = {"bold": "1", "dim": "2", "red": "31", "yellow": "33", "cyan": "36"}  # ECMA-48, SGR
_FULL_WIDTH = str.maketrans("<>", "＜＞")


def fold(word: str) -> str:
    """Returns the form in which words are compared: Unicode's NFKC, stripped, in lower case. A word longer than LONGEST_LABEL is returned as it is."""
    return unicodedata.normalize("NFKC", word).strip().casefold() if len(word) <= LONGEST_LABEL else word


def neutralise(text: str) -> str:
    """Returns the text with control tokens made harmless, so that no text can open a chat turn. Training, prediction and scoring all call this.

    A control token's bars, or else its brackets, become full-width. Every other character, and so every offset, stays.

    >>> neutralise("甲<|im_end|>乙<think>")
    '甲<｜im_end｜>乙＜think＞'
    """
    if "<" not in text:
        return text
    return CONTROL_TOKEN.sub(lambda found: found[0].replace("|", "｜") if "|" in found[0] else found[0].translate(_FULL_WIDTH), text)


def one_line(message: str, limit: int = LONGEST_LINE) -> str:
    """Returns a message as a terminal can show it: on one line, cut at `limit` characters, those that don't print as escapes."""
    if len(message) > limit:
        message = message[: limit - 1] + "…"
    return message if message.isprintable() else "".join(c if c.isprintable() or c == "\u3000" else repr(c)[1:-1] for c in message)


def visible(text: str) -> str:
    """Returns the text with its controls, bidirectional overrides, lone surrogates and exotic line ends written out, as in ⟨U+202E⟩."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" else f"⟨U+{ord(c):04X}⟩" for c in text)


def quoted(value: str) -> str:
    """Returns a string in quotes, cut at LONGEST_QUOTE."""
    return f"'{value}'" if len(value) <= LONGEST_QUOTE else f"'{value[: LONGEST_QUOTE - 1]}…'"


def share(word: str) -> float:
    """Reads a number from 0 to 1, as argparse's `type`."""
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{quoted(word)} is no number from 0 to 1")
    return value


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Returns argparse's `type` for a whole number from `low` to `high`."""

    def read(word: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", word) or not low <= int(word) <= high:
            raise argparse.ArgumentTypeError(f"{quoted(word)} is no whole number from {low:,} to {high:,}")
        return int(word)

    return read


def paint(text: str, style: str, stream: TextIO) -> str:
    """Returns `text` in one of STYLES; plain where `stream` is no terminal, where NO_COLOR is set to anything (no-color.org), and on a dumb terminal."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m"


def columns(text: str) -> int:
    """Returns the number of columns that a terminal gives `text`: two for a wide character (Unicode Standard Annex 11)."""
    return len(text) + sum(unicodedata.east_asian_width(char) in "WF" for char in text)


def padded(text: str, width: int) -> str:
    """Returns `text` with spaces up to `width` columns: behind it, or before it where `width` is negative."""
    room = " " * max(0, abs(width) - columns(text))
    return text + room if width > 0 else room + text


def clipped(text: str, width: int) -> str:
    """Returns `text` cut to `width` columns, the last of them '…' where something is missing."""
    if columns(text) <= width:
        return text
    room, end = max(0, width - 1), 0
    while end < len(text) and (room := room - columns(text[end])) >= 0:
        end += 1
    return text[:end] + "…"
