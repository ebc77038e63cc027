"""Reads what a run is held against: a whole evaluation, or a score.json that is kept without its predictions.

In: a run's name, an evaluation's folder, or the path of a score.json. Out: a Baseline; a ToolError where the run can't be compared with it.

    ./ner gate conf/tiny-qwen2-sample-ner-lora-sft.yaml --baseline baselines/sample/score.json
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.errors import WANTING, ToolError
from tools.predict.predictions import FILE, META, PredictionsMeta, read_meta
from tools.report.evaluations import Evaluation, differing, named_evaluation, read_evaluation
from tools.report.worse import MICRO, Sums
from tools.score.counts import NO_LABEL
from tools.score.score_file import FILE as SCORE
from tools.score.score_file import Score, read_score


@dataclass(frozen=True)
class Baseline:
    """An evaluation's score. `whole` is the evaluation, None where its predictions aren't kept; `meta` is None where their record isn't kept either."""

    folder: Path
    score: Score
    meta: PredictionsMeta | None
    whole: Evaluation | None = None

    @classmethod
    def of(cls, word: str, outputs: Path, task: str, split: str) -> Baseline:
        """Reads what `word` names: what `./ner compare` takes, or a score.json, or a folder that has no more of an evaluation than that. Raises as they do."""
        path = Path(word)
        folder = path.parent if path.name == SCORE else path
        if path.name != SCORE and not (folder / SCORE).is_file():
            return cls._whole(named_evaluation(word, outputs, task, split))
        if (folder / FILE).is_file() and ((folder / META).is_file() or path.name != SCORE):
            return cls._whole(read_evaluation(folder))
        return cls(folder, read_score(folder), read_meta(folder / META) if (folder / META).is_file() else None)

    @classmethod
    def _whole(cls, evaluation: Evaluation) -> Baseline:
        return cls(evaluation.folder, evaluation.score, evaluation.meta, evaluation)


def need_same_rows(baseline: Baseline, run: Evaluation) -> None:
    """Raises ToolError (1) where a baseline without predictions is of another task, task version, split, examples or prompt than the run's evaluation.

    Of a score.json alone, the rows and each label's gold items stand for the examples.
    """
    if different := list(_differences(baseline, run)):
        raise ToolError(
            f"{baseline.folder / SCORE} and {run.folder} can't be compared: {'; '.join(different)}. Evaluate the baseline's model on the present files, and keep "
            f"its evaluation. To evaluate the run again: {run.again}",
            WANTING,
        )


def _differences(baseline: Baseline, run: Evaluation) -> Iterator[str]:
    theirs, ours = baseline.score, run.score
    if baseline.meta:
        yield from differing(baseline.meta, run.meta)
    else:
        keys = {"task": "task", "task version": "version", "split": "split"}
        yield from (f"{name} {theirs[key]} and {ours[key]}" for name, key in keys.items() if theirs[key] != ours[key])  # type: ignore[literal-required]
    if theirs["rows"] != ours["rows"]:
        yield f"rows {theirs['rows']:,} and {ours['rows']:,}"
    before, after = _gold(theirs), _gold(ours)
    for label in sorted(before | after):
        if before.get(label, 0) != after.get(label, 0):
            yield f"gold items of {label} {before.get(label, 0):,} and {after.get(label, 0):,}"


def _gold(score: Score) -> dict[str, int]:
    return {label: one["support"] for label, one in score["labels"].items() if one["support"]}


def sums(score: Score, folder: Path) -> dict[str, Sums]:
    """Returns the integers and the interval of micro F1 and of each label. Raises ToolError (1) for a score without intervals."""
    if "intervals" not in score:
        raise ToolError(f"{folder / SCORE}: has no intervals, so nothing is known of chance. Score it again with this release: make score", WANTING)
    intervals = score["intervals"]
    ends = {MICRO: intervals["micro"], **intervals["labels"]}
    found = {}
    for name, one in {MICRO: score["micro"], **score["labels"]}.items():
        if name != NO_LABEL:
            low, high = ends.get(name, [one["f1"]] * 2)
            found[name] = Sums(one["tp"], one["fp"], one["fn"], low, high, intervals["level"])
    return found
