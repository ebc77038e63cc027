"""Draws a dataset's pictures: how often each label is annotated, and how long texts and rows are, split by split.

In: the doctor's counts of each split. Out: labels.png, text_lengths.png and token_lengths.png in a folder. A picture without counts is left out.
Chinese is set in Noto Sans SC (SIL Open Font License) from the package zhplot: no font of the system is needed.

    ./ner check conf/task/clue.yaml --plots
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING, Any

from tools.errors import ToolError
from tools.files import replacing_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FONT_PACKAGE, FONT_FILE = "zhplot", "fonts/NotoSansSC-Regular.ttf"
# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
CUTOFF_COLOUR = "#D55E00"
SHOWN = 50  # labels in the picture; more would be too small to read
NAME_LENGTH = 24  # characters of a label's name
BINS = 50
NO_GLYPH = "□"

Stats = Mapping[str, Mapping[str, Any]]


def draw(stats: Stats, out: Path, cutoff_len: int | None = None) -> list[Path]:
    """Draws the pictures into the folder `out`, and removes an earlier picture that has no counts now. Returns the files.

    `stats` is {split: {"rows": n, "labels": {label: times}, "text_lengths": {characters: rows}, "token_lengths": {tokens: rows}}}; other keys are passed over.
    `cutoff_len`, in tokens, is drawn beside the token lengths. Raises ToolError if matplotlib or the font isn't installed.
    """
    font = font_file()
    from matplotlib import rc_context
    from matplotlib.font_manager import FontProperties, fontManager
    from matplotlib.ft2font import FT2Font

    fontManager.addfont(font)
    # A label may hold what matplotlib would take for a formula ($…$).
    with rc_context({"font.family": [FontProperties(fname=font).get_name()], "text.parse_math": False}):
        figures = {
            "labels.png": _draw_labels(stats, set(FT2Font(str(font)).get_charmap())),
            "text_lengths.png": _draw_lengths(stats, "text_lengths", "characters"),
            "token_lengths.png": _draw_lengths(stats, "token_lengths", "tokens", cutoff_len),
        }
        out.mkdir(parents=True, exist_ok=True)
        return [path for name, figure in figures.items() if (path := _save(figure, out / name))]


def font_file() -> Path:
    """Returns the packaged Chinese font. Raises ToolError if a package is missing."""
    for package in ("matplotlib", FONT_PACKAGE):
        if find_spec(package) is None:
            raise ToolError(f"{package} isn't in {sys.executable}; to install it: make setup. `./ner` then runs in that environment.")
    # Importing the package would change matplotlib's settings.
    found = find_spec(FONT_PACKAGE)
    assert found and found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / FONT_FILE


def readable(name: str, known: set[int]) -> str:
    """Returns a label's name as it can be drawn: cut, with a box for each character that isn't among the font's code points."""
    boxed = "".join(char if ord(char) in known else NO_GLYPH for char in name)
    return boxed if len(boxed) <= NAME_LENGTH else boxed[: NAME_LENGTH - 1] + "…"


def _draw_labels(stats: Stats, known: set[int]) -> Figure | None:
    total = sum((Counter(split["labels"]) for split in stats.values()), Counter[str]())
    ranked = sorted(total, key=lambda label: (-total[label], label))
    if not ranked:
        return None
    labels, thickness = ranked[:SHOWN], 0.8 / len(stats)
    hidden = f" ({SHOWN} most frequent of {len(ranked):,})" if len(ranked) > SHOWN else ""
    figure, axes = _axes(1.5 + len(labels) * max(0.3, 0.2 * len(stats)), f"Labels{hidden}: share of each split, and how many")
    axes.set(xlabel="share of the split's labels, %")
    for i, (name, split) in enumerate(stats.items()):
        counts = [split["labels"].get(label, 0) for label in labels]
        whole = sum(split["labels"].values()) or 1
        places = [place + (i - (len(stats) - 1) / 2) * thickness for place in range(len(labels))]
        bars = axes.barh(places, [100 * count / whole for count in counts], thickness, label=f"{name}: {split['rows']:,} rows, {whole:,} labels")
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=2, fontsize=7)
    axes.set_yticks(range(len(labels)), [readable(label, known) for label in labels])
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.02)
    return figure


def _draw_lengths(stats: Stats, key: str, unit: str, cutoff_len: int | None = None) -> Figure | None:
    found = {name: split[key] for name, split in stats.items() if split.get(key)}
    if not found:
        return None
    longest = max(max(lengths) for lengths in found.values())
    width = longest // BINS + 1  # whole numbers in each bin
    edges = range(0, longest + 1 + width, width)
    figure, axes = _axes(4.5, f"Length in {unit}")
    axes.set(xlabel=unit, ylabel="share of the split's rows, %")
    for name, lengths in found.items():
        label = f"{name}: median {median_low(Counter(lengths).elements()):,}, longest {max(lengths):,}"
        shares = [100 * rows / sum(lengths.values()) for rows in lengths.values()]
        axes.hist(list(lengths), edges, weights=shares, histtype="step", linewidth=1.5, label=label)
    if cutoff_len is not None:
        over = sum(rows for lengths in found.values() for length, rows in lengths.items() if length > cutoff_len)
        label = f"cutoff_len {cutoff_len:,}: {over:,} rows are longer"
        if cutoff_len <= 2 * longest:
            axes.axvline(cutoff_len, color=CUTOFF_COLOUR, linestyle="--", label=label)
        else:  # the lengths would shrink to a stroke
            axes.plot([], [], " ", label=label)
    return figure


def _axes(height: float, title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # pyplot would keep global state

    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(color=COLOURS)
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure | None, path: Path) -> Path | None:
    if figure is None:
        path.unlink(missing_ok=True)
        return None
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)  # outside the axes, which bars may fill
    with replacing_file(path) as new:
        figure.savefig(new, format="png", dpi=150, metadata={"Software": None})
    return path
