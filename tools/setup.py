"""Makes the environments: `.venv/train` (LLaMA-Factory), `.venv/serve` (vLLM) and `.venv/quantize` (llm-compressor).

In: the hash-pinned locks in `requirements/`. Out: an environment of each name, which holds the mark `.complete`, written last, and beside it `<name>.log` with what pip
and uv printed. Python's standard library is enough.

    ./ner setup                      # train and serve
    ./ner setup train                # one
    ./ner setup --serve gpu          # vLLM's CUDA build, whatever nvidia-smi says
    ./ner setup --lock               # compile the locks anew from pyproject.toml
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tools.allocator import BETTER, allocator
from tools.errors import ToolError, all_at_once, choices
from tools.files import ROOT
from tools.install_log import InstallLog


class Size(NamedTuple):
    """What an environment takes, in GB (10⁹ bytes): its packages as the index gives their sizes, and its files as `du` counts them (None: not measured)."""

    download: float
    disk: float | None


VENV = ROOT / ".venv"
LOCKS = ROOT / "requirements"
PYTHONS = ((3, 11), (3, 12))
EXTRAS = {"train": ["train", "test"], "serve": ["serve"], "serve-cpu": ["serve-cpu"], "quantize": ["quantize"]}
USUAL = ("train", "serve")  # every user needs them; quantize is made when it is asked for
MARK = ".complete"
# By lock: alone, and beside a train environment, with which uv shares what both hold (one cache, hard links). Measured with Python 3.12's wheels (download) and 3.11 (disk).
SIZES = {
    "train.txt": (Size(3.3, 6.7), Size(0, 0)),
    "serve-cpu.txt": (Size(3.3, 6.7), Size(0.4, 1.4)),
    "serve.txt": (Size(4.1, None), Size(1.2, None)),
    "quantize.txt": (Size(2.9, 5.2), Size(0.04, 0.1)),
}
UNMEASURED_GIB = 12  # that an environment of unknown size may take
HOLDS = {"train.txt": "LLaMA-Factory", "serve-cpu.txt": "vLLM for the CPU", "serve.txt": "vLLM for the GPU", "quantize.txt": "llm-compressor"}
TOOK = " On 2 busy cores train took 5 minutes, half of it for the download."  # one installation: 294 s, of which uv downloaded for 138 s
# Code that must run before an environment counts as made. torch loads the CUDA libraries, where a broken installation shows.
PROOF = {
    "train": "import torch, transformers, peft, importlib.util as u; u.find_spec('llamafactory') or sys.exit('no llamafactory')",
    "serve": "import torch, vllm",
    "quantize": "import torch, llmcompressor",
}
TORCH_USES_GPU = "torch.cuda.is_available() or sys.exit('torch ' + torch.__version__ + ' cannot use the GPU')"
GPU_PROOF = {"train": TORCH_USES_GPU, "serve": f"{TORCH_USES_GPU}; import vllm._C_stable_libtorch", "quantize": TORCH_USES_GPU}
# pip's settings for a mirror → uv's variables.
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the words of `./ner setup`."""
    parser.add_argument("environments", nargs="*", metavar="|".join(PROOF), help="which to make (default: train and serve)")
    parser.add_argument("--serve", choices=["auto", "cpu", "gpu"], default="auto", help="vLLM's build (default: gpu where nvidia-smi shows one)")
    parser.add_argument("--torch-backend", default="", metavar="cu126", help="torch's build for an older driver: uv's torch backend, without hashes")
    parser.add_argument("--lock", action="store_true", help="compile requirements/*.txt from pyproject.toml instead")


def main(args: argparse.Namespace) -> None:
    """Makes the environments that `args` names. Raises ToolError for an unknown one."""
    all_at_once([f"unknown environment '{name}'.{choices(name, PROOF)}" for name in args.environments if name not in PROOF])
    if args.lock:
        compile_locks()
        return
    kinds = {name: args.serve if name == "serve" else "auto" for name in args.environments or USUAL}
    missing = {name: kind for name, kind in kinds.items() if not is_made(VENV / name, kind, args.torch_backend)}
    if not missing:
        return
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise ToolError(f"the locks are for Linux on x86-64; this is {sys.platform} on {os.uname().machine}.")
    locks = {name: lock_of(name, wants_gpu(kind)) for name, kind in missing.items()}
    for name, lock in locks.items():
        check_system(name, lock, wants_gpu(kinds[name]), args.torch_backend)
    check_room(locks)
    print(plan(locks, args.torch_backend), file=sys.stderr, flush=True)
    for name, kind in missing.items():
        make(name, kind, args.torch_backend)


def plan(locks: Mapping[str, Path], torch_backend: str) -> str:
    """Returns what will be made (name → lock), and what it takes: download, disk, time. Another build of torch has sizes of its own, which aren't known."""
    named = ", ".join(f"{VENV.name}/{name} ({HOLDS[lock.name]})" for name, lock in locks.items())
    if torch_backend:
        return f"setup: will make {named} with torch's build {torch_backend}"
    sizes = sizes_of(locks)
    disk = sum(size.disk or 0 for size in sizes)
    measured = all(size.disk is not None for size in sizes)
    room = f"takes about {disk:.1f} GB of disk" if measured else f"asks for {needed_gib(locks)} GiB of free disk"
    return (
        f"setup: will make {named}\n"
        f"setup: downloads about {sum(size.download for size in sizes):.1f} GB, less what uv's cache holds, and {room}.{TOOK if 'train' in locks else ''}"
    )


def sizes_of(locks: Mapping[str, Path]) -> list[Size]:
    """Returns what the environments (name → lock) take, each beside the train environment where that is there or made first."""
    beside = "train" in locks or (VENV / "train" / MARK).is_file()
    return [SIZES[lock.name][beside and name != "train"] for name, lock in locks.items()]


def needed_gib(locks: Mapping[str, Path]) -> int:
    """Returns the room in GiB that the environments (name → lock) ask for: a little more than what each was measured to take."""
    return sum(UNMEASURED_GIB if size.disk is None else math.ceil(size.disk) + 1 for size in sizes_of(locks))


def make(name: str, kind: str, torch_backend: str) -> None:
    """Makes an environment unless its mark shows that it is made already. A torn installation has no mark and is made anew, whole.

    A build that was asked for by name (`kind` 'cpu' or 'gpu', a torch backend) stays until another is asked for.
    """
    environment = VENV / name
    if is_made(environment, kind, torch_backend):
        return
    with installing():
        if is_made(environment, kind, torch_backend):  # by another process, while this one waited
            return
        gpu = wants_gpu(kind)
        lock = lock_of(name, gpu)
        mark = {"lock": lock.name, "sha256": sha256(lock), "torch_backend": torch_backend, "asked": kind != "auto"}
        (environment / MARK).unlink(missing_ok=True)
        with InstallLog(VENV / f"{name}.log", f"{VENV.name}/{name}") as log:
            install(environment, lock, torch_backend, log)
            prove(name, environment, gpu and detect_gpu() and torch_backend != "cpu", log)
            (environment / MARK).write_text(json.dumps(mark) + "\n")
        if not gpu:
            print(f"setup: {allocator_line()}", file=sys.stderr)


def is_made(environment: Path, kind: str, torch_backend: str) -> bool:
    """Returns whether the environment's mark is there, names today's lock, and fits `kind` and `torch_backend`."""
    try:
        mark = json.loads((environment / MARK).read_text())
    except (OSError, ValueError):
        return False
    lock = LOCKS / mark["lock"]
    if not lock.is_file() or mark["sha256"] != sha256(lock) or torch_backend not in ("", mark["torch_backend"]):
        return False
    if environment.name != "serve" or (mark["asked"] and kind == "auto"):
        return True
    return lock == lock_of(environment.name, gpu=kind == "gpu" or (kind == "auto" and (mark["lock"] == "serve.txt" or detect_gpu())))


def install(environment: Path, lock: Path, torch_backend: str, log: InstallLog) -> None:
    """Makes a new environment with exactly the lock's packages, or with the same versions and another build of torch."""
    uv, python = [str(install_uv(log)), "--color", "never"], str(environment / "bin" / "python")
    call(log, [*uv, "venv", "--quiet", "--clear", "--python", find_python(), str(environment)], "making an empty environment")
    if not torch_backend:
        call(log, [*uv, "pip", "sync", "--python", python, "--require-hashes", str(lock)], "looking the packages up")
        return
    constraints = environment / "constraints.txt"
    constraints.write_text(unhashed(lock.read_text(encoding="utf-8")), encoding="utf-8")
    extras = [word for extra in EXTRAS[lock.stem] for word in ("--extra", extra)]
    other_torch = ["--torch-backend", torch_backend, "-r", "pyproject.toml", *extras, "--constraint", str(constraints)]
    call(log, [*uv, "pip", "install", "--python", python, *other_torch], "looking the packages up")


def lock_of(name: str, gpu: bool) -> Path:
    """Returns the lock that an environment is made from."""
    return LOCKS / ("serve-cpu.txt" if name == "serve" and not gpu else f"{name}.txt")


def sha256(path: Path) -> str:
    """Returns a file's SHA-256 in hex digits. tools.files' own needs Python 3.11, and an older one may run this module."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wants_gpu(kind: str) -> bool:
    """Returns whether a build for the GPU is wanted: asked for by name, or by nvidia-smi."""
    return detect_gpu() if kind == "auto" else kind == "gpu"


def detect_gpu() -> bool:
    """Returns whether nvidia-smi lists a GPU."""
    return "GPU" in nvidia_smi("--list-gpus")


def nvidia_smi(*words: str) -> str:
    """Returns the output of `nvidia-smi`, or '' where it isn't installed or fails."""
    try:
        done = subprocess.run(["nvidia-smi", *words], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout


def check_system(name: str, lock: Path, gpu: bool, torch_backend: str) -> None:
    """Raises ToolError where an environment could be installed, and not used: for want of a driver or a library."""
    if gpu and not torch_backend:
        check_driver(name, nvidia_smi(), lock.read_text())
    if name == "serve" and not gpu:
        check_libraries()


def check_driver(name: str, smi: str, lock: str) -> None:
    """Raises ToolError when the driver's CUDA (in nvidia-smi's header) is of an older major version than the locked torch's.

    A driver runs every minor version of its own major version (NVIDIA, "CUDA Compatibility").
    """
    driver = re.search(r"CUDA(?: UMD)? Version:\s*(\d+)\.(\d+)", smi)
    torch = re.search(r"^nvidia-cuda-runtime==(\d+)\.(\d+)", lock, re.MULTILINE)
    if not driver or not torch or int(driver[1]) >= int(torch[1]):
        return
    backend = "cu126" if driver[1] == "12" else "cpu"
    verb = "quantize" if name == "quantize" else "setup"
    way = f"take torch's build for this one: make {verb} TORCH_BACKEND={backend} (same versions, without hashes; or TORCH_BACKEND=auto)."
    if name == "serve":  # vLLM's registry build is linked against CUDA 13 itself (libcudart.so.13): another torch alone doesn't help it
        index = f"<vLLM's own wheel index for CUDA {driver[1]}, named on its installation page>"
        way = f"serve on the CPU: make setup SERVE=cpu; or export UV_INDEX={index} and make setup TORCH_BACKEND={backend} (same versions, without hashes)."
    raise ToolError(
        f"the NVIDIA driver here offers CUDA {driver[1]}.{driver[2]}, the locked torch is built for CUDA {torch[1]}.{torch[2]} and couldn't use the GPU.\n"
        f"Update the driver, or {way}"
    )


def prove(name: str, environment: Path, on_gpu: bool, log: InstallLog) -> None:
    """Imports the environment's packages, and reaches the GPU where there is one. Raises ToolError with the last line of their output."""
    code = f"import sys; {PROOF[name]}" + (f"; {GPU_PROOF[name]}" if on_gpu else "")
    if log.run([str(environment / "bin" / "python"), "-c", code], None, "importing what was installed"):
        raise ToolError(f"{environment.relative_to(ROOT)} was installed but doesn't work: {log.last_line()}\n{log.where()}\nTry again: make setup")


def find_python() -> str:
    """Returns a Python that the locks are for: this one, or python3.12 or python3.11 from PATH. Raises ToolError where there is none."""
    if sys.version_info[:2] in PYTHONS:
        return sys.executable
    for major, minor in reversed(PYTHONS):
        found = shutil.which(f"python{major}.{minor}")
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return found
    here = ".".join(map(str, sys.version_info[:2]))
    raise ToolError(
        f"Python 3.11 or 3.12 is needed, `{sys.executable}` is {here} and PATH has no other. Install one, or: make PYTHON=/path/to/python3.12 …"
    )


def install_uv(log: InstallLog) -> Path:
    """Returns the pinned uv, which this Python installs in an environment of its own."""
    lock, home = LOCKS / "uv.txt", VENV / "uv"
    uv, mark = home / "bin" / "uv", home / MARK
    if mark.is_file() and mark.read_text() == sha256(lock):
        return uv
    shutil.rmtree(home, ignore_errors=True)
    python = find_python()
    if log.run([python, "-m", "venv", str(home)], None, "installing uv"):
        raise ToolError(f"`{python} -m venv` failed: {log.last_line()}\n{log.where()}\nOn Debian and Ubuntu: apt install python3-venv.")
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(lock)]
    call(log, pip, "installing uv")
    mark.write_text(sha256(lock))
    return uv


def compile_locks() -> None:
    """Writes requirements/*.txt: the versions that pyproject.toml resolves to on Linux x86-64 for both Pythons, with hashes and without an index."""
    VENV.mkdir(exist_ok=True)
    for name, extras in {**EXTRAS, "uv": []}.items():
        words = [word for extra in extras for word in ("--extra", extra)]
        source = ["pyproject.toml", *words] if extras else ["--group", name]
        common = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        with InstallLog(VENV / "lock.log", f"requirements/{name}.txt") as log:
            command = [str(install_uv(log)), "pip", "compile", *source, *common, "--output-file", f"requirements/{name}.txt"]
            call(log, command, "looking the packages up")


def unhashed(lock: str) -> str:
    """Returns a lock as plain constraints for another CUDA: names and versions without hashes and without CUDA's libraries, which torch's build chooses."""
    pins = re.findall(r"^[A-Za-z0-9_.\-]+==[^\s\\]+(?: ;[^\\\n]*)?", lock, re.MULTILINE)
    return "\n".join(pin.strip() for pin in pins if not re.match(r"(nvidia|cuda)-|triton==", pin)) + "\n"


def check_libraries() -> None:
    """Raises ToolError where libnuma is missing: vLLM's CPU build imports without it, and dies at its first start."""
    try:
        ctypes.CDLL("libnuma.so.1")
    except OSError:
        raise ToolError(
            "libnuma.so.1 is missing, and vLLM's CPU build can't start without it. On Debian and Ubuntu: apt install libnuma1. On Fedora: dnf install numactl-libs."
        ) from None


def allocator_line() -> str:
    """Returns a line that names the allocator which training and serving on this CPU will use, and how to get a better one."""
    found = allocator()
    if found and "tcmalloc" in found.name:
        return f"on the CPU, memory is taken from {found}"
    taken = (
        f"on the CPU, memory is taken from {found}; tcmalloc needs less of it."
        if found
        else "no allocator for big blocks is here: a CPU loses a third of its time."
    )
    return f"{taken} {BETTER}"


def check_room(locks: Mapping[str, Path]) -> None:
    """Raises ToolError when the disk has less room than the environments (name → lock) need together."""
    VENV.mkdir(exist_ok=True)
    free, needed = shutil.disk_usage(VENV).free / 2**30, needed_gib(locks)
    if free < needed:
        names = ", ".join(f"{VENV.name}/{name}" for name in locks)
        raise ToolError(
            f"{VENV}: {free:.1f} GiB free, {needed} GiB are needed for {names}. Nothing was installed. Make room, or move the checkout to a larger disk."
        )


def uv_environment(environ: Mapping[str, str], pip_config: str) -> dict[str, str]:
    """Returns `environ` for uv, with pip's index and certificate (`pip config list`): uv doesn't read pip's settings."""
    settings = dict(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", pip_config, re.MULTILINE))
    known = {uv: settings[pip] for pip, uv in PIP_TO_UV.items() if pip in settings}
    return {"UV_HTTP_TIMEOUT": "300", **known, **environ}


def pip_config() -> str:
    """Returns the output of `pip config list`, of this Python's pip or of the one beside uv: Ubuntu without python3-pip has no other."""
    for python in (sys.executable, str(VENV / "uv" / "bin" / "python")):
        with contextlib.suppress(OSError):
            done = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
            if not done.returncode:
                return done.stdout
    return ""


def call(log: InstallLog, command: list[str], doing: str) -> None:
    """Runs a command of the installation. Raises ToolError with the end of its output and the command that tries again."""
    if code := log.run(command, uv_environment(os.environ, pip_config()), doing):
        raise ToolError(
            f"this step of the installation failed (exit code {code}): {' '.join(command)}\n{log.reason()}\n"
            "Nothing half-installed will be used. Try again: make setup"
        )


@contextlib.contextmanager
def installing() -> Iterator[None]:
    """Holds the installation's lock; a second `make` waits here. Raises ToolError where this user may not install."""
    try:
        VENV.mkdir(exist_ok=True)
        handle = open(VENV / ".lock", "w", encoding="utf-8")  # noqa: SIM115 - closed below
    except PermissionError:
        raise ToolError(
            f"{VENV}: this user may not install there, and the environment that this step needs is missing. In a container: take the image that has it (docs/docker.md)."
        ) from None
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
