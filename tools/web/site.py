"""What the page's parts share: what it is of, the language of who looks at it, the colours of labels, and the only HTML that we write.

In: a run, its task, and the server that answers. Out: a Site. Whatever a user or a model wrote goes through `note` and `grid`, which escape it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from tools.conf.run import Run
from tools.conf.task import Task
from tools.predict.server import Server
from tools.web.words import language_of

# Colours that stay apart, and on which dark words can be read; a task with more labels goes on around the wheel.
COLOURS = ("#8ec5ff", "#ffc58a", "#8fdca0", "#f9a8c9", "#c9b2f7", "#84dcdc", "#e6cf87", "#f7a19b", "#b8c4d0", "#c5e07a", "#a9b4f5", "#e0a3d1")
Words = Callable[[str], Any]  # a key of tools.web.words → what Gradio translates in the browser
UNKNOWN = "#c9c9c9"  # of a label that the task doesn't have


@dataclass(frozen=True)
class Site:
    """What the page is of: `models` maps the key of a model ('base', 'adapter', …) to its name at the server; the last is the one that the run made."""

    run: Run
    task: Task
    server: Server
    models: dict[str, str]

    @property
    def is_ner(self) -> bool:
        """Whether the task looks for entities; else it chooses a class."""
        return self.task.kind == "ner"

    @property
    def asks_options(self) -> bool:
        """Whether a text has to bring its own options."""
        return not self.is_ner and not self.task.labels


def language(request: gr.Request) -> str:
    """The language that the browser asks for, 'en' or 'zh'."""
    return language_of(str(request.headers.get("accept-language") or ""))


def colours_of(task: Task) -> dict[str, str]:
    """Each label's name → its colour, always the same one."""
    return {name: COLOURS[number] if number < len(COLOURS) else _wheel(number) for number, name in enumerate(task.names.values())}


def _wheel(number: int) -> str:
    """A colour from around the wheel; the golden angle keeps neighbours apart."""
    from colorsys import hls_to_rgb

    return "#" + "".join(f"{round(255 * part):02x}" for part in hls_to_rgb(number * 0.381966 % 1, 0.75, 0.6))


def marked(pieces: Sequence[tuple[str, str | None]], task: Task, visible: bool = True) -> gr.HighlightedText:
    """The update of a HighlightedText: pieces of text with the names of their labels, one that the task doesn't have in grey."""
    return gr.HighlightedText(list(pieces), color_map={**{name: UNKNOWN for _, name in pieces if name}, **colours_of(task)}, visible=visible)


def note(words: str, bad: bool = False) -> str:
    """A message that stays on the page; for a screen reader an alert where it is bad."""
    return f'<div class="note{" bad" if bad else ""}" role="{"alert" if bad else "status"}">{escape(words)}</div>'


def grid(head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Collection[int] = (), averages: int = 0) -> str:
    """A table of plain text; `numbers` are the columns that stand to the right, and the last `averages` rows stand out."""
    kinds = [' class="number"' if number in numbers else "" for number in range(len(head))]
    top = "".join(f"<th{kind}>{escape(word)}</th>" for kind, word in zip(kinds, head, strict=True))
    lines = ["".join(f"<td{kind}>{escape(str(cell))}</td>" for kind, cell in zip(kinds, row, strict=True)) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines[: len(lines) - averages])
    body += "".join(f'<tr class="average">{line}</tr>' for line in lines[len(lines) - averages :])
    return f'<div class="scroll"><table class="facts"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
