"""Several processes on one machine, and several machines as network namespaces, against what one process does: on CPUs, over gloo."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.train.passed import let_pass
from tools.cli import Parser
from tools.conf.run import load_run
from tools.errors import ToolError
from tools.files import ROOT
from tools.train import distributed
from tools.train.distributed import Processes
from tools.train.engines.engine_table import ENGINES
from tools.train.train import resolved_values, to_yaml, train

RUN = "tiny-qwen2-sample-ner-lora-sft"
CONF = f"conf/{RUN}.yaml"
# The order of rows must not depend on the number of processes: group_by_length's does. A constant rate doesn't depend on max_steps.
WORDS = [
    *("max_samples=32", "per_device_train_batch_size=4", "logging_steps=1", "save_strategy=steps", "save_steps=2", "plot_loss=false"),
    *("train_sampling_strategy=random", "lr_scheduler_type=constant", "warmup_steps=0", "use_cpu=true", "ddp_backend=gloo"),
]
ENV = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
PATIENCE = 400


def parse(*words: str, **env: str) -> Processes:
    parser = Parser(prog="./ner train")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        distributed.add_options(parser)
        return distributed.processes(parser.parse_args(words))


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_without_a_word_one_process_runs_under_llamafactory_cli(no_gpu: None) -> None:
    how = parse()
    assert how.command(["llamafactory-cli", "train"], Path("run.yaml")) == ["llamafactory-cli", "train", "run.yaml"]
    assert (how.environment(), how.leads, how.nproc) == ({}, True, "")


def test_several_gpus_get_a_process_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    assert (distributed.visible_gpus(), parse().nproc) == (2, "gpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert parse().nproc == ""


def test_the_words_become_torchruns(no_gpu: None) -> None:
    words = ["--nproc", "2", "--nnodes", "3", "--node-rank", "1", "--master-addr", "10.0.0.1", "--master-port", "29500"]
    command = parse(*words).command(ENGINES["llamafactory"].command(True, True), Path("a folder/run.yaml"))
    assert command[1:3] == ["-m", "torch.distributed.run"]
    for name, value in [("nnodes", "3"), ("node-rank", "1"), ("nproc-per-node", "2"), ("master-addr", "10.0.0.1"), ("master-port", "29500")]:
        assert command[command.index(f"--{name}") + 1] == value
    assert command[-4:-1] == ["--module", "tools.train.engines.llamafactory_engine", "--native"]
    assert command[-1] == "a folder/run.yaml", "a path with a space stays one word"
    env = {"NPROC_PER_NODE": "2", "NNODES": "3", "NODE_RANK": "1", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
    assert parse(**env) == parse(*words), "LLaMA-Factory's own variables say the same"
    assert not parse(*words).leads
    assert parse(NNODES="", NODE_RANK="", MASTER_PORT="") == parse(), "an empty variable is none"


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        ("--nproc 0", ["argument --nproc: '0' is no whole number from 1 to 100,000"]),
        ("--nnodes two", ["argument --nnodes: 'two' is no whole number from 1 to 100,000"]),
        ("--master-port 70000", ["argument --master-port: '70000' is no whole number from 1 to 65,535"]),
        ("--nproc 1 --nnodes 2 --node-rank 2 --master-addr a --master-port 1", ["--node-rank 2: with --nnodes 2 it must be below 2"]),
        ("--node-rank 1", ["--node-rank 1: with --nnodes 1 it must be below 1"]),
        ("--nnodes 2 --nproc 1", ["--node-rank <", "--master-addr <", "--master-port <"]),
        ("--nnodes 2 --node-rank 0 --master-addr a --master-port 1", ["--nproc <processes>"]),
        ("--nproc 1 --nnodes 2 --node-rank 0 --master-port 1 --master-addr 127.0.0.1", ["would look for machine 0 on themselves"]),
        ("--nproc 2 --master-addr http://a", ["without a space, a scheme or a path"]),
    ],
)
def test_nonsense_is_named_all_at_once(no_gpu: None, words: str, messages: list[str]) -> None:
    with pytest.raises(ToolError) as error:
        parse(*words.split())
    assert error.value.exit_code == 2
    for message in messages:
        assert message in str(error.value)


def test_ray_is_left_to_llamafactory_cli() -> None:
    with pytest.raises(ToolError, match=r"starts no Ray workers; llamafactory-cli does \(docs/cluster\.md\)"):
        parse(USE_RAY="1")


@pytest.mark.parametrize(
    ("words", "how", "message"),
    [
        ("conf/overlay/zero2.yaml", Processes(), "works through torchrun only. Say --nproc"),
        ("conf/overlay/zero3.yaml use_cpu=true", Processes("2"), "accelerate leaves out `deepspeed` without a word"),
        ("deepspeed=gone.json", Processes("2"), "`deepspeed: gone.json`: no such file"),
        ("conf/overlay/fsdp.yaml", Processes("2"), "`fsdp` needs GPUs"),
        ("conf/overlay/fsdp.yaml conf/overlay/zero2.yaml", Processes("2"), "both divide the model"),
        ("finetuning_type=prefix", Processes("2"), "The PEFT engine trains in one process. Leave --nproc and --nnodes out"),
    ],
)
def test_what_would_be_left_out_without_a_word_is_a_problem(no_gpu: None, words: str, how: Processes, message: str) -> None:
    assert message in "\n".join(distributed.problems(load_run(Path(CONF), words.split()), how))


def pids(word: str) -> list[int]:
    """Processes whose command line holds `word`, except those that ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if word in (entry / "cmdline").read_text() and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> Any:
    """The first true value of `condition`, within PATIENCE seconds and while `process` runs."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, "nothing happened"
        assert process is None or process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.1)
    return value


def test_ranks_end_with_the_launcher_even_when_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(f"import os, pathlib, time\npathlib.Path({str(tmp_path)!r}, os.environ['RANK']).touch()\ntime.sleep(600)\n")
    code = (
        "import sys; from pathlib import Path; from tools.process import call; from tools.train import distributed\n"
        "command = distributed.Processes('2').command(['python', '-m', 'tools.train.engines.llamafactory_engine'], Path(sys.argv[1]))\n"
        "call(['sleeper' if word == 'tools.train.engines.llamafactory_engine' else word for word in command])"
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "x.yaml"], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL, text=True) as ours:
        wait_for(lambda: (tmp_path / "0").exists() and (tmp_path / "1").exists(), ours)
        assert len(pids(str(tmp_path / "x.yaml"))) == 4, "this one, torchrun, two ranks"
        ours.kill()
    wait_for(lambda: not pids(str(tmp_path / "x.yaml")))


@pytest.fixture(scope="module")
def data_and_base(dataset: Path, float_base: Path) -> list[str]:
    return [f"dataset_dir={dataset}", f"model_name_or_path={float_base}"]


@pytest.fixture(scope="module")
def one_process(data_and_base: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses of one process with two batches a step, the same effective batch as two processes with one each."""
    out = tmp_path_factory.mktemp("one") / RUN
    words = [*WORDS, f"output_dir={out}", *data_and_base, "gradient_accumulation_steps=2", "max_steps=4", "ddp_backend=null"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        importlib.import_module("llamafactory.train.tuner").run_exp(load_run(Path(CONF), words).values)
    return losses(out)


def losses(out: Path) -> list[float]:
    return [row["loss"] for row in json.loads((out / "trainer_state.json").read_text())["log_history"] if "loss" in row]


def launch(*words: str, before: tuple[str, ...] = (), env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-m", "tools", "train", CONF, *WORDS, *words]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **ENV, **(env or {})})


@pytest.fixture(scope="module")
def machines() -> Iterator[list[tuple[str, str]] | str]:
    """Two network namespaces, joined by a virtual cable: (namespace, address) each; or why there are none."""
    if not shutil.which("ip") or os.geteuid() != 0:
        yield "network namespaces need root and the command ip (package iproute2)"
        return
    names = [f"ner{os.getpid()}{side}" for side in "ab"]
    addresses = ["10.213.57.1", "10.213.57.2"]
    steps = [f"ip netns add {name}" for name in names]
    steps.append(f"ip link add eth7 netns {names[0]} type veth peer name eth7 netns {names[1]}")
    for name, address in zip(names, addresses, strict=True):
        steps += [f"ip -n {name} addr add {address}/24 dev eth7", f"ip -n {name} link set eth7 up", f"ip -n {name} link set lo up"]
    try:
        for step in steps:
            done = subprocess.run(step.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                yield f"no network namespaces here: `{step}`: {done.stderr.strip()}"
                return
        yield list(zip(names, addresses, strict=True))
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.fixture(scope="module")
def killed(
    machines: list[tuple[str, str]] | str, data_and_base: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[int], list[str]]:
    """A job of two ranks, one of them killed behind the first checkpoint: the output folder, each launch's exit code, and what it printed.

    The ranks are on two machines that share the output folder, or on one where namespaces aren't permitted.
    """
    out = tmp_path_factory.mktemp("killed") / "a folder" / RUN  # llamafactory-cli would split it at the space
    words = [f"output_dir={out}", *data_and_base, "max_steps=200"]
    let_pass(CONF, [*WORDS, *words])
    ours = {"TEST_JOB": str(out)}  # a rank of somebody else's job must not be killed
    if isinstance(machines, str):
        jobs = [launch(*words, "--nproc", "2", env=ours)]
    else:
        words += ["--nproc", "1", "--nnodes", "2", "--master-addr", machines[0][1], "--master-port", "29517", "--node-rank"]
        netns = [("ip", "netns", "exec", name) for name, _ in machines]
        jobs = [launch(*words, str(rank), before=netns[rank], env={**ours, "GLOO_SOCKET_IFNAME": "eth7"}) for rank in range(2)]
    wait_for((out / "checkpoint-2/trainer_state.json").is_file, jobs[0])
    [rank] = [
        pid for pid in pids("tools.train.engines.llamafactory_engine") if not torchrun(pid) and {f"TEST_JOB={out}", "RANK=1"} <= environment(pid)
    ]
    os.kill(rank, signal.SIGKILL)
    printed = [job.communicate(timeout=PATIENCE)[0] for job in jobs]
    return out, [job.returncode for job in jobs], printed


def environment(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/environ").read_text().split("\0"))


def torchrun(pid: int) -> bool:
    return b"torch.distributed.run" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_killed_rank_ends_the_job_and_says_which_it_was(killed: tuple[Path, list[int], list[str]]) -> None:
    out, codes, printed = killed
    assert set(codes) == {1}
    assert "Signal 9 (SIGKILL) received by PID" in printed[-1]
    for text in printed:
        assert f"error: {CONF}: " in text
        assert "stopped with exit code 1" in text
        assert "the rank that failed first is torchrun's 'Root Cause'" in text
    assert [pid for pid in pids("tools.train.") if str(out).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()] == []
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["exit_code"], "--node-rank 0" in manifest["command"]) == (1, True)


def test_two_machines_reach_what_one_process_reaches(
    machines: list[tuple[str, str]] | str, killed: tuple[Path, list[int], list[str]], one_process: list[float]
) -> None:
    if isinstance(machines, str):
        pytest.skip(machines)
    # Bit by bit isn't promised: each process sums its own batch before the sums are added up, and addition of floats depends on the order.
    assert losses(killed[0] / "checkpoint-2") == pytest.approx(one_process[:2], rel=1e-4)


def test_two_processes_resume_the_killed_job_and_reach_what_one_process_reaches(
    killed: tuple[Path, list[int], list[str]], one_process: list[float], data_and_base: list[str]
) -> None:
    out, _, _ = killed
    words = [f"output_dir={out}", *data_and_base, "max_steps=4", f"resume_from_checkpoint='{out}/checkpoint-2'"]
    let_pass(CONF, [*WORDS, *words])
    with launch(*words, "--nproc", "2") as job:
        printed, _ = job.communicate(timeout=PATIENCE)
    assert job.returncode == 0, printed[-3000:]
    assert losses(out) == pytest.approx(one_process, rel=1e-4)
    assert len(one_process) == 4
    assert (out / "adapter_model.safetensors").is_file()


def test_only_the_first_machine_writes_into_the_output_folder(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def call(command: list[str], env: dict[str, str]) -> int:
        given.append(Path(command[-1]).read_text())
        return 0

    monkeypatch.setattr("tools.train.train.call", call)
    words = [f"output_dir={tmp_path}/{RUN}", f"dataset_dir={dataset}"]
    let_pass(CONF, words)
    run = load_run(Path(CONF), words)
    train(run, how=Processes("1", nnodes=2, node_rank=1, master_addr="10.0.0.1", master_port=29500))
    assert given == [to_yaml(resolved_values(run, None))]
    assert list(tmp_path.iterdir()) == []
