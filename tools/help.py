"""What `make` alone prints: every target of the Makefile with its `## text`, grouped by the steps that its `##@ title` lines name.

In: the Makefile. Out: the help, as wide as the terminal, in the user's language.

    python3 -m tools.help
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from tools.errors import run
from tools.language import Parser, in_language
from tools.terminal import columns, paint

MAKEFILE = Path(__file__).resolve().parent.parent / "Makefile"
STEP = re.compile(r"^##@ (?P<title>.+)$|^(?P<target>[a-zA-Z0-9_-]+):.*?## (?P<text>.+?)(?: \((?P<variables>[^()]*[A-Z]+=.*)\))?$", re.MULTILINE)
INDENT = 19
WIDEST = 120


def shown(makefile: str, width: int) -> str:
    """The help of a Makefile, `width` columns wide: its steps, and below them each target's text and variables."""
    lines = [in_language("usage: make TARGET [NAME=value …]")]
    for found in STEP.finditer(makefile):
        if found["title"]:
            lines += ["", paint(in_language(found["title"]), "bold", sys.stdout)]
            continue
        name = f"  make {found['target']}".ljust(INDENT)
        lines.append(paint(name, "cyan", sys.stdout) + _wrapped(in_language(found["text"]), width))
        if found["variables"]:
            lines.append(" " * INDENT + paint(_wrapped(in_language(found["variables"]), width), "dim", sys.stdout))
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> str:
    """`text` in lines that fit behind the targets, broken at spaces and behind any wide character."""
    lines, room = [""], max(30, width - INDENT)
    for piece in re.findall(r"[^\s\u2e80-\uffef]*(?:[\u2e80-\uffef][，。、；：！？）]*|\s+|$)", text):
        if lines[-1] and columns((lines[-1] + piece).rstrip()) > room:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return ("\n" + " " * INDENT).join(line.rstrip() for line in lines)


def main() -> None:
    Parser(prog="python3 -m tools.help", description=(__doc__ or "").split("\n\n")[0]).parse_args()
    print(shown(MAKEFILE.read_text(encoding="utf-8"), min(WIDEST, shutil.get_terminal_size().columns)))


if __name__ == "__main__":
    run(main)
