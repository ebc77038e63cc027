import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import cli, install_log, setup
from tools.errors import ToolError
from tools.files import ROOT
from tools.install_log import InstallLog

SMI = "| NVIDIA-SMI 550.54.15   Driver Version: 550.54.15   CUDA Version: {}  |"
LOCK = "nvidia-cuda-runtime==13.0.96 ; sys_platform == 'linux' \\\n    --hash=sha256:00\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Point set-up at a folder of its own with toy locks, and record what would be installed."""
    installed: list[Path] = []
    for name in ("train", "serve", "serve-cpu", "quantize"):
        (tmp_path / f"{name}.txt").write_text(name)

    def install(environment: Path, lock: Path, torch_backend: str, log: InstallLog) -> None:
        environment.mkdir(parents=True, exist_ok=True)
        installed.append(lock)

    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(setup, "LOCKS", tmp_path)
    monkeypatch.setattr(setup, "install", install)
    monkeypatch.setattr(setup, "prove", lambda name, environment, on_gpu, log: None)
    monkeypatch.setattr(setup, "detect_gpu", lambda: False)
    monkeypatch.setattr(setup, "nvidia_smi", lambda *words: "")
    return installed


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_a_library_without_which_vllms_cpu_build_dies_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    setup.check_libraries()

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(setup.ctypes, "CDLL", missing)
    with pytest.raises(ToolError, match=r"libnuma\.so\.1 is missing.*apt install libnuma1"):
        setup.check_libraries()


def test_the_allocator_that_a_cpu_will_use_is_named_with_the_way_to_a_better_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, words in (
        (None, "no allocator for big blocks.*apt install libtcmalloc-minimal4"),
        (Path("/x/libjemalloc.so"), "taken from /x/libjemalloc.so.*apt install libtcmalloc-minimal4"),
        (Path("/x/libtcmalloc_minimal.so.4"), "taken from /x/libtcmalloc_minimal.so.4$"),
    ):
        monkeypatch.setattr(setup, "allocator", lambda found=found: found)
        assert re.search(words, setup.allocator_line())


def test_a_second_call_installs_nothing_and_a_new_lock_installs_again(place: list[Path], tmp_path: Path) -> None:
    for _ in range(2):
        setup.make("train", "auto", "")
    assert names(place) == ["train.txt"]
    (tmp_path / "train.txt").write_text("changed")
    setup.make("train", "auto", "")
    assert names(place) == ["train.txt"] * 2


def test_a_failed_install_is_never_taken_for_a_finished_one(place: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    setup.make("train", "auto", "")

    def fail(name: str, environment: Path, on_gpu: bool, log: InstallLog) -> None:
        raise ToolError("broken")

    (tmp_path / "train.txt").write_text("changed")
    with monkeypatch.context() as patch:
        patch.setattr(setup, "prove", fail)
        with pytest.raises(ToolError):
            setup.make("train", "auto", "")
    assert not (tmp_path / ".venv/train" / setup.MARK).exists()
    setup.make("train", "auto", "")
    assert len(place) == 3


def test_vllms_build_follows_the_gpu_unless_it_was_asked_for(place: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    setup.make("serve", "auto", "")
    monkeypatch.setattr(setup, "detect_gpu", lambda: True)
    setup.make("serve", "auto", "")
    setup.make("serve", "auto", "")
    setup.make("serve", "cpu", "")
    setup.make("serve", "auto", "")
    assert names(place) == ["serve-cpu.txt", "serve.txt", "serve-cpu.txt"]


def test_llm_compressor_is_installed_only_when_it_is_asked_for(place: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for words in ([], ["quantize"], ["quantize"], ["--serve", "gpu", "quantize"]):
        assert cli.main(["setup", *words]) is None
    assert names(place) == ["train.txt", "serve-cpu.txt", "quantize.txt"]


def test_a_torch_backend_once_asked_for_stays(place: list[Path]) -> None:
    setup.make("train", "auto", "")
    setup.make("train", "auto", "cu126")
    setup.make("train", "auto", "")
    assert len(place) == 2


def test_a_damaged_mark_counts_as_none(place: list[Path], tmp_path: Path) -> None:
    setup.make("train", "auto", "")
    (tmp_path / ".venv/train" / setup.MARK).write_text("{")
    setup.make("train", "auto", "")
    assert len(place) == 2


@pytest.mark.parametrize(("cuda", "backend"), [("12.0", "cu126"), ("12.6", "cu126"), ("12.9", "cu126"), ("11.8", "cpu")])
def test_a_driver_too_old_for_torch_is_named_with_the_way_out(cuda: str, backend: str) -> None:
    with pytest.raises(ToolError, match=f"offers CUDA {re.escape(cuda)}.*CUDA 13.0") as error:
        setup.check_driver("train", SMI.format(cuda), LOCK)
    assert f"TORCH_BACKEND={backend}" in str(error.value)


@pytest.mark.parametrize("smi", [SMI.format("13.0"), SMI.format("13.2"), SMI.format("14.0"), "| CUDA UMD Version: 13.1 |", "", "no driver"])
def test_a_driver_new_enough_or_unreadable_is_let_through(smi: str) -> None:
    setup.check_driver("train", smi, LOCK)


def test_the_real_locks_tell_their_cuda_and_vllm_has_another_way_out() -> None:
    for name, way in (("train", "make setup TORCH_BACKEND=cu126"), ("serve", "SERVE=cpu"), ("quantize", "make quantize TORCH_BACKEND=cu126")):
        with pytest.raises(ToolError, match=r"offers CUDA 12\.6") as error:
            setup.check_driver(name, SMI.format("12.6"), (ROOT / f"requirements/{name}.txt").read_text())
        assert way in str(error.value)


def test_a_broken_environment_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    (tmp_path / "e/bin").mkdir(parents=True)
    (tmp_path / "e/bin/python").symlink_to(sys.executable)
    monkeypatch.setitem(setup.PROOF, "train", "import no_such_package")
    message = r"installed but doesn't work: ModuleNotFoundError: No module named 'no_such_package'\nThe whole log: \S*e\.log\n"
    with pytest.raises(ToolError, match=message), InstallLog(tmp_path / "e.log", "e") as log:
        setup.prove("train", tmp_path / "e", on_gpu=False, log=log)
    assert "Traceback" in (tmp_path / "e.log").read_text()


def test_uv_gets_pips_index_and_certificate_unless_it_has_its_own() -> None:
    pip = "global.index-url='https://mirror.example/simple'\n:env:.cert='/c.pem'\nglobal.timeout='60'\n"
    made = setup.uv_environment({"HOME": "/h"}, pip)
    assert (made["UV_DEFAULT_INDEX"], made["SSL_CERT_FILE"], made["HOME"]) == ("https://mirror.example/simple", "/c.pem", "/h")
    assert setup.uv_environment({"UV_DEFAULT_INDEX": "mine"}, pip)["UV_DEFAULT_INDEX"] == "mine"


def test_constraints_for_another_cuda_keep_versions_and_drop_hashes_and_cuda() -> None:
    lock = "a-b==1.2 ; python_version < '3.12' \\\n    --hash=sha256:00\nnvidia-cublas==13.1 \\\n    --hash=sha256:00\ntorch==2.13.0 \\\n    --hash=sha256:00\n"
    assert setup.unhashed(lock) == "a-b==1.2 ; python_version < '3.12'\ntorch==2.13.0\n"


def test_locks_are_hashed_and_name_no_address() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert [lock.name for lock in locks] == ["quantize.txt", "serve-cpu.txt", "serve.txt", "train.txt", "uv.txt"]
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text
        pins = re.findall(r"^\S+==", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"^\S+==[^\n]*\n    --hash=sha256:", text, re.MULTILINE)) > 0


def test_every_environment_stands_on_the_same_torch() -> None:
    found = {re.search(r"^torch==\S+", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE)[0] for name in setup.EXTRAS}  # type: ignore[index]
    assert found == {"torch==2.13.0"}


def test_setup_runs_on_the_standard_library_alone() -> None:
    done = subprocess.run([sys.executable, "-S", "-m", "tools", "setup", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: unknown environment 'nothing'. Available: quantize, serve, train.\n")


def test_the_environment_of_these_tests_is_marked_as_the_locks() -> None:
    mark = json.loads((ROOT / ".venv/train" / setup.MARK).read_text())
    assert mark["sha256"] == setup.sha256(ROOT / "requirements/train.txt")


def test_pips_settings_are_read_where_this_python_has_no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Ubuntu without python3-pip: the environment that holds uv has one."""
    for name, script in (("bare", "exit 1"), ("uv/bin/python", "echo global.cert=\\'/c.pem\\'")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setattr(setup, "VENV", tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare"))
    assert setup.uv_environment({}, setup.pip_config())["SSL_CERT_FILE"] == "/c.pem"
    (tmp_path / "uv/bin/python").unlink()
    assert setup.pip_config() == ""


# What is printed.

UV = """#!/bin/sh
# Prints what uv prints for 300 packages, and makes an environment that is the Python of these tests.
for last; do :; done
case "$*" in
*" venv "*) mkdir -p "$last/bin" && ln -sf {python} "$last/bin/python" ;;
*) {{ echo 'Resolved 300 packages in 1.02s'; echo 'Downloading torch (502.2MiB)'; echo ' Downloaded torch'
   {then}
   for i in $(seq 300); do echo " + package-$i==1.0"; done; }} >&2 ;;
esac
"""


@pytest.fixture
def toy_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A function that points set-up at a folder of its own, with a toy uv which does these shell commands in the middle; it returns the folder."""

    def put(then: str) -> Path:
        uv = tmp_path / "toy-uv"
        uv.write_text(UV.format(python=sys.executable, then=then))
        uv.chmod(0o755)
        (tmp_path / "train.txt").write_text("train")
        monkeypatch.setattr(setup, "ROOT", tmp_path)
        monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
        monkeypatch.setattr(setup, "LOCKS", tmp_path)
        monkeypatch.setattr(setup, "install_uv", lambda log: uv)
        monkeypatch.setattr(setup, "pip_config", lambda: "")
        monkeypatch.setattr(setup, "nvidia_smi", lambda *words: "")
        monkeypatch.setattr(setup, "check_room", lambda locks: None)
        monkeypatch.setitem(setup.PROOF, "train", "print('imported')")
        return tmp_path / ".venv"

    return put


def test_an_installation_prints_five_lines_and_the_log_holds_the_rest(toy_uv: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    venv = toy_uv("true")
    assert cli.main(["setup", "train"]) is None
    out, err = capfd.readouterr()
    assert out == ""
    lines = [re.sub(r"\(log: \S+\)|in \d+ s", "…", line) for line in err.splitlines()]
    assert lines[0] == "setup: will make .venv/train (LLaMA-Factory)"
    assert lines[1].startswith("setup: downloads about 3.3 GB, less what uv's cache holds, and takes about 6.7 GB of disk. ")
    assert lines[2:4] == ["setup: making .venv/train … …", "setup: made .venv/train … …"]
    assert lines[4:] == [f"setup: {setup.allocator_line()}"]
    log = (venv / "train.log").read_text().splitlines()
    assert [" venv --quiet " in log[0], " pip sync " in log[1], " -c " in log[-2]] == [True] * 3
    assert log.count("Resolved 300 packages in 1.02s") == 1
    assert sum(line.startswith(" + package-") for line in log) == 300
    assert log[-1] == "imported"


def test_a_complete_environment_prints_nothing_and_its_log_stays(toy_uv: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    venv = toy_uv("true")
    cli.main(["setup", "train"])
    log = (venv / "train.log").read_text()
    capfd.readouterr()
    cli.main(["setup", "train"])
    assert capfd.readouterr() == ("", "")
    assert (venv / "train.log").read_text() == log


def test_a_failure_shows_the_end_of_the_log_with_the_indexs_reason(toy_uv: Callable[[str], Path], capfd: pytest.CaptureFixture[str]) -> None:
    reason = [
        "  × No solution found when resolving dependencies:",
        "  ╰─▶ Because foo was not found in the package registry, no version can be installed.",
    ]
    venv = toy_uv("".join(f"echo '{line}'; " for line in reason) + "exit 3")
    with pytest.raises(ToolError) as error:
        cli.main(["setup", "train"])
    first, *shown, log, last = str(error.value).splitlines()
    assert first.startswith("this step of the installation failed (exit code 3): ")
    assert shown == ["Resolved 300 packages in 1.02s", *reason]
    assert log == f"The whole log: {os.path.relpath(venv / 'train.log', ROOT)}"
    assert last == "Nothing half-installed will be used. Try again: make setup"
    assert "Downloading torch" in (venv / "train.log").read_text()
    assert "setup: made" not in capfd.readouterr().err
    assert not (venv / "train" / setup.MARK).exists()


def test_an_interrupted_installation_stops_uv_and_is_made_anew(
    toy_uv: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C comes while this process shows what uv is doing."""
    pid = tmp_path / "pid"
    venv = toy_uv(f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 60")

    def interrupt(output: str) -> str:
        if pid.exists():
            raise KeyboardInterrupt
        return ""

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(install_log, "phase", interrupt)
        cli.main(["setup", "train"])
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert "setup: made" not in capfd.readouterr().err
    assert not (venv / "train" / setup.MARK).exists()
    toy_uv("true")
    cli.main(["setup", "train"])
    assert (venv / "train" / setup.MARK).is_file()


def test_the_plan_counts_what_environments_share_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    train, cpu, gpu = (Path(f"requirements/{name}.txt") for name in ("train", "serve-cpu", "serve"))
    for locks, figures in (
        ({"train": train, "serve": cpu}, "downloads about 3.7 GB, .* takes about 8.1 GB of disk"),
        ({"train": train, "serve": gpu}, "downloads about 4.5 GB, .* asks for 20 GiB of free disk"),
        ({"serve": cpu}, "downloads about 3.3 GB, .* takes about 6.7 GB of disk"),
    ):
        assert re.search(figures, setup.plan(locks, ""))
    (tmp_path / ".venv/train").mkdir(parents=True)
    (tmp_path / ".venv/train" / setup.MARK).touch()
    assert re.search(r"downloads about 0\.4 GB, .* takes about 1\.4 GB of disk", setup.plan({"serve": cpu}, ""))
    assert setup.plan({"serve": gpu}, "cu126") == "setup: will make .venv/serve (vLLM for the GPU) with torch's build cu126"


@pytest.mark.parametrize(("words", "free", "needed"), [([], 10.9, 11), (["train"], 7.9, 8), (["quantize"], 6.9, 7), (["--serve", "gpu"], 19.9, 20)])
def test_a_disk_without_room_for_all_that_is_asked_for_stops_before_the_first_installation(
    place: list[Path], monkeypatch: pytest.MonkeyPatch, words: list[str], free: float, needed: int
) -> None:
    usage = type(setup.shutil.disk_usage("/"))
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda _: usage(2**40, 0, int(free * 2**30)))
    with pytest.raises(ToolError, match=rf"{free} GiB free, {needed} GiB are needed for \.venv/\w+.*Nothing was installed"):
        cli.main(["setup", *words])
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda _: usage(2**40, 0, needed * 2**30))
    assert cli.main(["setup", *words]) is None
    assert place


def test_what_the_serve_environment_wants_of_the_system_is_said_before_the_train_environment_is_made(
    place: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise ToolError("libnuma.so.1 is missing")

    monkeypatch.setattr(setup, "check_libraries", missing)
    with pytest.raises(ToolError, match="libnuma"):
        cli.main(["setup"])
    assert place == []


def test_every_lock_has_its_sizes() -> None:
    locks = {setup.lock_of(name, gpu).name for name in setup.PROOF for gpu in (False, True)}
    assert set(setup.SIZES) == set(setup.HOLDS) == locks
