"""Writes the report of an evaluation: one HTML file with the scores, the kinds of mistakes and the worst rows. It needs no network and no server.

In: an evaluation's folder (score.json, predictions.jsonl, predictions.meta.json) and its examples. Out: report.html beside them.

    ./ner report conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev
    ./ner report conf/tiny-qwen2-sample-ner-lora-sft.yaml --which merged --rows 100
    ./ner report conf/tiny-qwen2-sample-ner-lora-sft.yaml --against tiny-qwen2-sample-ner-lora-sft:base
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

from tools.answers import Pair
from tools.conf.run import run_from
from tools.conf.task import Task, find_task
from tools.errors import WANTING, ToolError
from tools.example import Example, read_examples
from tools.files import need_file, sha256, write_text
from tools.predict.predictions import FILE, META, PredictionsMeta, read_meta, read_predictions
from tools.report.compare import Comparison, compare
from tools.report.evaluations import MUST_BE_EQUAL, Evaluation, named_evaluation, read_evaluation
from tools.report.report_facts import MISTAKES, OUTPUT_CHARS, ROWS, TEXT_CHARS, Bucket, Matrix, ShownRow, buckets, examine, matrix, shown
from tools.report.static_page import static_page
from tools.report.wrong_strings import Frequent, Unknown, cut
from tools.score.counts import Counts
from tools.score.mistakes import KINDS
from tools.score.rows import rows
from tools.score.score_file import FILE as SCORE
from tools.score.score_file import Figures, Score, read_score
from tools.text import whole_number

NAME = "report.html"
TEMPLATE = Path(__file__).with_suffix(".html")
SCHEMA = "-schema"  # end of the folder's name of an evaluation with schema decoding


class Against(TypedDict):
    """The comparison with another evaluation, its name, and whether each row that changed was won or lost, with the other's pairs."""

    name: str
    figures: Comparison
    rows: dict[str, tuple[str, list[Pair]]]


class Page(TypedDict):
    """The facts of a report, in the page's JSON."""

    run: str
    variant: str
    kind: str
    source: str
    score: Score
    meta: list[list[str]]  # [dotted key, value] of predictions.meta.json
    labels: list[str]  # in the score's order, which a JavaScript object wouldn't keep
    kinds: dict[str, list[int]]  # kind → false positives, false negatives, rows
    names: dict[str, str]  # label → another name of it, to be read beside it
    matrix: Matrix
    strings: list[Frequent]
    unknown: Unknown
    against: Against | None
    seen: dict[str, Figures] | None  # "seen" and "unseen"; None where the score doesn't tell them apart
    lengths: list[Bucket]
    decodings: list[Score] | str | None  # free and schema, or the reason why they don't stand side by side; None where only one was evaluated
    rows: list[ShownRow]
    total: int
    wrong: int
    caps: dict[str, int]


def page(
    task: Task, folder: Path, examples: list[Example], score: Score, meta: PredictionsMeta | None, keep: int = ROWS, against: Against | None = None
) -> Page:
    """Returns the facts of an evaluation's report. Raises ToolError (1) where score.json counts something else than the predictions give."""
    findings = examine(task, rows(task, examples, read_predictions(folder / FILE), meta.thought if meta else ""), keep)
    _need_same(folder, score, findings.whole.counts)
    confusion = matrix(findings.confusion, list(task.labels))
    found = [shown(task, one, confusion) for one in findings.worst]
    written = datetime.fromtimestamp((folder / FILE).stat().st_mtime).astimezone().isoformat(" ", "minutes")
    return {
        "run": meta.run if meta else folder.parent.parent.name,
        "variant": meta.which if meta else folder.name,
        "kind": task.kind,
        "source": task.source,
        "score": score,
        "meta": _flat({**(meta.to_dict() if meta else {}), "predictions_written": written}),
        "labels": list(score["labels"]),
        "kinds": {kind: findings.kinds[kind] for kind in KINDS if kind in findings.kinds},
        "names": _names_beside(task),
        "matrix": confusion,
        "strings": findings.strings.frequent(score["labels"]),
        "unknown": findings.strings.unknown_labels(task),
        "against": _for_rows(against, found),
        "seen": _seen(score),
        "lengths": buckets(findings.lengths),
        "decodings": _decodings(folder, score, meta),
        "rows": found,
        "total": findings.whole.rows,
        "wrong": findings.wrong_rows,
        "caps": {"text": TEXT_CHARS, "output": OUTPUT_CHARS},
    }


def _names_beside(task: Task) -> dict[str, str]:
    """Returns a name to show beside each label: its name in answers where that is another word, else the first Chinese alias of a label in Latin letters."""
    names: dict[str, str] = {}
    for label, name in task.names.items():
        chinese = (alias for alias in task.aliases.get(label, []) if label.isascii() and not alias.isascii())
        if other := name if name != label else next(chinese, ""):
            names[label] = other
    return names


def _need_same(folder: Path, score: Score, counts: Counts) -> None:
    recorded = tuple(score["micro"].get(key) for key in ("tp", "fp", "fn"))
    if recorded != (counts.tp, counts.fp, counts.fn):
        raise ToolError(
            f"{folder / SCORE}: counts (tp, fp, fn) {recorded}, but {folder / FILE} holds {(counts.tp, counts.fp, counts.fn)}: "
            "the score is of other predictions, or of an older parser. Score them again: ./ner score",
            WANTING,
        )


def compared(task: Task, examples: Path, folder: Path, other: Evaluation) -> Against:
    """Returns the comparison of the evaluation in a folder with another. Raises ToolError (1) for evaluations that don't compare."""
    figures = compare(task, examples, [other, read_evaluation(folder)])["comparisons"][0]
    changed = {row["id"]: (row["outcome"], row["first"]) for row in figures["changed"]}
    return {"name": other.name, "figures": {**figures, "changed": []}, "rows": changed}


def _for_rows(against: Against | None, found: list[ShownRow]) -> Against | None:
    """Returns the comparison with the shown rows alone, their strings cut."""
    if against is None:
        return None
    kept = {one["id"]: against["rows"][one["id"]] for one in found if one["id"] in against["rows"]}
    return {
        **against,
        "rows": {id: (outcome, [(cut(label), cut(text)) for label, text in pairs[:MISTAKES]]) for id, (outcome, pairs) in kept.items()},
    }


def _seen(score: Score) -> dict[str, Figures] | None:
    if "unseen" not in score:
        return None
    all_pairs, unseen = score["micro"], score["unseen"]
    seen = Counts(all_pairs["tp"] - unseen["tp"], all_pairs["fp"] - unseen["fp"], all_pairs["fn"] - unseen["fn"])
    return {"seen": seen.to_dict(), "unseen": unseen}


def _decodings(folder: Path, score: Score, meta: PredictionsMeta | None) -> list[Score] | str | None:
    is_schema = folder.name.endswith(SCHEMA)
    other = folder.with_name(folder.name.removesuffix(SCHEMA) if is_schema else folder.name + SCHEMA)
    if not (other / FILE).is_file():
        return None
    try:
        theirs = read_evaluation(other)
    except ToolError as error:
        return str(error)
    if differ := [name for key, name in MUST_BE_EQUAL.items() if getattr(meta, key, None) != getattr(theirs.meta, key)]:
        return f"{other}: {', '.join(differ)}"
    return [theirs.score, score] if is_schema else [score, theirs.score]


def _flat(value: Mapping[str, Any], before: str = "") -> list[list[str]]:
    """Returns a mapping of mappings as [dotted key, value] pairs."""
    found = []
    for key, inner in value.items():
        name = f"{before}{key}"
        found += _flat(inner, f"{name}.") if isinstance(inner, Mapping) else [[name, inner if isinstance(inner, str) else json.dumps(inner)]]
    return found


def write(task: Task, examples: Path, folder: Path, keep: int = ROWS, against: Evaluation | None = None) -> Path:
    """Writes report.html into an evaluation's folder and returns its path. `against` is another evaluation to compare with.

    Raises ToolError for a folder that isn't scored yet, and (1) for examples, predictions and score that don't belong together.
    """
    need_file(folder / FILE, "Evaluate first: make eval CONF=conf/<run>.yaml")
    score, meta = read_score(folder), read_meta(folder / META) if (folder / META).is_file() else None
    need_file(examples, f"To write it: make data TASK={task.name}")
    if meta and meta.examples_sha256 != sha256(examples):
        raise ToolError(f"{folder}: predicted from another version of {examples}. Evaluate again: make eval CONF=conf/<run>.yaml", WANTING)
    other = compared(task, examples, folder, against) if against else None
    facts = page(task, folder, list(read_examples(examples)), score, meta, keep, other)
    write_text(folder / NAME, static_page(TEMPLATE, facts))
    return folder / NAME


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the number of rows, the evaluation to compare with and the folder."""
    parser.add_argument("--rows", type=whole_number(1, 1_000_000), default=ROWS, metavar="N", help=f"rows to show, the worst first (default: {ROWS})")
    parser.add_argument(
        "--against", metavar="RUN", help="another evaluation to compare with, named as for ./ner compare: <run>, <run>:<variant>, or its folder"
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="an evaluation's folder (default: the run's own)")


def main(args: argparse.Namespace) -> None:
    """Writes the report of an evaluation, and that of the same model's schema decoding if it was evaluated too."""
    run = run_from(args)
    task = find_task(args.task or run.task)
    folder = args.folder or run.variant(args.which).evaluation(task.name, args.split)
    schema = folder.with_name(folder.name + SCHEMA)
    against = named_evaluation(args.against, run.output_dir.parent, task.name, args.split) if args.against else None
    for place in (folder, *([schema] if (schema / SCORE).is_file() else [])):
        print(write(task, task.examples(args.split, run.dataset), place, args.rows, against))
