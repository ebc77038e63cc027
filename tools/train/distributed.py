"""Starts a run in several processes, on one machine or on many.

In: the words of `add_options`, or LLaMA-Factory's own variables in the environment (NNODES, NODE_RANK, NPROC_PER_NODE, MASTER_ADDR, MASTER_PORT). Out: the
command that trains a resolved run. docs/cluster.md is the page for users.

torchrun is started directly. llamafactory-cli would not pass signals on, so its ranks would train on after it has ended. It also splits paths at spaces.

    ./ner train conf/<run>.yaml --nproc 2
    ./ner train conf/<run>.yaml --nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --master-port 29500
"""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.conf.run import Run
from tools.errors import all_at_once
from tools.text import whole_number
from tools.train.engines.engine_table import ENGINES
from tools.train.machine import visible_gpus

TRUE = ("true", "y", "1")  # LLaMA-Factory's words for yes in its variables
# LLaMA-Factory's launcher sets these for its ranks, unless OPTIM_TORCH is off.
TUNED = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True", "TORCH_NCCL_AVOID_RECORD_STREAMS": "1"}
MOST = 100_000  # machines, or processes on one
NEEDED = {
    "node_rank": "--node-rank <this machine's number, from 0>",
    "master_addr": "--master-addr <machine 0's address>",
    "master_port": "--master-port <a port that is free there, the same for all, e.g. 29500>",
}
NO_RAY = "USE_RAY: ./ner train starts no Ray workers; llamafactory-cli does (docs/cluster.md). Unset it, or call llamafactory-cli."


@dataclass(frozen=True)
class Processes:
    """The processes that train, and whether LLaMA-Factory's own forward is asked for. `nproc` is a number or 'gpu' (one for each GPU); without it a single process is started, without torchrun."""

    nproc: str = ""
    nnodes: int = 1
    node_rank: int = 0
    master_addr: str = "127.0.0.1"
    master_port: int = 0  # 0: any free one, for a single machine
    native: bool = False  # by LLaMA-Factory's own forward

    @property
    def leads(self) -> bool:
        """Whether this is the first machine, which writes run.yaml and manifest.json and sets a finished run aside."""
        return self.node_rank == 0

    @property
    def total(self) -> int:
        """The number of processes on all machines."""
        return self.nnodes * (int(self.nproc) if self.nproc.isdecimal() else max(1, visible_gpus()))

    def command(self, program: list[str], conf: Path) -> list[str]:
        """Returns the command that trains the resolved run `conf`. `program` starts the engine in one process; torchrun starts the module that it names."""
        if not self.nproc:
            return [*program, str(conf)]
        where = {"nnodes": self.nnodes, "node-rank": self.node_rank, "nproc-per-node": self.nproc}
        where |= {"master-addr": self.master_addr, "master-port": self.master_port or _free_port()}
        words = [word for name, value in where.items() for word in (f"--{name}", str(value))]
        return [sys.executable, "-m", "torch.distributed.run", *words, "--module", *program[2:], str(conf)]

    def environment(self) -> dict[str, str]:
        """Returns the variables that the command is given beside this process's own."""
        return dict(TUNED) if self.nproc and os.environ.get("OPTIM_TORCH", "1").lower() in TRUE else {}

    def hint(self) -> str:
        """Returns the tail of a failed training's message: where to look in an output that several processes wrote."""
        if not self.nproc:
            return ""
        return " Several processes wrote it: the rank that failed first is torchrun's 'Root Cause'; all others were stopped because of it."


ALONE = Processes()  # one process


def typed(command: Sequence[str]) -> str:
    """Returns a command as a user types it, without the folder of its program."""
    return shlex.join([Path(command[0]).name, *command[1:]])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares --native and the options of several processes. LLaMA-Factory's own variables are their defaults."""
    parser.add_argument("--native", action="store_true", help="of a run: train as plain llamafactory-cli does, without sharing first tokens")
    group = parser.add_argument_group("several processes (docs/cluster.md)")
    env = {name: value for name, value in os.environ.items() if value}  # a scheduler may leave one of them empty
    group.add_argument(
        "--nproc", type=_nproc, default=env.get("NPROC_PER_NODE"), metavar="N", help="processes on this machine (default: one for each GPU)"
    )
    group.add_argument(
        "--nnodes", type=whole_number(1, MOST), default=env.get("NNODES", "1"), metavar="N", help="machines; each is given the same command"
    )
    group.add_argument(
        "--node-rank", type=whole_number(0, MOST), default=env.get("NODE_RANK"), metavar="K", help="the number of this machine, from 0"
    )
    group.add_argument("--master-addr", default=env.get("MASTER_ADDR"), metavar="HOST", help="machine 0's address, as all can reach it")
    group.add_argument("--master-port", type=whole_number(1, 65535), default=env.get("MASTER_PORT"), metavar="PORT", help="a free port there")


def processes(args: argparse.Namespace) -> Processes:
    """Returns the processes that the options ask for. Raises ToolError that shows everything wrong with them together."""
    all_at_once([*_problems(args), *([NO_RAY] if _is_set("USE_RAY") else [])])
    several = args.nnodes > 1 or visible_gpus() > 1 or _is_set("FORCE_TORCHRUN")
    nproc = args.nproc or ("gpu" if several else "")
    return Processes(nproc, args.nnodes, args.node_rank or 0, args.master_addr or Processes.master_addr, args.master_port or 0, args.native)


def usual(run: Run) -> Processes:
    """Returns the processes of a training that has no options: one for each GPU where there are several, through torchrun where the run divides its model."""
    return Processes("gpu") if visible_gpus() > 1 or run.values.get("deepspeed") or run.values.get("fsdp") else ALONE


def problems(run: Run, how: Processes) -> list[str]:
    """Returns each setting that would be ignored in silence, or fail late, where the run is started this way."""
    deepspeed, fsdp, engine = run.values.get("deepspeed"), run.values.get("fsdp"), ENGINES[run.engine]
    alone = "trains in one process. Leave --nproc and --nnodes out, and show it one GPU: CUDA_VISIBLE_DEVICES=0"
    sharded = "deepspeed" if deepspeed else "fsdp" if fsdp else ""
    gone = isinstance(deepspeed, str) and not Path(deepspeed).is_file()
    checks = {
        f"`{sharded}` works through torchrun only. Say --nproc <processes>; 1 will do.": sharded and not how.nproc,
        "`deepspeed` and `fsdp` both divide the model. Keep one of them.": deepspeed and fsdp,
        f"with `use_cpu: true`, accelerate leaves out `{sharded}` without a word. Drop one of the two.": sharded and run.values.get("use_cpu"),
        "`fsdp` needs GPUs. Without them accelerate leaves it out without a word.": fsdp and not visible_gpus(),
        f"`deepspeed: {deepspeed}`: no such file. Ours are in conf/deepspeed/.": gone,
        f"{engine.title} {alone}": how.nproc and not engine.processes,
    }
    return [f"{run.path}: {problem}" for problem, holds in checks.items() if holds]


def _problems(args: argparse.Namespace) -> list[str]:
    found, nnodes, rank, address = [], args.nnodes, args.node_rank or 0, args.master_addr
    if rank >= nnodes:
        found.append(f"--node-rank {rank}: with --nnodes {nnodes} it must be below {nnodes}. Machines count from 0.")
    if address and (address.split() != [address] or "/" in address):
        found.append(f"--master-addr '{address}': a host's name or address is needed, without a space, a scheme or a path.")
    if nnodes > 1:
        found += [f"--nnodes {nnodes} also needs {need}." for name, need in NEEDED.items() if getattr(args, name) is None]
        if address and (address in ("localhost", "::1") or address.startswith("127.")):
            found.append(f"--master-addr {address}: the other machines would look for machine 0 on themselves. Give its address in the network.")
        if not args.nproc and not visible_gpus():
            found.append("no GPU is seen here, so the number of processes must be given: --nproc <processes>")
    return found


def _nproc(word: str) -> str:
    return word if word == "gpu" else str(whole_number(1, MOST)(word))


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in TRUE


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
