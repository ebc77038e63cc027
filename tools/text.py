"""What a terminal may show beyond text: colours, only where somebody looks and hasn't asked for none.

In: a text and the stream that it goes to. Out: the text, with or without ANSI's codes (ECMA-48, SGR).

    NO_COLOR=1 make
"""

from __future__ import annotations

import os
import unicodedata
from typing import TextIO

STYLES = {"bold": "1", "dim": "2", "red": "31", "yellow": "33", "cyan": "36"}


def paint(text: str, style: str, stream: TextIO) -> str:
    """`text` in one of STYLES; plain where `stream` is no terminal, where NO_COLOR is set to anything (no-color.org), and on a dumb terminal."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m"


def columns(text: str) -> int:
    """How many columns a terminal gives `text`: two for a wide character (Unicode Standard Annex 11)."""
    return len(text) + sum(unicodedata.east_asian_width(char) in "WF" for char in text)


def padded(text: str, width: int) -> str:
    """`text` with spaces up to `width` columns: behind it, or before it where `width` is negative."""
    room = " " * max(0, abs(width) - columns(text))
    return text + room if width > 0 else room + text
