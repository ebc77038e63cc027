"""Answers a file of questions with vLLM in one process, without a server: for batches that nobody waits for.

In: a trained run and a file of questions, one JSON object a line: {"id", "messages", "constraint"}. Out: a file of answers, one prediction a line, each written as
soon as it is there. `make eval ENGINE=offline` calls this.

    python -m tools.predict.engines.offline_job conf/tiny-qwen2-sample-ner-lora-sft.yaml --model adapter --questions FILE --sampling '{"temperature": 0}' --answers FILE
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.conf.run import Run, run_from
from tools.errors import WANTING, ToolError, run
from tools.files import need_file, write_json
from tools.process import call
from tools.serve.serve import PYTHON, environment, plan, reason

ENGINES = {"offline": "tools.predict.engines.worker", "ray": "tools.predict.engines.ray_worker"}


def job(this: Run, which: str, questions: Path, answers: Path, sampling: dict[str, Any]) -> dict[str, Any]:
    """What a worker is told: vLLM's engine arguments, the adapter (name and folder, or None), the files, and vLLM's sampling parameters.

    Raises ToolError for a model that isn't there, or that vLLM would refuse.
    """
    merged = which.startswith("merged")
    flags = plan(this, merged, 0, which.removeprefix("merged-") if "-" in which and merged else None, "best" if which == "best" else "final")
    modules = flags.get("lora-modules", [])
    return {
        "engine": {key.replace("-", "_"): value for key, value in flags.items()},
        "adapter": modules[0].split("=", 1) if modules and which != "base" else None,
        "questions": str(questions),
        "answers": str(answers),
        "sampling": sampling,
    }


def answer(this: Run, which: str, questions: Path, answers: Path, sampling: dict[str, Any], engine: str = "offline") -> None:
    """Answer every question, in whatever order; vLLM's words go to data/outputs/<run>/offline.log. Raises ToolError (1) when vLLM stops before the end."""
    need_file(questions)
    if not PYTHON.is_file():
        raise ToolError(f"{PYTHON}: no such file; `make setup` installs vLLM.")
    told, log_path = job(this, which, questions, answers, sampling), this.output_dir / "offline.log"
    with TemporaryDirectory(prefix="offline-") as folder, open(log_path, "w", encoding="utf-8") as log:
        write_json(Path(folder) / "job.json", told)
        code = call([PYTHON, "-m", ENGINES[engine], Path(folder) / "job.json"], environment(), log)
    if code:
        raise ToolError(f"{this.path}: vLLM stopped with exit code {code}.\n{reason(log_path)}", WANTING)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.predict.engines.offline_job", description=(__doc__ or "").split("\n\n")[0])
    add_run(parser)
    parser.add_argument("--model", default="adapter", metavar="WHICH", help="adapter, base, best, merged or merged-<method> (default: adapter)")
    parser.add_argument("--engine", choices=sorted(ENGINES), default="offline", help="ray: over the machines of a Ray cluster (default: offline)")
    parser.add_argument("--questions", type=Path, required=True, metavar="FILE", help='one {"id", "messages", "constraint"} a line')
    parser.add_argument(
        "--sampling", type=json.loads, default={"temperature": 0}, metavar="JSON", help="vLLM's sampling parameters (default: greedy)"
    )
    parser.add_argument("--answers", type=Path, required=True, metavar="FILE", help="gets one prediction a line")
    args = parser.parse_args()
    answer(run_from(args), args.model, args.questions, args.answers, args.sampling, args.engine)


if __name__ == "__main__":
    run(main)
