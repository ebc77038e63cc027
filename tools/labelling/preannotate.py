"""Annotates unlabelled texts with a run for annotators to correct, and puts those first that would teach the run most.

In: a .txt, .csv or .jsonl file and a trained run. Out: a file to import into Label Studio or doccano, with the run's annotation of each text as a suggestion, how sure the run
is, and a line that says why the text is here. A call that was interrupted goes on, and another call with the same texts asks nothing again.

    ./ner annotate texts.jsonl --run conf/tiny-qwen2-sample-ner-lora-sft.yaml --limit 200
    ./ner annotate texts.csv --run conf/tiny-qwen2-sample-ner-lora-sft.yaml --to doccano --out next
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tools.conf.run import load_run
from tools.conf.task import SPLIT_NAME, Task, find_task
from tools.data.repeats import digest, normalised
from tools.errors import WANTING, ToolError
from tools.example import Entity, Example, read_examples
from tools.extract.annotate import Annotation, understood
from tools.extract.annotated_file import Upload
from tools.extract.confidence import whole_confidence
from tools.extract.extract import WORK, FileAsking, add_asking_options, examples_of, texts_of
from tools.labelling.exchange import TOOLS, Sheet, send
from tools.labelling.order import Candidate, ordered
from tools.predict.engines import Options
from tools.predict.predict import finished, predict
from tools.predict.predictions import read_predictions
from tools.predict.questions import LOGPROBS, sampling_of
from tools.text import one_line, whole_number

FOLDER = "annotate"  # in the run's folder
UNKNOWN = 0.5  # stands for a confidence that can't be known
LONGEST_NOTE = 80  # characters of a string that a note shows


class AnswerPart(NamedTuple):
    """How sure a run is of one part of its answer, and that part in words. None: it can't be known."""

    confidence: float | None
    words: str

    @property
    def rank(self) -> float:
        """The confidence by which parts are compared."""
        return UNKNOWN if self.confidence is None else self.confidence


@dataclass(frozen=True)
class NewTexts:
    """The texts of a file that are asked, and what is left out: texts that the task's examples hold already, and repeats within the file."""

    asked: list[Example]
    known: int
    repeated: int


def new_texts(upload: Upload, task: Task, dataset: Path) -> NewTexts:
    """Returns the texts that no example of the task holds, each once. Texts that differ only in width or whitespace count as one."""
    known = {digest(normalised(one.text)) for path in example_files(task, dataset) for one in read_examples(path)}
    first: dict[int, Example] = {}
    counted = Counter[str]()
    for one in examples_of(upload, task):
        key = digest(normalised(one.text))
        fate = "known" if key in known else "repeated" if key in first else "asked"
        counted[fate] += 1
        if fate == "asked":
            first[key] = one
    return NewTexts(list(first.values()), counted["known"], counted["repeated"])


def example_files(task: Task, dataset: Path) -> list[Path]:
    """Returns the files of a task's examples, of every split that is here."""
    own = re.compile(rf"{re.escape(task.name)}_{SPLIT_NAME.pattern}\.jsonl")
    return sorted(path for path in task.examples("train", dataset).parent.glob("*.jsonl") if own.fullmatch(path.name))


def answers(asking: FileAsking, folder: Path, options: Options) -> Iterator[tuple[Example, Annotation]]:
    """Yields each text with the run's annotation of it. Texts that the same model was asked before aren't asked again. Raises ToolError as `predict` does."""
    if done := None if options.fresh else finished(asking, folder):
        print(f"every text was answered before by this model ({done}); --fresh asks again", flush=True)
    found = read_predictions(done or predict(asking, folder, options))
    for one in asking.examples:
        yield one, understood(asking.task, one, found[one.id], asking.thinking)


def answer_parts(task: Task, made: Annotation) -> Iterator[AnswerPart]:
    """Yields how sure the run is of each part of an answer: of its entities, and of an answer or a window without any; of a class.

    A string that stands several times in the text is one part: the run wrote it once, and is right or wrong about it as a whole. A string that isn't in the text and a label that the task doesn't have are certainly wrong: their confidence is 0.
    """
    if task.kind == "classification":
        yield AnswerPart(whole_confidence(made.prediction.output or "", made.prediction.tokens), str(made.label))
        return
    first = {(one.label, one.text): one.confidence for one in reversed(made.entities)}
    for (label, string), confidence in first.items():
        known = label in task.labels
        words = f"{_shown(string)} [{label}]" + ("" if known else ", a label that the task doesn't have")
        yield AnswerPart(confidence if known else 0.0, words)
    for label, string in made.nowhere:
        yield AnswerPart(0.0, f"{_shown(string)} [{label}], which isn't in the text")
    yield from _nothing(made)


def _nothing(made: Annotation) -> Iterator[AnswerPart]:
    """Yields how sure the run is that there is nothing, for an answer or a window without an entity."""
    parts = made.prediction.parts
    if not parts and not made.entities and not made.nowhere:
        yield AnswerPart(whole_confidence(made.prediction.output or "", made.prediction.tokens), "no entity")
    for part in parts:
        if not any(part.window.owns(one.start) for one in made.entities):
            yield AnswerPart(whole_confidence(part.output, part.tokens), "no entity in a part of the text")


def problem_of(task: Task, made: Annotation, options: Sequence[str]) -> str:
    """Returns why an answer can't be read; an empty string where it can."""
    if made.prediction.error or made.failures:
        return made.prediction.error or ", ".join(made.failures)
    return f"no class of the task: {_shown(str(made.label))}" if task.kind == "classification" and made.label not in options else ""


class PreAnnotated(NamedTuple):
    """A text on its way to an annotator, and the number of errors that are expected in the run's annotation; None where its answer can't be read."""

    sheet: Sheet
    errors: float | None

    @property
    def candidate(self) -> Candidate:
        """What the text's place in the order depends on."""
        return Candidate(self.sheet.example.text, self.errors)


def preannotated(task: Task, one: Example, made: Annotation, maker: str, file: str) -> PreAnnotated:
    """Returns a text with the run's annotation as a suggestion, named by its file and row. Its score is the lowest confidence of a part of the answer.

    A part of confidence p is an error with probability 1 - p; the text's expected errors are the sum over the parts.
    """
    example = Example(f"{file}:{int(one.id) + 1}", one.text, [])
    suggestion = _suggestion(task, example, made)
    if problem := problem_of(task, made, one.options or task.labels):
        return PreAnnotated(Sheet(example, suggestion if made.entities else None, maker, None, f"no readable answer: {problem}", True), None)
    parts = list(answer_parts(task, made))
    weakest = min(parts, key=lambda part: part.rank)
    note = "confidence unknown" if weakest.confidence is None else f"lowest confidence {weakest.confidence:.2f}"
    sheet = Sheet(example, suggestion, maker, weakest.rank, f"{note}: {weakest.words}", True)
    return PreAnnotated(sheet, sum(1 - part.rank for part in parts))


def _suggestion(task: Task, example: Example, made: Annotation) -> Example:
    """Returns the run's annotation as far as an annotation tool can show it: with the task's own labels alone."""
    if task.kind == "classification":
        return replace(example, label=made.label)
    return replace(example, entities=[Entity(one.label, one.text, one.start, one.end) for one in made.entities if one.label in task.labels])


def _shown(string: str) -> str:
    return one_line(string, LONGEST_NOTE)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's own options."""
    add_asking_options(parser)
    parser.add_argument("--to", choices=TOOLS, default="label_studio", help="the annotation tool (default: label_studio)")
    parser.add_argument("--limit", dest="most", type=whole_number(1, 1_000_000_000), metavar="N", help="write the first N texts only (default: all)")
    parser.add_argument("--out", type=Path, metavar="STEM", help="the result's path without its ending (default: data/outputs/<run>/annotate/<file>)")


def main(args: argparse.Namespace) -> None:
    """Asks for the texts, writes the file to import, and prints what it holds and the next command."""
    run = load_run(args.run, args.overrides)
    task, variant = find_task(args.task or run.task), run.variant(args.which)
    if not task.labels:
        raise ToolError(f"{task.path}: has no labels of its own, and an annotation tool shows one list of them for all texts. List them in `labels`.")
    texts = new_texts(texts_of(args.file), task, run.dataset)
    if not texts.asked:
        raise ToolError(f"{args.file}: every text of it stands in the examples of {task.name} already.", WANTING)
    sampling = sampling_of(task, run.trained()) | LOGPROBS
    asking = FileAsking(run, task, args.file.stem, variant, file=args.file, sampling=sampling, examples=texts.asked)
    stem = args.out or run.output_dir / FOLDER / args.file.stem
    if not stem.name:
        raise ToolError(f"--out {stem}: a file's path without its ending is needed, such as {stem / args.file.stem}")
    options = Options(args.engine, args.url, args.port, args.concurrency, args.fresh)
    work = stem.with_name(stem.name + WORK)
    found = [preannotated(task, one, made, variant.served_name, args.file.name) for one, made in answers(asking, work, options)]
    chosen = [found[number].sheet for number in ordered([one.candidate for one in found], args.most)]
    print(_summary(texts, found, task), flush=True)
    send(args.to, task, chosen, stem)
    print(f"next: import it and annotate; then ./ner merge {task.path} EXPORT --add-to train")


def _summary(texts: NewTexts, found: Sequence[PreAnnotated], task: Task) -> str:
    unread = [one.sheet for one in found if one.errors is None]
    told = f"{len(found):,} texts were asked; left out: {texts.known:,} that are in the examples of {task.name}, {texts.repeated:,} repeated"
    return told + (
        f"\n{len(unread):,} answers can't be read; their texts come first, e.g. {unread[0].example.id}: {unread[0].note}" if unread else ""
    )
