"""Finds likely label errors in a task's examples, the worst first: by what all other rows say of a string, and, with a run, by a model's answers on rows it wasn't trained on.

In: a task whose examples are there (`make data`), and perhaps a run. Out: a table, and suspects.jsonl and suspects.html in data/outputs/suspects/<task>/, or
data/outputs/<run>/suspects/; with --to, the rows for Label Studio or doccano.

    ./ner suspects conf/task/sample.yaml
    ./ner suspects conf/task/sample.yaml --run conf/tiny-qwen2-sample-ner-lora-sft.yaml --folds 5 --to label_studio
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from heapq import heappush, heappushpop
from itertools import count, groupby
from pathlib import Path
from typing import Any

from tools.answers import Span
from tools.conf.run import Run, load_run
from tools.conf.task import DATASET, Task, load_task
from tools.data import stamp
from tools.errors import WANTING, ToolError, all_at_once
from tools.example import Example, read_examples
from tools.files import Transaction, need_file
from tools.labelling.exchange import TOOLS, Sheet, changed, send
from tools.labelling.held_out import Read, held_out, is_trained_on
from tools.labelling.string_evidence import JudgedPlace, Marking, ModelAnswer, StringEvidence
from tools.labelling.suspect import Annotated, Marked, Suspect, Why, kind_of
from tools.labelling.suspicion import RATE, Suspicion
from tools.labelling.wrong_classes import UNSURE, class_suspects
from tools.predict.engines import Options
from tools.report.evaluations import OUTPUTS
from tools.report.static_page import static_page
from tools.text import clipped, one_line, padded, share, visible, whole_number

LEAST = 0.1  # score of a suspect that is listed
LIMIT = 10_000  # suspects that are listed
SHOWN, ON_PAGE = 20, 300  # in the table, and on the page
WAYS, IDS = 4, 3  # in which a string's places are annotated, and examples of each, that are named
LIKELY = 3  # times as many entities of another label must end alike to suggest it
MEANING = f"A score is the share of places with such evidence that are wrong where {RATE:.0%} of the labels are damaged."
TEMPLATE = Path(__file__).with_suffix(".html")


@dataclass(frozen=True)
class Rows:
    """A task's examples: split → file."""

    task: Task
    files: dict[str, Path]

    def read(self) -> Iterator[Example]:
        """Yields the examples of all splits, with a progress bar."""
        from tqdm import tqdm

        for split, path in self.files.items():
            yield from tqdm(read_examples(path), desc=f"{self.task.name} {split}", unit=" rows", disable=None, leave=False)

    def split_of(self, example: Example) -> str:
        """Returns the split of an example, which is a part of its id."""
        return example.id.removeprefix(f"{self.task.name}-").rpartition("-")[0]


def rows_of(task: Task, dataset: Path) -> Rows:
    """Returns the examples of a task that are in a dataset's folder. Raises ToolError where a split's aren't there, or (1) aren't of one conversion."""
    splits = [*task.raw, *(task.split.of if task.split else ())]
    files = {split: need_file(task.examples(split, dataset), f"To write it: make data TASK={task.name}") for split in splits}
    all_at_once(stamp.problems(dataset, [f"alpaca_{task.name}_{split}" for split in splits]), WANTING)
    return Rows(task, files)


def suspects(rows: Rows, answers: dict[str, ModelAnswer], least: float = LEAST, limit: int = LIMIT) -> tuple[list[Suspect], int]:
    """Returns the suspects, the worst first, and the number of places that were judged. `answers` maps ids to a model's answers on rows it wasn't trained on."""
    suspicion = Suspicion(rows.read, answers)
    kept, turn, judged = list[tuple[float, int, Example, JudgedPlace]](), count(), 0
    for example, candidate, score in suspicion.judged(rows.read()):
        judged += 1
        if score >= least:
            item = (score, -next(turn), example, candidate)  # among equals the first
            heappush(kept, item) if len(kept) < limit else heappushpop(kept, item)
    kept.sort(reverse=True, key=lambda item: item[:2])
    ids = _ids(rows, suspicion.evidence, {_string(candidate, example) for _, _, example, candidate in kept})
    return [_suspect(rows, suspicion.evidence, answers, ids, example, one, score) for score, _, example, one in kept], judged


Ids = dict[tuple[str, Marking], list[str]]


def _ids(rows: Rows, evidence: StringEvidence, strings: set[str]) -> Ids:
    """Returns the ids of a few examples for each way in which one of the strings is annotated."""
    found = defaultdict[tuple[str, Marking], list[str]](list)
    for example in rows.read():
        for string, _, _, marking in evidence.places(example):
            if string in strings and len(ids := found[string, marking]) <= IDS and example.id not in ids:
                ids.append(example.id)
    return found


def _string(candidate: JudgedPlace, example: Example) -> str:
    """Returns the string whose places speak for or against a candidate."""
    return candidate.doubt.string if candidate.doubt else example.text[candidate.key[1] : candidate.key[2]]


def _suspect(
    rows: Rows, evidence: StringEvidence, answers: dict[str, ModelAnswer], ids: Ids, example: Example, candidate: JudgedPlace, score: float
) -> Suspect:
    string, own = _string(candidate, example), example.text[candidate.key[1] : candidate.key[2]]
    places = [
        Annotated(*marking, times, [id for id in ids.get((string, marking), ()) if id != example.id][:IDS])
        for marking, times in evidence.markings(string)[:WAYS]
    ]
    endings = evidence.labels_of_ending(own, rows.task.names)
    ending = {"characters": own[-2:], "labels": dict(endings)} if len(own) > 2 and endings else {}
    is_known, instead = _instead(candidate, example.id in answers, endings)
    model = _model(candidate, answers.get(example.id), example.text)
    kind = kind_of(candidate.now, instead) if is_known else "odd"
    marked = (Marked.of(candidate.now, example.text), Marked.of(instead, example.text))
    return Suspect(example.id, rows.split_of(example), round(score, 4), kind, *marked, Why(string, places, ending, model))


def _instead(candidate: JudgedPlace, was_asked: bool, endings: Sequence[tuple[str, int]]) -> tuple[bool, Span | None]:
    """Returns whether something else can be suggested, and what: a model's answer before most other places of the string before the label of most entities that end alike."""
    if candidate.now is None:
        return True, candidate.key
    if was_asked and candidate.answer != candidate.now:
        return True, candidate.answer
    doubt = candidate.doubt
    if doubt and doubt.others > doubt.same:
        return True, doubt.marking.span(doubt.start, doubt.end)
    label, start, end = candidate.now
    own = dict(endings).get(label, 0)
    if endings and endings[0][1] >= LIKELY * max(1, own):
        return True, (endings[0][0], start, end)
    return False, None


def _model(candidate: JudgedPlace, said: ModelAnswer | None, text: str) -> dict[str, Any]:
    if said is None:
        return {}
    answer, confidence = said.over(candidate.key)
    marked = Marked.of(answer, text)
    return {**asdict(marked), "confidence": round(confidence, 4)} if marked else {"label": ""}


def reads_of(run: Run, task: Task, rows: Rows, folds: int, options: Options) -> list[Read]:
    """Returns a run's answers on the splits that it wasn't trained on, and with `folds` on the training split. Raises ToolError where there is no such split."""
    found = list[Read]()
    for split in rows.files:
        if folds or not is_trained_on(run, task, split):
            found += held_out(run, task, split, folds if is_trained_on(run, task, split) else 0, options)
    if not found:
        raise ToolError(f"{run.path}: was trained on {', '.join(rows.files)}, where it repeats the labels. To train models that weren't: --folds 5")
    return found


def said_by(reads: Iterable[Read]) -> dict[str, ModelAnswer]:
    """Returns what a model said by the examples' ids; a text that it didn't answer isn't among them."""
    return {
        example.id: ModelAnswer({(one.label, one.start, one.end): UNSURE if one.confidence is None else one.confidence for one in read.entities})
        for example, read in reads
        if read.prediction.output is not None
    }


def why(suspect: Suspect) -> str:
    """Returns on one line what speaks against a label."""
    parts = []
    total = sum(one.places for one in suspect.why.places)
    if total > 1:
        ways = ", ".join(f"{one.label or 'nothing'}{'' if not (one.start or one.end) else ' within it'} {one.places:,}" for one in suspect.why.places)
        parts.append(f"{suspect.why.string} stands {total:,} times: {ways}")
    elif labels := suspect.why.ending.get("labels"):
        parts.append(f"…{suspect.why.ending['characters']}: {', '.join(f'{label} {times:,}' for label, times in [*labels.items()][:3])}")
    if model := suspect.why.model:
        said = f"{model['text']} [{model['label']}] {model['confidence']:.2f}".lstrip() if model["label"] else "nothing"
        parts.append(f"the model: {said}")
    return "; ".join(parts)


def table(found: Sequence[Suspect]) -> str:
    """Returns the suspects as a table."""
    lines = [f"{'score':>5}  {'kind':<8}{'row':<22}{padded('now → instead', 44)}  why"]
    for one in found:
        change = f"{one.now or '–'} → {'?' if one.kind == 'odd' else one.instead or '–'}"
        lines.append(f"{one.score:>5.2f}  {one.kind:<8}{one.id:<22}{padded(clipped(one_line(change), 44), 44)}  {one_line(why(one), 120)}")
    return "\n".join(lines)


def page(rows: Rows, found: Sequence[Suspect], total: int, maker: str) -> dict[str, Any]:
    """Returns the data of suspects.html: the worst suspects with their texts, and the texts of the examples that they name."""
    shown = found[:ON_PAGE]
    wanted = {one.id for one in shown} | {id for one in shown for way in one.why.places for id in way.ids}
    texts = {example.id: example.text for example in rows.read() if example.id in wanted}
    labels = list(rows.task.names)
    return {
        "task": rows.task.name,
        "version": rows.task.version,
        "maker": maker,
        "total": total,
        "labels": labels,
        "texts": texts,
        "suspects": [{**one.to_dict(), "now": _on_page(one.now, texts[one.id]), "instead": _on_page(one.instead, texts[one.id])} for one in shown],
    }


def _on_page(marked: Marked | None, text: str) -> dict[str, Any] | None:
    """Returns an entity with its place in the text as the page shows it, where an invisible character is written out as several."""
    if not marked:
        return None
    start, end = (len(visible(text[:place])) for place in (marked.start, marked.end))
    return {**asdict(marked), "start": start, "end": end}


def sheets(rows: Rows, found: Sequence[Suspect], maker: str) -> list[Sheet]:
    """Returns a sheet for each example with suspects, in the order of its worst: its present annotation, and that with all its suggestions."""
    by_id = {id: list(some) for id, some in groupby(sorted(found, key=lambda one: one.id), key=lambda one: one.id)}
    examples = {example.id: example for example in rows.read() if example.id in by_id}
    order = sorted(by_id, key=lambda id: -max(one.score for one in by_id[id]))
    return [Sheet(examples[id], _suggestion(examples[id], by_id[id]), maker, max(one.score for one in by_id[id]), _note(by_id[id])) for id in order]


def _suggestion(example: Example, some: Sequence[Suspect]) -> Example:
    if example.label is not None and some[0].instead:
        return replace(example, label=some[0].instead.label)
    return changed(example, [one.change() for one in some])


def _note(some: Sequence[Suspect]) -> str:
    return " | ".join(f"{one.score:.2f} {one.now or '–'} → {'?' if one.kind == 'odd' else one.instead or '–'} ({why(one)})" for one in some)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the words of `./ner suspects`."""
    parser.add_argument("task", type=Path, metavar="TASK.yaml", help="the task (make: TASK=…)")
    parser.add_argument(
        "--run", type=Path, metavar="RUN.yaml", help="a trained run, whose answers on rows that it wasn't trained on are evidence too (make: CONF=…)"
    )
    parser.add_argument(
        "--folds",
        type=whole_number(2, 100),
        metavar="K",
        help="train K models, each on the other K-1 parts of the training split, and ask each about its own part",
    )
    parser.add_argument("--to", choices=TOOLS, help="write the rows with suspects for an annotation tool")
    parser.add_argument(
        "--least", type=share, default=LEAST, metavar="P", help=f"the least score, from 0 to 1, of a suspect that is listed (default: {LEAST})"
    )
    parser.add_argument(
        "--limit", type=whole_number(1, 1_000_000), default=LIMIT, metavar="N", help=f"suspects that are listed at most (default: {LIMIT:,})"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"the folder of the files (default: {OUTPUTS}/suspects/<task>, or that of the run)")


def main(args: argparse.Namespace) -> None:
    """Finds the suspects, prints the worst, and writes all."""
    task, run = load_task(args.task), load_run(args.run) if args.run else None
    if not run and (args.folds or task.kind != "ner"):
        problem = "--folds trains a run's models" if args.folds else f"{task.path}: classes are held against a run's answers"
        raise ToolError(
            f"{problem}: name the run with --run conf/<run>.yaml. Equal texts with different labels are found by: make check TASK={task.name}"
        )
    if run and run.task != task.name:
        raise ToolError(f"{run.path}: trains {run.task}, and can't judge {task.name}. Name a run of {task.name}.")
    out = args.out or ((run.output_dir / "suspects") if run else OUTPUTS / "suspects" / task.name)
    if out.exists() and not out.is_dir():
        raise ToolError(f"--out {out}: is a file, a folder is needed.")
    rows = rows_of(task, run.dataset if run else DATASET)
    reads = reads_of(run, task, rows, args.folds or 0, Options(port=args.port, concurrency=args.concurrency)) if run else []
    if task.kind == "ner":
        found, judged = suspects(rows, said_by(reads), args.least, args.limit)
        about = f"{judged:,} places{f', {len(reads):,} rows with a model' if reads else ''}. {MEANING}"
    else:
        found = class_suspects(reads, {example.id: rows.split_of(example) for example, _ in reads})[: args.limit]
        about = f"{len(reads):,} rows, by confident learning"
    maker = run.name if run else "consistency"
    _write(rows, found, maker, out)
    print(f"\n{table(found[:SHOWN])}\n\n{len(found):,} suspects among {about}\n→ {out / 'suspects.html'}, {out / 'suspects.jsonl'}", flush=True)
    if args.to:
        path = send(args.to, task, sheets(rows, found, maker), out / task.name)
        print(f"next: import {path} there, and then: ./ner merge {task.path} EXPORT")


def _write(rows: Rows, found: Sequence[Suspect], maker: str, out: Path) -> None:
    with Transaction() as new:
        new.open(out / "suspects.jsonl").writelines(f"{json.dumps(one.to_dict(), ensure_ascii=False)}\n" for one in found)
        new.open(out / "suspects.html").write(static_page(TEMPLATE, page(rows, found, len(found), maker)))
