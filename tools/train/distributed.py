"""Several processes, on one machine or on many: which command starts a run, and with what in its environment.

In: the words of `add_options`, or LLaMA-Factory's own variables (NNODES, NODE_RANK, NPROC_PER_NODE, MASTER_ADDR, MASTER_PORT, USE_RAY) in the
environment. Out: the command that trains a resolved run. docs/cluster.md is the page for users.

    python -m tools.train.train conf/<run>.yaml --nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --master-port 29500

torchrun is started directly, as llamafactory-cli would start it: behind llamafactory-cli it isn't told when that one is ended, and its ranks would train
on with nobody to stop them. It also keeps paths whole, which llamafactory-cli joins and splits at spaces.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.conf.run import Run, run_from
from tools.errors import all_at_once
from tools.train.machine import visible_gpus

TRUE = ("true", "y", "1")  # what LLaMA-Factory takes for yes in its variables
# LLaMA-Factory's launcher gives these to its ranks, unless OPTIM_TORCH says no.
TUNED = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True", "TORCH_NCCL_AVOID_RECORD_STREAMS": "1"}


@dataclass(frozen=True)
class Processes:
    """How many processes train, and where. `nproc` is a number or 'gpu' (one for each); '' starts a single process without torchrun."""

    nproc: str = ""
    nnodes: int = 1
    node_rank: int = 0
    master_addr: str = "127.0.0.1"
    master_port: int = 0  # 0: any free one, for a single machine
    ray: bool = False

    @property
    def leads(self) -> bool:
        """Whether this launch is the one that writes run.yaml and manifest.json and sets a finished run aside: the first machine's."""
        return self.node_rank == 0

    @property
    def several(self) -> bool:
        """Whether torchrun or Ray starts the ranks."""
        return bool(self.nproc) or self.ray

    @property
    def total(self) -> int:
        """How many processes share a step."""
        return self.nnodes * (int(self.nproc) if self.nproc.isdecimal() else max(1, visible_gpus()))

    def command(self, program: list[str], conf: Path) -> list[str]:
        """The command that trains the resolved run `conf`; `program` takes it alone, which is enough for one process and for Ray."""
        if not self.nproc:
            return [*program, str(conf)]
        where = {"nnodes": self.nnodes, "node-rank": self.node_rank, "nproc-per-node": self.nproc}
        where |= {"master-addr": self.master_addr, "master-port": self.master_port or _free_port()}
        words = [word for name, value in where.items() for word in (f"--{name}", str(value))]
        return [sys.executable, "-m", "torch.distributed.run", *words, "--module", "tools.train.rank", str(conf)]

    def environment(self) -> dict[str, str]:
        """What is laid over this process's environment for that command."""
        if self.ray:
            return {"USE_RAY": "1"}
        if not self.nproc or os.environ.get("OPTIM_TORCH", "1").lower() not in TRUE:
            return {}
        return dict(TUNED)

    def hint(self) -> str:
        """What to say when the command failed: where to look, in an output that several processes wrote."""
        if not self.nproc:
            return ""
        return " Several processes wrote it: the rank that failed first is torchrun's 'Root Cause'; all others were stopped because of it."


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of several processes. A word not given is taken from LLaMA-Factory's own variable, then from its default."""
    group = parser.add_argument_group("several processes (docs/cluster.md)")
    group.add_argument("--nproc", metavar="N", help="processes on this machine (make: NPROC=…; default: one for each GPU)")
    group.add_argument("--nnodes", metavar="N", help="machines; each is given the same command (make: NNODES=…)")
    group.add_argument("--node-rank", metavar="K", help="which of them this one is, from 0 (make: NODE_RANK=…)")
    group.add_argument("--master-addr", metavar="HOST", help="machine 0's address, as all can reach it (make: MASTER_ADDR=…)")
    group.add_argument("--master-port", metavar="PORT", help="a free port there (make: MASTER_PORT=…)")
    group.add_argument("--ray", action="store_true", help="let Ray place the workers; their number is the run's ray_num_workers (make: RAY=1)")


def parse(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, Run, Processes]:
    """What the command line of a tool about a training says: its own options, which `parser` has already, the run, and the processes."""
    add_run(parser)
    add_options(parser)
    args = parser.parse_intermixed_args()
    return args, run_from(args), processes(args)


def processes(args: argparse.Namespace, env: Mapping[str, str] = os.environ) -> Processes:
    """The processes that the words (else the variables in `env`) ask for. Raises a ToolError that shows all that is wrong with them at once."""
    given = {
        "nproc": args.nproc or env.get("NPROC_PER_NODE", ""),
        "nnodes": args.nnodes or env.get("NNODES", ""),
        "node_rank": args.node_rank or env.get("NODE_RANK", ""),
        "master_addr": args.master_addr or env.get("MASTER_ADDR", ""),
        "master_port": args.master_port or env.get("MASTER_PORT", ""),
    }
    ray = args.ray or env.get("USE_RAY", "").lower() in TRUE
    all_at_once(_problems(given, ray))
    if ray:
        return Processes(ray=True)
    nnodes, nproc = int(given["nnodes"] or 1), given["nproc"]
    if not nproc and (nnodes > 1 or visible_gpus() > 1 or env.get("FORCE_TORCHRUN", "").lower() in TRUE):
        nproc = "gpu"
    return Processes(
        nproc, nnodes, int(given["node_rank"] or 0), given["master_addr"] or Processes.master_addr, int(given["master_port"] or Processes.master_port)
    )


def problems(run: Run, how: Processes) -> list[str]:
    """What of a run would be left out without a word, or fail late, when it is started this way."""
    values, found = run.values, []
    sharded = [key for key in ("deepspeed", "fsdp") if values.get(key)]
    if sharded and not how.several:
        found.append(f"{run.path}: `{sharded[0]}` works through torchrun only; say NPROC=<processes> (1 will do).")
    if len(sharded) > 1:
        found.append(f"{run.path}: `deepspeed` and `fsdp` both divide the model; keep one of them.")
    if sharded and values.get("use_cpu"):
        found.append(f"{run.path}: with `use_cpu: true`, accelerate leaves `{sharded[0]}` out without a word; drop one of the two.")
    if values.get("fsdp") and not visible_gpus():
        found.append(f"{run.path}: `fsdp` needs GPUs; without them accelerate leaves it out without a word.")
    if isinstance(values.get("deepspeed"), str) and not Path(values["deepspeed"]).is_file():
        found.append(f"{run.path}: `deepspeed: {values['deepspeed']}`: no such file. Ours are in conf/deepspeed/.")
    if how.ray:
        found += _ray_problems(run)
    if how.several and run.engine == "peft":
        found.append(f"{run.path}: the PEFT engine trains in one process; leave NPROC, NNODES and RAY out.")
    return found


def _ray_problems(run: Run) -> list[str]:
    """LLaMA-Factory asks Ray for 10 CPUs beside each device that the cluster has, and waits without end where they aren't there."""
    devices, init = visible_gpus(), run.values.get("ray_init_kwargs") or {}
    if not devices:
        return [
            f"{run.path}: without a GPU, LLaMA-Factory counts each CPU as a device, asks Ray for 10 CPUs for each, and waits without end; drop RAY."
        ]
    found = []
    if isinstance(init, dict) and "address" not in init and int(init.get("num_cpus", os.cpu_count() or 1)) < 10 * devices:
        found.append(
            f"{run.path}: LLaMA-Factory asks Ray for {10 * devices} CPUs for {devices} GPUs; `ray_init_kwargs: {{num_cpus: {10 * devices}}}` grants them."
        )
    if not run.values.get("master_addr"):
        found.append(
            f"{run.path}: `master_addr` is missing: this machine's address in the network; only Ray's dashboard, which isn't installed, could tell it."
        )
    return found


def _problems(given: dict[str, str], ray: bool) -> list[str]:
    least = {"nproc": 1, "nnodes": 1, "node_rank": 0, "master_port": 1}
    numbers: dict[str, int] = {}
    found = []
    for name, low in least.items():
        value = given[name]
        if not value or (name == "nproc" and value == "gpu"):
            continue
        if not value.isdecimal() or int(value) < low or (name == "master_port" and int(value) > 65535):
            found.append(f"{_word(name)}: a whole number from {low}{' to 65535' if name == 'master_port' else ''} is needed, this is '{value}'.")
        else:
            numbers[name] = int(value)
    nnodes, rank, address = numbers.get("nnodes", 1), numbers.get("node_rank", 0), given["master_addr"]
    if rank >= nnodes and not found:
        found.append(f"NODE_RANK={rank}: with NNODES={nnodes} it must be {'0' if nnodes == 1 else f'from 0 to {nnodes - 1}'}; machines count from 0.")
    if address and (address.split() != [address] or "/" in address):
        found.append(f"MASTER_ADDR='{address}': a host's name or address is needed, without a space, a scheme or a path.")
    if ray:
        used = [_word(name) for name in ("nproc", "nnodes", "node_rank") if given[name]]
        if used:
            found.append(f"RAY=1 places its workers itself, so {', '.join(used)} can't be meant; their number is the run's key ray_num_workers=N.")
        return found
    if nnodes > 1:
        found += [f"NNODES={nnodes} also needs {need}." for need in _missing(given)]
        if address in ("localhost", "::1") or address.startswith("127."):
            found.append(f"MASTER_ADDR={address}: the other machines would look for machine 0 on themselves; give its address in the network.")
        if not given["nproc"] and not visible_gpus():
            found.append("no GPU is seen here, so the number of processes must be said: NPROC=…")
    return found


def _missing(given: dict[str, str]) -> list[str]:
    needs = {
        "node_rank": "NODE_RANK=<this machine's number, from 0>",
        "master_addr": "MASTER_ADDR=<machine 0's address>",
        "master_port": "MASTER_PORT=<a port that is free there, the same for all, e.g. 29500>",
    }
    return [text for name, text in needs.items() if not given[name]]


def _word(name: str) -> str:
    return {"nproc": "NPROC"}.get(name, name.upper())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
