"""Builds the page's second tab, which annotates a file of texts.

In: an uploaded file, and one of the site's models. Out: the progress, the annotated file with every entity's confidence, and its first rows as marked text. The progress
bar is our own: Gradio shows its bar only for handlers that don't yield, and stops a handler with the browser's tab only where it yields.

    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from tools.errors import ToolError
from tools.example import Example
from tools.extract.annotate import Annotation, understood
from tools.extract.annotated_file import KINDS, Fault, Record, Upload, read, record, write_csv, write_jsonl
from tools.predict.client import asking
from tools.predict.predictions import Prediction
from tools.predict.questions import LOGPROBS, by_row, combined, questions
from tools.web.drawing import box, chip, drawn
from tools.web.sentence_tab import split_options
from tools.web.site import QUIET, STEP_S, UNKNOWN, Site, Words, bar, colours_of, note, readers_language
from tools.web.words import say, say_fault

CONCURRENCY = 32  # rows that are asked at once: few enough for a sentence to be answered meanwhile
FILES = 2  # files that are worked on at once; others wait
PATIENCE_S = 30.0  # without any answer, before the server counts as gone
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
    with gr.Column(visible=False, elem_id="preview") as first:
        gr.Markdown(words("preview"), elem_classes="kind")
        preview = gr.HTML(padding=False)
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

    outputs = [status, results, first, preview]
    button.click(on_annotate, [upload, variant, options], outputs, concurrency_limit=FILES, trigger_mode="once", **QUIET)
    stop.click(on_stop, None, None, queue=False, **QUIET)


@dataclass
class Work:
    """The rows of a file that are asked, by id, and their answers: `found` are those of rows that aren't read yet, `made` the rows that are.

    `asked` are the questions, and `done` counts those that are answered. A row is read as soon as all of its questions are: the probabilities of all tokens of a file
    would take hundreds of megabytes.
    """

    site: Site
    model: str
    rows: dict[str, Example]
    found: dict[str, Prediction] = field(default_factory=dict)
    made: dict[str, Annotation] = field(default_factory=dict)
    done: int = 0

    def __post_init__(self) -> None:
        self.asked = list(questions(self.site.task, self.rows.values(), "free", reach=self.site.reach))
        self._row_of = {question.id: question.row for question in self.asked}
        self._by_row = {some[0].row: some for some in by_row(self.asked)}
        self._missing = {row: len(some) for row, some in self._by_row.items()}
        self._whole: list[str] = []

    def keep(self, prediction: Prediction) -> None:
        """Takes an answer."""
        row = self._row_of[prediction.id]
        self.found[prediction.id] = prediction
        self.done += 1
        self._missing[row] -= 1
        if not self._missing[row]:
            self._whole.append(row)

    def read(self) -> None:
        """Reads the rows that are whole by now."""
        calibration = self.site.manner_of(self.model).calibration
        while self._whole:
            row = self._whole.pop()
            asked = self._by_row[row]
            whole = combined(asked, {question.id: self.found.pop(question.id) for question in asked})
            made = understood(self.site.task, self.rows[row], whole, self.site.thinking, calibration)
            self.made[row] = replace(made, prediction=replace(whole, tokens=None, parts=()))

    def progress(self, language: str) -> str:
        """Returns the number of rows, or of windows where a row has several, as HTML."""
        key = "asking" if len(self.asked) == len(self.rows) else "windows"
        return bar(self.done, len(self.asked), say(language, key, done=self.done, total=len(self.asked)))


async def annotated(site: Site, path: str | None, model: str, options: list[str], language: str, stop: asyncio.Event) -> AsyncIterator[list[Any]]:
    """Yields the tab's outputs while a file is annotated: status, files, the preview's frame and the preview. When `stop` is set, it ends early with the answers until then."""
    nothing = [gr.File(visible=False), gr.Column(visible=False), ""]
    try:
        if not path:
            raise Fault("no_file")
        upload = await asyncio.to_thread(read, Path(path))
        work = await asyncio.to_thread(Work, site, model, to_ask(site, upload, options))  # cutting long texts keeps nobody else waiting
    except Fault as problem:
        yield [note(say_fault(language, problem), bad=True), *nothing]
        return
    started, broken = time.monotonic(), False
    try:
        async with aclosing(_asking(work, stop)) as progress:
            async for _ in progress:
                yield [work.progress(language), *nothing]
    except ToolError:
        broken = True
    await asyncio.to_thread(work.read)
    made = work.made
    records = [
        record(text, made.get(str(row)), site.task.kind, None if str(row) in made or str(row) not in work.rows else say(language, "not_asked"))
        for row, text in enumerate(upload.texts)
    ]
    notes = summary(upload, made, records, time.monotonic() - started, language)
    notes += note(say(language, "broken" if broken else "stopped"), bad=True) if broken or stop.is_set() else ""
    with tempfile.TemporaryDirectory() as folder:  # Gradio takes copies, which it removes after a while
        files = await asyncio.to_thread(_write, Path(folder), upload, records)
        yield [notes, gr.File([str(file) for file in files], visible=True), gr.Column(visible=True), first_rows(site, upload, made, language)]


async def _asking(work: Work, stop: asyncio.Event) -> AsyncGenerator[None]:
    """Asks every question, and yields now and then, until all are answered or `stop` is set.

    Raises ToolError (1) when the server is gone. No answer comes after it has ended.
    """
    site, common = work.site, work.site.sampling | LOGPROBS | work.site.thinking.body
    task = asyncio.create_task(asking(site.server, work.model, work.asked, common, CONCURRENCY, work.keep, PATIENCE_S))
    halt = asyncio.create_task(stop.wait())
    try:
        while not task.done() and not stop.is_set():
            yield
            await asyncio.wait([task, halt], timeout=STEP_S, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(work.read)
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
    files = [write_jsonl(folder / f"{stem}.annotated.jsonl", upload, records)]
    return [*files, write_csv(folder / f"{stem}.annotated.csv", upload, records)] if upload.header else files


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


def first_rows(site: Site, upload: Upload, made: dict[str, Annotation], language: str) -> str:
    """Returns the first rows as HTML, with their entities marked; a row's class stands behind it."""
    rows = (_row(site, text, made.get(str(row)), language) for row, text in enumerate(upload.texts[:PREVIEW]))
    return box(f"<ol>{''.join(rows)}</ol>", language)


def _row(site: Site, text: str, found: Annotation | None, language: str) -> str:
    short, names = text[:PREVIEW_LENGTH].replace("\n", " "), site.task.names
    entities = [one for one in found.entities if one.end <= len(short)] if found else []
    shown = drawn(short, entities, site.task, language) + ("…" if len(text) > PREVIEW_LENGTH else "")
    if found and found.label:
        name = names.get(found.label, found.label)
        shown += "  " + chip(name, colours_of(site.task).get(name, UNKNOWN))
    return f"<li>{shown}</li>"
