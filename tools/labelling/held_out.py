"""Asks a run's models about rows that they weren't trained on: the run itself about a held-out split, or one model a fold about the training split.

In: a trained run, its task, and a number of folds. Out: each example with the model's annotation of its text. The models of the folds, and all answers, are kept in
`<output_dir>/folds/<k>of<K>/`: an interrupted call goes on, and a finished one isn't repeated.

    ./ner suspects conf/task/sample.yaml --run conf/tiny-qwen2-sample-ner-lora-sft.yaml --folds 5
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tools.conf.run import Run, dataset_names
from tools.conf.task import Task
from tools.errors import ToolError
from tools.example import Example, read_examples
from tools.extract.annotate import Annotation, understood
from tools.extract.confidence import asking_to_calibrate
from tools.predict.engines import Options
from tools.predict.predict import finished, predict
from tools.predict.predictions import Prediction, read_predictions
from tools.predict.questions import need_examples
from tools.train.part import fold_of, need_own_data, trained_part

FOLDS = "folds"
ASKED = "dev"  # the split of a fold's dataset that holds the rows which its model wasn't trained on
Read = tuple[Example, Annotation]


def held_out(run: Run, task: Task, split: str, folds: int, options: Options) -> Iterator[Read]:
    """Yields each example of a split with the annotation of a model that wasn't trained on it. `folds` of 0 asks the run itself.

    Raises ToolError where the run was trained on the split, and for what training or asking refuses.
    """
    if folds:
        yield from _by_folds(run, task, split, folds, options)
        return
    if is_trained_on(run, task, split):
        raise ToolError(f"{run.path}: was trained on {split}, where it repeats the labels. To train models that weren't: --folds 5")
    yield from _answers(run, task, split, list(read_examples(need_examples(run, task, split))), run.output_dir / "suspects" / split, options)


def is_trained_on(run: Run, task: Task, split: str) -> bool:
    """Returns whether a run was trained on a split of a task."""
    return f"alpaca_{task.name}_{split}" in dataset_names(run.trained().values.get("dataset"))


def _by_folds(run: Run, task: Task, split: str, folds: int, options: Options) -> Iterator[Read]:
    """Yields the rows of one fold after another, each asked of a model that was trained on all other folds."""
    need_own_data(run, task)
    rows = list(read_examples(need_examples(run, task, split)))
    for number in range(folds):
        held = [row for row in rows if fold_of(row, folds) == number]
        rest = [row for row in rows if fold_of(row, folds) != number]
        folder = run.output_dir / FOLDS / f"{number + 1}of{folds}"
        print(f"fold {number + 1} of {folds}: training on {len(rest):,} rows, {len(held):,} are held out", flush=True)
        yield from _answers(trained_part(run, task, folder, {"train": rest, ASKED: held}), task, ASKED, held, folder / "answers", options)


def _answers(run: Run, task: Task, split: str, rows: list[Example], out: Path, options: Options) -> Iterator[Read]:
    """Yields `rows` with a run's annotations of a split that holds their texts, in order."""
    asking = asking_to_calibrate(run, task, split, run.variant("adapter"))
    predictions = read_predictions(finished(asking, out) or predict(asking, out, options))
    asked = read_examples(need_examples(run, task, split))
    for row, own in zip(rows, asked, strict=True):
        yield row, understood(task, row, predictions.get(own.id, Prediction(own.id, None)), asking.thinking)
