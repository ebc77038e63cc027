"""Records the demo in a terminal, and draws the recording as an SVG that plays by itself.

In: nothing; it runs `./ner demo` in a pseudo-terminal of COLUMNS columns and keeps what was printed when. Or a log that such a run left, whose times weren't kept:
then the SVG is a still picture of its end. Out: terminal.svg. Pauses of more than PAUSE_S are shortened, and what is left plays within LONGEST_S.

    .venv/train/bin/python docs/pictures/make.py terminal
    .venv/train/bin/python docs/pictures/make.py terminal --log demo.log
"""

from __future__ import annotations

import codecs
import os
import re
import select
import struct
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tools.conf.run import Run
from tools.errors import WANTING, ToolError
from tools.files import write_text

COMMAND = (sys.executable, "-m", "tools", "demo")
COLUMNS, ROWS = 120, 30
PAUSE_S, LONGEST_S, LAST_S = 0.8, 30.0, 6.0  # the longest pause, the whole without its end, and the end, which stays
TICK_S = 0.1  # what changes faster is shown as it is after that
SIZE, ADVANCE, LINE, MARGIN = 13, 7.83, 18, 14  # font size, width of a character (0.602 of the size), height of a line
# The dark colours of the report (tools/report/report.html): a terminal is dark on every page.
PAGE, INK, ACCENT, GOOD = "#12151b", "#e6e9f0", "#8cb0ff", "#5fd38a"
FONTS = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Noto Sans Mono CJK SC',monospace"
CONTROL = re.compile(r"(\r\n|\n|\r|\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>])")
HOME = re.compile(r"(?<![\w.])/(?:[\w.+-]+/)+(?=(?:data|conf|models|tools)/)")  # where this checkout lies is nobody's business


@dataclass(frozen=True)
class Row:
    """What one line of the screen says from `start` to `end` (seconds; None: to the last)."""

    line: int
    text: str
    start: float
    end: float | None = None
    colour: str = INK


def record(command: Sequence[str], columns: int = COLUMNS, rows: int = ROWS) -> list[tuple[float, str]]:
    """Runs a command in a pseudo-terminal, shows what it prints, and returns (seconds since its start, text) pieces. Raises ToolError (1) where it fails."""
    import fcntl
    import pty
    import termios

    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(rows)}
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    started, pieces, decoder = time.monotonic(), list[tuple[float, str]](), codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        select.select([terminal], [], [])
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux says so at the end
            data = b""
        if not data:
            break
        os.write(1, data)
        pieces.append((time.monotonic() - started, decoder.decode(data)))
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise ToolError(f"{' '.join(command)} ended with exit code {code}: no picture of it", WANTING)
    return pieces


def shortened(pieces: Iterable[tuple[float, str]]) -> list[tuple[float, str]]:
    """Returns the pieces with pauses of at most PAUSE_S, all of them within LONGEST_S, and those within one TICK_S joined."""
    now, before, played = 0.0, 0.0, list[tuple[float, str]]()
    for at, text in pieces:
        now, before = now + min(at - before, PAUSE_S), at
        played.append((now, text))
    pace = min(1.0, LONGEST_S / now) if now else 1.0
    joined = list[tuple[float, str]]()
    for at, text in played:
        tick = round(at * pace / TICK_S) * TICK_S
        if joined and joined[-1][0] == tick:
            joined[-1] = (tick, joined[-1][1] + text)
        else:
            joined.append((tick, text))
    return joined


def width(text: str) -> int:
    """Returns the columns that a text takes: two for a wide character."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 0 if unicodedata.combining(character) else 1 for character in text)


def screen(pieces: Iterable[tuple[float, str]], columns: int = COLUMNS) -> list[Row]:
    """Returns the rows of a recording: a line that is written over has several. It knows line ends, carriage returns, steps up, erased lines, and no more."""
    lines, shown, rows = [""], [("", 0.0)], list[Row]()
    at_line, at_start = 0, True  # whether the next character overwrites the line
    for at, text in pieces:
        touched = set[int]()
        for part in _parts(text):
            if part == "\n":
                at_line, at_start = at_line + 1, True
                if at_line == len(lines):
                    lines.append("")
                    shown.append(("", at))
            elif part == "\r":
                at_start = True
            elif part[0] == "\x1b":
                if part[-1] == "A":
                    at_line = max(0, at_line - int(part[2:-1] or 1))
                elif part[-1] == "K" and at_start:
                    lines[at_line] = ""
                    touched.add(at_line)
            else:
                lines[at_line] = part if at_start else lines[at_line] + part
                at_start = False
                touched.add(at_line)
        for number in sorted(touched):
            before, since = shown[number]
            if before and before != lines[number] and since < at:
                rows.append(Row(number, before, since, at))
            shown[number] = (lines[number], since if before == lines[number] and before else at)
    rows += [Row(number, text, since) for number, (text, since) in enumerate(shown) if text]
    return _wrapped(rows, columns)


def _parts(text: str) -> Iterator[str]:
    """Yields the pieces of a text between its control characters, and these; a line end that a terminal sends is one."""
    yield from ("\n" if part == "\r\n" else part for part in CONTROL.split(HOME.sub("", text)) if part)


def _wrapped(rows: Sequence[Row], columns: int) -> list[Row]:
    """Returns rows of at most `columns` columns; a line takes as many as its longest text."""
    pieces = {row: _cut(row.text, columns) for row in rows}
    tall = dict[int, int]()
    for row, cut in pieces.items():
        tall[row.line] = max(tall.get(row.line, 1), len(cut))
    first, number = dict[int, int](), 0
    for line in range(max(tall, default=-1) + 1):
        first[line], number = number, number + tall.get(line, 1)
    return [Row(first[row.line] + step, text, row.start, row.end, _colour(row.text)) for row, cut in pieces.items() for step, text in enumerate(cut)]


def _cut(text: str, columns: int) -> list[str]:
    parts, taken = [""], 0
    for character in text.rstrip().expandtabs(8):
        wide = width(character)
        if taken + wide > columns:
            parts.append("")
            taken = 0
        parts[-1] += character
        taken += wide
    return parts


def animated(rows: Sequence[Row]) -> str:
    """Returns a recording as an SVG of ROWS lines that scrolls as a terminal does, over and over; without motion where the reader's system asks for none."""
    end = max(row.start for row in rows)
    whole = end + LAST_S
    tops = _scrolls(rows)
    bottom = tops[-1][1]
    kinds = dict[tuple[float, float | None], str]()
    texts = list[str]()
    for row in rows:
        if row.end is None and row.start <= 0:
            texts.append(_text(row, row.line))
            continue
        name = kinds.setdefault((row.start, row.end), f"t{len(kinds)}")
        texts.append(_text(row, row.line, name if row.end is None else f"{name} g"))
    styles = [f".s{{animation:s {whole:.1f}s step-end infinite}}", "@keyframes s{" + _steps(tops, whole) + "}"]
    for (start, stop), name in kinds.items():
        hidden = f"{100 * start / whole:.2f}%{{visibility:visible}}" + (f"{100 * stop / whole:.2f}%{{visibility:hidden}}" if stop is not None else "")
        styles += [f".{name}{{animation:{name} {whole:.1f}s step-end infinite}}", f"@keyframes {name}{{0%{{visibility:hidden}}{hidden}}}"]
    styles.append(
        f"@media (prefers-reduced-motion:reduce){{*{{animation:none!important}}.g{{visibility:hidden}}.s{{transform:translateY({-bottom * LINE}px)}}}}"
    )
    return _frame("".join(styles), f'<g class="s">{"".join(texts)}</g>', ROWS)


def _scrolls(rows: Sequence[Row]) -> list[tuple[float, int]]:
    """Returns (seconds, the first line that is seen) for each scroll."""
    tops = [(0.0, 0)]
    for row in sorted(rows, key=lambda one: one.start):
        if (top := row.line - ROWS + 1) > tops[-1][1]:
            tops.append((row.start, top))
    return tops


def _steps(tops: Sequence[tuple[float, int]], whole: float) -> str:
    at_once = {f"{100 * at / whole:.2f}%": top for at, top in tops}
    return "".join(f"{at}{{transform:translateY({-top * LINE}px)}}" for at, top in at_once.items())


def still(log: str) -> str:
    """Returns a terminal's last ROWS lines of a log whose times weren't kept, as an SVG."""
    rows = screen([(0.0, log.rstrip())])
    first = max(0, max(row.line for row in rows) + 1 - ROWS)
    seen = [row for row in rows if row.line >= first]
    return _frame("", "".join(_text(row, row.line - first) for row in seen), ROWS)


def _colour(line: str) -> str:
    """Returns the colour of a line: commands and the demo's three results stand out."""
    return ACCENT if line.startswith("$ ") else GOOD if re.match(r"(?:base model, |base \+ adapter|merged model).*F1", line) else INK


def _text(row: Row, line: int, kind: str = "") -> str:
    """Returns a row as the `line`th of the picture; one with wide characters is set piece by piece, so that columns stay columns in every font."""
    y = MARGIN + LINE * line + SIZE
    pieces, at = list[str](), 0
    for run in re.findall(r"[^\u2e80-\u9fff\uf900-\uffef]+|[\u2e80-\u9fff\uf900-\uffef]+", row.text):
        if run.strip():
            lead = len(run) - len(run.lstrip())
            shown = run.strip() if run.isascii() else run
            x = MARGIN + ADVANCE * (at + (lead if shown != run else 0))
            pieces.append(f'<tspan x="{x:.1f}" textLength="{ADVANCE * width(shown):.1f}" lengthAdjust="spacingAndGlyphs">{escape(shown)}</tspan>')
        at += width(run)
    named = f' class="{kind}"' if kind else ""
    fill = "" if row.colour == INK else f' fill="{row.colour}"'
    return f'<text y="{y}"{named}{fill} xml:space="preserve">{"".join(pieces)}</text>\n'


def _frame(style: str, body: str, rows: int) -> str:
    wide, tall = round(COLUMNS * ADVANCE + 2 * MARGIN), rows * LINE + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}" role="img" font-family="{FONTS}" font-size="{SIZE}" fill="{INK}">\n'
        f"<title>./ner demo in a terminal</title><style>{style}</style>\n"
        f'<clipPath id="c"><rect x="0" y="{MARGIN - 4}" width="{wide}" height="{tall - 2 * MARGIN + 8}"/></clipPath>\n'
        f'<rect width="{wide}" height="{tall}" rx="8" fill="{PAGE}"/>\n<g clip-path="url(#c)">{body}</g>\n</svg>\n'
    )


def terminal(run: Run, folder: Path, log: Path | None = None) -> None:
    """Records the demo and writes it as an SVG that plays; with `log`, writes a still picture of an earlier demo's."""
    if log is not None:
        write_text(folder / "terminal.svg", still(log.read_text(encoding="utf-8")))
    else:
        pieces = [(0.0, "$ ./ner demo\r\n"), *record(COMMAND)]
        write_text(folder / "terminal.svg", animated(screen(shortened(pieces))))


MAKERS = {"terminal": terminal}
