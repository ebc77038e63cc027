"""The data doctor: what is wrong with a task's raw files, all at once and before anything is trained on them.

In: a task, and with --conf a run, whose own tokenizer then measures every row against its cutoff_len. Out: `<out>/<task>/report.json` and a table, both with
the most serious findings first, each with its count, the first places and what to do. --fix writes a mended copy beside the report, --plots pictures.
Exit code 1 where something would damage training or its score, 0 where there are only warnings.

    python -m tools.data.doctor.examine conf/task/clue.yaml
    python -m tools.data.doctor.examine conf/task/clue.yaml raw.train=mine.jsonl --fix
    python -m tools.data.doctor.examine --conf conf/tiny-qwen2-sample-ner-lora-sft.yaml --args cutoff_len=512
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.conf.run import Run, load_run
from tools.conf.task import DATASET, TASKS, Task, find_task
from tools.data.doctor.diagnosis import Diagnosis, diagnose, open_sources
from tools.data.doctor.findings import ERROR, NOTE, WARNING
from tools.data.doctor.mend import MendedCopy
from tools.data.doctor.split_faults import SplitCounts
from tools.data.sources import named_tasks, present
from tools.errors import WANTING, run
from tools.files import Transaction


def main() -> int:
    args = _parser().parse_intermixed_args()
    conf = load_run(args.conf, args.args) if args.conf else None
    if conf and all("=" in word for word in args.task):
        tasks, words = [find_task(conf.task, args.task)], args.task
    else:
        tasks, words = named_tasks(args.task)
    code = 0
    for task in present(tasks):
        code = max(code, check(task, words, conf, args.out / task.name, args.fix, args.plots))
    return code


def check(task: Task, words: list[str], conf: Run | None, out: Path, fix: bool = False, plots: bool = False) -> int:
    """Examine a task, write `out`/report.json (and what else is asked for), print it; the exit code. `words` are the task's key=value words, to be shown again."""
    with TemporaryDirectory(prefix="ner-check-") as folder:
        read, files = open_sources(task, Path(folder))
        diagnosis = diagnose(task, read, files, conf)
        copy = MendedCopy(diagnosis, read, files, out) if fix else None
        with Transaction() as new:
            if copy:
                copy.write(new)
            new.open(out / "report.json").write(json.dumps(_report(diagnosis), ensure_ascii=False, indent=2) + "\n")
    pictures = _draw(diagnosis, out) if plots else []
    _print(diagnosis, copy, pictures, out, words)
    return WANTING if diagnosis.findings.total(ERROR) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.data.doctor.examine", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "task", nargs="*", metavar="TASK.yaml|key=value", help="the task, key=value lies over it (make: TASK=…); default: the run's own"
    )
    parser.add_argument("--conf", type=Path, metavar="conf/<run>.yaml", help="measure every row with this run's tokenizer (make: CONF=…)")
    parser.add_argument("--args", nargs="*", default=[], metavar="overlay.yaml|key=value", help="laid over the run")
    parser.add_argument("--fix", action="store_true", help="write a mended copy, DIR/<task>/<split>.mended.jsonl (make: FIX=1)")
    parser.add_argument("--plots", action="store_true", help="draw labels and lengths as PNG (make: PLOTS=1)")
    parser.add_argument(
        "--out", type=Path, default=DATASET / "check", metavar="DIR", help="the report is DIR/<task>/report.json (default: %(default)s)"
    )
    return parser


def _report(diagnosis: Diagnosis) -> dict[str, Any]:
    findings, cutoff = diagnosis.findings, diagnosis.cutoff
    run = {"run": cutoff.run.name, "cutoff_len": cutoff.limit, "longest": cutoff.longest} if cutoff else {}
    totals = {f"{severity}s": findings.total(severity) for severity in (ERROR, WARNING, NOTE)}
    splits = {name: counts.report() for name, counts in diagnosis.splits.counts.items()}
    return {"task": diagnosis.task.name, **run, "splits": splits, "findings": findings.report(), **totals}


def _draw(diagnosis: Diagnosis, out: Path) -> list[Path]:
    from tools.data.doctor.plots import draw

    stats = {name: counts.report() for name, counts in diagnosis.splits.counts.items()}
    return draw(stats, out, diagnosis.cutoff.limit if diagnosis.cutoff else None)


def _print(diagnosis: Diagnosis, copy: MendedCopy | None, pictures: list[Path], out: Path, words: list[str]) -> None:
    task, findings = diagnosis.task, diagnosis.findings
    for name, counts in diagnosis.splits.counts.items():
        print(f"{task.name} {name}: {_summary(counts, task)}")
    for line in ["", *findings.table(), ""] if findings.report() else []:
        print(line)
    if copy:
        for split, account in copy.accounts.items():
            first, *rest = account.lines()
            print(f"{task.name} {split}, mended: {first} → {copy.paths[split]}", *rest, sep="\n")
    for picture in pictures:
        print(f"drawn: {picture}")
    print(f"{findings.total(ERROR):,} errors, {findings.total(WARNING):,} warnings → {out / 'report.json'}")
    print(f"next: {_next(diagnosis, copy, words)}")


def _summary(counts: SplitCounts, task: Task) -> str:
    parts = [f"{counts.rows:,} rows"]
    if task.kind == "ner":
        parts += [f"{counts.entities:,} entities", f"{counts.pairs:,} unique (label, string) pairs", f"{counts.empty_rows:,} rows without an entity"]
    if counts.bad_rows:
        parts.append(f"{counts.bad_rows:,} bad rows")
    for lengths, said in ((counts.text_lengths, "{} characters"), (counts.token_lengths, "{} tokens")):
        if lengths:
            least, most = min(lengths), max(lengths)
            parts.append(said.format(f"{least:,}–{most:,}" if least < most else f"{most:,}"))
    return ", ".join(parts)


def _next(diagnosis: Diagnosis, copy: MendedCopy | None, words: list[str]) -> str:
    """The command that follows: convert, or first see what can be mended."""
    task, run = diagnosis.task, diagnosis.cutoff.run if diagnosis.cutoff else None
    if copy:
        if not copy.accounts[diagnosis.splits.trained].rows_out:
            return f"correct the raw files, nothing of {diagnosis.splits.trained} could be mended"
        replaced = {"reader", "split", *(f"raw.{split}" for split in copy.accounts)}
        return _convert(task, [word for word in words if word.split("=")[0] not in replaced and not word.startswith("split.")] + copy.words())
    if diagnosis.findings.mendable():
        return _check(task, words, run, fix=True) + "   (writes a mended copy), or correct the raw files"
    if diagnosis.findings.total(ERROR):
        return "do what stands behind each →, then " + _check(task, words, run)
    return _convert(task, words)


def _convert(task: Task, words: list[str]) -> str:
    if _has_target(task):
        return f"make data TASK={task.name}{_make_args(words)}"
    return shlex.join(["python", "-m", "tools.data.convert", str(task.path), *words, "--out", str(DATASET)])


def _check(task: Task, words: list[str], conf: Run | None, fix: bool = False) -> str:
    if _has_target(task) and not (conf and conf.overrides):
        return f"make check TASK={task.name}{f' CONF={conf.path}' if conf else ''}{' FIX=1' if fix else ''}{_make_args(words)}"
    run = ["--conf", str(conf.path), *(["--args", *conf.overrides] if conf.overrides else [])] if conf else []
    return shlex.join(["python", "-m", "tools.data.doctor.examine", str(task.path), *words, *run, *(["--fix"] if fix else [])])


def _has_target(task: Task) -> bool:
    """Whether make can name the task by TASK=."""
    return task.path == TASKS / task.path.name


def _make_args(words: list[str]) -> str:
    return f' ARGS="{shlex.join(words)}"' if words else ""


if __name__ == "__main__":
    run(main)
