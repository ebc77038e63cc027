"""Builds the page's first tab, which asks each of the site's models about one text and shows the answers side by side.

In: a text, and the options where the task has none of its own. Out: for each model the marked text (or the options' probabilities), messages, every entity in a
table, and the raw answer.

    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml
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
from tools.extract.annotate import Annotation, ask, length, outermost, pieces
from tools.extract.annotated_file import Fault
from tools.predict.predictions import Prediction
from tools.predict.questions import SAMPLING, questions
from tools.score.places import Span
from tools.text import CONTROL_TOKEN
from tools.web.site import Site, Words, colours_of, grid, marked, note, readers_language
from tools.web.words import say, say_fault

MAX_LENGTH = 20_000  # characters
SHOWN, READ = 6, 200  # sentences to choose from, out of the first of the dev split
VARIETY = 3  # different labels; more don't make a sentence a better example
SHORT = 40  # characters of a sentence on its button
AT_ONCE = 8
POSITIONS = 20  # of one entity that are listed
ANSWER_CHARS = 80  # of an answer that isn't an option


def build(site: Site, words: Words) -> None:
    """Lays the tab out."""
    text, options, button = _inputs(site, words)
    outputs: list[gr.components.Component] = [gr.HTML(elem_id="notes", padding=False)]
    with gr.Row():
        panes = [_pane(site, words, variant, name) for variant, name in site.models.items()]
    with gr.Accordion(words("under_the_hood"), open=False, elem_id="fold"):
        for role, lines in (("system", 2), ("user", 8)):
            outputs.append(gr.Textbox(label=words(role), interactive=False, show_copy_button=True, lines=lines, max_lines=20, elem_id=role))
        with gr.Row():
            raw = [_raw(words, variant) for variant in site.models]
    for (found, told), own in zip(panes, raw, strict=True):
        outputs += [found, told, own]

    async def on_ask(text: str, options: str, request: gr.Request) -> list[Any]:
        return await answered(site, text, split_options(options or ""), readers_language(request))

    gr.on([button.click, text.submit], on_ask, [text, options], outputs, api_name=False, concurrency_limit=AT_ONCE, trigger_mode="once")


def _inputs(site: Site, words: Words) -> tuple[gr.Textbox, gr.Textbox, gr.Button]:
    """Lays out the fields of text and options, the button, and a few sentences to choose from; returns the first three."""
    text = gr.Textbox(
        label=words("text"), placeholder=words("text_hint"), lines=1, max_lines=12, max_length=MAX_LENGTH, autofocus=True, elem_id="text"
    )
    options = gr.Textbox(label=words("options"), lines=1, max_lines=6, visible=site.asks_options, elem_id="options")
    button = gr.Button(words("ask"), variant="primary", elem_id="ask")
    if chosen := samples(site):
        rows = [[one.text, ", ".join(one.options or [])] for one in chosen]
        labels = [_short(one.text, SHORT) for one in chosen]
        gr.Examples(rows, [text, options], label=words("examples"), example_labels=labels, cache_examples=False, api_name=False)
    return text, options, button


def _pane(site: Site, words: Words, variant: str, name: str) -> tuple[gr.components.Component, gr.HTML]:
    with gr.Column(min_width=300, elem_classes="model"):
        gr.HTML(f"<h3>{escape(name)}</h3>", padding=False)
        if site.is_ner:
            found: gr.components.Component = gr.HighlightedText(label=words(variant), color_map=colours_of(site.task), elem_id=f"found-{variant}")
        else:
            found = gr.Label(label=words(variant), num_top_classes=10, elem_id=f"found-{variant}")
        return found, gr.HTML(elem_id=f"said-{variant}", padding=False)


def _raw(words: Words, variant: str) -> gr.Textbox:
    with gr.Column(min_width=300):
        return gr.Textbox(label=words(f"raw_{variant}"), interactive=False, show_copy_button=True, lines=5, max_lines=20, elem_id=f"raw-{variant}")


def samples(site: Site) -> list[Example]:
    """Returns a few sentences of the run's own dev split, those with the most different labels first; none where the split isn't here."""
    try:
        rows = [
            one
            for one in islice(read_examples(site.task.examples("dev", site.run.dataset)), READ)
            if one.text.strip() and len(one.text) <= MAX_LENGTH
        ]
    except ToolError:
        return []
    return sorted(rows, key=lambda one: -min(len({label for label, _ in one.pairs()}), VARIETY))[:SHOWN]


def split_options(words: str) -> list[str]:
    """Returns the options in a text, which are separated by commas of any kind or by lines."""
    return list(dict.fromkeys(word.strip() for word in re.split(r"[,，、;；\n]", words) if word.strip()))


async def answered(site: Site, text: str, options: list[str], language: str) -> list[Any]:
    """Returns the outputs for a text: notes, system and user turn, then each model's finding, remarks and raw answer."""
    try:
        asked = _example(site, text, options)
        found = await asyncio.gather(*(ask(site.server, name, site.task, asked, site.thinking) for name in site.models.values()))
    except Fault as problem:
        return _nothing(site, note(say_fault(language, problem), bad=True))
    except ToolError:
        return _nothing(site, note(say(language, "gone", url=site.server.url, conf=site.run.path), bad=True))
    [question] = questions(site.task, [asked], "free")
    controls = dict.fromkeys(found[0] for found in CONTROL_TOKEN.finditer(text))
    notes = [note(say(language, "neutralised", tokens=" ".join(controls)))] if controls else []
    notes += [note(say(language, "at_limit", limit=MAX_LENGTH))] if len(text) >= MAX_LENGTH else []
    if all(one.prediction.error for one in found):
        notes.append(note(await refusal(site, question.messages, found[0].prediction, language), bad=True))
        return _nothing(site, "".join(notes))
    shown: list[Any] = ["".join(notes), question.messages[0]["content"], question.messages[-1]["content"]]
    for one in found:
        shown += [finding(site, one), remarks(site, one, asked, language), one.prediction.output or one.prediction.error or ""]
    return shown


def _example(site: Site, text: str, options: list[str]) -> Example:
    """Returns the text as an example. Raises Fault for one that can't be asked."""
    if not text or not text.strip():
        raise Fault("empty")
    if site.asks_options and len(options) < 2:
        raise Fault("no_options")
    return Example("row", text, [], options=options if site.asks_options else None)


def _nothing(site: Site, notes: str) -> list[Any]:
    return [notes, "", "", *([[] if site.is_ner else None, "", ""] * len(site.models))]


async def refusal(site: Site, messages: list[dict[str, str]], prediction: Prediction, language: str) -> str:
    """Returns why the server refused a text: too long for its context, with the figures, or the server's own message."""
    counted = await asyncio.to_thread(length, site.server, next(iter(site.models.values())), messages, site.thinking)
    answer = int(SAMPLING["max_tokens"])
    if counted and counted[0] + answer > counted[1]:
        return say(language, "too_long", tokens=counted[0], limit=counted[1], room=counted[1] - answer, answer=answer)
    return say(language, "refused", error=prediction.error)


def finding(site: Site, one: Annotation) -> Any:
    """Returns the value of a model's HighlightedText, or of its Label."""
    if site.is_ner:
        return marked(pieces(one.text, one.spans, site.task.names), site.task)
    if one.probabilities:
        return one.probabilities
    return site.task.names.get(one.label, one.label) if one.label else None


def remarks(site: Site, one: Annotation, asked: Example, language: str) -> str:
    """Returns the HTML below a finding: figures, messages, and every entity with its places."""
    prediction = one.prediction
    if prediction.error:
        return note(say(language, "refused", error=prediction.error), bad=True)
    figures = {"seconds": prediction.latency_s or 0.0, "prompt": prediction.prompt_tokens or 0, "answer": prediction.completion_tokens or 0}
    parts = [f'<p class="figures">{escape(say(language, "figures", **figures))}</p>']
    if prediction.finish_reason == "length":
        parts.append(note(say(language, "truncated", limit=prediction.completion_tokens or SAMPLING["max_tokens"]), bad=True))
    if "unparsable" in one.failures:
        parts.append(note(say(language, "unparsable"), bad=True))
    elif not site.is_ner:
        parts += _class_remarks(site, one, asked, language)
    elif one.spans or one.nowhere:
        parts.append(_entities(site, one, language))
    else:
        parts.append(note(say(language, "none_found")))
    return "".join(parts)


def _entities(site: Site, one: Annotation, language: str) -> str:
    """Returns a table of every entity: label, string, positions, and a remark on one that isn't marked, isn't in the text, or has an unknown label."""
    names, shown = site.task.names, set(outermost(one.spans))
    places: dict[tuple[str, str], list[Span]] = {}
    for span in one.spans:
        places.setdefault((span[0], one.text[span[1] : span[2]]), []).append(span)
    lines = []
    for (label, string), spans in [*places.items(), *((pair, list[Span]()) for pair in one.nowhere)]:
        more = say(language, "more", count=len(spans) - POSITIONS) if len(spans) > POSITIONS else ""
        where = ", ".join(f"{start}–{end}" for _, start, end in spans[:POSITIONS])
        odd = [] if shown.issuperset(spans) else [say(language, "covered")]
        odd += [] if spans else [say(language, "nowhere")]
        odd += [] if label in names else [say(language, "unknown_label")]
        lines.append((names.get(label, label), string, f"{where} {more}".strip(), " · ".join(odd)))
    return grid([say(language, "label"), say(language, "string"), say(language, "position"), ""], lines)


def _class_remarks(site: Site, one: Annotation, asked: Example, language: str) -> list[str]:
    answer = one.label or ""
    parts = [note(say(language, "chosen", name=site.task.names.get(answer, _short(answer, ANSWER_CHARS))))]  # the raw answer is below the fold
    if answer not in (asked.options or site.task.names):
        parts.append(note(say(language, "no_option"), bad=True))
    return parts if one.probabilities else [*parts, note(say(language, "no_probabilities"))]


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
