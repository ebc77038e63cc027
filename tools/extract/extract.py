"""Annotates a file of texts with a run's model: each row gets its entities with places and confidence, or its class.

In: a .txt, .csv or .jsonl file and a trained run. Out: the same rows with their annotation, in a .jsonl, .csv or .parquet file. A call that was interrupted goes on.

    ./ner extract texts.jsonl --run conf/tiny-qwen2-sample-ner-lora-sft.yaml --out annotated.jsonl
    ./ner extract texts.csv --run conf/tiny-qwen2-sample-ner-lora-sft.yaml --precision 0.95 --engine ray --out annotated.parquet
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tools.conf.run import load_run
from tools.conf.task import Task, find_task
from tools.errors import ToolError, choices
from tools.example import Example
from tools.extract.annotate import Selection, understood
from tools.extract.annotated_file import FAULTS, Fault, Record, Upload, read, record, write_csv, write_jsonl, write_parquet
from tools.extract.confidence import Calibration, current_calibration
from tools.files import need_file
from tools.predict.engines import Options
from tools.predict.predict import predict
from tools.predict.predictions import read_predictions
from tools.predict.questions import LOGPROBS, Asking, Question, questions, sampling_of
from tools.text import share

ENGINES = ("vllm", "offline", "ray")  # those that give the log-probabilities of an answer
WRITERS = {".jsonl": write_jsonl, ".csv": write_csv, ".parquet": write_parquet}
EVERY = Selection()
WORK = ".answers"  # behind the result's name: the folder of the answers while the work is under way


@dataclass(frozen=True)
class FileAsking(Asking):
    """The texts of a file, and the model that is asked. The file's name stands for the split."""

    examples: list[Example] = field(default_factory=list)

    def each(self) -> Iterator[Question]:
        """Returns an iterator over the questions of the rows that aren't blank."""
        return questions(self.task, self.examples, self.decoding, self.thinking.before, self.reach)


def extract(
    asking: FileAsking, upload: Upload, out: Path, options: Options, calibration: Calibration | None = None, wanted: Selection = EVERY
) -> list[Record]:
    """Asks for every text, writes the annotated file, and returns its records. Entities that aren't `wanted` are left out.

    Raises ToolError as `predict` does; the answers until then are kept beside `out`, and the same call goes on.
    """
    work = out.with_name(out.name + WORK)
    found = read_predictions(predict(asking, work, options)) if asking.examples else {}
    made = {one.id: understood(asking.task, one, found[one.id], asking.thinking, calibration).selected(wanted) for one in asking.examples}
    records = [record(text, made.get(str(row)), asking.task.kind) for row, text in enumerate(upload.texts)]
    try:
        WRITERS[out.suffix](out, upload, records)
    except Fault as problem:
        raise _refusal(problem) from None
    shutil.rmtree(work, ignore_errors=True)
    return records


def examples_of(upload: Upload, task: Task) -> list[Example]:
    """Returns an example for each row that isn't blank, whose id is the row's number from 0. Raises ToolError for a row without options to choose from."""
    found = []
    for row, text in enumerate(upload.texts):
        own = upload.options[row] if upload.options else None
        if text.strip():
            if task.kind == "classification" and not task.labels and len(own or []) < 2:
                raise ToolError(
                    f"{upload.name}: row {row + 1} has no `options`, and {task.path} has no labels of its own. Write each row's: options: [甲, 乙]."
                )
            found.append(Example(str(row), text, [], options=own if task.kind == "classification" else None))
    return found


def _refusal(problem: Fault) -> ToolError:
    return ToolError(FAULTS[problem.key][0].format(**problem.values))


def _threshold(args: argparse.Namespace, calibration: Calibration | None) -> float | None:
    """Returns the confidence that an entity needs, None for none. Raises ToolError for a precision that can't be promised."""
    if args.precision is None:
        return None if args.threshold is None else float(args.threshold)
    again = f"./ner calibrate {args.run}"
    if calibration is None:
        raise ToolError(f"--precision {args.precision:g}: {args.run} isn't calibrated. To calibrate it: {again}")
    found = calibration.threshold(args.precision)
    if found is None:
        raise ToolError(f"--precision {args.precision:g}: the calibration can promise {calibration.best_precision:.3f} at most. To see it: {again}")
    return found


def texts_of(path: Path) -> Upload:
    """Reads the texts of a file. Raises ToolError for a file that isn't there or can't be read."""
    try:
        return read(need_file(path), limited=False)
    except Fault as problem:
        raise _refusal(problem) from None


def add_asking_options(parser: argparse.ArgumentParser) -> None:
    """Declares the options of asking a run for each text of a file."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="txt: one text a line; csv: column `text`, or the only column of text; jsonl: field `text`"
    )
    parser.add_argument("overrides", nargs="*", metavar="overlay.yaml|key=value", help="laid over the run in the order given (make: ARGS=…)")
    parser.add_argument("--run", type=Path, required=True, metavar="conf/<run>.yaml", help="the run that is asked (make: CONF=…)")
    parser.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help="vllm: a server; offline: vLLM without one; ray: over a Ray cluster (default: vllm)"
    )
    parser.add_argument("--fresh", action="store_true", help="ask every row, also those that were answered before")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own options."""
    add_asking_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the result: .jsonl, .parquet, or .csv for a csv")
    parser.add_argument("--threshold", type=share, metavar="P", help="leave out entities of less confidence, and those without one")
    parser.add_argument("--precision", type=share, metavar="P", help="the threshold at which a calibrated run keeps this precision")


def main(args: argparse.Namespace) -> None:
    """Annotates the file, and prints what was found."""
    run = load_run(args.run, args.overrides)
    task, variant = find_task(args.task or run.task), run.variant(args.which)
    upload = texts_of(args.file)
    _need_writer(args.out, upload)
    calibration = current_calibration(run, variant, task) if task.kind == "ner" else None
    wanted = Selection(threshold=_threshold(args, calibration))
    asking = FileAsking(
        run, task, args.file.stem, variant, file=args.file, sampling=sampling_of(task, run.trained()) | LOGPROBS, examples=examples_of(upload, task)
    )
    options = Options(**{one.name: getattr(args, one.name) for one in fields(Options) if hasattr(args, one.name)})
    started = time.monotonic()
    records = extract(asking, upload, args.out, options, calibration, wanted)
    print(_summary(records, time.monotonic() - started, calibration, task))
    print(f"→ {args.out}")


def _need_writer(out: Path, upload: Upload) -> None:
    """Raises ToolError for a result that can't be written."""
    if out.suffix not in WRITERS:
        raise ToolError(f"--out {out}: a result is a .jsonl, .csv or .parquet file.{choices(out.suffix, WRITERS)}")
    if out.suffix == ".csv" and not upload.header:
        raise ToolError(f"--out {out}: a .csv is written for a .csv; {upload.name} is none. Take .jsonl or .parquet.")


def _summary(records: list[Record], seconds: float, calibration: Calibration | None, task: Task) -> str:
    errors = [one for one in records if one["error"]]
    counts: dict[str, Any] = {
        "entities": sum(len(one.get("entities") or []) for one in records),
        "errors": len(errors),
        "blank": sum(not one["text"].strip() for one in records),
    }
    rate = f"{len(records):,} rows in {seconds:,.0f} s ({len(records) / max(seconds, 1e-9):,.1f} rows/s)"
    found = f", {counts['entities']:,} entities" if task.kind == "ner" else ""
    told = f"{rate}{found}, {counts['errors']:,} with an error, {counts['blank']:,} blank."
    if errors:
        told += f" The first error: row {records.index(errors[0]) + 1}: {errors[0]['error']}"
    if task.kind == "ner" and calibration is None:
        told += "\nconfidences are the model's own: the run isn't calibrated"
    return told
