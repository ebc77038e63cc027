"""Trains: resolves a run, checks what can be checked in a second, and gives LLaMA-Factory the one resulting file.

In: conf/<run>.yaml, overlays, key=value. Out: data/outputs/<run>/ with LLaMA-Factory's own files, run.yaml and manifest.json.

    python -m tools.train.launch conf/tiny-qwen2-sample-ner-lora-sft.yaml lora_rank=16
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from tools.conf import Run, add_run, dataset_names, run_from
from tools.errors import WANTING, ToolError, all_at_once, choices, run
from tools.files import need_file, read_json, write_text
from tools.process import call
from tools.train import arguments, distributed, manifest, pissa
from tools.train.distributed import Processes

# Written by LLaMA-Factory after the model: the marks of a finished run.
FINISHED = ("train_results.json", "adapter_config.json", "adapter_model.safetensors")


def train(this: Run, how: Processes | None = None) -> None:
    """Run LLaMA-Factory on the resolved run, in child processes, and see that it left an adapter.

    Raises ToolError with exit code 2 for what can be known before the start, 1 when the training failed.
    """
    how = how or Processes()
    all_at_once(
        [
            *arguments.problems(this),
            *base_model_problems(this),
            *_dataset_problems(this),
            *distributed.problems(this, how),
            *(pissa.problems(this) if how.leads else []),
        ]
    )
    cli = llamafactory_cli()
    if not how.leads:
        return follow(this, cli, how)
    if moved := set_aside(this.output_dir):
        print(f"{this.output_dir} holds a finished run: moved to {moved}", flush=True)
    write_text(this.resolved, to_yaml(this.values))
    pissa.before(this)
    command = how.command(cli, this.resolved)
    record = manifest.start(this, [Path(command[0]).name, *command[1:]])
    code = 130  # unless it gets as far as an exit code of its own
    try:
        code = call(command, env=how.environment())
    finally:
        manifest.end(this, record, code)
    if code:
        raise ToolError(f"{this.path}: LLaMA-Factory stopped with exit code {code}; what it printed above says why.{how.hint()}", WANTING)
    missing = [name for name in FINISHED if not (this.output_dir / name).is_file()]
    if this.values.get("finetuning_type", "lora") == "lora" and missing:
        raise ToolError(
            f"{this.path}: LLaMA-Factory ended well but left no {', '.join(missing)} in {this.output_dir}. Is `do_train: true` set?", WANTING
        )
    if pissa.convert(this.output_dir):
        print(f"{this.output_dir}: PiSSA's adapter was made a plain LoRA adapter of twice the rank")
    print(f"trained: {this.output_dir}  next: make export CONF={this.path}, or make eval CONF={this.path}")


def follow(this: Run, cli: str, how: Processes) -> None:
    """Train as a machine that isn't the first: the output folder may be the first one's own, so nothing is written there from here.

    Raises ToolError with exit code 1 when the training failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "run.yaml"
        write_text(conf, to_yaml(this.values))
        code = call(how.command(cli, conf), env=how.environment())
    if code:
        raise ToolError(f"{this.path}: machine {how.node_rank} stopped with exit code {code}; what it printed above says why.{how.hint()}", WANTING)
    print(f"machine {how.node_rank} is done; the adapter is on machine 0, in {this.output_dir}")


def set_aside(folder: Path) -> Path | None:
    """Move a finished run's folder, scores and merged model with it, to a neighbour named by the time it ended; None when there is none.

    So a new training loses nothing, and nothing of the old one passes for the new one's.
    """
    finished = folder / FINISHED[0]
    if not finished.is_file():
        return None
    ended = datetime.fromtimestamp(finished.stat().st_mtime).strftime("%Y%m%d-%H%M%S")
    moved = folder.with_name(f"{folder.name}.{ended}")
    folder.rename(moved)
    return moved


def base_model_problems(this: Run) -> list[str]:
    """What is wrong with `model_name_or_path` as a local folder; a missing folder is a problem because nothing here downloads by itself."""
    folder = Path(this.base_model)
    if not folder.is_dir():
        hint = f"make download MODEL=Qwen/{this.base_name}" if this.base_name.startswith("Qwen") else "make download MODEL=<owner>/<name>"
        local = sorted(str(path.parent) for path in Path("models").glob("*/config.json"))
        return [f"{this.path}: base model {folder}: no such folder.{choices(str(folder), local)} To get one: {hint}"]
    return [f"{this.path}: base model {folder}: no {name} in it." for name in ("config.json",) if not (folder / name).is_file()]


def llamafactory_cli() -> str:
    """LLaMA-Factory's command in this Python's environment."""
    command = Path(sys.executable).with_name("llamafactory-cli")
    if not command.is_file():
        raise ToolError(f"{command}: no such file; `make setup` installs LLaMA-Factory, and .venv/train/bin/python runs this tool.")
    return str(command)


def to_yaml(values: dict[str, Any]) -> str:
    """`values` as YAML that LLaMA-Factory's loader reads back as the same values ("no" stays text, 1e-4 a number)."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(values))


def _dataset_problems(this: Run) -> list[str]:
    folder = Path(str(this.values.get("dataset_dir", "data")))
    path, names = folder / "dataset_info.json", [*dataset_names(this.values.get("dataset")), *dataset_names(this.values.get("eval_dataset"))]
    try:
        info = read_json(need_file(path, f"{this.path} trains on it; make data"))
    except ToolError as error:
        return [str(error)]
    problems = []
    for name in dict.fromkeys(names):
        if name not in info:
            problems.append(f"{this.path}: no dataset '{name}' in {path}.{choices(name, info)} To write it: make data")
        elif "file_name" in info[name] and not (folder / info[name]["file_name"]).is_file():
            problems.append(f"{folder / info[name]['file_name']}: no such file (dataset '{name}'). To write it: make data")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.train.launch", description=(__doc__ or "").split("\n\n")[0])
    add_run(parser)
    distributed.add_options(parser)
    args = parser.parse_intermixed_args()
    train(run_from(args), distributed.processes(args))


if __name__ == "__main__":
    run(main)
