"""The evaluations that are on the disk: what each is of, and whether two of them may be compared.

In: the folder of all runs' outputs, or the name of one evaluation. Out: Evaluations, and in words what is torn.

    python -m tools.report.compare --task sample
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.conf.overlays import RUNS
from tools.errors import WANTING, ToolError, choices
from tools.files import read_json, sha256
from tools.predict.predictions import FILE, META

OUTPUTS = Path("data/outputs")
# Scores compare only where all of these are equal: key in predictions.meta.json → its name in a message.
MUST_BE_EQUAL = {
    "task": "task",
    "task_version": "task version",
    "split": "split",
    "examples_sha256": "examples",
    "prompt_sha256": "prompt",
}
VARIABLES = {"adapter": "", "base": " BASE=1", "merged": " MERGED=1", "best": " BEST=1"}


@dataclass(frozen=True)
class Evaluation:
    """A scored set of predictions: `<outputs>/<run>/eval/<task>_<split>[-<variant>]/`. The adapter's own has no variant in its folder's name."""

    folder: Path
    run: str
    variant: str
    meta: dict[str, Any]
    score: dict[str, Any]

    @property
    def name(self) -> str:
        """As a user names it: `<run>` or `<run>:<variant>`."""
        return self.run if self.variant == "adapter" else f"{self.run}:{self.variant}"

    @property
    def key(self) -> tuple[Any, ...]:
        """What must be equal for two scores to be compared."""
        return tuple(self.meta[key] for key in MUST_BE_EQUAL)

    @property
    def again(self) -> str:
        """The command that makes it again."""
        conf = next(iter(sorted(RUNS.rglob(f"{self.run}.yaml"))), RUNS / f"{self.run}.yaml")
        variant = self.variant.removesuffix("schema").removesuffix("-") or "adapter"
        decoding = " DECODING=schema" if self.variant.endswith("schema") else ""
        if variant.startswith("checkpoint-"):
            return f"make best CONF={conf}"
        variable = VARIABLES.get(variant, f" QUANTIZED={variant.removeprefix('merged-')}")
        return f"make eval CONF={conf}{variable}{decoding}"


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation in a folder. Raises ToolError (1) that names what is missing, torn or doesn't fit together in it."""
    for name in (FILE, META, "score.json"):
        if not (folder / name).is_file():
            raise ToolError(f"{folder}: no {name} in it; it isn't a finished evaluation. To make one: make eval CONF=conf/<run>.yaml", WANTING)
    meta, score = read_json(folder / META), read_json(folder / "score.json")
    if not isinstance(meta, dict) or (lacking := [key for key in MUST_BE_EQUAL if key not in meta]):
        raise ToolError(f"{folder / META}: doesn't say {', '.join(lacking) if isinstance(meta, dict) else 'anything'}; evaluate again.", WANTING)
    need_score(folder / "score.json", score)
    if score.get("version", meta["task_version"]) != meta["task_version"]:
        raise ToolError(
            f"{folder}: its predictions are of task version {meta['task_version']}, its score of version {score['version']}; evaluate again.", WANTING
        )
    if score.get("predictions_sha256", digest := sha256(folder / FILE)) != digest:
        raise ToolError(
            f"{folder}: score.json is of other predictions than those beside it; score them again: make eval CONF=conf/<run>.yaml", WANTING
        )
    variant = folder.name.removeprefix(f"{meta['task']}_{meta['split']}").removeprefix("-") or "adapter"
    return Evaluation(folder, str(meta.get("run") or folder.parent.parent.name), variant, meta, score)


def need_score(path: Path, score: Any) -> None:
    """Raise ToolError (1) unless `score` has the parts of a score.json that every reader needs."""
    try:
        rows, f1 = score["rows"], [score["micro"]["f1"], score["macro"]["f1"], *(counts["f1"] for counts in score["labels"].values())]
    except (KeyError, TypeError, AttributeError):
        rows, f1 = None, []
    if type(rows) is not int or not all(isinstance(value, int | float) for value in f1):
        raise ToolError(f"{path}: not a score. Evaluate again: make eval CONF=conf/<run>.yaml", WANTING)


def find_evaluations(outputs: Path, task: str | None = None, split: str | None = None) -> tuple[list[Evaluation], list[str]]:
    """All evaluations (of a task, of a split), by folder, and the folders that aren't whole, in words."""
    found, problems = [], []
    for folder in _folders(outputs):
        try:
            one = read_evaluation(folder)
        except ToolError as error:
            if task is None or folder.name.startswith(f"{task}_{split or ''}"):
                problems.append(str(error))
            continue
        if task in (None, one.meta["task"]) and split in (None, one.meta["split"]):
            found.append(one)
    return found, problems


def named_evaluation(word: str, outputs: Path, task: str | None = None, split: str | None = None) -> Evaluation:
    """The evaluation that a user names: `<run>`, `<run>:<variant>` (base, merged, merged-awq, checkpoint-40, schema …), or a folder.

    Raises ToolError with the choices where there is none, and where a run has several and neither `task` nor `split` says which.
    """
    if "/" in word or (Path(word) / META).is_file():
        return read_evaluation(Path(word))
    run, _, variant = word.partition(":")
    if not (outputs / run / "eval").is_dir():
        known = [folder.parent.name for folder in outputs.glob("*/eval")]
        raise ToolError(f"{outputs / run}: no evaluation in it.{choices(run, known)} To make one: make eval CONF=conf/{run}.yaml")
    found, problems = find_evaluations(outputs / run, task, split)
    fitting = [one for one in found if one.variant == (variant or "adapter")]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{one.name} ({one.meta['task']} {one.meta['split']})" for one in fitting or found) or "none that is whole"
    if fitting:
        raise ToolError(f"{word}: names {len(fitting)} evaluations, {listed}; say which with TASK=… SPLIT=…, or name its folder.")
    raise ToolError("\n".join([f"{word}: no such evaluation{' of ' + task if task else ''}. Available: {listed}.", *problems]))


def _folders(outputs: Path) -> Iterator[Path]:
    """`<outputs>/<run>/eval/*/`, and `<outputs>/eval/*/` where `outputs` is a run's own folder."""
    for pattern in ("eval/*/", "*/eval/*/"):
        yield from sorted(folder for folder in outputs.glob(pattern) if folder.is_dir() and not folder.name.startswith("."))


def differences(one: Evaluation, other: Evaluation) -> list[str]:
    """What keeps two scores from being compared, in words; nothing when they may be."""
    return [
        f"{name} {_short(one.meta[key])} and {_short(other.meta[key])}" for key, name in MUST_BE_EQUAL.items() if one.meta[key] != other.meta[key]
    ]


def _short(value: Any) -> str:
    return f"{value[:8]}…" if isinstance(value, str) and len(value) == 64 else str(value)
