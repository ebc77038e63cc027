"""Reads and writes score.json, and defines the types of its parts. No other module reads or writes the file.

In: an evaluation's folder. Out: its Score, checked. A score has integer counts first; every ratio is derived from them.

    .venv/train/bin/python -c "from pathlib import Path; from tools.score.score_file import read_score; print(read_score(Path('FOLDER'))['micro'])"
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NotRequired, cast

from annotated_types import Ge, Gt, Le, Len, Lt
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from tools.errors import WANTING, ToolError, first_mistake
from tools.files import need_file, read_json, write_json

FILE = "score.json"
AGAIN = "make eval CONF=conf/<run>.yaml"
Share = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(0)]
Interval = Annotated[list[Share], Len(2, 2)]  # low, high


class Ratios(TypedDict):
    """The ratios of a label or of an average."""

    precision: Share
    recall: Share
    f1: Share


class Figures(Ratios):
    """A label's or an average's counts; `support` is the number of gold items."""

    tp: Count
    fp: Count
    fn: Count
    support: Count


class PartialFigures(Ratios):
    """The same by a protocol in which an item can be partly right."""

    correct: Count
    incorrect: Count
    partial: Count
    missed: Count
    spurious: Count
    support: Count


class MacroFigures(Ratios):
    """Unweighted means over the `labels` labels that occur in gold or prediction."""

    labels: Count


class ProtocolFigures(TypedDict):
    """Everything that one protocol counted."""

    labels: dict[str, Figures | PartialFigures]
    micro: Figures | PartialFigures
    macro: MacroFigures


class StrictFigures(TypedDict):
    """The score where an answer that is not in the trained form counts as empty."""

    micro: Figures
    macro: NotRequired[MacroFigures]


class Answers(TypedDict):
    """Rows by how their answers were read: in the trained form, tolerantly, not at all, or missing. They add up to all rows."""

    trained: Count
    tolerant: Count
    unreadable: Count
    missing: Count


class Few(TypedDict):
    """What is too few for an interval to say much: whether the rows are, and the labels whose gold items are."""

    rows: bool
    labels: list[str]


class Intervals(TypedDict):
    """Bootstrap intervals [low, high] of F1, and of a classification's accuracy, at `level`."""

    method: str
    samples: int
    seed: int
    level: Annotated[float, Gt(0), Lt(1)]
    micro: Interval
    macro: Interval
    labels: dict[str, Interval]
    accuracy: NotRequired[Interval]
    few: NotRequired[Few]


class Floor(TypedDict):
    """The F1 that a plain list of the training entities reaches."""

    method: str
    micro: Share
    macro: Share


class PublishedFigure(TypedDict):
    """A figure that others reached."""

    model: str
    split: str
    metric: str
    f1: float
    source: str


class Failures(TypedDict):
    """Rows that are unparsable, truncated or missing, and predicted items with an unknown label or with a string that is not in the text."""

    unparsable: int
    truncated: int
    missing: int
    unknown_label: int
    ungrounded: int


class Score(TypedDict):
    """score.json. Scores of older versions may lack the keys that are NotRequired."""

    task: str
    version: int
    split: str
    protocol: str
    rows: Count
    labels: dict[str, Figures]
    micro: Figures
    macro: MacroFigures
    strict: NotRequired[StrictFigures]
    answers: NotRequired[Answers]
    span: Figures
    unseen: NotRequired[Figures]  # only strings that are no entity in the training split; absent without one
    protocols: NotRequired[dict[str, ProtocolFigures]]  # by name; the primary protocol's figures are at the top
    intervals: NotRequired[Intervals]
    accuracy: NotRequired[float]  # this and the next two: classification only
    confusion: NotRequired[dict[str, dict[str, int]]]  # gold → predicted → rows
    outside_options: NotRequired[int]
    floor: NotRequired[Floor]
    published: NotRequired[list[PublishedFigure]]
    failures: Failures
    parsing: NotRequired[dict[str, int]]  # rule → answers that needed it
    predictions_sha256: NotRequired[str]


def read_score(folder: Path) -> Score:
    """Returns the score in an evaluation's folder. Raises ToolError (2) where there is none, ToolError (1) where the file is no score."""
    from pydantic import TypeAdapter, ValidationError

    path = need_file(folder / FILE, f"To make it: {AGAIN}")
    value = read_json(path)
    try:
        TypeAdapter(Score).validate_python(value, strict=True)
    except ValidationError as error:
        raise ToolError(f"{path}: not a score: {first_mistake(error)}. Evaluate again: {AGAIN}", WANTING) from None
    return cast(Score, value)


def write_score(folder: Path, score: Score) -> None:
    """Writes `folder`/score.json in one move."""
    write_json(folder / FILE, score)
