"""Finds what is wrong with a task's raw files, all at once and before anything is trained on them. `./ner check` calls it.

In: a task, and with --conf a run, whose tokenizer measures every row against its cutoff_len. Out: `<out>/<task>/report.json` and a table of findings, the most
serious first, each with its count, its first places and what to do. --fix writes a mended copy beside the report, --plots pictures.
The exit code is 1 if a finding would damage training or its score, and 0 if there are only warnings.

    ./ner check conf/task/clue.yaml
    ./ner check conf/task/clue.yaml raw.train=mine.jsonl --fix
    ./ner check --conf conf/tiny-qwen2-sample-ner-lora-sft.yaml --args cutoff_len=512
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.conf.run import Run, load_run
from tools.conf.task import DATASET, Task, find_task
from tools.data.doctor.diagnosis import Diagnosis, diagnose, open_sources
from tools.data.doctor.findings import ERROR, NOTE, WARNING
from tools.data.doctor.mend import MendedCopy
from tools.data.sources import command, in_turn
from tools.errors import WANTING
from tools.files import Transaction


def add_task_options(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `./ner check` that concern tasks."""
    parser.add_argument("--conf", type=Path, metavar="conf/<run>.yaml", help="measure every row with this run's tokenizer (make: CONF=…)")
    parser.add_argument("--args", nargs="*", default=[], metavar="overlay.yaml|key=value", help="laid over the run of --conf")
    parser.add_argument("--fix", action="store_true", help="write a mended copy, DIR/<task>/<split>.mended.jsonl")
    parser.add_argument("--plots", action="store_true", help="draw labels and lengths as PNG")
    folder = DATASET / "check"
    parser.add_argument("--out", type=Path, default=folder, metavar="DIR", help=f"the report is DIR/<task>/report.json (default: {folder})")


def check_tasks(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Checks the tasks among `words` (task files and key=value); without one, the task of the run in --conf. Returns the exit code."""
    run = load_run(args.conf, args.args) if args.conf else None

    def one(task: Task, overrides: list[str]) -> int:
        return check(task, overrides, run, args.out / task.name, args.fix, args.plots)

    if run and all("=" in word for word in words):
        return one(find_task(run.task, words), list(words))
    return in_turn(words, one)


def check(task: Task, words: list[str], run: Run | None, out: Path, fix: bool = False, plots: bool = False) -> int:
    """Examines a task, writes `out`/report.json and what else is asked for, and prints it. Returns the exit code.

    `words` are the task's key=value words, which the next command repeats.
    """
    with TemporaryDirectory(prefix="ner-check-") as folder:
        read, files = open_sources(task, Path(folder))
        diagnosis = diagnose(task, read, files, run)
        copy = MendedCopy(diagnosis, read, files, out) if fix else None
        with Transaction() as new:
            if copy:
                copy.write(new)
            new.open(out / "report.json").write(json.dumps(_report(diagnosis), ensure_ascii=False, indent=2) + "\n")
    pictures = []
    if plots:
        from tools.data.doctor.plots import draw

        pictures = draw(diagnosis.splits.report(), out, diagnosis.cutoff.limit if diagnosis.cutoff else None)
    _print(diagnosis, copy, pictures, out, words)
    return WANTING if diagnosis.findings.total(ERROR) else 0


def _report(diagnosis: Diagnosis) -> dict[str, Any]:
    findings, cutoff = diagnosis.findings, diagnosis.cutoff
    run = {"run": cutoff.run.name, "cutoff_len": cutoff.limit, "longest": cutoff.longest} if cutoff else {}
    totals = {f"{severity}s": findings.total(severity) for severity in (ERROR, WARNING, NOTE)}
    return {"task": diagnosis.task.name, **run, "splits": diagnosis.splits.report(), "findings": findings.report(), **totals}


def _print(diagnosis: Diagnosis, copy: MendedCopy | None, pictures: list[Path], out: Path, words: list[str]) -> None:
    task, findings = diagnosis.task, diagnosis.findings
    for name, counts in diagnosis.splits.counts.items():
        print(f"{task.name} {name}: {counts.summary(task.kind)}")
    for line in diagnosis.excerpts.lines():
        print(line)
    if table := list(findings.table()):
        print("", *table, "", sep="\n")
    if copy:
        print(*_about_copy(copy), sep="\n")
    for picture in pictures:
        print(f"drawn: {picture}")
    print(f"{findings.total(ERROR):,} errors, {findings.total(WARNING):,} warnings → {out / 'report.json'}")
    print(f"next: {_next(diagnosis, copy, words)}")


def _about_copy(copy: MendedCopy) -> list[str]:
    """Returns what became of the rows, and how the task reads the copy from then on."""
    if not copy.changes:
        return ["nothing to mend: no copy was written."]
    name, accounts = copy.task.name, copy.accounts
    lines = [f"{name} {split}, mended: {account}" for split, account in accounts.items()]
    if any(account.rows_out for account in accounts.values()):
        lines += [f"the next command uses the copy this once; to use it from now on, write in {copy.task.path}:"]
        lines += [f"  {line}" for line in copy.task_lines()]
    return lines


def _next(diagnosis: Diagnosis, copy: MendedCopy | None, words: list[str]) -> str:
    """Returns the next command: the conversion, or a check that mends or has to pass first."""
    task, run = diagnosis.task, diagnosis.cutoff.run if diagnosis.cutoff else None
    answers = list(dict.fromkeys(answer for verdict in diagnosis.verdicts.values() if verdict.stops for answer in verdict.answers))
    if len(answers) > 1 or (answers and not copy):
        return f"write offsets: {' or offsets: '.join(answers)} in {task.path}, then {command('check', task, words, run)}"
    if copy and copy.changes:
        trained = diagnosis.splits.trained
        if not copy.accounts[trained].rows_out:
            return f"correct the raw files: no row of {trained} could be mended"
        return command("data", task, copy.words_instead_of(words))
    if diagnosis.findings.mendable() and not copy:
        return command("check", task, ["--fix", *words], run) + "   (writes a mended copy), or correct the raw files"
    if diagnosis.findings.total(ERROR):
        return "follow the advice behind each →, then " + command("check", task, words, run)
    return command("data", task, words)
