"""Photographs the page of `make web` and the report, in headless Chromium, light and dark, English and Chinese.

In: a run with an evaluation of its adapter and its base model. Out: PNG files of at most 256 colours. The page asks no model: a toy server gives each of the run's
recorded answers back, word for word, so the picture shows what the run's own models said.

    .venv/train/bin/python docs/pictures/make.py web report
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.browser import INSTALL, executable, launched, opened
from tests.toy_server import Faulty
from tools.conf.run import Run
from tools.conf.task import Task, find_task
from tools.demo import free_port
from tools.errors import WANTING, ToolError
from tools.example import Example, read_examples
from tools.extract.confidence import calibration_file
from tools.files import need_file, read_json, replacing_file
from tools.predict.predictions import FILE, META, Prediction, read_predictions
from tools.predict.questions import questions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SPLIT = "dev"
LANGUAGES = {"": "en-US", "-zh": "zh-CN"}  # part of a file's name → the browser's language
SCHEMES = {"": "light", "-dark": "dark"}
SCALE = 2  # pixels of the picture for one of the page
WEB_WIDTH, REPORT_WIDTH, MARGIN = 1440, 1080, 20
# What the recorded answers took is not what the toy server takes.
WITHOUT_SECONDS = ".figures {display: none !important}"
# The text is drawn, which the names of its labels stand in.
SHOWS = """text => {
    const box = document.querySelector('#found-adapter .marked')?.cloneNode(true);
    box?.querySelectorAll('small').forEach(name => name.remove());
    return box?.textContent === text && document.querySelector('#said-adapter table');
}"""
TRIED = 12  # texts, until one has no mark that is broken at a line's end
WHOLE_MARKS = "[...document.querySelectorAll('#found-adapter mark')].every(mark => mark.getClientRects().length === 1)"

Answers = Mapping[str, Mapping[str, Prediction]]  # model's name at the server → user turn → its answer


class Recorded(Faulty):
    """A server that gives recorded answers."""

    def __init__(self, cards: list[dict[str, Any]], answers: Answers) -> None:
        super().__init__(cards, lambda _: (404, "not recorded"))
        self.answers = answers

    def answer(self, request: dict[str, Any]) -> tuple[int, Any]:
        """Returns the status and the body of an answer, with log-probabilities where they were recorded."""
        found = self.answers[request["model"]].get(request["messages"][-1]["content"])
        if found is None or found.output is None:
            return 404, "not recorded"
        choice: dict[str, Any] = {"index": 0, "finish_reason": found.finish_reason, "message": {"role": "assistant", "content": found.output}}
        if found.tokens:
            choice["logprobs"] = {"content": [{"token": token, "logprob": logprob} for token, logprob in found.tokens]}
        return 200, {"choices": [choice], "usage": {"prompt_tokens": found.prompt_tokens, "completion_tokens": found.completion_tokens}}


def recorded(run: Run, task: Task, word: str) -> Mapping[str, Prediction]:
    """Returns a variant's answers by id: those of its calibration, which have log-probabilities, else those of its evaluation. Raises ToolError where there are none."""
    variant = run.variant(word)
    places = (calibration_file(variant, task.name).with_suffix(""), variant.evaluation(task.name, SPLIT))
    for folder in places:
        if (folder / FILE).is_file():
            return read_predictions(folder / FILE)
    which = "" if word == "adapter" else f" WHICH={word}"
    raise ToolError(f"{places[-1] / FILE} isn't there; to make it: make eval CONF={run.path}{which}", WANTING)


def candidates(rows: list[Example], answers: Mapping[str, Prediction], task: Task) -> list[str]:
    """Returns the texts that were answered without a mistake, those with the most labels first, and of these the shortest."""
    from tools.extract.annotate import understood

    def right(row: Example) -> bool:
        found = understood(task, row, answers[row.id])
        return not found.nowhere and {(one.label, one.text) for one in found.entities} == set(row.pairs())

    found = sorted(filter(right, rows), key=lambda row: (-len({label for label, _ in row.pairs()}), len(row.text)))
    return [row.text for row in found]


def web(run: Run, folder: Path) -> None:
    """Photographs the page after its first tab was asked about a row of the dev split."""
    task = find_task(run.task)
    rows = list(read_examples(need_file(task.examples(SPLIT, run.dataset), f"To write it: make data TASK={task.name}")))
    asked = [question.messages[-1]["content"] for question in questions(task, rows, "free")]
    base, own = run.variant("base"), run.variant("adapter")
    by_id = {one.served_name: recorded(run, task, one.word) for one in (base, own)}
    answers = {name: {turn: found[row.id] for turn, row in zip(asked, rows, strict=True)} for name, found in by_id.items()}
    texts = candidates(rows, by_id[own.served_name], task)[:TRIED]
    cards = [{"id": base.served_name}, {"id": own.served_name, "parent": base.served_name, "root": str(run.output_dir)}]
    engine = read_json(own.evaluation(task.name, SPLIT) / META)["engine"]
    with page_of(run, task, Recorded(cards, answers), engine) as address, chromium() as browser:
        for name, options in looks("web", viewport={"width": WEB_WIDTH, "height": 900}):
            with opened(browser, address, **options) as page:
                for text in texts:
                    ask(page, text)
                    if page.evaluate(WHOLE_MARKS):
                        break
                texts = [text]  # the same in every language
                page.add_style_tag(content=WITHOUT_SECONDS)
                page.locator("#text textarea").blur()
                page.wait_for_timeout(500)  # for transitions
                photograph(page, folder / name, "#head", "#threshold")


def ask(page: Page, text: str) -> None:
    """Asks the page about a text, and waits for the answer."""
    page.locator("#text textarea").fill(text)
    page.locator("#ask").click()
    page.wait_for_function(SHOWS, arg=text)


@contextmanager
def page_of(run: Run, task: Task, toy: Recorded, engine: str) -> Iterator[str]:
    """Opens the page of a run in front of a toy server until the block ends, and yields its address. `engine` is the one that the answers came from."""
    from tools.predict.server import find
    from tools.web import web as command
    from tools.web.page import build
    from tools.web.site import Site

    warnings.simplefilter("ignore", DeprecationWarning)  # for words that Gradio 6 renames
    threading.Thread(target=toy.serve_forever, args=(0.02,), daemon=True).start()
    try:
        server = find(toy.url)
        assert server
        with command.private_folder():
            site = Site(run, task, replace(server, engine=engine), command.models(run, server, run.variant("adapter")))
            with command.opened(*build(site), "127.0.0.1", free_port()) as address:
                yield address
    finally:
        toy.shutdown()
        toy.server_close()


def report(run: Run, folder: Path) -> None:
    """Photographs the top of the report of the adapter's evaluation. Raises ToolError where there is none."""
    page_file = run.variant("adapter").evaluation(run.task, SPLIT) / "report.html"
    if not page_file.is_file():
        raise ToolError(f"{page_file} isn't there; to make it: make eval CONF={run.path}", WANTING)
    with chromium() as browser:
        for name, options in looks("report", viewport={"width": REPORT_WIDTH, "height": 900}):
            with opened(browser, page_file.resolve(), **options) as page:
                photograph(page, folder / name, "main", "section:has(thead button) table", below=3)


def looks(name: str, **options: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each file of a picture, with the browser's options for it."""
    for language, locale in LANGUAGES.items():
        for scheme, colours in SCHEMES.items():
            yield f"{name}{language}{scheme}.png", {"locale": locale, "color_scheme": colours, "device_scale_factor": SCALE, **options}


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium until the block ends. Raises ToolError where there is none."""
    if not executable():
        raise ToolError(f"no Chromium here; {INSTALL}")
    with launched() as browser:
        yield browser


def photograph(page: Page, path: Path, first: str, last: str, below: int = MARGIN) -> None:
    """Writes the page from its top to the end of the element `last`, as wide as the element `first`, with a margin; `below` is that at its end.

    It is a PNG of at most 256 colours: a page has few, and the file is a third as large.
    """
    from PIL import Image

    sides, end = page.locator(first).bounding_box(), page.locator(last).first.bounding_box()
    assert sides and end
    left = max(0, sides["x"] - MARGIN)
    clip = {"x": left, "y": 0, "width": sides["width"] + 2 * (sides["x"] - left), "height": end["y"] + end["height"] + below}
    shot = page.screenshot(full_page=True, clip=clip, animations="disabled")
    with Image.open(io.BytesIO(shot)) as image, replacing_file(path) as new:
        image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(new, "PNG", optimize=True)


MAKERS = {"web": web, "report": report}
