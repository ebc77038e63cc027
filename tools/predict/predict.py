"""Asks a model for every row of a split, with the prompt that training used, greedily.

In: a run, and the examples of its task. Out: predictions.jsonl, one line an example in their order, and predictions.meta.json. An interrupted prediction goes on.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev --out DIR
    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --engine offline --questions questions.jsonl --out DIR
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path

from tools.chat.decoding import DECODINGS
from tools.conf.run import run_from
from tools.conf.task import find_task
from tools.errors import WANTING, ToolError
from tools.files import need_file, sha256, write_text
from tools.predict.engines import ENGINES, ONLY, Engine, Options
from tools.predict.journal import Journal
from tools.predict.predictions import FILE, META, Conditions, Prediction, PredictionsMeta, read_meta, read_predictions, write_meta
from tools.predict.questions import Asking, Question, by_row, combined, need_examples, prompts_hash, sampling_of
from tools.text import whole_number


def predict(asking: Asking, out: Path, options: Options) -> Path:
    """Predicts with the engine that `options` name; returns the predictions file. Raises ToolError as `collect` does."""
    check_options(asking, options)
    _need_room(out, options.limit)
    need_file(asking.source) if asking.file else need_examples(asking.run, asking.task, asking.split)
    with importlib.import_module(ENGINES[options.engine]).ready(asking, options) as engine:
        return collect(asking, out, engine, options)


def collect(asking: Asking, out: Path, engine: Engine, options: Options) -> Path:
    """Lets an engine answer what isn't answered yet, keeps each answer at once, and returns the predictions file.

    An interrupted call loses no answer: the same call goes on. Rows that the engine refuses are recorded with their error. Raises ToolError (1) when the engine
    stops before the end, and when it refused every row.
    """
    rows = list(islice(by_row(asking.questions()), options.limit))
    asked = [question for row in rows for question in row]
    _tell_windows(rows, asking)
    conditions = asking.conditions(engine.model, engine.label)
    with Journal(out, asked, conditions.digest(), options.fresh) as journal:
        if journal.found:
            print(
                f"{len(journal.found):,} of {len(asked):,} {_unit(rows)} were answered before, and aren't asked again (--fresh asks them all)",
                flush=True,
            )
        _ask(engine, journal, len(asked), _unit(rows))
        predictions = [combined(row, journal.found) for row in rows]
        _need_answers(predictions, engine, asking.source, journal)
        _write(out, predictions, asked, conditions, asking.source)
        journal.done()
    return out / FILE


def finished(asking: Asking, out: Path) -> Path | None:
    """Returns the predictions in `out` if they answer every row, by today's model, to today's questions, whichever engine gave them; else None."""
    if not (out / META).is_file() or not (out / FILE).is_file():
        return None
    meta = read_meta(out / META)
    same = meta.fingerprint == asking.conditions(meta.model, meta.engine).digest() and meta.prompts_sha256 == prompts_hash(asking.questions())
    return out / FILE if same and not meta.refused else None


def _tell_windows(rows: Sequence[Sequence[Question]], asking: Asking) -> None:
    """Prints how many rows are asked in windows, where there are any."""
    if cut := sum(row[0].window is not None for row in rows):
        parts = sum(len(row) for row in rows if row[0].window is not None)
        longest = asking.reach.longest if asking.reach else 0
        print(
            f"{cut:,} of {len(rows):,} rows are longer than any text of the training ({longest:,} characters), and are asked in {parts:,} windows",
            flush=True,
        )


def _unit(rows: Sequence[Sequence[Question]]) -> str:
    return "windows" if any(row[0].window is not None for row in rows) else "rows"


def _ask(engine: Engine, journal: Journal, questions: int, unit: str) -> None:
    """Asks the open questions. Raises the engine's ToolError, or one about rows that it left out, with the number of answers that are kept."""
    from tqdm import tqdm

    try:
        with tqdm(total=questions, initial=len(journal.found), desc=engine.model, unit=f" {unit}", disable=None) as bar:

            def keep(prediction: Prediction) -> None:
                journal.keep(prediction)
                bar.update()

            if still_open := journal.open:
                engine.answer(still_open, keep)
        if missing := journal.open:
            raise ToolError(f"{engine.place} ended without an answer to {len(missing):,} {unit}, e.g. {missing[0].id}.", WANTING)
    except ToolError as problem:
        raise ToolError(f"{problem} {journal.kept}".strip(), problem.exit_code) from None
    except KeyboardInterrupt:
        print(f"\n{journal.kept}")
        raise


def _need_answers(predictions: Sequence[Prediction], engine: Engine, source: Path, journal: Journal) -> None:
    """Prints how many rows were refused. Raises ToolError (1) where all were."""
    failed = [prediction for prediction in predictions if prediction.error]
    if len(failed) == len(predictions):
        journal.done()
        raise ToolError(f"{engine.place} refused every row of {source}: {failed[0].error}", WANTING)
    if failed:
        print(f"{len(failed)} of {len(predictions)} rows were refused by {engine.place} and count as missing, e.g. {failed[0].id}: {failed[0].error}")


def _write(out: Path, predictions: Sequence[Prediction], asked: Sequence[Question], conditions: Conditions, source: Path) -> None:
    """Writes predictions.jsonl, and predictions.meta.json last."""
    (out / META).unlink(missing_ok=True)
    write_text(out / FILE, "".join(prediction.to_json() + "\n" for prediction in predictions))
    meta = PredictionsMeta(
        **asdict(conditions),
        examples_sha256=sha256(source),
        prompts_sha256=prompts_hash(asked),
        rows=len(predictions),
        refused=sum(prediction.error is not None for prediction in predictions),
        fingerprint=conditions.digest(),
    )
    write_meta(out / META, meta)


def _need_room(out: Path, limit: int | None) -> None:
    """Raises ToolError where a few rows would take the place of a whole split's predictions."""
    if limit is not None and (out / FILE).is_file() and (there := len(read_predictions(out / FILE))) > limit:
        raise ToolError(f"{out / FILE}: holds {there} predictions, --limit {limit} would replace them by fewer; name another folder with --out.")


def check_options(asking: Asking, options: Options) -> None:
    """Raises ToolError for options that the engine doesn't have."""
    given = {name for name, value in asdict(options).items() if value != getattr(Options(), name)}
    given |= {"decoding"} if asking.decoding != "free" else set()
    given |= {"sampling"} if asking.sampling != sampling_of(asking.task, asking.run.trained()) else set()
    for name in sorted(given & ONLY.keys()):
        if options.engine not in ONLY[name]:
            raise ToolError(f"--{name.replace('_', '-')} is an option of --engine {' and '.join(ONLY[name])}, not of {options.engine}.")


def options_from(args: argparse.Namespace) -> Options:
    """Returns the options of a command's words. `--debug` shows one row from prompt to answer, so that row must be asked."""
    return Options(**{field.name: getattr(args, field.name) for field in fields(Options)} | {"fresh": args.fresh or args.debug})


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Declares the options that predicting takes, alone or followed by scoring."""
    plain = Options()
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=plain.engine,
        help="vllm: a server; offline: vLLM without one; ray: vLLM over a Ray cluster; hf: transformers + PEFT in this process (default: vllm)",
    )
    parser.add_argument("--decoding", choices=DECODINGS, default="free", help="schema: only the task's own format can be answered (default: free)")
    parser.add_argument("--fresh", action="store_true", help="ask every row, also those that were answered before")
    parser.add_argument(
        "--batch-size",
        type=whole_number(1, 100_000),
        default=plain.batch_size,
        metavar="N",
        help=f"hf: rows that are answered together (default: {plain.batch_size})",
    )
    parser.add_argument("--debug", action="store_true", help="hf: show one row's way from prompt to answer")
    parser.add_argument("--limit", type=whole_number(1, 1_000_000_000), metavar="N", help="hf: answer only the first N rows, and score nothing")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own options."""
    add_engine_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets predictions.jsonl and predictions.meta.json")
    parser.add_argument("--questions", type=Path, metavar="FILE", help='ask these in place of a split: one {"id", "messages", "constraint"} a line')
    parser.add_argument(
        "--sampling",
        type=json.loads,
        default={},
        metavar="JSON",
        help="vLLM's sampling parameters for --questions (default: greedy, 512 tokens)",
    )


def main(args: argparse.Namespace) -> None:
    """Predicts, and prints the predictions file."""
    run = run_from(args)
    task, variant = find_task(args.task or run.task), run.variant(args.which)
    if args.sampling and not args.questions:
        raise ToolError("--sampling goes with --questions; a split is asked greedily, so that scores compare.")
    split = args.questions.stem if args.questions else args.split
    asking = Asking(run, task, split, variant, args.decoding, args.questions, args.sampling)
    print(predict(asking, args.out, options_from(args)))
