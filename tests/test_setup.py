import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import cli, setup
from tools.errors import ToolError
from tools.files import ROOT

SMI = "| NVIDIA-SMI 550.54.15   Driver Version: 550.54.15   CUDA Version: {}  |"
LOCK = "nvidia-cuda-runtime==13.0.96 ; sys_platform == 'linux' \\\n    --hash=sha256:00\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Point set-up at a folder of its own with toy locks, and record what would be installed."""
    installed: list[Path] = []
    for name in ("train", "serve", "serve-cpu", "quantize"):
        (tmp_path / f"{name}.txt").write_text(name)

    def install(environment: Path, lock: Path, torch_backend: str) -> None:
        environment.mkdir(parents=True, exist_ok=True)
        installed.append(lock)

    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(setup, "LOCKS", tmp_path)
    monkeypatch.setattr(setup, "install", install)
    monkeypatch.setattr(setup, "prove", lambda name, environment, on_gpu: None)
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

    def fail(name: str, environment: Path, on_gpu: bool) -> None:
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
    with pytest.raises(ToolError, match="installed but doesn't work: ModuleNotFoundError: No module named 'no_such_package'"):
        setup.prove("train", tmp_path / "e", on_gpu=False)


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
