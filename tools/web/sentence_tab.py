"""Builds the page's first tab, which asks each of the site's models about one text and shows the answers side by side.

In: a text, and the options where the task has none of its own. Out: for each model the marked text (or the options' probabilities), messages, the entities in a
table, and the raw answer. A threshold hides the entities of less confidence, and what is left can be taken as a file.

    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import asyncio
import math
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

import gradio as gr

from tools.errors import ToolError
from tools.example import Example, read_examples
from tools.extract.annotate import Annotation, Found, Selection, Told, ask, length
from tools.extract.annotated_file import Fault, Upload, record, write_jsonl
from tools.extract.confidence import PRECISIONS
from tools.extract.forms import TEXT_CHARACTERS
from tools.predict.predictions import Prediction
from tools.predict.questions import Question, questions
from tools.text import CONTROL_TOKEN, neutralise
from tools.web.drawing import box, certainty, drawn, marked
from tools.web.site import QUIET, STEP_S, Site, Words, bar, grid, note, readers_language
from tools.web.words import LANGUAGES, say, say_fault
from tools.web.words import model as model_words

MAX_LENGTH = TEXT_CHARACTERS
SHOWN, READ = 6, 200  # sentences to choose from, out of the first of the dev split
VARIETY = 3  # different labels; more don't make a sentence a better example
SHORT = 40  # characters of a sentence on its button
AT_ONCE = 8
POSITIONS = 20  # of one entity that are listed
ROWS = 500  # of the table of entities
RAW = 100_000  # characters of a raw answer that are shown
ANSWER_CHARS = 80  # of an answer that isn't an option
# A slider's number is null in the browser while it is deleted to be typed anew: Gradio would report an error.
TYPED = "(answers, least) => [answers, least ?? 0]"


@dataclass(frozen=True)
class Replies:
    """A text, the number of windows that it was asked in, and each model's annotation of it, in the order of the site's models."""

    asked: Example
    windows: int
    found: tuple[Annotation, ...]


def build(site: Site, words: Words) -> gr.HTML:
    """Lays the tab out, and returns the place of the note about confidences, whose words are `worth`."""
    text, options, button = _inputs(site, words)
    notes = gr.HTML(elem_id="notes", padding=False)
    with gr.Row():
        panes = [_pane(site, words, variant, name) for variant, name in site.models.items()]
    answers = gr.State()
    threshold, told, export, files = _threshold(site, words)
    with gr.Accordion(words("under_the_hood"), open=False, elem_id="fold"):
        turns = [
            gr.Textbox(label=words(role), interactive=False, show_copy_button=True, lines=lines, max_lines=20, elem_id=role)
            for role, lines in (("system", 2), ("user", 8))
        ]
        with gr.Row():
            raw = [_raw(words, variant) for variant in site.models]
    shown = [part for pane in panes for part in pane]
    outputs = [notes, *turns, *raw, answers, export, files, *shown]

    async def on_ask(text: str, options: str, request: gr.Request) -> AsyncIterator[list[Any]]:
        async for told in asking(site, text, split_options(options or ""), readers_language(request)):
            yield told

    def on_threshold(answers: Replies | None, threshold: float, request: gr.Request) -> list[Any]:
        return [*views(site, answers, threshold, readers_language(request)), gr.File(visible=False)]

    def on_export(answers: Replies | None, threshold: float) -> Iterator[gr.File]:
        with tempfile.TemporaryDirectory() as folder:  # Gradio takes copies, which it removes after a while
            made = exported(site, answers, threshold, Path(folder)) if answers else []
            yield gr.File([str(file) for file in made], visible=bool(made))

    asked = gr.on([button.click, text.submit], on_ask, [text, options], outputs, api_name=False, concurrency_limit=AT_ONCE, trigger_mode="once")
    # The threshold may have been moved while the text was asked: the answers are shown by what it is afterwards.
    asked.then(on_threshold, [answers, threshold], [*shown, files], js=TYPED, **QUIET)
    threshold.change(on_threshold, [answers, threshold], [*shown, files], js=TYPED, trigger_mode="always_last", **QUIET)
    export.click(on_export, [answers, threshold], files, js=TYPED, **QUIET)
    return told


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
            gr.Markdown(words(variant), elem_classes="kind")
            found: gr.components.Component = gr.HTML(elem_id=f"found-{variant}", padding=False)
        else:
            found = gr.Label(label=words(variant), num_top_classes=10, elem_id=f"found-{variant}")
        return found, gr.HTML(elem_id=f"said-{variant}", padding=False)


def _threshold(site: Site, words: Words) -> tuple[gr.Slider, gr.HTML, gr.Button, gr.File]:
    """Lays out the threshold, the place of the note about confidences, the button of the export, and its files."""
    with gr.Column(visible=site.is_ner):
        threshold = gr.Slider(0, 1, value=0, step=0.001, label=words("threshold"), elem_id="threshold")
        told = gr.HTML(elem_id="worth", padding=False)
        export = gr.Button(words("export"), interactive=False, elem_id="export")
        files = gr.File(label=words("exported"), interactive=False, file_count="multiple", visible=False, elem_id="exported")
    return threshold, told, export, files


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


def worth(site: Site, language: str) -> str:
    """Returns a note on what the confidences are worth: the thresholds of a few precisions where the run's own model is calibrated, else the command that does it."""
    calibration, problem = site.calibrated
    if not site.is_ner:
        return ""
    if calibration is None:
        command = f"./ner calibrate {site.run.path} --task {site.task.name}"
        command += "" if site.variant.word == "adapter" else f" --which {site.variant.word}"
        return note(say(language, "stale", error=problem) if problem else say(language, "uncalibrated", command=command))
    steps = []
    for precision in PRECISIONS:
        threshold = calibration.threshold(precision)
        known = {} if threshold is None else {"threshold": math.ceil(round(threshold * 1000, 6)) / 1000}  # rounded up: the slider has three digits
        steps.append(say(language, "precision_from" if known else "precision_never", precision=precision, **known))
    own = model_words(site.variant.word)[LANGUAGES.index(language)]
    return note(say(language, "calibrated", model=own, split=calibration.split, steps=" · ".join(steps)))


async def asking(site: Site, text: str, options: list[str], language: str) -> AsyncIterator[list[Any]]:
    """Yields the outputs of `answered`, those of the export, and empty panes: the progress of a text that is asked in windows, then the whole, whose panes come later."""
    counts: dict[str, tuple[int, int]] = {}
    task = asyncio.create_task(answered(site, text, options, language, counts))
    closed = [gr.Button(interactive=False), gr.File(visible=False)]
    try:
        while not task.done():
            await asyncio.wait([task], timeout=STEP_S)
            done, total = (sum(numbers) for numbers in zip((0, 0), *counts.values(), strict=True))
            if total > len(site.models) and not task.done():
                yield [
                    *_nothing(site, bar(done, total, say(language, "windows", done=done, total=total))),
                    *closed,
                    *views(site, None, 0.0, language),
                ]
        shown = task.result()
        yield [*shown, gr.Button(interactive=shown[-1] is not None), gr.File(visible=False), *[gr.skip()] * (2 * len(site.models))]
    finally:
        task.cancel()
        await asyncio.wait({task})


async def answered(site: Site, text: str, options: list[str], language: str, counts: dict[str, tuple[int, int]] | None = None) -> list[Any]:
    """Returns the outputs for a text: notes, system and user turn, each model's raw answer, and the Replies, None without any.

    `counts` is kept up: model → (windows that are answered, windows of the text).
    """
    progress = {} if counts is None else counts

    def told(name: str) -> Told:
        return lambda done, total: progress.update({name: (done, total)})

    try:
        asked = _example(site, text, options)
        found = await asyncio.gather(*(ask(site.server, name, site.task, asked, site.manner_of(name), told(name)) for name in site.models.values()))
    except Fault as problem:
        return _nothing(site, note(say_fault(language, problem), bad=True))
    except ToolError:
        return _nothing(site, note(say(language, "gone", url=site.server.url, conf=site.run.path), bad=True))
    turns = list(questions(site.task, [asked], "free", reach=site.reach))
    notes, first = _notes(site, text, turns, language), turns[0].messages
    if all(one.prediction.error for one in found):
        return _nothing(site, notes + note(await refusal(site, first, found[0].prediction, language), bad=True))
    raw = [_short(one.prediction.output or one.prediction.error or "", RAW) for one in found]
    without_tokens = (replace(one, prediction=replace(one.prediction, tokens=None, parts=())) for one in found)
    return [notes, first[0]["content"], first[-1]["content"], *raw, Replies(asked, len(turns), tuple(without_tokens))]


def _notes(site: Site, text: str, turns: Sequence[Question], language: str) -> str:
    """Returns what a reader must know about how the text was asked."""
    controls = dict.fromkeys(found[0] for found in CONTROL_TOKEN.finditer(text))
    notes = [note(say(language, "neutralised", tokens=" ".join(controls)))] if controls else []
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 >= MAX_LENGTH:  # a browser counts UTF-16's units
        notes.append(note(say(language, "at_limit", limit=MAX_LENGTH)))
    if site.reach and len(turns) > 1:
        notes.append(note(say(language, "in_windows", longest=site.reach.longest, count=len(turns))))
    return "".join(notes)


def views(site: Site, answers: Replies | None, threshold: float, language: str) -> list[Any]:
    """Returns each model's finding and remarks, with the entities whose confidence reaches the threshold; empty ones without answers."""
    if answers is None:
        return ["" if site.is_ner else None, ""] * len(site.models)
    return [part for one in answers.found for part in (finding(site, one, threshold, language), remarks(site, one, answers, threshold, language))]


def exported(site: Site, answers: Replies, threshold: float, folder: Path) -> list[Path]:
    """Writes what is shown, as the file of an annotated text, one file a model; returns the paths."""
    upload, written = Upload("text", [answers.asked.text]), []
    for variant, one in zip(site.models, answers.found, strict=True):
        written.append(write_jsonl(folder / f"text.{variant}.jsonl", upload, [record(one.text, one.selected(chosen(threshold)), site.task.kind)]))
    return written


def _example(site: Site, text: str, options: list[str]) -> Example:
    """Returns the text as an example. Raises Fault for one that can't be asked."""
    if not text or not text.strip():
        raise Fault("empty")
    if site.asks_options and len(options) < 2:
        raise Fault("no_options")
    return Example("row", text, [], options=options if site.asks_options else None)


def _nothing(site: Site, notes: str) -> list[Any]:
    return [notes, "", "", *[""] * len(site.models), None]


async def refusal(site: Site, messages: list[dict[str, str]], prediction: Prediction, language: str) -> str:
    """Returns why the server refused a text: too long for its context, with the figures, or the server's own message."""
    counted = await asyncio.to_thread(length, site.server, next(iter(site.models.values())), messages, site.thinking)
    answer = int(site.sampling["max_tokens"])
    if counted and counted[0] + answer > counted[1]:
        return say(language, "too_long", tokens=counted[0], limit=counted[1], room=counted[1] - answer, answer=answer)
    return say(language, "refused", error=prediction.error)


def finding(site: Site, one: Annotation, threshold: float, language: str) -> Any:
    """Returns the marked text as HTML, or the value of a model's Label."""
    if site.is_ner:
        return "" if one.prediction.error else box(drawn(one.text, one.selected(chosen(threshold)).entities, site.task, language), language)
    if one.probabilities:
        return one.probabilities
    return site.task.names.get(one.label, one.label) if one.label else None


def chosen(threshold: float) -> Selection:
    """Returns the selection that the slider makes: every entity at 0, also one without a confidence."""
    return Selection(threshold=threshold or None)


def remarks(site: Site, one: Annotation, answers: Replies, threshold: float, language: str) -> str:
    """Returns the HTML below a finding: figures, messages, and the entities with their places and confidence."""
    prediction, in_windows = one.prediction, answers.windows > 1
    if prediction.error:
        return note(say(language, "refused", error=prediction.error), bad=True)
    figures = {"seconds": prediction.latency_s or 0.0, "prompt": prediction.prompt_tokens or 0, "answer": prediction.completion_tokens or 0}
    # The seconds of windows that are asked at the same time don't add up to any time that somebody waited.
    words = say(language, "figures_windows", count=answers.windows, **figures) if in_windows else say(language, "figures", **figures)
    parts = [f'<p class="figures">{escape(words)}</p>']
    if prediction.finish_reason == "length":
        parts.append(note(say(language, "truncated_windows" if in_windows else "truncated", limit=site.sampling["max_tokens"]), bad=True))
    if "unparsable" in one.failures:
        parts.append(note(say(language, "unparsable_windows" if in_windows else "unparsable"), bad=True))
    elif not site.is_ner:
        parts += _class_remarks(site, one, answers.asked, language)
    elif not one.entities and not one.nowhere:
        parts.append(note(say(language, "none_found")))
    if one.entities or one.nowhere:
        parts.append(_entities(site, one, threshold, language))
    return "".join(parts)


def _entities(site: Site, one: Annotation, threshold: float, language: str) -> str:
    """Returns a table of the entities whose confidence reaches the threshold, and of the pairs that stand nowhere: label, string, positions, confidence, and a remark."""
    names, above, seen = site.task.names, one.selected(chosen(threshold)).entities, neutralise(one.text)
    shown, places = set(marked(above)), dict[tuple[str, str], list[Found]]()
    for entity in above:
        places.setdefault((entity.label, entity.text), []).append(entity)
    pairs = [*places.items(), *((pair, list[Found]()) for pair in one.nowhere)]
    lines = []
    for (label, string), found in pairs[:ROWS]:
        more = say(language, "more", count=len(found) - POSITIONS) if len(found) > POSITIONS else ""
        where = ", ".join(f"{entity.start}–{entity.end}" for entity in found[:POSITIONS])
        odd = [] if shown.issuperset(found) else [say(language, "covered")]
        odd += [] if found else [say(language, "elsewhere" if string and string in seen else "nowhere")]
        odd += [] if label in names else [say(language, "unknown_label")]
        sure = certainty([entity.confidence for entity in found], language)
        lines.append((names.get(label, label), string, f"{where} {more}".strip(), sure, " · ".join(odd)))
    told = [say(language, "rows_left", count=len(pairs) - ROWS)] if len(pairs) > ROWS else []
    told += [say(language, "below", count=len(one.entities) - len(above))] if len(above) < len(one.entities) else []
    head = [say(language, key) for key in ("label", "string", "position", "confidence")]
    table = grid([*head, ""], lines, "entities") if lines else ""
    return table + "".join(note(words) for words in told)


def _class_remarks(site: Site, one: Annotation, asked: Example, language: str) -> list[str]:
    answer = one.label or ""
    parts = [note(say(language, "chosen", name=site.task.names.get(answer, _short(answer, ANSWER_CHARS))))]  # the raw answer is below the fold
    if answer not in (asked.options or site.task.names):
        parts.append(note(say(language, "no_option"), bad=True))
    return parts if one.probabilities else [*parts, note(say(language, "no_probabilities"))]


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
