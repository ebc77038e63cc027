"""Holds the parts that the page's tabs share: the served models, the reader's language, the colours of labels, and all HTML of our own.

In: a run, its task and a server. Out: a Site. What makes HTML here escapes whatever a user or a model wrote.

    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from colorsys import hls_to_rgb
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import gradio as gr

from tools.chat.lengths import trained_reach
from tools.chat.thinking import Thinking, thinking
from tools.chat.windows import Reach
from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import ToolError
from tools.extract.annotate import Manner
from tools.extract.confidence import Calibration, current_calibration
from tools.predict.questions import sampling_of
from tools.predict.server import Server
from tools.variant import Variant
from tools.web.words import language_of

# Colours that are easily told apart and leave dark words readable. A task with more labels takes further ones from the colour wheel.
COLOURS = ("#8ec5ff", "#ffc58a", "#8fdca0", "#f9a8c9", "#c9b2f7", "#84dcdc", "#e6cf87", "#f7a19b", "#b8c4d0", "#c5e07a", "#a9b4f5", "#e0a3d1")
UNKNOWN = "#c9c9c9"  # of a label that the task doesn't have
KEPT_S = 3600  # seconds that an uploaded file and a result are kept
STEP_S = 0.3  # between two updates of a progress
QUIET: dict[str, Any] = {"api_name": False, "show_progress": "hidden"}  # Gradio's options of an event that is no API and shows no bar
Words = Callable[[str], Any]  # a key of tools.web.words → an object that Gradio translates in the browser


@dataclass(frozen=True)
class Site:
    """The subject of the page. `models` maps the word of each variant that is asked to its name at the server; the run's own model stands last."""

    run: Run
    task: Task
    server: Server
    models: dict[str, str]

    @property
    def is_ner(self) -> bool:
        """Whether the task looks for entities; otherwise it chooses a class."""
        return self.task.kind == "ner"

    @cached_property
    def thinking(self) -> Thinking:
        """The run's decision on thoughts, as it was trained."""
        return thinking(self.run.trained())

    @cached_property
    def reach(self) -> Reach | None:
        """What the texts were like that the run was trained on: a longer text is asked in windows. Raises ToolError for examples that can't be read."""
        return trained_reach(self.run.trained())

    @property
    def variant(self) -> Variant:
        """The run's own model."""
        return self.run.variant(list(self.models)[-1])

    @cached_property
    def calibrated(self) -> tuple[Calibration | None, str]:
        """The calibration of the run's own model, and why the one that is there can't be used."""
        try:
            return (current_calibration(self.run, self.variant, self.task) if self.is_ner else None), ""
        except ToolError as problem:
            return None, str(problem)

    @cached_property
    def sampling(self) -> dict[str, Any]:
        """The sampling parameters of the task's questions."""
        return sampling_of(self.task, self.run.trained())

    def manner_of(self, model: str) -> Manner:
        """Returns the manner of asking a served model. The run's own may have a calibration, the base model beside it has none."""
        return Manner(self.thinking, self.reach, self.sampling, self.calibrated[0] if model == self.models[self.variant.word] else None)

    @property
    def asks_options(self) -> bool:
        """Whether each text has to bring its own options."""
        return not self.is_ner and not self.task.labels


def readers_language(request: gr.Request) -> str:
    """Returns the language that the browser asks for, 'en' or 'zh'."""
    return language_of(str(request.headers.get("accept-language") or ""))


def colours_of(task: Task) -> dict[str, str]:
    """Returns the colour of each label's name, always the same one."""
    return {name: COLOURS[number] if number < len(COLOURS) else _wheel(number) for number, name in enumerate(task.names.values())}


def _wheel(number: int) -> str:
    """Returns a colour from the wheel; the golden angle keeps neighbours apart."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in hls_to_rgb(number * 0.381966 % 1, 0.75, 0.6))


def plain(text: str) -> str:
    """Returns a text as HTML's. A lone surrogate, which no page can be sent with, becomes U+FFFD."""
    return escape(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def note(words: str, bad: bool = False) -> str:
    """Returns a message as HTML; a bad one is an alert for a screen reader."""
    return f'<div class="note{" bad" if bad else ""}" role="{"alert" if bad else "status"}">{plain(words)}</div>'


def grid(head: Sequence[str], rows: Iterable[Sequence[object]], kind: str = "") -> str:
    """Returns a table as HTML. `kind` is a class of its own: `scores` has numbers in all columns but the first, and two averages in its last rows."""
    top = "".join(f"<th>{plain(word)}</th>" for word in head)
    body = "".join("<tr>" + "".join(f"<td>{plain(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table class="facts {kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def bar(done: int, total: int, words: str) -> str:
    """Returns a progress as HTML."""
    return f'<p class="figures" role="status">{plain(words)}</p><progress value="{done}" max="{total}"></progress>'
