"""What LLaMA-Factory's own parser says of a run, beyond single values: settings that don't go together, packages that a setting needs.

In: a run. Out: its complaint, as it would come after the start. Importing LLaMA-Factory takes ten seconds, so it happens in a child process whose output is kept,
and a run that passed is remembered beside the environment.

    .venv/train/bin/python -m tools.train.native_parser data/outputs/<run>/run.yaml
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.conf.overlays import load_yaml
from tools.conf.run import Run
from tools.errors import run as run_tool

# Several processes are needed for these, or a GPU; what the parser has to say of them depends on the machine and not on the run.
ELSEWHERE = ("deepspeed", "fsdp", "fsdp_config", "pure_bf16", "ray_num_workers", "ray_init_kwargs", "ddp_backend")


def parser_problems(run: Run) -> list[str]:
    """The first thing that LLaMA-Factory's parser finds wrong with the run, if any."""
    with TemporaryDirectory(prefix="ner-parse-") as folder:
        values = {key: value for key, value in run.values.items() if key not in ELSEWHERE}
        # Whatever machine checks the run: no GPU is asked for, and an output folder that exists is no mistake.
        values |= {"output_dir": folder, "overwrite_output_dir": True, "use_cpu": True, "resume_from_checkpoint": None}
        file = Path(folder) / "run.json"  # JSON is YAML
        file.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        done = subprocess.run([sys.executable, "-m", "tools.train.native_parser", str(file)], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    lines = [line for line in (done.stdout or done.stderr).strip().splitlines() if line.strip()]
    return [f"{run.path}: LLaMA-Factory refuses it: {lines[-1][:500] if lines else f'exit code {done.returncode}'}"]


def complaint(path: Path) -> str:
    """LLaMA-Factory's objection to a run file ('' for none)."""
    from llamafactory.hparams import get_train_args
    from omegaconf import OmegaConf

    try:
        get_train_args(OmegaConf.to_container(load_yaml(path)))
    except Exception as error:  # whatever it is, the training would end with it
        return " ".join(f"{error}".split()) or type(error).__name__
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.train.native_parser", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN.yaml")
    found = complaint(parser.parse_args().run)
    print(found)
    return 1 if found else 0


if __name__ == "__main__":
    run_tool(main)
