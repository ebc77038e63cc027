"""Draws a text with its entities: each in its label's colour, stronger where the model is surer, with the label's name behind it.

In: a text and the entities found in it. Out: HTML in which whatever a user or a model wrote is escaped. Its styles are in tools.web.page.

    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.conf.task import Task
from tools.extract.annotate import Found, outermost
from tools.web.site import UNKNOWN, colours_of, plain
from tools.web.words import say

MARKS = 4_000  # of one text: with many more, a browser stops while it lays them out


def marked(entities: Sequence[Found]) -> list[Found]:
    """Returns the entities that a text shows, from the left: the longest of those that overlap, and the surest of those at one place."""
    surest = sorted(entities, key=lambda one: -(one.confidence or 0.0))
    places = {(one.label, one.start, one.end): one for one in entities}
    return [places[span] for span in outermost([(one.label, one.start, one.end) for one in surest])]


def drawn(text: str, entities: Sequence[Found], task: Task, language: str) -> str:
    """Returns a text with its entities marked. Behind the last of MARKS it ends, and says so: a text without marks would look like one without entities."""
    shown, colours, parts, end = marked(entities), colours_of(task), list[str](), 0
    for one in shown[:MARKS]:
        parts += [plain(text[end : one.start]), _mark(one, task, colours, language)]
        end = one.end
    if len(shown) <= MARKS:
        return "".join([*parts, plain(text[end:])])
    left = say(language, "undrawn", characters=len(text) - end, entities=len(shown) - MARKS)
    return "".join([*parts, f'<em class="undrawn">… {plain(left)}</em>'])


def box(html: str, language: str) -> str:
    """Returns drawn texts in a frame of their own, which scrolls, also by the keyboard."""
    return f'<div class="marked" role="region" aria-label="{plain(say(language, "marked"))}" tabindex="0">{html}</div>'


def chip(name: str, colour: str) -> str:
    """Returns a label's name on its colour."""
    return f'<span class="chip" style="background:{colour}">{plain(name)}</span>'


def certainty(confidences: Sequence[float | None], language: str) -> str:
    """Returns confidences in words: one figure, or the lowest and the highest; those that aren't known are said."""
    known = sorted({f"{one:.3f}" for one in confidences if one is not None})
    figures = [known[0] if len(known) == 1 else f"{known[0]}–{known[-1]}"] if known else []
    return ", ".join([*figures, *([say(language, "no_confidence")] if None in confidences else [])])


def _mark(one: Found, task: Task, colours: dict[str, str], language: str) -> str:
    name = task.names.get(one.label, one.label)
    strength = ' class="unsure"' if one.confidence is None else ""
    style = f"--c:{colours.get(name, UNKNOWN)}" + ("" if one.confidence is None else f";--s:{one.confidence:.2f}")
    title = plain(f"{say(language, 'confidence')}: {certainty([one.confidence], language)}")
    return f'<mark{strength} style="{style}" title="{title}">{plain(one.text)}<small>{plain(name)}</small></mark>'
