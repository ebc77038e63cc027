"""Finds the evaluations on the disk, decides which of them may be compared, and lists them by micro F1.

In: the folder of all runs' outputs, or the name of one evaluation. Out: Evaluations, and a message for each folder that isn't whole; leaderboard.md and leaderboard.csv.

    ./ner compare --task sample
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tools.conf.overlays import RUNS
from tools.conf.run import Run, load_run
from tools.errors import WANTING, ToolError, choices
from tools.files import Transaction, sha256
from tools.predict.predictions import FILE, META, PredictionsMeta, read_meta
from tools.score.score_file import FILE as SCORE
from tools.score.score_file import Score, read_score
from tools.text import columns, padded
from tools.variant import Variant, variant_word

OUTPUTS = Path("data/outputs")
# Scores compare only where all of these are equal: field of PredictionsMeta → its name in a message.
MUST_BE_EQUAL = {
    "task": "task",
    "task_version": "task version",
    "split": "split",
    "examples_sha256": "examples",
    "prompt_sha256": "prompt",
}
HEADINGS = ("Run", "Micro F1", "95 % interval", "Macro F1", "Strict F1", "Unseen F1", "Rows", "Base model")


@dataclass(frozen=True)
class Evaluation:
    """A scored set of predictions: `<outputs>/<run>/eval/<task>_<split>[-<variant>][-schema]/`."""

    folder: Path
    variant: Variant
    meta: PredictionsMeta
    score: Score

    @property
    def name(self) -> str:
        """The name that `./ner compare` takes: `<run>`, `<run>:<variant>`, `<run>:schema` or `<run>:<variant>-schema`."""
        words = [*([] if self.variant.word == "adapter" else [self.variant.word]), *([] if self.meta.decoding == "free" else [self.meta.decoding])]
        return ":".join([self.variant.run, *(["-".join(words)] if words else [])])

    @property
    def key(self) -> tuple[Any, ...]:
        """The values of MUST_BE_EQUAL."""
        return tuple(getattr(self.meta, field) for field in MUST_BE_EQUAL)

    @property
    def again(self) -> str:
        """The command that makes it again."""
        return eval_command(self.variant, self.meta.split, self.meta.decoding, self.meta.engine)

    @property
    def dataset(self) -> Path:
        """The folder that holds the run's `examples/`: of the run as it was trained, or of its conf file."""
        run = Run(self.variant.conf, {"output_dir": str(self.variant.output_dir)}).trained()
        if "dataset_dir" not in run.values and self.variant.conf.is_file():
            run = load_run(self.variant.conf)
        return run.dataset


def eval_command(variant: Variant, split: str = "dev", decoding: str = "free", engine: str = "") -> str:
    """Returns the make command that evaluates a model. `engine` is the engine's name as predictions.meta.json records it."""
    words = [*(["--engine hf"] if engine.startswith("transformers") else []), *([] if decoding == "free" else [f"--decoding {decoding}"])]
    return variant.command("eval") + ("" if split == "dev" else f" SPLIT={split}") + (f' ARGS="{" ".join(words)}"' if words else "")


def read_evaluation(folder: Path) -> Evaluation:
    """Reads the evaluation in a folder. Raises ToolError (1) that names what is missing, torn or doesn't belong together."""
    if not folder.is_dir():
        raise ToolError(
            f"{folder}: {f'is a file; name its folder, or a {SCORE}' if folder.exists() else 'no such folder'}. To make an evaluation: make eval CONF=conf/<run>.yaml"
        )
    for name in (FILE, META, SCORE):
        if not (folder / name).is_file():
            raise ToolError(f"{folder}: no {name} in it: the evaluation isn't finished. To make one: make eval CONF=conf/<run>.yaml", WANTING)
    meta, score = read_meta(folder / META), read_score(folder)
    conf = next(iter(sorted(RUNS.rglob(f"{meta.run}.yaml"))), RUNS / f"{meta.run}.yaml")
    found = Evaluation(folder, Variant(variant_word(meta.which), meta.run, conf, folder.parent.parent, meta.base_model), meta, score)
    if score.get("version", meta.task_version) != meta.task_version:
        raise ToolError(
            f"{folder}: the predictions are of task version {meta.task_version}, the score is of version {score['version']}. "
            f"Evaluate again: {found.again}",
            WANTING,
        )
    if not (meta.examples_sha256 and meta.prompt_sha256):
        raise ToolError(f"{folder / META}: records no examples_sha256 or no prompt_sha256. Evaluate again: {found.again}", WANTING)
    digest = sha256(folder / FILE)
    if score.get("predictions_sha256", digest) != digest:
        raise ToolError(f"{folder}: {SCORE} is of other predictions than those beside it. Score them again: {found.again}", WANTING)
    return found


def find_evaluations(outputs: Path, task: str | None = None, split: str | None = None) -> tuple[list[Evaluation], list[str]]:
    """Returns all evaluations (of a task, of a split), by folder, and a message for each folder that isn't whole."""
    found, problems = [], []
    for folder in _folders(outputs):
        try:
            one = read_evaluation(folder)
        except ToolError as error:
            if task is None or folder.name.startswith(f"{task}_{split or ''}"):
                problems.append(str(error))
            continue
        if task in (None, one.meta.task) and split in (None, one.meta.split):
            found.append(one)
    return found, problems


def named_evaluation(word: str, outputs: Path, task: str | None = None, split: str | None = None) -> Evaluation:
    """Returns the evaluation with the name `word`, or in the folder `word`.

    Raises ToolError with the choices where there is none, and where several splits or tasks fit.
    """
    if "/" in word or (Path(word) / META).is_file():
        return read_evaluation(Path(word))
    run = word.partition(":")[0]
    if not (outputs / run / "eval").is_dir():
        known = [folder.parent.name for folder in outputs.glob("*/eval")]
        raise ToolError(f"{outputs / run}: no evaluation in it.{choices(run, known)} To make one: make eval CONF=conf/{run}.yaml")
    found, problems = find_evaluations(outputs / run, task, split)
    fitting = [one for one in found if one.name == word.removesuffix(":adapter")]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{one.name} ({one.meta.task} {one.meta.split})" for one in fitting or found) or "none that is whole"
    if fitting:
        raise ToolError(f"{word}: {len(fitting)} evaluations have this name: {listed}. Choose with --task or --split, or name the folder.")
    raise ToolError("\n".join([f"{word}: no such evaluation{' of ' + task if task else ''}. Available: {listed}.", *problems]))


def _folders(outputs: Path) -> Iterator[Path]:
    """Yields `<outputs>/<run>/eval/*/`, and `<outputs>/eval/*/` where `outputs` is a run's own folder."""
    for pattern in ("eval/*/", "*/eval/*/"):
        yield from sorted(folder for folder in outputs.glob(pattern) if folder.is_dir() and not folder.name.startswith("."))


def differences(one: Evaluation, other: Evaluation) -> list[str]:
    """Returns why two scores may not be compared; nothing where they may."""
    return differing(one.meta, other.meta)


def differing(one: PredictionsMeta, other: PredictionsMeta) -> list[str]:
    """Returns in what of MUST_BE_EQUAL two records of predictions differ, with both values."""
    both = ((name, getattr(one, field), getattr(other, field)) for field, name in MUST_BE_EQUAL.items())
    return [f"{name} {_short(mine)} and {_short(theirs)}" for name, mine, theirs in both if mine != theirs]


def _short(value: Any) -> str:
    return f"{value[:8]}…" if isinstance(value, str) and len(value) == 64 else str(value)


def leaderboard(evaluations: Sequence[Evaluation]) -> list[list[Evaluation]]:
    """Returns the evaluations in blocks that may be compared: the newest task version first, in a block the highest micro F1 first."""

    def order(one: Evaluation) -> tuple[Any, ...]:
        return one.meta.task, -one.meta.task_version, *map(str, one.key[1:]), -one.score["micro"]["f1"], one.name

    return [list(block) for _, block in groupby(sorted(evaluations, key=order), key=lambda one: one.key)]


def _heading(block: Sequence[Evaluation], before: Sequence[Evaluation] | None) -> str:
    meta = block[0].meta
    heading = f"{meta.task} {meta.split}: task version {meta.task_version}, examples {meta.examples_sha256[:8]}, prompt {str(meta.prompt_sha256)[:8]}"
    if before and before[0].meta.task == meta.task:
        heading += f" – not comparable with the block above: {'; '.join(differences(before[0], block[0]))}"
    return heading


def _cells(one: Evaluation) -> list[str]:
    micro, low, high, macro, strict, unseen, rows = _figures(one)
    between = "–" if low is None else f"{low:.4f}–{high:.4f}"
    figures = ["–" if figure is None else f"{figure:.4f}" for figure in (macro, strict, unseen)]
    return [one.name, f"{micro:.4f}", between, *figures, f"{rows:,}", one.meta.base_model or "–"]


def _figures(one: Evaluation) -> tuple[Any, ...]:
    """Returns micro F1, its interval's ends, macro F1, strict F1 (micro), unseen F1 and rows; None for what the score doesn't hold."""
    score = one.score
    low, high = score["intervals"]["micro"] if "intervals" in score else (None, None)
    strict = score["strict"]["micro"]["f1"] if "strict" in score else None
    return score["micro"]["f1"], low, high, score["macro"]["f1"], strict, score["unseen"]["f1"] if "unseen" in score else None, score["rows"]


def table(blocks: Sequence[Sequence[Evaluation]], problems: Sequence[str] = (), markdown: bool = False) -> str:
    """Returns the blocks as text or Markdown tables, each under a heading with the reason why it is a block of its own; `problems` are listed at the end."""
    lines: list[str] = []
    for number, block in enumerate(blocks):
        heading = _heading(block, blocks[number - 1] if number else None)
        rows = [list(HEADINGS), *map(_cells, block)]
        if markdown:
            lines += [f"## {heading}", "", _bar(rows[0]), _bar(["---"] * len(HEADINGS)), *map(_bar, rows[1:]), ""]
        else:
            widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
            lines += [heading, *("  ".join(map(padded, row, widths)).rstrip() for row in rows), ""]
    if problems:
        lines += ["Left out:", *(f"- {problem}" for problem in problems)]
    return "\n".join(lines).rstrip()


def _bar(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def save_leaderboard(blocks: Sequence[Sequence[Evaluation]], problems: Sequence[str], out: Path) -> None:
    """Writes leaderboard.md and leaderboard.csv into `out`. Two lines of the CSV compare where their first columns (MUST_BE_EQUAL) are equal."""
    with Transaction() as new:
        new.open(out / "leaderboard.md").write(table(blocks, problems, markdown=True) + "\n")
        lines = csv.writer(new.open(out / "leaderboard.csv"), lineterminator="\n")
        lines.writerow(
            [*MUST_BE_EQUAL, "run", "variant", "micro_f1", "low", "high", "macro_f1", "strict_f1", "unseen_f1", "rows", "base_model", "folder"]
        )
        for one in (one for block in blocks for one in block):
            variant = one.name.partition(":")[2] or "adapter"
            lines.writerow([*one.key, one.variant.run, variant, *_figures(one), one.meta.base_model or "", one.folder])
