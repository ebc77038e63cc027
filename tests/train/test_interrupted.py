"""Nothing is lost: real trainings and exports, killed in the middle of what they do, and called again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_process import gone
from tests.train.passed import let_pass
from tools.files import ROOT
from tools.train.resume import fault
from tools.variant import Origin

NAME = "tiny-qwen2-sample-ner-lora-sft"
CONF = f"conf/{NAME}.yaml"
STEPS, SAVE = 12, 2


def words(folder: Path, dataset: Path) -> list[str]:
    values = {
        "output_dir": folder / NAME,
        "dataset_dir": dataset,
        "max_steps": STEPS,
        "save_strategy": "steps",
        "save_steps": SAVE,
        "max_samples": 32,
        "per_device_train_batch_size": 4,
        "logging_steps": 1,
        "lora_dropout": 0.1,  # draws random numbers, so that going on shows whether their state was kept
    }
    return [f"{key}={value}" for key, value in values.items()]


def command(folder: Path, dataset: Path) -> list[str]:
    return [sys.executable, "-m", "tools", "train", CONF, *words(folder, dataset)]


def train(folder: Path, dataset: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command(folder, dataset), *more], cwd=ROOT, capture_output=True, text=True, check=False)


def kill_when(folder: Path, dataset: Path, ready: Callable[[], bool], number: signal.Signals) -> tuple[int, str]:
    """Start a training and send it a signal as soon as `ready`; (exit code, what it printed), when the engine is gone too."""
    with subprocess.Popen(command(folder, dataset), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while not ready():
            assert process.poll() is None, process.stdout and process.stdout.read()
            time.sleep(0.0005)
        engine = int(subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout.split()[0])
        process.send_signal(number)
        printed = process.communicate()[0]
    assert gone(engine)
    return process.returncode, printed


def weights(folder: Path) -> dict:
    from safetensors.numpy import load_file

    return load_file(folder / NAME / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    trackers = ["conf/overlay/tensorboard.yaml", "conf/overlay/swanlab.yaml", f"swanlab_logdir={folder}/swanlog"]
    for more in ([], trackers):
        let_pass(CONF, [*words(folder, dataset), *more])
    done = train(folder, dataset, *trackers)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_training_killed_twice_goes_on_to_the_very_same_adapter(uninterrupted: Path, dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / NAME
    # In the middle of a step.
    state = output / f"checkpoint-{SAVE}" / "trainer_state.json"
    code, printed = kill_when(tmp_path, dataset, state.is_file, signal.SIGTERM)
    assert code == 143
    assert f"The same command goes on from checkpoint-{SAVE}" in printed
    # In the middle of writing a checkpoint: the folder is there, its last file isn't. Should the disk be quicker than we are, the next one is tried.
    step, torn = SAVE, None
    while torn is None and step < STEPS - SAVE:
        step = max(int(path.name.rpartition("-")[2]) for path in output.glob("checkpoint-*")) + SAVE
        code, _ = kill_when(tmp_path, dataset, (output / f"checkpoint-{step}").is_dir, signal.SIGKILL)
        assert code == -signal.SIGKILL
        torn = next((path for path in output.glob("checkpoint-*") if fault(path)), None)
    assert torn is not None, "no kill hit a checkpoint that was being written"
    done = train(tmp_path, dataset)
    assert done.returncode == 0, done.stderr
    assert f"{torn.name}: not whole" in done.stdout
    assert (output / f"torn-{torn.name}").is_dir()
    ours, theirs = weights(tmp_path), weights(uninterrupted)
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["attempts"][0]["exit_code"] == 143
    assert [attempt["exit_code"] for attempt in manifest["attempts"]][-2:] == [None, 0]
    assert [attempt["resumed_from"] for attempt in manifest["attempts"]][:2] == [None, f"checkpoint-{SAVE}"]
    logged = [json.loads(line)["current_steps"] for line in (output / "trainer_log.jsonl").read_text().splitlines()]
    assert sorted(set(logged)) == list(range(1, STEPS + 1))


def test_both_trackers_write_beside_the_run_without_an_account_or_a_network(uninterrupted: Path) -> None:
    assert list((uninterrupted / NAME / "runs").rglob("events.out.tfevents.*"))
    [run] = (uninterrupted / "swanlog").glob("run-*")
    assert any(path.stat().st_size for path in run.rglob("*") if path.is_file())
    assert (uninterrupted / NAME / "training_loss.png").is_file()


def test_a_finished_run_is_neither_trained_again_nor_lost(uninterrupted: Path, dataset: Path) -> None:
    before = (uninterrupted / NAME / "adapter_model.safetensors").read_bytes()
    done = train(uninterrupted, dataset)
    assert (done.returncode, "this run is finished" in done.stderr, "ARGS=--fresh" in done.stderr) == (2, True, True), done.stderr
    assert (uninterrupted / NAME / "adapter_model.safetensors").read_bytes() == before


def test_a_full_disk_costs_no_more_than_the_steps_since_the_last_checkpoint(dataset: Path, tmp_path: Path) -> None:
    allowed = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs tmpfs {tmp_path}"]
    if not shutil.which("unshare") or subprocess.run(allowed, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system isn't permitted here")
    disk, log = tmp_path / "disk", tmp_path / "log"
    disk.mkdir()
    again = " ".join(f"'{word}'" for word in command(disk, dataset))
    # A file system of 100 MB that something else fills up as soon as the first checkpoint is there.
    script = f"""
        mount -t tmpfs -o size=100m tmpfs {disk}
        {again} > {log}.1 2>&1 &
        while [ ! -f {disk}/{NAME}/checkpoint-{SAVE}/trainer_state.json ]; do kill -0 $! || exit 9; sleep 0.01; done
        cat /dev/zero > {disk}/filler 2> /dev/null
        wait $!; echo $? > {log}.code1
        rm {disk}/filler
        {again} > {log}.2 2>&1; echo $? > {log}.code2
        cp {disk}/{NAME}/manifest.json {tmp_path}/manifest.json
        ls {disk}/{NAME} > {tmp_path}/listing
    """
    subprocess.run(["unshare", "--mount", "sh", "-c", script], cwd=ROOT, check=True)
    first, second = (Path(f"{log}.{number}").read_text() for number in (1, 2))
    assert Path(f"{log}.code1").read_text().strip() in ("1", "2"), first
    assert "No space left on device" in first
    assert "Traceback" not in first
    assert Path(f"{log}.code2").read_text().strip() == "0", second
    assert "going on from checkpoint-" in second
    assert {"adapter_model.safetensors", "train_results.json"} <= set((tmp_path / "listing").read_text().split())
    attempts = json.loads((tmp_path / "manifest.json").read_text())["attempts"]
    assert [attempts[0]["exit_code"] == 0, attempts[-1]["exit_code"]] == [False, 0]


def test_a_killed_export_leaves_no_half_model_and_the_next_one_is_whole(uninterrupted: Path, dataset: Path) -> None:
    output = uninterrupted / NAME
    export = [sys.executable, "-m", "tools", "export", CONF, *words(uninterrupted, dataset)]
    with subprocess.Popen(export, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not list(output.glob(".merged.*/*")):
            assert process.poll() is None
            time.sleep(0.0005)
        os.kill(process.pid, signal.SIGKILL)
    assert not (output / "merged").exists()
    subprocess.run(export, cwd=ROOT, check=True, capture_output=True)
    assert Origin.of(output / "merged/export.json").adapter == "adapter"
    assert not list(output.glob(".merged.*"))
