"""Measures scoring on this machine, and compares it with nervaluate on the same data.

In: a CLUENER file; without one, made-up sentences of the sample task. Out: a Markdown page with the seconds and the peak memory of `./ner score` on --rows predictions, in
the examples' order and in another, and two comparisons with nervaluate on the first --share of the same rows, in CPU time:

- counting alone, in one process: nervaluate's four strategies (strict, exact, partial, ent_type; overall and by label) from lists of dicts, our four protocols
  (set, span, partial, type; the same) from lists of tuples. Both times include the structures that each makes of its lists, and neither includes garbage collection. The
  benchmark fails unless the integers of partial and type are equal.
- from the files to the figures: for nervaluate, the shortest script that reads both files and the answers in them with Python's own json and finds the strings in the
  text, then nervaluate; for us the whole command, which also repairs broken answers, checks every line, and computes intervals.

The predictions are the gold with errors like a model's (seeded, F1 about 0.8). Sentences repeat, each time with another id and other errors.

    .venv/train/bin/python -m bench.score
    .venv/train/bin/python -m bench.score --data data/dataset/clue.train.jsonl --rows 100000
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from make import sample

from bench.chain import machine
from tools.answers import Span
from tools.conf.task import Task, find_task
from tools.data.raw.row import RawRow
from tools.data.readers.cluener import read_cluener
from tools.errors import WANTING, ToolError
from tools.errors import run as run_tool
from tools.example import Entity, Example, read_examples
from tools.files import write_text
from tools.predict.predictions import Prediction, read_predictions
from tools.score.counts import KINDS, totals
from tools.score.join import CHUNK
from tools.score.places import Sides, sides
from tools.score.rows import occurrences
from tools.score.rows import rows as side_by_side
from tools.score.tally import Setting, Tally

SEED = 42
SENTENCES = 20_000  # made-up ones, before they repeat
KEPT, DROPPED, RELABELLED, SHIFTED = 0.78, 0.06, 0.06, 0.10  # shares of the gold entities
SPURIOUS, INVENTED, BROKEN = (
    0.12,
    0.01,
    0.004,
)  # shares of the rows: with an entity too many, with a made-up string or label, without a readable answer


@dataclass(frozen=True)
class Cost:
    """Wall-clock and CPU seconds, and the peak memory of all processes together in MB (10^6 bytes); shared pages are counted for each process."""

    rows: int
    seconds: float
    cpu: float
    peak: float


def sentences(data: Path | None) -> list[Example]:
    """Returns the gold rows, before they repeat."""
    if data:
        return [Example("", row.text, list(row.entities)) for row in read_cluener(data) if isinstance(row, RawRow)]
    return [Example("", text, list(_entities(labels))) for text, labels in islice(sample.rows(SEED), SENTENCES)]


def _entities(labels: sample.Entities) -> Iterator[Entity]:
    for label, found in labels.items():
        for string, places in found.items():
            for first, last in places:
                yield Entity(label, string, first, last + 1)


def answer(rng: random.Random, example: Example, task: Task) -> str:
    """Returns an answer like that of a model of F1 0.8."""
    if rng.random() < BROKEN:
        return rng.choice(("没有找到任何实体", '[{"label": "name", "text": "', "```json\n[]"))
    pairs = [pair for label, string in example.pairs() if (pair := _predicted(rng, label, string, task))]
    if rng.random() < SPURIOUS:
        start = rng.randrange(len(example.text))
        pairs.append((rng.choice(task.labels), example.text[start : start + rng.randint(2, 4)]))
    if rng.random() < INVENTED:
        pairs.append((rng.choice((*task.labels, "person")), "并不在句中"))
    return json.dumps([{"label": label, "text": string} for label, string in pairs], ensure_ascii=False)


def _predicted(rng: random.Random, label: str, string: str, task: Task) -> tuple[str, str] | None:
    fate = rng.choices("krds", (KEPT, RELABELLED, DROPPED, SHIFTED))[0]
    if fate == "d":
        return None
    return (rng.choice(task.labels) if fate == "r" else label, string[1:] or string if fate == "s" else string)


def make(folder: Path, gold: list[Example], task: Task, count: int) -> tuple[Path, Path, Path]:
    """Writes `count` examples, their predictions, and the predictions in another order."""
    rng = random.Random(SEED)
    examples, predictions, shuffled = (folder / f"{task.name}_{name}.jsonl" for name in ("bench", "predictions", "shuffled"))
    lines = []
    with open(examples, "w", encoding="utf-8") as golds:
        for number, example in enumerate(islice(cycle(gold), count), 1):
            id = f"{task.name}-bench-{number:07d}"
            golds.write(replace(example, id=id).to_json() + "\n")
            lines.append(Prediction(id, answer(rng, example, task), "stop", None, 232, rng.randint(4, 90), round(rng.random(), 4)).to_json() + "\n")
    for path in (predictions, shuffled):
        path.write_text("".join(lines), encoding="utf-8")
        rng.shuffle(lines)
    return examples, predictions, shuffled


def score(task: Task, examples: Path, predictions: Path, out: Path, count: int) -> Cost:
    """Runs `./ner score`, and returns its cost."""
    files = ["--examples", examples, "--predictions", predictions, "--out", out]
    command = list(map(str, [sys.executable, "-m", "tools", "score", task.path, *files]))
    begun, cpu, peak = time.perf_counter(), _children_cpu(), [0]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watch = threading.Thread(target=_watch, args=(process, peak), daemon=True)
    watch.start()
    _, errors = process.communicate()
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise ToolError(f"{' '.join(command)} failed: {errors}", WANTING)
    watch.join()
    return Cost(count, seconds, _children_cpu() - cpu, peak[0] / 1e6)


def _children_cpu() -> float:
    """Returns the CPU seconds of the processes that have ended. Other work on the machine lengthens them much less than wall-clock seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(process: subprocess.Popen[str], peak: list[int]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], _resident(process.pid))
        time.sleep(0.05)


def _resident(pid: int) -> int:
    """Returns the bytes of memory of a process and its children; 0 for a process that is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return pages * 4096 + sum(_resident(int(child)) for child in children)


@dataclass(frozen=True)
class Counting:
    """CPU seconds in one process: nervaluate and our protocols counting rows in memory, and a script that reads the files for nervaluate."""

    rows: int
    nervaluate: float
    ours: float
    reading: float


def counting(task: Task, examples: Path, predictions: Path, share: int) -> Counting:
    """Times nervaluate's four strategies and our four protocols on the first rows. Raises ToolError (1) unless their integers are the same."""
    from nervaluate.evaluator import Evaluator

    gold = list(islice(read_examples(examples), share))
    both = [sides(row, task.names) for row in side_by_side(task, gold, read_predictions(predictions))]
    true, predicted = [_dicts(one.gold_spans) for one in both], [_dicts(one.predicted_spans) for one in both]
    lists = [tuple(map(list, (one.gold, one.predicted, one.gold_spans, one.predicted_spans))) for one in both]
    del both
    gc.collect()
    gc.disable()  # as in the scorer's own processes
    begun = time.process_time()
    theirs = Evaluator(true, predicted, tags=task.labels, loader="dict").evaluate()["overall"]
    between = time.process_time()
    counts, setting = Tally(), Setting(task)
    for first in range(0, share, CHUNK):
        counts.add_plain([(Sides(task.names, *map(set, four), []), "") for four in lists[first : first + CHUNK]], setting)
    ours = {protocol: totals(outcomes)[1] for protocol, outcomes in counts.outcomes().items()}
    ended = time.process_time()
    gc.enable()
    for protocol, strategy in (("partial", "partial"), ("type", "ent_type")):
        if any(getattr(ours[protocol], kind) != getattr(theirs[strategy], kind) for kind in KINDS):
            raise ToolError(f"{protocol}: {ours[protocol]}, nervaluate's {strategy}: {theirs[strategy]}. They count differently.", WANTING)
    return Counting(len(gold), between - begun, ended - between, _reading(examples, predictions, share))


def _reading(examples: Path, predictions: Path, share: int) -> float:
    """Returns the CPU seconds of the shortest way from the files to nervaluate's input: Python's json and str.find; an unreadable answer counts as none."""
    begun = time.process_time()
    answers = {}
    with open(predictions, encoding="utf-8") as lines:
        for line in islice(lines, share):
            row = json.loads(line)
            answers[row["id"]] = row["output"]
    true, predicted = [], []
    with open(examples, encoding="utf-8") as lines:
        for line in islice(lines, share):
            row = json.loads(line)
            true.append([{"label": one["label"], "start": one["start"], "end": one["end"] - 1} for one in row["entities"]])
            try:
                found = json.loads(answers[row["id"]])
            except ValueError:
                found = []
            places = [(one["label"], place) for one in found for place in occurrences(one["text"], row["text"])]
            predicted.append([{"label": label, "start": start, "end": end - 1} for label, (start, end) in places])
    return time.process_time() - begun


def _dicts(spans: set[Span]) -> list[dict[str, Any]]:
    return [{"label": label, "start": start, "end": end - 1} for label, start, end in sorted(spans, key=lambda span: (span[1], span[2], span[0]))]


def report(data: Path | None, costs: dict[str, Cost], alone: Counting) -> str:
    """Returns the Markdown page. `costs` has the large run in the examples' order first."""
    whole = next(iter(costs.values()))
    theirs, ours, reading = (1e6 * seconds / alone.rows for seconds in (alone.nervaluate, alone.ours, alone.reading))
    script, cpu, clock = theirs + reading, 1e6 * whole.cpu / whole.rows, 1e6 * whole.seconds / whole.rows
    load = os.getloadavg()[1]
    source = "CLUENER2020's sentences" if data else "the sample task's sentences"
    lines = [
        "# Scoring",
        "",
        f"{machine()}, Python {sys.version.split()[0]}, load average {load:.1f} (this benchmark makes about 2 of it). Made by `.venv/train/bin/python -m bench.score`; {source}"
        " with made-up errors; one turn.",
        "",
        "`./ner score`, start-up, files, four protocols, parsing and 1,000 bootstrap samples included:",
        "",
        "| predictions | rows | s | CPU s | CPU µs a row | peak memory of all processes, MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, cost in costs.items():
        lines.append(f"| {name} | {cost.rows:,} | {cost.seconds:.1f} | {cost.cpu:.1f} | {cost.cpu / cost.rows * 1e6:.1f} | {cost.peak:.0f} |")
    lines += [
        "",
        f"Against nervaluate, on the first {alone.rows:,} of these rows, in µs of CPU time a row:",
        "",
        "| | nervaluate | ours | ratio |",
        "|---|---|---|---|",
        f"| counting alone, one process, spans in memory | {theirs:.1f} | {ours:.2f} | {theirs / ours:.1f} |",
        f"| from the files to the figures | {script:.1f} | {cpu:.1f} | {script / cpu:.1f} |",
        "",
        "Counting: nervaluate's four strategies (strict, exact, partial, ent_type) from lists of dicts, our four protocols (set, span, partial, type) from lists of tuples,"
        " each overall and by label, without garbage collection; partial and type came to the same integers. From the files: nervaluate behind the shortest script that"
        " reads them with Python's json, against our whole command, whose parser, checks and intervals the script doesn't have. Our command uses all cores, nervaluate"
        f" one: in wall-clock time ours takes {clock:.1f} µs a row, {script / clock:.1f} times as fast as the script would if it had a core to itself.",
        "",
        "Targets: a million rows in under 20 s and 2,000 MB, and at least 20 times nervaluate's speed.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog=".venv/train/bin/python -m bench.score", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, metavar="FILE", help="CLUENER's train.jsonl; default: made-up sentences")
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N", help="default: 1000000")
    parser.add_argument("--share", type=int, default=100_000, metavar="N", help="rows that nervaluate gets (default: 100000)")
    args = parser.parse_args()
    task, gold = find_task("clue"), sentences(args.data)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        examples, predictions, shuffled = make(folder, gold, task, 1000)
        small = score(task, examples, predictions, folder / "out", 1000)
        examples, predictions, shuffled = make(folder, gold, task, args.rows)
        costs = {
            "in the examples' order": score(task, examples, predictions, folder / "out", args.rows),
            "in any order": score(task, examples, shuffled, folder / "out", args.rows),
            "a few": small,
        }
        share = min(args.share, args.rows)
        alone = counting(task, examples, predictions, share)
    page = report(args.data, costs, alone)
    write_text(Path("bench/results/score.md"), page)
    print(page)


if __name__ == "__main__":
    run_tool(main)
