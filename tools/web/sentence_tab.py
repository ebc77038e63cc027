"""The page's first tab: one text, asked of every model that the server has of the run, side by side.

In: what was typed. Out: for each model the marked text (or the options' probabilities), what went wrong in plain words, every entity in a table, and its own words.
"""

from __future__ import annotations

import asyncio
import re
from html import escape
from itertools import islice
from typing import Any

import gradio as gr

from tools.errors import ToolError
from tools.example import Example, read_examples
from tools.extract.annotate import Annotation, ask, example, length, outermost, pieces
from tools.predict.predictions import Prediction
from tools.predict.questions import SAMPLING, questions
from tools.score.protocols import Span
from tools.text import CONTROL_TOKEN
from tools.web.site import Site, Words, colours_of, grid, language, marked, note
from tools.web.words import Said, said, say

MAX_LENGTH = 20_000  # characters
SHOWN, READ, VARIETY = 6, 200, 3  # sentences to choose from, out of how many, and how many different labels make one worth showing
AT_ONCE = 8
POSITIONS = 20  # of one entity that are written out
ANSWER_CHARS = 80  # of an answer that is no option


def build(site: Site, words: Words) -> None:
    """Lay the tab out."""
    text = gr.Textbox(
        label=words("text"), placeholder=words("text_hint"), lines=1, max_lines=12, max_length=MAX_LENGTH, autofocus=True, elem_id="text"
    )
    inputs = [text]
    if site.asks_options:
        inputs.append(gr.Textbox(label=words("options"), lines=1, max_lines=6, elem_id="options"))
    button = gr.Button(words("ask"), variant="primary", elem_id="ask")
    if chosen := samples(site):
        rows = [[one.text, ", ".join(one.options or [])][: len(inputs)] for one in chosen]
        shown = [one.text if len(one.text) <= 40 else one.text[:40] + "…" for one in chosen]
        gr.Examples(rows, inputs, label=words("examples"), example_labels=shown, cache_examples=False, api_name=False)
    outputs: list[gr.components.Component] = [gr.HTML(elem_id="notes", padding=False)]
    with gr.Row():
        panes = [_pane(site, words, which, name) for which, name in site.models.items()]
    with gr.Accordion(words("under_the_hood"), open=False, elem_id="fold"):
        for role, lines in (("system", 2), ("user", 8)):
            outputs.append(gr.Textbox(label=words(role), interactive=False, show_copy_button=True, lines=lines, max_lines=20, elem_id=role))
        with gr.Row():
            raw = [_raw(words, which) for which in site.models]
    for (found, told), own in zip(panes, raw, strict=True):
        outputs += [found, told, own]

    async def ask_text(text: str, request: gr.Request) -> list[Any]:
        return await answered(site, text, None, language(request))

    async def ask_text_with_options(text: str, options: str, request: gr.Request) -> list[Any]:
        return await answered(site, text, split_options(options or ""), language(request))

    handler = ask_text_with_options if site.asks_options else ask_text
    gr.on([button.click, text.submit], handler, inputs, outputs, api_name=False, concurrency_limit=AT_ONCE, trigger_mode="once")


def _pane(site: Site, words: Words, which: str, name: str) -> tuple[gr.components.Component, gr.HTML]:
    with gr.Column(min_width=300, elem_classes="model"):
        gr.HTML(f"<h3>{escape(name)}</h3>", padding=False)
        if site.is_ner:
            found: gr.components.Component = gr.HighlightedText(label=words(which), color_map=colours_of(site.task), elem_id=f"found-{which}")
        else:
            found = gr.Label(label=words(which), num_top_classes=10, elem_id=f"found-{which}")
        return found, gr.HTML(elem_id=f"said-{which}", padding=False)


def _raw(words: Words, which: str) -> gr.Textbox:
    with gr.Column(min_width=300):
        return gr.Textbox(label=words(f"raw_{which}"), interactive=False, show_copy_button=True, lines=5, max_lines=20, elem_id=f"raw-{which}")


def samples(site: Site) -> list[Example]:
    """A few sentences of the run's own dev split, those with the most different labels first; none where it isn't here."""
    path = site.task.examples("dev", site.run.dataset)
    if not path.is_file():
        return []
    try:
        rows = [one for one in islice(read_examples(path), READ) if one.text.strip() and len(one.text) <= MAX_LENGTH]
    except ToolError:
        return []
    return sorted(rows, key=lambda one: -min(len({label for label, _ in one.pairs()}), VARIETY))[:SHOWN]


def split_options(words: str) -> list[str]:
    """Options as they are typed: separated by commas of any kind, or by lines."""
    return list(dict.fromkeys(word.strip() for word in re.split(r"[,，、;；\n]", words) if word.strip()))


async def answered(site: Site, text: str, options: list[str] | None, tongue: str) -> list[Any]:
    """What the tab shows of a text: notes, system and user turn, then each model's finding, what is said of it, and its raw answer."""
    try:
        asked = _asked(site, text, options)
        found = await asyncio.gather(*(ask(site.server, name, site.task, asked) for name in site.models.values()))
    except Said as problem:
        return _nothing(site, note(said(tongue, problem), bad=True))
    except ToolError:
        return _nothing(site, note(say(tongue, "gone", url=site.server.url, conf=site.run.path), bad=True))
    [question] = questions(site.task, [asked], "free")
    notes = [note(say(tongue, "neutralised", tokens=" ".join(controls)))] if (controls := control_tokens(text)) else []
    notes += [note(say(tongue, "at_limit", limit=MAX_LENGTH))] if len(text) == MAX_LENGTH else []
    if all(one.prediction.error for one in found):
        notes.append(note(await refusal(site, question.messages, found[0].prediction, tongue), bad=True))
        return _nothing(site, "".join(notes))
    shown: list[Any] = ["".join(notes), question.messages[0]["content"], question.messages[-1]["content"]]
    for one in found:
        shown += [finding(site, one), remarks(site, one, asked, tongue), one.prediction.output or one.prediction.error or ""]
    return shown


def _asked(site: Site, text: str, options: list[str] | None) -> Example:
    """The text as an example to ask. Raises Said for one that can't be asked."""
    if not text or not text.strip():
        raise Said("empty")
    if len(text) > MAX_LENGTH:
        raise Said("too_many_characters", length=len(text), limit=MAX_LENGTH)
    if site.asks_options and len(options or []) < 2:
        raise Said("no_options")
    return example(text, options)


def _nothing(site: Site, notes: str) -> list[Any]:
    return [notes, "", "", *([[] if site.is_ner else None, "", ""] * len(site.models))]


def control_tokens(text: str) -> list[str]:
    """What a tokenizer would have read as control tokens, each once."""
    return list(dict.fromkeys(found[0] for found in CONTROL_TOKEN.finditer(text)))


async def refusal(site: Site, messages: list[dict[str, str]], prediction: Prediction, tongue: str) -> str:
    """Why a server refused a text: too long for its context, with the figures, or its own words."""
    counted = await length(site.server, next(iter(site.models.values())), messages)
    answer = int(SAMPLING["max_tokens"])
    if counted and counted[0] + answer > counted[1]:
        return say(tongue, "too_long", tokens=counted[0], limit=counted[1], room=counted[1] - answer, answer=answer)
    return say(tongue, "refused", error=prediction.error)


def finding(site: Site, one: Annotation) -> Any:
    """The value of a model's HighlightedText, or of its Label."""
    if site.is_ner:
        return marked(pieces(one.text, one.spans, site.task.names), site.task)
    if one.probabilities:
        return one.probabilities
    return site.task.names.get(one.label, one.label) if one.label else None


def remarks(site: Site, one: Annotation, asked: Example, tongue: str) -> str:
    """What is said below a finding: figures, what went wrong, and every entity with its places."""
    prediction = one.prediction
    if prediction.error:
        return note(say(tongue, "refused", error=prediction.error), bad=True)
    figures = {"seconds": prediction.latency_s or 0.0, "prompt": prediction.prompt_tokens or 0, "answer": prediction.completion_tokens or 0}
    parts = [f'<p class="figures">{escape(say(tongue, "figures", **figures))}</p>']
    if prediction.finish_reason == "length":
        parts.append(note(say(tongue, "truncated", limit=prediction.completion_tokens or SAMPLING["max_tokens"]), bad=True))
    if "unparsable" in one.failures:
        parts.append(note(say(tongue, "unparsable"), bad=True))
    elif not site.is_ner:
        parts += _class_remarks(site, one, asked, tongue)
    elif one.spans or one.nowhere:
        parts.append(_entities(site, one, tongue))
    else:
        parts.append(note(say(tongue, "none_found")))
    return "".join(parts)


def _entities(site: Site, one: Annotation, tongue: str) -> str:
    """Every entity: label, string, positions, and what is odd about it."""
    names, marked_spans = site.task.names, set(outermost(one.spans))
    places: dict[tuple[str, str], list[Span]] = {}
    for span in one.spans:
        places.setdefault((span[0], one.text[span[1] : span[2]]), []).append(span)
    rows = []
    for (label, string), spans in places.items():
        more = say(tongue, "more", count=len(spans) - POSITIONS) if len(spans) > POSITIONS else ""
        where = ", ".join(f"{start}–{end}" for _, start, end in spans[:POSITIONS])
        rows.append((label, string, f"{where} {more}".strip(), "" if marked_spans.issuperset(spans) else say(tongue, "covered")))
    rows += [(label, string, "", say(tongue, "nowhere")) for label, string in one.nowhere]
    unknown = say(tongue, "unknown_label")
    lines = [(names.get(row[0], row[0]), *row[1:3], " · ".join(filter(None, (row[3], "" if row[0] in names else unknown)))) for row in rows]
    return grid([say(tongue, "label"), say(tongue, "string"), say(tongue, "position"), ""], lines)


def _class_remarks(site: Site, one: Annotation, asked: Example, tongue: str) -> list[str]:
    answer = one.label or ""
    shown = answer if len(answer) <= ANSWER_CHARS else f"{answer[:ANSWER_CHARS]}…"  # all of it is below the fold
    parts = [note(say(tongue, "chosen", name=site.task.names.get(answer, shown)))]
    if answer not in (asked.options or site.task.names):
        parts.append(note(say(tongue, "no_option"), bad=True))
    return parts if one.probabilities else [*parts, note(say(tongue, "no_probabilities"))]
