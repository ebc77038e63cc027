"""Draws a run's training, calibration and learning curve, light and dark; the last two with the code of ./ner calibrate and ./ner curve.

In: a run's folder: trainer_log.jsonl and, where `./ner best` scored checkpoints, best.json; calibration/<task>.json with its answers; curve/curve.json. Out: SVG and PNG files.

    .venv/train/bin/python docs/pictures/make.py training reliability curve
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.conf.run import Run
from tools.conf.task import find_task
from tools.errors import WANTING, ToolError
from tools.evaluate import best, learning_curve
from tools.example import read_examples
from tools.extract import calibrate
from tools.extract.confidence import asking_to_calibrate, calibration_file, load_calibration
from tools.files import read_json, replacing_file
from tools.predict.predictions import FILE, read_predictions
from tools.variant import BEST_RECORD

# The colours of the report (tools/report/report.html): page, ink, soft, line, accent, and its amber.
COLOURS = {
    "": {"card": "#ffffff", "ink": "#1c2230", "soft": "#5a6478", "line": "#dde1e8", "accent": "#2457d6", "extra": "#9a6200"},
    "-dark": {"card": "#1b2029", "ink": "#e6e9f0", "soft": "#9ba6ba", "line": "#333b49", "accent": "#8cb0ff", "extra": "#f2bd4b"},
}
# Okabe and Ito's palette (tools/data/doctor/plots.py) → what can be told from the dark page.
ON_DARK = {"#0072B2": "#56B4E9", "#56B4E9": "#56B4E9", "#E69F00": "#E69F00", "white": "#1b2029", "grey": "#9ba6ba"}
TITLE_SIZE, SIZE = 12, 10.5


def settings(scheme: str) -> dict[str, Any]:
    """Returns matplotlib's settings for light ('') or dark ('-dark')."""
    colours = COLOURS[scheme]
    inks = ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor", "axes.titlecolor")
    return {
        **dict.fromkeys(inks, colours["ink"]),
        **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), colours["card"]),
        **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), colours["soft"]),
        "grid.color": colours["line"],
        "axes.grid": True,
        "axes.axisbelow": True,
        "font.size": SIZE,
        "axes.titlesize": TITLE_SIZE,
        "svg.hashsalt": "ner-factory",  # the same file again
        "text.parse_math": False,
    }


def training(run: Run, folder: Path) -> None:
    """Draws the loss by step, on a logarithmic scale, and beside it the F1 of each checkpoint where ./ner best scored them. Raises ToolError for a run without a log."""
    loss, scored = losses(run), scores(run)
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # pyplot would keep global state

    for scheme, colours in COLOURS.items():
        with rc_context(settings(scheme)):
            figure = Figure(figsize=(9 if scored else 7.5, 3.6), layout="constrained")
            left, *right = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
            left.plot(*zip(*loss, strict=True), color=colours["accent"], linewidth=1.8)
            left.set(xlabel="step", ylabel="training loss, logarithmic", yscale="log")
            left.yaxis.set_major_formatter("{x:g}")
            for axes in right:
                for metric, colour in (("micro", "accent"), ("macro", "extra")):
                    axes.plot(
                        [one["step"] for one in scored], [one[metric] for one in scored], marker="o", color=colours[colour], label=f"{metric} F1"
                    )
                axes.set(xlabel="step", ylabel="F1 of each checkpoint")
                axes.legend(loc="lower right", frameon=False)
            figure.suptitle(run.name, fontsize=TITLE_SIZE)
            for axes in figure.axes:
                axes.spines[["top", "right"]].set_visible(False)
                axes.set_xlim(0, loss[-1][0])
            with replacing_file(folder / f"training{scheme}.svg") as new:
                figure.savefig(new, format="svg", metadata={"Date": None, "Creator": None})


def losses(run: Run) -> list[tuple[int, float]]:
    """Returns (step, training loss) of LLaMA-Factory's log. Raises ToolError where there is none."""
    log = run.output_dir / "trainer_log.jsonl"
    if not log.is_file():
        raise ToolError(f"{log} isn't there; to make it: make train CONF={run.path}", WANTING)
    rows = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    return [(row["current_steps"], row["loss"]) for row in rows if "loss" in row]


def scores(run: Run) -> list[best.Step]:
    """Returns the score of each checkpoint as ./ner best wrote it; empty where it didn't."""
    record = run.output_dir / BEST_RECORD
    found: list[best.Step] = read_json(record)["steps"] if record.is_file() else []
    return found


def reliability(run: Run, folder: Path) -> None:
    """Draws the reliability diagram of the adapter's calibration, as ./ner calibrate does. Raises ToolError where there is no calibration."""
    task, variant = find_task(run.task), run.variant("adapter")
    file = calibration_file(variant, task.name)
    result = load_calibration(file)
    if not result:
        raise ToolError(f"{file} isn't there; to make it: make calibrate CONF={run.path}", WANTING)
    asking = asking_to_calibrate(run, task, result.split, variant)
    answers = read_predictions(file.with_suffix("") / FILE)
    found = calibrate.judged(task, read_examples(asking.source), answers, asking.thinking)
    before, after = (calibrate.bins(one, found.right) for one in (found.raw, calibrate.cross_fitted(found)))
    on_both_pages(folder, "reliability", lambda path: calibrate.draw(before, after, result, path))


def curve(run: Run, folder: Path) -> None:
    """Draws the learning curve, as ./ner curve does. Raises ToolError where there is none."""
    file = run.output_dir / "curve" / "curve.json"
    if not file.is_file():
        raise ToolError(f"{file} isn't there; to make it: make curve CONF={run.path}", WANTING)
    result: learning_curve.LearningCurve = read_json(file)
    on_both_pages(folder, "curve", lambda path: learning_curve.draw(result, path))


def on_both_pages(folder: Path, name: str, draw: Callable[[Path], object]) -> None:
    """Draws a tool's own picture light and dark. The tools draw on white: for the dark page their colours are replaced when the figure is saved."""
    from unittest.mock import patch

    from matplotlib import rc_context
    from matplotlib.figure import Figure

    save = Figure.savefig

    def darkened(figure: Figure, *words: Any, **options: Any) -> None:
        for artist in figure.findobj(include_self=False):
            for part in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
                _replace(artist, part)
        save(figure, *words, **options)

    for scheme in COLOURS:
        with rc_context(settings(scheme)), patch.object(Figure, "savefig", darkened if scheme else save):
            draw(folder / f"{name}{scheme}.png")


def _replace(artist: Any, part: str) -> None:
    from matplotlib.colors import same_color

    read, write = getattr(artist, f"get_{part}", None), getattr(artist, f"set_{part}", None)
    if not read or not write or not hasattr(artist, "get_zorder"):
        return
    now = read()
    for light, dark in ON_DARK.items():
        try:
            if same_color(now, light):
                write(dark)
                return
        except ValueError:  # "none", or the colours of several parts
            return


MAKERS = {"training": training, "reliability": reliability, "curve": curve}
