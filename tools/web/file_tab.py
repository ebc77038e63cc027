"""Builds the page's second tab, which annotates a file of texts.

In: an uploaded file, and one of the site's models. Out: the progress, the annotated file, and its first rows as marked text. The progress bar is our own: Gradio
shows its bar only for handlers that don't yield, and stops a handler with the browser's tab only where it yields.

    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from tools.errors import ToolError
from tools.example import Example
from tools.extract.annotate import Annotation, pieces, understood
from tools.extract.annotated_file import KINDS, Fault, Record, Upload, read, record, write_csv, write_jsonl
from tools.predict.client import asking
from tools.predict.predictions import Prediction
from tools.predict.questions import SAMPLING, questions
from tools.web.sentence_tab import split_options
from tools.web.site import QUIET, Site, Words, colours_of, marked, note, readers_language
from tools.web.words import say, say_fault

CONCURRENCY = 32  # rows that are asked at once: few enough for a sentence to be answered meanwhile
FILES = 2  # files that are worked on at once; others wait
PATIENCE_S = 30.0  # without any answer, before the server counts as gone
STEP_S = 0.3  # between two updates of the progress
PREVIEW, PREVIEW_LENGTH = 20, 300  # rows, and characters of each


def build(site: Site, words: Words) -> None:
    """Lays the tab out."""
    gr.Markdown(words("file_hint"))
    with gr.Row():
        upload = gr.File(label=words("upload"), file_types=list(KINDS), type="filepath", height=170, elem_id="upload")
        with gr.Column():
            choices = [(name, variant) for variant, name in site.models.items()]
            variant = gr.Radio(choices, value=choices[-1][1], label=words("which"), elem_id="which")
            options = gr.Textbox(label=words("options"), visible=site.asks_options, elem_id="file-options")
            with gr.Row():
                button = gr.Button(words("annotate"), variant="primary", elem_id="annotate")
                stop = gr.Button(words("stop"), elem_id="stop")
    status = gr.HTML(elem_id="status", padding=False)
    results = gr.File(label=words("results"), interactive=False, file_count="multiple", visible=False, elem_id="results")
    preview = gr.HighlightedText(label=words("preview"), color_map=colours_of(site.task), visible=False, elem_id="preview")
    stops: dict[str, asyncio.Event] = {}  # by browser session

    async def on_annotate(path: str | None, chosen: str, typed: str, request: gr.Request) -> AsyncIterator[list[Any]]:
        session, language = str(request.session_hash), readers_language(request)
        stops[session] = asyncio.Event()
        try:
            async for shown in annotated(site, path, site.models[chosen], split_options(typed or ""), language, stops[session]):
                yield shown
        finally:
            stops.pop(session, None)

    async def on_stop(request: gr.Request) -> None:
        if event := stops.get(str(request.session_hash)):
            event.set()

    outputs = [status, results, preview]
    button.click(on_annotate, [upload, variant, options], outputs, concurrency_limit=FILES, trigger_mode="once", **QUIET)
    stop.click(on_stop, None, None, queue=False, **QUIET)


async def annotated(site: Site, path: str | None, model: str, options: list[str], language: str, stop: asyncio.Event) -> AsyncIterator[list[Any]]:
    """Yields the tab's outputs while a file is annotated: status, files, preview. When `stop` is set, it ends early with the answers until then."""
    nothing = [gr.File(visible=False), gr.HighlightedText(visible=False)]
    try:
        if not path:
            raise Fault("no_file")
        upload = await asyncio.to_thread(read, Path(path))
        asked = to_ask(site, upload, options)
    except Fault as problem:
        yield [note(say_fault(language, problem), bad=True), *nothing]
        return
    started, found, broken = time.monotonic(), dict[str, Prediction](), False
    try:
        async with aclosing(_asking(site, model, list(asked.values()), found, stop)) as progress:
            async for done in progress:
                yield [bar(done, len(asked), language), *nothing]
    except ToolError:
        broken = True
    made = await asyncio.to_thread(lambda: {id: understood(site.task, asked[id], prediction, site.thinking) for id, prediction in found.items()})
    records = [
        record(text, made.get(str(row)), site.task.kind, None if str(row) in made or str(row) not in asked else say(language, "not_asked"))
        for row, text in enumerate(upload.texts)
    ]
    notes = summary(upload, made, records, time.monotonic() - started, language)
    notes += note(say(language, "broken" if broken else "stopped"), bad=True) if broken or stop.is_set() else ""
    with tempfile.TemporaryDirectory() as folder:  # Gradio takes copies, which it removes after a while
        files = await asyncio.to_thread(_write, Path(folder), upload, records)
        yield [notes, gr.File([str(file) for file in files], visible=True), marked(first_rows(site, upload, made), site.task)]


async def _asking(site: Site, model: str, asked: list[Example], found: dict[str, Prediction], stop: asyncio.Event) -> AsyncGenerator[int]:
    """Asks every row, puts the answers into `found`, and yields their number now and then, until all are there or `stop` is set.

    Raises ToolError (1) when the server is gone. No answer comes after it has ended.
    """

    def keep(prediction: Prediction) -> None:
        found[prediction.id] = prediction

    common = SAMPLING | site.thinking.body
    task = asyncio.create_task(asking(site.server, model, list(questions(site.task, asked, "free")), common, CONCURRENCY, keep, PATIENCE_S))
    halt = asyncio.create_task(stop.wait())
    try:
        while not task.done() and not stop.is_set():
            yield len(found)
            await asyncio.wait([task, halt], timeout=STEP_S, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        task.cancel()
        halt.cancel()
        await asyncio.wait({task, halt})


def to_ask(site: Site, upload: Upload, options: list[str]) -> dict[str, Example]:
    """Returns row number → example for each row that isn't blank. Raises Fault where a row has no options to choose from."""
    found = {}
    for number, text in enumerate(upload.texts):
        if text.strip():
            own = (upload.options[number] if upload.options else None) or options
            if site.asks_options and len(own) < 2:
                raise Fault("no_options")
            found[str(number)] = Example(str(number), text, [], options=None if site.is_ner else own or None)
    return found


def _write(folder: Path, upload: Upload, records: list[Record]) -> list[Path]:
    stem = Path(upload.name).stem
    files = [write_jsonl(folder / f"{stem}.annotated.jsonl", records)]
    return [*files, write_csv(folder / f"{stem}.annotated.csv", upload, records)] if upload.header else files


def bar(done: int, total: int, language: str) -> str:
    """Returns the progress as HTML."""
    words = escape(say(language, "asking", done=done, total=total))
    return f'<p class="figures" role="status">{words}</p><progress value="{done}" max="{total}"></progress>'


def summary(upload: Upload, made: dict[str, Annotation], records: list[Record], seconds: float, language: str) -> str:
    """Returns the numbers of rows, entities and errors as a note."""
    counts = {
        "rows": len(records),
        "answered": sum(one["output"] is not None for one in records),
        "entities": sum(len(one.get("entities") or []) for one in records),
        "unread": sum("unparsable" in one.failures for one in made.values()),
        "failed": sum(one["output"] is None and one["error"] is not None for one in records),
        "blank": sum(not text.strip() for text in upload.texts),
    }
    return note(say(language, "finished", seconds=seconds, **counts))


def first_rows(site: Site, upload: Upload, made: dict[str, Annotation]) -> list[tuple[str, str | None]]:
    """Returns the first rows as pieces of one text, a line each; a row's class stands behind it."""
    shown: list[tuple[str, str | None]] = []
    for number, text in enumerate(upload.texts[:PREVIEW]):
        short, found = text[:PREVIEW_LENGTH].replace("\n", " "), made.get(str(number))
        spans = [span for span in found.spans if span[2] <= len(short)] if found else []
        shown.append((f"{number + 1}  ", None))
        shown += pieces(short, spans, site.task.names)
        shown += [("…", None)] if len(text) > PREVIEW_LENGTH else []
        if found and found.label:
            name = site.task.names.get(found.label, found.label)
            shown += [("  ", None), (name, name)]
        shown.append(("\n", None))
    return shown
