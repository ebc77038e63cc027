"""Reads what a run's folder records: its scores, its loss, and its training.

In: a run. Out: rows of words and numbers; nothing where the folder has no such file.

    .venv/train/bin/python -c "from pathlib import Path; from tools.conf.run import load_run; from tools.web.run_facts import facts; print(facts(load_run(Path('conf/tiny-qwen2-sample-ner-lora-sft.yaml'))))"
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import read_jsonl
from tools.report.evaluations import Evaluation, find_evaluations
from tools.train import manifest
from tools.train.manifest import Manifest

LOG = "trainer_log.jsonl"
LOSSES = {"loss": "train", "eval_loss": "eval"}  # LLaMA-Factory's keys → the split


def evaluations(run: Run) -> list[Evaluation]:
    """Returns the run's evaluations that are whole, the adapter's own first."""
    return sorted(find_evaluations(run.output_dir)[0], key=lambda one: (one.variant.word != "adapter", one.folder.name))


def report_command(one: Evaluation) -> str:
    """Returns the make command that writes an evaluation's report."""
    split = "" if one.meta.split == "dev" else f" SPLIT={one.meta.split}"
    return one.variant.command("report") + split + ("" if one.meta.decoding == "free" else f' ARGS="--folder {one.folder}"')


def losses(run: Run) -> list[tuple[int, float, str]]:
    """Returns (step, loss, 'train' or 'eval') of each line of LLaMA-Factory's log; [] where there is none."""
    path = run.output_dir / LOG
    if not path.is_file():
        return []
    try:
        rows = [row for _, row in read_jsonl(path)]
    except ToolError:
        return []
    return [
        (row["current_steps"], float(row[key]), split)
        for row in rows
        for key, split in LOSSES.items()
        if isinstance(row.get("current_steps"), int) and isinstance(row.get(key), int | float)
    ]


def facts(run: Run) -> list[tuple[str, str]]:
    """Returns (key of tools.web.words or a file's name, value) for each fact of the manifest; [] where the run isn't trained."""
    known = manifest.read(run.output_dir)
    if not known:
        return []
    found: list[tuple[str, object]] = [
        ("base_model", run.trained().base_model),
        ("trained", " – ".join(time.replace("T", " ").removesuffix("+00:00") for time in (known.started, known.ended) if time) + " UTC"),
        ("training_seconds", _seconds(known)),
        ("command", known.command),
        ("commit", known.commit),
        ("machine", ", ".join([f"{known.machine.cores or '?'} cores", *known.machine.gpus])),
        *known.versions.items(),
        *((f"sha256 {Path(file).name}", digest) for file, digest in known.sha256.items()),
    ]
    return [(key, str(value)) for key, value in found if value]


def _seconds(known: Manifest) -> str:
    try:
        return f"{(datetime.fromisoformat(known.ended or '') - datetime.fromisoformat(known.started)).total_seconds():,.0f}"
    except (TypeError, ValueError):
        return ""
