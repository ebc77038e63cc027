"""Calibrates a run's confidences: asks a split with log-probabilities, and learns how often an entity of each confidence is right.

In: a trained run, and examples that it wasn't trained on. Out: data/outputs/<run>/calibration/<task>[-<variant>].json, a picture beside it, and the answers in a folder
of the same name. An entity is right where gold has its label at its place. The service refuses a calibration that wasn't made of today's model, prompt and rows.

    ./ner calibrate conf/tiny-qwen2-sample-ner-lora-sft.yaml
    ./ner calibrate conf/tiny-qwen2-sample-ner-lora-sft.yaml --which merged --split dev
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from tools.chat.thinking import Thinking
from tools.conf.run import dataset_names, run_from
from tools.conf.task import Task, find_task
from tools.data.doctor.plots import COLOURS
from tools.errors import WANTING, ToolError
from tools.example import Example, read_examples
from tools.extract.annotate import understood
from tools.extract.confidence import PRECISIONS, Calibration, Curve, asking_to_calibrate, calibration_file, made_from
from tools.files import replacing_file, write_json
from tools.predict.engines import Options
from tools.predict.predict import finished, predict
from tools.predict.predictions import Prediction, read_predictions
from tools.predict.questions import Asking, need_examples
from tools.score.bootstrap import SAMPLES, SEED, interval, resample

if TYPE_CHECKING:
    import numpy
    from matplotlib.axes import Axes

LEAST = 100  # entities; a bin of fewer than ten says little
BINS = 10  # of the same number of entities each
FOLDS = 5  # parts of the rows; the confidences of each come from a curve that was fitted on the others
RISK = 0.02  # that a promise fails on new rows; the docs say why it isn't larger
WIDE = 0.05  # of an ECE's interval
# Confidences that may become thresholds, the finer the nearer to 1. None is 0: entities without a confidence never count among those that a promise is about.
STEPS = (*(step / 100 for step in range(1, 99)), *(step / 1000 for step in range(990, 1000)))


@dataclass(frozen=True)
class Judged:
    """A split's entities, judged: arrays of the same length. `row` numbers an entity's row in `ids`, `raw` is its raw confidence, `right` 1.0 or 0.0.

    `gold` counts the spans in the gold of each row. `unsure` counts (right, wrong) entities without a confidence.
    """

    ids: list[str]
    gold: list[int]
    row: numpy.ndarray
    raw: numpy.ndarray
    right: numpy.ndarray
    unsure: tuple[int, int] = (0, 0)

    def part(self, rows: Sequence[int]) -> Judged:
        """Returns the entities of some rows, which keep their ids. `unsure` isn't divided: it is of the whole."""
        import numpy

        number = numpy.full(len(self.ids), -1)
        number[list(rows)] = range(len(rows))
        kept = number[self.row] >= 0
        ids, gold = [self.ids[row] for row in rows], [self.gold[row] for row in rows]
        return Judged(ids, gold, number[self.row[kept]], self.raw[kept], self.right[kept])


@dataclass(frozen=True)
class Bin:
    """Entities of neighbouring confidences: how many, the mean of what was said, and the share that is right."""

    entities: int
    said: float
    right: float


def judged(task: Task, examples: Iterable[Example], predictions: Mapping[str, Prediction], thinking: Thinking) -> Judged:
    """Returns the entities of all answers with their raw confidences, right where gold has the same span."""
    import numpy

    ids, gold, found, unsure = list[str](), list[int](), list[tuple[int, float, bool]](), [0, 0]
    for number, example in enumerate(examples):
        spans = {(entity.label, entity.start, entity.end) for entity in example.entities}
        ids.append(example.id)
        gold.append(len(spans))
        for one in understood(task, example, predictions.get(example.id, Prediction(example.id, None)), thinking).entities:
            is_right = (one.label, one.start, one.end) in spans
            if one.confidence is None:
                unsure[not is_right] += 1
            else:
                found.append((number, one.confidence, is_right))
    row, raw, right = zip(*found, strict=True) if found else ((), (), ())
    return Judged(ids, gold, numpy.array(row, dtype=int), numpy.array(raw, dtype=float), numpy.array(right, dtype=float), (unsure[0], unsure[1]))


def fitted(raw: numpy.ndarray, right: numpy.ndarray) -> Curve:
    """Returns the rising line that fits best, by isotonic regression (scikit-learn), without promises.

    One right entity of raw confidence 0 and one wrong of 1 are added, so that a handful of entities that happen to be right don't make a certainty.
    """
    import numpy
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(numpy.append(raw, (0, 1)), numpy.append(right, (1, 0)))
    # Rounding may leave steps of 1e-17 the wrong way.
    y = numpy.clip(numpy.maximum.accumulate(model.y_thresholds_), 0, 1)
    return Curve(tuple(model.X_thresholds_.tolist()), tuple(y.tolist()), ())


def corrected(curve: Curve, raw: numpy.ndarray) -> numpy.ndarray:
    """Returns the calibrated confidences of raw ones."""
    import numpy

    return numpy.array([curve.confidence(one) for one in raw.tolist()])


def cross_fitted(found: Judged) -> numpy.ndarray:
    """Returns the calibrated confidence of each entity, from a curve that its row had no part in. A hash of the row's id divides the rows into FOLDS."""
    import numpy

    folds = numpy.array([int.from_bytes(hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest()[:4]) % FOLDS for id in found.ids])[found.row]
    made = numpy.empty(len(found.raw))
    for fold in range(FOLDS):
        inside = folds == fold
        made[inside] = corrected(fitted(found.raw[~inside], found.right[~inside]), found.raw[inside])
    return made


def learned(found: Judged, confidence: numpy.ndarray | None = None) -> Curve:
    """Returns the curve of all entities, with its promises. `confidence` is the cross-fitted one, where it is at hand.

    Promises are made of cross-fitted confidences: those of the curve itself are too good on the rows that it was fitted on.
    """
    crossed = cross_fitted(found) if confidence is None else confidence
    curve = fitted(found.raw, found.right)
    return Curve(curve.x, curve.y, promises(crossed, found.right, clustering(found.row, found.right - crossed)))


def clustering(row: numpy.ndarray, errors: numpy.ndarray) -> float:
    """Returns how many times as much the sum of errors varies as if entities of one row had nothing in common, at least 1 (the design effect; Kish 1965, ch. 5)."""
    import numpy

    alone = float((errors**2).sum())
    return max(1.0, float((numpy.bincount(row, errors) ** 2).sum()) / alone) if alone else 1.0


def promises(confidence: numpy.ndarray, right: numpy.ndarray, together: float) -> tuple[tuple[float, float], ...]:
    """Returns (threshold, promised precision), both rising: the threshold that keeps the most entities, for each precision that can be promised.

    `together` is the clustering: so many entities count as one. Of thresholds that keep the same entities the middle one is taken: new entities may lie in the gap.
    """
    made = list[tuple[float, float]]()
    for entities, steps in groupby(STEPS, key=lambda step: int((confidence >= step).sum())):
        same = list(steps)
        wrong = entities - int(right[confidence >= same[0]].sum())
        precision = promised(math.ceil(wrong / together), math.floor(entities / together))
        if precision > (made[-1][1] if made else 0.0):
            made.append((same[len(same) // 2], precision))
    return tuple(made)


@lru_cache(maxsize=4096)
def promised(wrong: int, entities: int) -> float:
    """Returns the precision that as many new entities keep, but for a RISK, where `wrong` of `entities` were wrong; 0 where all were.

    Of all errors in the old and the new entities together, any half is equally likely to lie in the old: the number there is hypergeometric (Thatcher, Two-sided
    prediction limits for the binomial, JRSS B 26, 1964). So the bound holds the chance in the new entities as well as that in the old.
    """
    from scipy.stats import hypergeom

    if wrong >= entities:
        return 0.0
    low, high = 0, 2 * entities - wrong + 1  # errors in the new ones, of which the first that is too unlikely is looked for
    while low < high:
        middle = (low + high) // 2
        total = wrong + middle
        if total > 2 * entities or hypergeom.cdf(wrong, 2 * entities, total, entities) <= RISK:
            high = middle
        else:
            low = middle + 1
    return max(0.0, 1 - (low - 1) / entities)


def bins(confidence: numpy.ndarray, right: numpy.ndarray) -> list[Bin]:
    """Returns BINS bins of equally many entities, from the lowest confidence to the highest."""
    order = confidence.argsort(kind="stable")
    return [Bin(len(part), float(confidence[part].mean()), float(right[part].mean())) for part in _equal_parts(order)]


def _equal_parts(order: numpy.ndarray) -> list[numpy.ndarray]:
    import numpy

    return [part for part in numpy.array_split(order, BINS) if len(part)]


def ece(found: Judged, confidence: numpy.ndarray) -> tuple[float, float, float]:
    """Returns the expected calibration error over `bins`, and its interval at 95 % by a bootstrap over rows.

    It is the mean distance between what a bin says and the share that is right there (Naeini et al., AAAI 2015), with bins of equal numbers (Nixon et al., CVPR 2019).
    """
    import numpy

    parts = _equal_parts(confidence.argsort(kind="stable"))
    table = numpy.zeros((len(found.ids), len(parts) + 1))  # a row's sum of (said - right) in each bin, and its entities
    for column, part in enumerate(parts):
        numpy.add.at(table[:, column], found.row[part], confidence[part] - found.right[part])
    table[:, -1] = numpy.bincount(found.row, minlength=len(found.ids))
    sums = resample(numpy.ones(len(table), dtype=numpy.int64), table, SAMPLES, SEED)
    point = float(abs(table[:, :-1].sum(0)).sum() / len(confidence))
    with numpy.errstate(invalid="ignore"):
        low, high = interval(abs(sums[:, :-1]).sum(1) / sums[:, -1], point)
    return point, low, high


def calibrated(asking: Asking, options: Options) -> Calibration:
    """Asks the split, writes the picture and then the calibration, prints the tables, and returns the calibration. Answers that are up to date aren't asked again.

    Raises ToolError for a task or split that can't be calibrated, and (1) for too few entities with a confidence.
    """
    need_calibratable(asking)
    file = calibration_file(asking.variant, asking.task.name)
    examples, folder = need_examples(asking.run, asking.task, asking.split), file.with_suffix("")
    if predictions := None if options.fresh else finished(asking, folder):
        print(f"every row was answered before by this model ({predictions}); --fresh asks again", flush=True)
    answers = read_predictions(predictions or predict(asking, folder, options))
    found = need_enough(judged(asking.task, read_examples(examples), answers, asking.thinking), examples, answers)
    confidence = cross_fitted(found)
    curve = learned(found, confidence)
    result = Calibration(
        x=curve.x,
        y=curve.y,
        promises=curve.promises,
        split=asking.split,
        made_from=made_from(asking),
        rows=len(found.ids),
        gold=sum(found.gold),
        entities=len(found.raw),
        right=int(found.right.sum()),
        unsure=sum(found.unsure),
        ece_before=ece(found, found.raw),
        ece_after=ece(found, confidence),
    )
    before, after = bins(found.raw, found.right), bins(confidence, found.right)
    picture = draw(before, after, result, file.with_suffix(".png"))
    write_json(file, result.to_dict())
    print(f"\n{reliability_table(before, after, result)}\n\n{promise_table(found, confidence, result)}\n→ {file}, {picture}", flush=True)
    return result


def need_calibratable(asking: Asking) -> None:
    """Raises ToolError for a classification task, and for rows that the model was trained on."""
    run, task, split = asking.run, asking.task, asking.split
    if task.kind != "ner":
        raise ToolError(
            f"{task.path}: a classification task isn't calibrated: its options have the probabilities that the model gives them. ./ner calibrate is for tasks of `kind: ner`."
        )
    if not asking.variant.is_base and f"alpaca_{task.name}_{split}" in dataset_names(run.trained().values.get("dataset")):
        raise ToolError(f"{run.path}: was trained on {split}, where it is surer than on new rows. To name rows that were held out: --split NAME")


def need_enough(found: Judged, examples: Path, answers: Mapping[str, Prediction]) -> Judged:
    """Returns `found`. Raises ToolError (1) where too few entities have a confidence, with the reason."""
    if len(found.raw) >= LEAST:
        return found
    unsure = sum(found.unsure)
    if unsure and not any(one.tokens or any(part.tokens for part in one.parts) for one in answers.values()):
        reason = "the server gave no log-probabilities. `make serve` gives them"
    elif unsure:
        reason = f"{unsure:,} entities have none, because their answers aren't in the trained form. A trained model answers in it: ./ner eval says how many rows are strict"
    else:
        reason = "the split or the model's answers hold too few. To name a larger split: --split NAME"
    raise ToolError(f"{examples}: {len(found.raw):,} entities with a confidence, and {LEAST} are needed to calibrate: {reason}.", WANTING)


def reliability_table(before: Sequence[Bin], after: Sequence[Bin], result: Calibration) -> str:
    """Returns the bins before and after as a table, with the ECE of both."""
    lines = [
        f"{result.entities:,} entities with a confidence in {result.rows:,} rows, {result.right:,} of them right"
        + (f"; {result.unsure:,} without one" if result.unsure else ""),
        "",
        f"{'':<9} {'before':^24}  {'after':^24}",
        f"{'entities':<9} {'confidence':>12} {'right':>11}  {'confidence':>12} {'right':>11}",
    ]
    for one, other in zip(before, after, strict=True):
        lines.append(f"{one.entities:<9,} {one.said:>12.3f} {one.right:>11.3f}  {other.said:>12.3f} {other.right:>11.3f}")
    lines.append(f"{'ECE':<9} {_shown(result.ece_before):>24}  {_shown(result.ece_after):>24}")
    if result.ece_after[2] - result.ece_after[1] > WIDE:
        lines.append(f"The interval of the ECE is wide ({_shown(result.ece_after)}): more rows would narrow it.")
    return "\n".join(lines)


def promise_table(found: Judged, confidence: numpy.ndarray, result: Calibration) -> str:
    """Returns the threshold of each of PRECISIONS, and what it costs in recall: the right entities that it leaves out, by the gold spans.

    Where one of them can't be promised, the best that can has a line too.
    """
    right, gold = result.right + found.unsure[0], max(1, result.gold)
    lines = [f"{'precision':<10} {'threshold':>9} {'recall':>8} {'lost':>7}", f"{'any':<10} {'none':>9} {right / gold:>8.3f} {'':>7}"]
    best = math.floor(100 * result.best_precision) / 100
    for precision in sorted({*PRECISIONS, best} if 0 < best < max(PRECISIONS) else PRECISIONS):
        threshold = result.threshold(precision)
        if threshold is None:
            lines.append(f"{precision:<10.2f} can't be promised: at most {best:.2f}")
        else:
            kept = float(found.right[confidence >= threshold].sum())
            lines.append(f"{precision:<10.2f} {threshold:>9.3f} {kept / gold:>8.3f} {(right - kept) / gold:>7.3f}")
    return "\n".join(lines)


def _shown(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"


def draw(before: Sequence[Bin], after: Sequence[Bin], result: Calibration, path: Path) -> Path:
    """Draws the share of right entities over the confidence, before and after, and returns the picture's path."""
    from matplotlib.figure import Figure  # pyplot would keep global state

    figure = Figure(figsize=(9, 5.2), layout="compressed")
    for axes, (name, points, error, colour) in zip(
        figure.subplots(1, 2, sharey=True),
        (("before", before, result.ece_before, COLOURS[1]), ("after, on rows that the curve wasn't fitted on", after, result.ece_after, COLOURS[0])),
        strict=True,
    ):
        _draw_bins(axes, points, colour)
        axes.set(title=f"{name}\nECE {_shown(error)}", xlabel="confidence")
    figure.axes[0].set_ylabel("share of right entities")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_file(path) as new:
        figure.savefig(new, format="png", dpi=150, metadata={"Software": None})
    return path


def _draw_bins(axes: Axes, points: Sequence[Bin], colour: str) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    axes.vlines([one.said for one in points], [one.said for one in points], [one.right for one in points], color=colour, linewidth=1)
    axes.plot([one.said for one in points], [one.right for one in points], marker="o", color=colour)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.spines[["top", "right"]].set_visible(False)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own option."""
    parser.add_argument("--fresh", action="store_true", help="ask every row, also those that were answered before")


def main(args: argparse.Namespace) -> None:
    """Calibrates one of the run's models."""
    run = run_from(args)
    task, variant = find_task(args.task or run.task), run.variant(args.which)
    calibrated(
        asking_to_calibrate(run, task, args.split, variant), Options(url=args.url, port=args.port, concurrency=args.concurrency, fresh=args.fresh)
    )
