"""Builds the page's third tab: the run's scores, its training loss, the record of its training, and its report.

Where a file is missing, the tab shows the command that makes it.

In: a run's folder, read anew each time the tab is opened. Out: tables, a curve, and the report in a frame that can't reach the page.

    ./ner web conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import tempfile
from datetime import datetime
from html import escape
from pathlib import Path
from shutil import copyfile
from typing import Any

import gradio as gr
from pandas import DataFrame, isna

from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import read_jsonl, read_text
from tools.report.evaluations import Evaluation, find_evaluations
from tools.report.report import NAME
from tools.score.table import table
from tools.train import manifest
from tools.web.site import QUIET, Site, Words, grid, note, readers_language
from tools.web.words import WORDS, say

LOG = "trainer_log.jsonl"
COLUMNS = {"current_steps": "step", "loss": "train", "eval_loss": "eval"}  # LLaMA-Factory's keys → the plot's words
AVERAGES = {"Micro Avg.": "micro", "Macro Avg.": "macro"}


def build(site: Site, words: Words, tab: gr.Tab) -> None:
    """Lays the tab out."""
    choice = gr.Dropdown(label=words("evaluation"), interactive=True, elem_id="evaluation")
    scores = gr.HTML(elem_id="scores", padding=False)
    with gr.Row():
        show = gr.Button(words("open_report"), visible=False, elem_id="open-report")
        download = gr.DownloadButton(words("download_report"), visible=False, elem_id="download-report")
    report = gr.HTML(elem_id="report", padding=False)
    curve = gr.LinePlot(x="step", y="loss", color="split", label=words("curve"), visible=False, elem_id="curve")
    record = gr.HTML(elem_id="facts", padding=False)

    def on_open(chosen: str | None, request: gr.Request) -> list[Any]:
        language, found = readers_language(request), [one.folder.name for one in evaluations(site.run)]
        name = chosen if chosen in found else next(iter(found), None)
        return [gr.Dropdown(choices=found, value=name, visible=bool(found)), *shown(site, name, language), *history(site, language)]

    def on_choice(chosen: str | None, request: gr.Request) -> list[Any]:
        return shown(site, chosen, readers_language(request))

    def on_report(chosen: str | None) -> str:
        one = _find(site, chosen)
        return frame(one.folder / NAME) if one else ""

    parts = [scores, show, download, report]
    tab.select(on_open, choice, [choice, *parts, curve, record], **QUIET)
    choice.input(on_choice, choice, parts, **QUIET)
    show.click(on_report, choice, report, **QUIET)


def _find(site: Site, name: str | None) -> Evaluation | None:
    return next((one for one in evaluations(site.run) if one.folder.name == name), None)


def shown(site: Site, name: str | None, language: str) -> list[Any]:
    """Returns an evaluation's table, the two buttons of its report, and an empty place for the report."""
    one = _find(site, name)
    without = [gr.Button(visible=False), gr.DownloadButton(visible=False), ""]
    if not one:
        return [note(say(language, "no_scores", command=f"make eval CONF={site.run.path}")), *without]
    report, scores = one.folder / NAME, score_table(one, language)
    if not report.is_file():
        return [scores + note(say(language, "no_report", command=report_command(one))), *without]
    # Gradio hands out only files in its own folder: a copy, one for each evaluation.
    copy = Path(tempfile.gettempdir()) / f"{site.run.name}-{one.folder.name}.html"
    copyfile(report, copy)
    return [scores, gr.Button(visible=True), gr.DownloadButton(value=str(copy), visible=True), ""]


def score_table(one: Evaluation, language: str) -> str:
    """Returns label, precision, recall, F1 and support as a table, under the split's name and the protocol."""
    head = say(language, "scored", rows=one.score["rows"], task=one.meta.task, split=one.meta.split, protocol=one.score["protocol"])
    figures = table(one.score)[["Label", "Precision", "Recall", "F1", "Support"]].copy()
    figures.loc[figures["Label"] == "Macro Avg.", ["Precision", "Recall"]] = None  # a mean of ratios isn't a ratio of anything
    rows = [
        [
            say(language, AVERAGES[label]) if label in AVERAGES else label,
            *("–" if isna(ratio) else f"{ratio:.4f}" for ratio in ratios),
            "–" if isna(support) else f"{support:,}",
        ]
        for label, *ratios, support in figures.itertuples(index=False)
    ]
    words = [say(language, key) for key in ("label", "precision", "recall")]
    return f'<p class="figures">{escape(head)}</p>' + grid([*words, "F1", say(language, "support")], rows, "scores")


def history(site: Site, language: str) -> list[Any]:
    """Returns the loss as a curve, and the record of the training as a table."""
    points, known = losses(site.run), facts(site.run)
    told = "" if len(points) and known else note(say(language, "no_training", command=f"make train CONF={site.run.path}"))
    if known:
        told += grid([say(language, "facts"), ""], [(say(language, key) if key in WORDS else key, value) for key, value in known])
    return [gr.LinePlot(points, visible=True) if len(points) else gr.LinePlot(visible=False), told]


def frame(report: Path) -> str:
    """Returns the report in a frame with an origin of its own: its script runs, and can reach neither the page nor its storage nor its cookies."""
    text = escape(read_text(report))
    return f'<iframe class="report" sandbox="allow-scripts" referrerpolicy="no-referrer" title="{NAME}" srcdoc="{text}"></iframe>'


def evaluations(run: Run) -> list[Evaluation]:
    """Returns the run's evaluations that are whole, the adapter's own first."""
    return sorted(find_evaluations(run.output_dir)[0], key=lambda one: (one.variant.word != "adapter", one.folder.name))


def report_command(one: Evaluation) -> str:
    """Returns the make command that writes an evaluation's report."""
    split = "" if one.meta.split == "dev" else f" SPLIT={one.meta.split}"
    return one.variant.command("report") + split + ("" if one.meta.decoding == "free" else f' ARGS="--folder {one.folder}"')


def losses(run: Run) -> DataFrame:
    """Returns the columns step, split ('train' or 'eval') and loss of LLaMA-Factory's log; no row where there is no log, or a torn one."""
    try:
        log = DataFrame([row for _, row in read_jsonl(run.output_dir / LOG)])
    except ToolError:
        log = DataFrame()
    return log.reindex(columns=[*COLUMNS]).rename(columns=COLUMNS).melt("step", var_name="split", value_name="loss").dropna()


def facts(run: Run) -> list[tuple[str, str]]:
    """Returns (key of tools.web.words or a file's name, value) for each fact of the manifest; [] where the run isn't trained."""
    known = manifest.read(run.output_dir)
    if not known:
        return []
    found: list[tuple[str, object]] = [
        ("base_model", run.trained().base_model),
        ("trained", " – ".join(time.replace("T", " ").removesuffix("+00:00") for time in (known.started, known.ended) if time) + " UTC"),
        ("training_seconds", _seconds(known.started, known.ended)),
        ("command", known.command),
        ("commit", known.commit),
        ("machine", ", ".join([f"{known.machine.cores or '?'} cores", *known.machine.gpus])),
        *known.versions.items(),
        *((f"sha256 {Path(file).name}", digest) for file, digest in known.sha256.items()),
    ]
    return [(key, str(value)) for key, value in found if value]


def _seconds(started: str, ended: str | None) -> str:
    return f"{(datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds():,.0f}" if ended else ""
