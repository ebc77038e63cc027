"""What is known of a run: its scores, its loss, and the record of its training, from the files in its folder.

In: a run. Out: tables of words and numbers, or the command that makes what isn't there.

    python -c "from pathlib import Path; from tools.conf import load_run; from tools.web.run_facts import facts; print(facts(load_run(Path('conf/tiny-qwen2-sample-ner-lora-sft.yaml'))))"
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import read_json, read_jsonl
from tools.report.evaluations import Evaluation, find_evaluations
from tools.score.score import table

AVERAGES = {"Micro Avg.": "micro", "Macro Avg.": "macro"}


def evaluations(this: Run) -> list[Evaluation]:
    """The run's evaluations that are whole; the adapter's own first."""
    return sorted(find_evaluations(this.output_dir)[0], key=lambda one: (one.variant != "adapter", one.folder.name))


def scores(one: Evaluation) -> list[list[Any]]:
    """Label, precision, recall, F1, support, one row a label; the averages are called 'micro' and 'macro'. A mean of ratios has only an F1."""
    frame = table(one.score)[["Label", "Precision", "Recall", "F1", "Support"]]
    rows = []
    for label, precision, recall, f1, support in frame.astype(object).where(frame.notna(), None).itertuples(index=False):
        is_mean = label == "Macro Avg."
        rows.append([AVERAGES.get(label, label), None if is_mean else precision, None if is_mean else recall, f1, support])
    return rows


def losses(this: Run) -> list[tuple[int, float, str]]:
    """(step, loss, 'train' or 'eval') from LLaMA-Factory's log; [] where there is none."""
    path = this.output_dir / "trainer_log.jsonl"
    if not path.is_file():
        return []
    try:
        rows = [row for _, row in read_jsonl(path)]
    except ToolError:
        return []
    found = []
    for row in rows:
        for key, kind in (("loss", "train"), ("eval_loss", "eval")):
            if isinstance(row.get("current_steps"), int) and isinstance(row.get(key), int | float):
                found.append((row["current_steps"], float(row[key]), kind))
    return found


def facts(this: Run) -> list[tuple[str, str]]:
    """(key of tools.web.words or a file's name, what is known of it) from the manifest; [] where the run isn't trained."""
    path = this.output_dir / "manifest.json"
    if not path.is_file():
        return []
    manifest = read_json(path)
    trained = this.trained()
    known = [("base_model", trained.base_model), ("trained", _when(manifest)), ("training_seconds", _seconds(manifest))]
    known += [("command", manifest.get("command")), ("commit", manifest.get("commit"))]
    machine = manifest.get("machine") or {}
    known.append(("machine", ", ".join([f"{machine.get('cores', '?')} cores", *map(str, machine.get("gpus") or [])])))
    known += [(name, version) for name, version in (manifest.get("versions") or {}).items()]
    known += [(f"sha256 {Path(file).name}", digest) for file, digest in (manifest.get("sha256") or {}).items()]
    return [(key, str(value)) for key, value in known if value]


def _when(manifest: dict[str, Any]) -> str:
    return " – ".join(str(manifest[key]).replace("T", " ").removesuffix("+00:00") for key in ("started", "ended") if manifest.get(key)) + " UTC"


def _seconds(manifest: dict[str, Any]) -> str:
    try:
        return f"{(datetime.fromisoformat(manifest['ended']) - datetime.fromisoformat(manifest['started'])).total_seconds():,.0f}"
    except (KeyError, TypeError, ValueError):
        return ""
