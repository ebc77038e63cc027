"""The report: one HTML file that says what the score is, where it is lost, and shows the worst rows. It needs no network and no server.

In: an evaluation's folder (score.json, predictions.jsonl, predictions.meta.json) and its examples. Out: report.html beside them.

    python -m tools.report.report conf/tiny-qwen2-sample-ner-lora-sft.yaml --split dev
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from tools.conf.run import run_from
from tools.conf.task import Task, find_task
from tools.errors import WANTING, ToolError, run
from tools.example import Example, neutralise, read_examples
from tools.files import need_file, read_json, read_text, sha256, write_text
from tools.predict.predictions import FILE, META, folder, read_predictions
from tools.predict.server import MODELS
from tools.report.evaluations import MUST_BE_EQUAL, need_score, read_evaluation
from tools.score.mistakes import KINDS, Mistake, counted, mistakes
from tools.score.protocols import Counts, occurrences
from tools.score.rows import Row, known_labels, rows

NAME = "report.html"
TEMPLATE = Path(__file__).with_suffix(".html")
SCHEMA = "-schema"  # how the folder of an evaluation with schema decoding ends

# What keeps a report of any number of rows, and of any answers, small enough to open at once.
ROWS = 500
ROW_BYTES = 3_000_000  # all rows together
TEXT_CHARS = 1500
OUTPUT_CHARS = 2000
STRING_CHARS = 200
MISTAKES = 40
MARKS = 200
MATRIX = 30
BUCKETS = 5


@dataclass
class Part(Counts):
    """A part of the evaluation: its rows, and its pairs by the protocol 'set'."""

    rows: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The rows, then what Counts says."""
        return {"rows": self.rows, **super().to_dict()}


@dataclass
class Findings:
    """What the report says about all rows, and the worst of them, worst first."""

    rows: int = 0
    wrong_rows: int = 0
    counts: Part = field(default_factory=Part)
    kinds: dict[str, list[int]] = field(default_factory=dict)  # kind → false positives, false negatives, rows
    confusion: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)  # (gold label, predicted label) of a string
    seen: Part = field(default_factory=Part)
    unseen: Part = field(default_factory=Part)
    lengths: dict[int, Part] = field(default_factory=dict)  # by the text's length in characters
    worst: list[Shown] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Shown:
    """A row that may be shown, with its mistakes."""

    row: Row
    found: list[Mistake]
    errors: int


def examine(task: Task, all_rows: Iterable[Row], seen: frozenset[str] = frozenset(), keep: int = ROWS) -> Findings:
    """Count the mistakes of all rows and keep the `keep` worst: most errors (false positives + false negatives) first, then failures, then in file order."""
    findings = Findings()

    def examined() -> Iterator[Shown]:
        for row in all_rows:
            found = mistakes(row, frozenset(known_labels(task, row.example)))
            _count(findings, task, row, found, seen)
            yield Shown(row, found, sum((one.gold is not None) + (one.predicted is not None) for one in found))

    findings.worst = heapq.nsmallest(keep, examined(), key=lambda shown: (-shown.errors, not shown.row.failures))
    return findings


def _count(findings: Findings, task: Task, row: Row, found: list[Mistake], seen: frozenset[str]) -> None:
    findings.rows += 1
    findings.wrong_rows += bool(found or row.failures)
    for kind, (fp, fn) in counted(found).items():
        sums = findings.kinds.setdefault(kind, [0, 0, 0])
        findings.kinds[kind] = [sums[0] + fp, sums[1] + fn, sums[2] + 1]
    gold, predicted = set(row.gold), set(row.predicted)
    part = findings.lengths.setdefault(len(row.example.text), Part())
    part.rows += 1
    for pair in gold | predicted:
        for counts in (findings.counts, part, findings.seen if pair[1] in seen else findings.unseen):
            counts.add(pair in predicted, pair in gold)
    known = frozenset(known_labels(task, row.example))
    findings.confusion.update((label, label) for label, _ in gold & predicted)
    for one in found:
        same = one.gold and one.predicted and one.gold[1] == one.predicted[1]
        sides = [(one.gold, one.predicted)] if same else [(one.gold, None)] * bool(one.gold) + [(None, one.predicted)] * bool(one.predicted)
        for left, right in sides:
            findings.confusion[left[0] if left else None, (right[0] if right[0] in known else "?") if right else None] += 1


def page(
    task: Task,
    folder: Path,
    examples: list[Example],
    score: Mapping[str, Any],
    meta: Mapping[str, Any],
    train: frozenset[str] | None = None,
    keep: int = ROWS,
) -> dict[str, Any]:
    """All that the page shows, as JSON values. `train` are the strings that are entities there, None where that isn't known.

    Raises ToolError (1) when score.json counts something else than what the predictions say.
    """
    findings = examine(task, rows(task, examples, read_predictions(folder / FILE)), train or frozenset(), keep)
    _need_same(folder, score, findings.counts)
    shown = _within(ROW_BYTES, (_shown(task, one) for one in findings.worst))
    ner = task.kind == "ner"
    return {
        "head": {
            "run": meta.get("run", folder.parent.parent.name),
            "which": meta.get("which", folder.name),
            "task": task.name,
            "source": task.source,
            "kind": task.kind,
            **{
                key: score.get(key)
                for key in ("version", "split", "protocol", "rows", "intervals", "micro", "macro", "floor", "published", "accuracy")
            },
            **{key: score.get(key) for key in ("protocols", "parsing", "failures", "outside_options")},
            "span": score.get("span") if ner else None,
            "unseen": score.get("unseen"),
            "meta": _flat(meta),
        },
        "labels": [{"label": label, **counts} for label, counts in score["labels"].items()],
        "kinds": {kind: findings.kinds[kind] for kind in KINDS if kind in findings.kinds},
        "matrix": _matrix(findings.confusion, list(task.labels)),
        "seen": {"seen": findings.seen.to_dict(), "unseen": findings.unseen.to_dict()} if ner and train is not None else None,
        "lengths": _buckets(findings.lengths),
        "decodings": _decodings(folder, score, meta),
        "rows": shown,
        "total": findings.rows,
        "wrong": findings.wrong_rows,
        "caps": {"text": TEXT_CHARS, "output": OUTPUT_CHARS, "mistakes": MISTAKES},
    }


def _need_same(folder: Path, score: Mapping[str, Any], counts: Part) -> None:
    recorded = tuple(score["micro"].get(key) for key in ("tp", "fp", "fn"))
    if recorded != (counts.tp, counts.fp, counts.fn):
        raise ToolError(
            f"{folder / 'score.json'}: counts (tp, fp, fn) {recorded}, and {folder / FILE} holds {(counts.tp, counts.fp, counts.fn)}: "
            "the score is of other predictions, or of an older parser. Score them again with tools.score.score.",
            WANTING,
        )


def _shown(task: Task, one: Shown) -> dict[str, Any]:
    """One row for the page, each part cut to its cap; what was cut is said in a number beside it."""
    row, output = one.row, one.row.prediction.output if one.row.prediction else None
    text = neutralise(row.example.text)
    gold, predicted = set(row.gold), set(row.predicted)
    pairs = dict.fromkeys(row.gold + row.predicted) if task.kind == "ner" else {}
    marks = [("hit" if pair in gold and pair in predicted else "gold" if pair in gold else "extra", *pair) for pair in pairs]
    return {
        "id": row.example.id,
        "errors": one.errors,
        **_marked(text[:TEXT_CHARS], marks),
        "text_cut": max(0, len(text) - TEXT_CHARS),
        "labels": sorted({_cut(pair[0]) for pair in gold | predicted})[:MISTAKES],
        "hits": len(gold & predicted),
        "class": [_cut(side[0][0]) if side else None for side in (row.gold, row.predicted)] if task.kind != "ner" else None,
        "mistakes": [[m.kind, *([_cut(part) for part in pair] if pair else None for pair in (m.gold, m.predicted))] for m in one.found[:MISTAKES]],
        "mistakes_cut": max(0, len(one.found) - MISTAKES),
        "kinds": sorted({m.kind for m in one.found} | set(row.failures)),
        "rules": list(row.rules),
        "output": None if output is None else output[:OUTPUT_CHARS],
        "output_cut": max(0, len(output or "") - OUTPUT_CHARS),
        "error": row.prediction.error if row.prediction else None,
    }


def _cut(text: str) -> str:
    return text if len(text) <= STRING_CHARS else f"{text[:STRING_CHARS]}…"


def _marked(text: str, pairs: list[tuple[str, str, str]]) -> dict[str, Any]:
    """'marks': (kind, label) of each span, and 'text': its pieces, each with the numbers of the marks over it and of those that end with it.

    Every occurrence of a pair's string is a span, overlaps and all, up to MARKS of them; 'marks_cut' says that there are more.
    """
    found = ((start, end, kind, label) for kind, label, string in pairs for start, end in occurrences(string, text))
    spans = list(islice(found, MARKS + 1))
    more, spans = len(spans) > MARKS, spans[:MARKS]
    borders = sorted({0, len(text), *(place for start, end, *_ in spans for place in (start, end))})
    pieces = []
    for left, right in pairwise(borders):
        over = [number for number, (start, end, *_) in enumerate(spans) if start <= left and right <= end]
        pieces.append([text[left:right], over, [number for number in over if spans[number][1] == right]])
    return {"text": pieces, "marks": [[kind, _cut(label)] for _, _, kind, label in spans], "marks_cut": more}


def _within(limit: int, shown: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first rows that together stay below `limit` bytes of JSON."""
    kept, size = [], 0
    for row in shown:
        size += len(json.dumps(_visible(row), ensure_ascii=False).encode())
        if size > limit:
            break
        kept.append(row)
    return kept


def _matrix(confusion: Counter[tuple[str | None, str | None]], labels: list[str]) -> dict[str, Any]:
    """Rows are gold labels, columns predicted ones; None is 'no such string', '?' a label that isn't known. At most MATRIX labels, the most frequent."""
    sizes: Counter[str] = Counter()
    for (gold, predicted), count in confusion.items():
        for label in {gold, predicted} - {None, "?"}:
            sizes[str(label)] += count
    frequent = [label for label, _ in sizes.most_common(MATRIX)]
    order = [label for label in (labels or sorted(frequent)) if label in frequent]
    columns: list[str | None] = [*order, *(["?"] if any(predicted == "?" for _, predicted in confusion) else []), None]
    return {
        "gold": [*order, None],
        "predicted": columns,
        "counts": [[confusion[g, p] for p in columns] for g in [*order, None]],
        "left": len(sizes) - len(order),
    }


def _buckets(lengths: Mapping[int, Part]) -> list[dict[str, Any]]:
    """At most BUCKETS ranges of text length with about as many rows each."""
    total, passed, found = sum(part.rows for part in lengths.values()), 0, dict[int, tuple[list[int], Part]]()
    for length, one in sorted(lengths.items()):
        members, part = found.setdefault(passed * BUCKETS // total, ([], Part()))
        members.append(length)
        part.rows, part.tp, part.fp, part.fn = part.rows + one.rows, part.tp + one.tp, part.fp + one.fp, part.fn + one.fn
        passed += one.rows
    return [{"from": members[0], "to": members[-1], **part.to_dict()} for members, part in found.values()]


def _decodings(folder: Path, score: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """Free and schema decoding of the same model side by side ('both'), or why that can't be ('problem'); None when only one was run."""
    schema = folder.name.endswith(SCHEMA)
    other = folder.with_name(folder.name.removesuffix(SCHEMA) if schema else folder.name + SCHEMA)
    if not (other / FILE).is_file():
        return None
    try:
        theirs = read_evaluation(other)
    except ToolError as error:
        return {"problem": str(error)}
    if differ := [name for key, name in MUST_BE_EQUAL.items() if meta.get(key) != theirs.meta[key]]:
        return {"problem": f"{other}: {', '.join(differ)}"}
    both = (theirs.score, score) if schema else (score, theirs.score)
    return {
        "both": [
            {
                **{key: found.get(key) for key in ("micro", "macro", "failures")},
                "labels": {label: counts["f1"] for label, counts in found["labels"].items()},
            }
            for found in both
        ]
    }


def _flat(value: Mapping[str, Any], before: str = "") -> list[list[str]]:
    """A mapping of mappings as [dotted key, value] pairs."""
    found = []
    for key, inner in value.items():
        name = f"{before}{key}"
        found += _flat(inner, f"{name}.") if isinstance(inner, Mapping) else [[name, inner if isinstance(inner, str) else json.dumps(inner)]]
    return found


def html(data: Mapping[str, Any]) -> str:
    """The page: the template with `data` in it as JSON, and a Content-Security-Policy that lets only the template's own script and style run."""
    template = read_text(TEMPLATE)
    # Escaped, the data can neither end its element nor open another; the page itself uses nothing but textContent.
    text = json.dumps(_visible(data), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; {_hash(template, 'script')}; {_hash(template, 'style')}"
    return template.replace("{{policy}}", policy, 1).replace("{{data}}", text, 1)


def _hash(template: str, element: str) -> str:
    found = re.search(rf"<{element}>(.*?)</{element}>", template, re.DOTALL)
    assert found is not None
    return f"{element}-src 'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"


def _visible(value: Any) -> Any:
    """The value with what can't be seen in its strings written out: control characters, bidirectional overrides, lone surrogates, exotic line ends."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(map(_written_out, value))
    if isinstance(value, Mapping):
        return {_visible(key) if isinstance(key, str) else key: _visible(inner) for key, inner in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no NaN
    return [_visible(inner) for inner in value] if isinstance(value, list | tuple) else value


def _written_out(character: str) -> str:
    if character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs":
        return character
    return f"⟨U+{ord(character):04X}⟩"


def write(task: Task, examples: Path, folder: Path, train: Path | None = None, keep: int = ROWS) -> Path:
    """Write report.html into an evaluation's folder and return its path; `train` is the training split's examples file, where it is known.

    Raises ToolError for a folder that isn't scored yet, and (1) for examples, predictions and score that don't belong together.
    """
    if keep < 1:
        raise ToolError("--rows must be at least 1.")
    for name in (FILE, "score.json"):
        need_file(folder / name, "Evaluate first: make eval CONF=conf/<run>.yaml")
    score, meta = read_json(folder / "score.json"), read_json(folder / META) if (folder / META).is_file() else {}
    need_score(folder / "score.json", score)
    if not isinstance(meta, dict):
        raise ToolError(f"{folder / META}: a JSON object is needed. Evaluate again: make eval CONF=conf/<run>.yaml", WANTING)
    need_file(examples, f"To write it: make data TASK={task.name}")
    if meta.get("examples_sha256") not in (None, sha256(examples)):
        raise ToolError(
            f"{folder}: its predictions were made from another {examples} than the one that is there now. Evaluate again: make eval", WANTING
        )
    seen = frozenset(entity.text for example in read_examples(train) for entity in example.entities) if train else None
    written = datetime.fromtimestamp((folder / FILE).stat().st_mtime).astimezone().isoformat(" ", "minutes")
    data = page(task, folder, list(read_examples(examples)), score, {**meta, "predictions_written": written}, seen, keep)
    write_text(folder / NAME, html(data))
    return folder / NAME


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.report.report", description=(__doc__ or "").split("\n\n")[0])
    add_run(parser)
    parser.add_argument("--task", metavar="T", help="default: the task that the run trains")
    parser.add_argument("--split", default="dev", help="default: dev")
    parser.add_argument("--model", choices=MODELS, default="adapter", help="whose evaluation (default: adapter)")
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help=f"how many rows to show, the worst first (default: {ROWS})")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="an evaluation's folder, instead of the run's own")
    args = parser.parse_args()
    this = run_from(args)
    task = find_task(args.task or this.task)
    examples, train = task.examples(args.split, this.dataset), task.examples("train", this.dataset)
    where = args.folder or folder(this, task, args.split, args.model)
    for place in (where, *([where.with_name(where.name + SCHEMA)] if (where.with_name(where.name + SCHEMA) / "score.json").is_file() else [])):
        print(write(task, examples, place, train if train.is_file() and args.split != "train" else None, args.rows))


if __name__ == "__main__":
    run(main)
