"""Makes the environments, with nothing but Python's standard library: `.venv/train` (LLaMA-Factory), `.venv/serve` (vLLM), `.venv/quantize`.

In: the hash-pinned locks in `requirements/`. Out: one environment a name, and in it the mark `.complete`, written last.

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
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.errors import ToolError

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKS = ROOT / "requirements"
PYTHONS = ((3, 11), (3, 12))
EXTRAS = {"train": ["train", "test"], "serve": ["serve"], "serve-cpu": ["serve-cpu"], "quantize": ["quantize"]}
USUAL = ("train", "serve")  # what every user needs; quantize is made when it is asked for
MARK = ".complete"
NEEDED_GIB = {"train": 8, "serve": 12, "quantize": 7}
# What must work before an environment counts as made; torch pulls in the CUDA libraries, which is where a broken install shows.
PROOF = {
    "train": "import torch, transformers, peft, importlib.util as u; u.find_spec('llamafactory') or sys.exit('no llamafactory')",
    "serve": "import torch, vllm",
    "quantize": "import torch, llmcompressor",
}
TORCH_USES_GPU = "torch.cuda.is_available() or sys.exit('torch ' + torch.__version__ + ' cannot use the GPU')"
GPU_PROOF = {"train": TORCH_USES_GPU, "serve": f"{TORCH_USES_GPU}; import vllm._C_stable_libtorch", "quantize": TORCH_USES_GPU}
NUMA = "On Debian and Ubuntu: apt install libnuma1. On Fedora: dnf install numactl-libs."
# pip's settings that a user of a mirror has, and what uv calls them.
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the words of `./ner setup`."""
    parser.add_argument("environments", nargs="*", metavar="|".join(PROOF), help="which to make (default: train and serve)")
    parser.add_argument("--serve", choices=["auto", "cpu", "gpu"], default="auto", help="vLLM's build (default: gpu where nvidia-smi shows one)")
    parser.add_argument("--torch-backend", default="", metavar="cu126", help="torch's build for an older driver: uv's torch backend, without hashes")
    parser.add_argument("--lock", action="store_true", help="compile requirements/*.txt from pyproject.toml instead")


def main(args: argparse.Namespace) -> None:
    """Makes the environments that `args` name. Raises ToolError for an unknown one."""
    for name in args.environments:
        if name not in PROOF:
            raise ToolError(f"unknown environment '{name}'. Available: {', '.join(sorted(PROOF))}.")
    if args.lock:
        compile_locks()
        return
    for name in args.environments or USUAL:
        make(name, args.serve if name == "serve" else "auto", args.torch_backend)


def make(name: str, kind: str, torch_backend: str) -> None:
    """Make one environment, unless its mark says that it is made already. A torn install has no mark and is made anew, whole.

    What was once asked for by name (`kind` 'cpu' or 'gpu', a torch backend) stays until something else is asked for.
    """
    environment = VENV / name
    if is_made(environment, kind, torch_backend):
        return
    with one_at_a_time():
        if is_made(environment, kind, torch_backend):  # while we waited
            return
        if sys.platform != "linux" or os.uname().machine != "x86_64":
            raise ToolError(f"the locks are for Linux on x86-64; this is {sys.platform} on {os.uname().machine}.")
        gpu = detect_gpu() if kind == "auto" else kind == "gpu"
        lock = lock_of(name, gpu)
        if gpu and not torch_backend:
            check_driver(name, nvidia_smi(), lock.read_text())
        if name == "serve" and not gpu:
            check_libraries()
        check_room(name)
        print(f"setup: installing {lock.relative_to(ROOT)} into {environment.relative_to(ROOT)} …", file=sys.stderr)
        mark = {"lock": lock.name, "sha256": sha256(lock), "torch_backend": torch_backend, "asked": kind != "auto"}
        (environment / MARK).unlink(missing_ok=True)
        install(environment, lock, torch_backend)
        prove(name, environment, on_gpu=gpu and detect_gpu() and torch_backend != "cpu")
        (environment / MARK).write_text(json.dumps(mark) + "\n")


def is_made(environment: Path, kind: str, torch_backend: str) -> bool:
    """Whether the environment's mark is there, is of today's lock, and is what is asked for now."""
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


def install(environment: Path, lock: Path, torch_backend: str) -> None:
    """A new environment with exactly the lock's packages, or with the same versions on another build of torch."""
    uv, python = str(install_uv()), str(environment / "bin" / "python")
    call([uv, "venv", "--quiet", "--clear", "--python", find_python(), str(environment)])
    if not torch_backend:
        call([uv, "pip", "sync", "--python", python, "--require-hashes", str(lock)])
        return
    constraints = environment / "constraints.txt"
    constraints.write_text(unhashed(lock.read_text()))
    extras = [word for extra in EXTRAS[lock.stem] for word in ("--extra", extra)]
    call(
        [
            uv,
            "pip",
            "install",
            "--python",
            python,
            "--torch-backend",
            torch_backend,
            "-r",
            "pyproject.toml",
            *extras,
            "--constraint",
            str(constraints),
        ]
    )


def lock_of(name: str, gpu: bool) -> Path:
    """The lock that an environment is made from. Raises ToolError when it is missing."""
    lock = LOCKS / ("serve-cpu.txt" if name == "serve" and not gpu else f"{name}.txt")
    if not lock.is_file():
        raise ToolError(f"{lock}: no such file; `git checkout requirements` brings it back.")
    return lock


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def detect_gpu() -> bool:
    """Whether nvidia-smi lists a GPU."""
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def nvidia_smi() -> str:
    """What `nvidia-smi` prints, '' where it isn't installed or fails."""
    try:
        return subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def check_driver(name: str, smi: str, lock: str) -> None:
    """Raise ToolError when the driver's CUDA (in nvidia-smi's header) is of an older major version than the locked torch's.

    A driver runs every minor version of its own major (NVIDIA, "CUDA Compatibility"), so only the major counts.
    """
    driver = re.search(r"CUDA(?: UMD)? Version:\s*(\d+)\.(\d+)", smi)
    torch = re.search(r"^nvidia-cuda-runtime==(\d+)\.(\d+)", lock, re.MULTILINE)
    if not driver or not torch or int(driver[1]) >= int(torch[1]):
        return
    backend = "cu126" if driver[1] == "12" else "cpu"
    other_torch = f"take torch's build for this one: make setup TORCH_BACKEND={backend} (same versions, without hashes; or TORCH_BACKEND=auto)."
    ways = {
        "train": other_torch,
        "quantize": other_torch.replace("make setup", "make quantize"),
        # vLLM's registry build is linked against CUDA 13 itself (libcudart.so.13): another torch alone doesn't help it.
        "serve": f"serve on the CPU: make setup SERVE=cpu; or export UV_INDEX=<vLLM's own wheel index for CUDA {driver[1]}, named on its"
        f" installation page> and make setup TORCH_BACKEND={backend} (same versions, without hashes).",
    }
    raise ToolError(
        f"the NVIDIA driver here offers CUDA {driver[1]}.{driver[2]}, the locked torch is built for CUDA {torch[1]}.{torch[2]} and couldn't use the GPU.\n"
        f"Update the driver, or {ways[name]}"
    )


def prove(name: str, environment: Path, on_gpu: bool) -> None:
    """See that the environment's packages import, and reach the GPU where there is one. Raises ToolError with the last line of what they said."""
    code = f"import sys; {PROOF[name]}" + (f"; {GPU_PROOF[name]}" if on_gpu else "")
    done = subprocess.run([str(environment / "bin" / "python"), "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ToolError(f"{environment.relative_to(ROOT)} was installed but doesn't work: {reason}\nTry again: make setup")


def find_python() -> str:
    """A Python that the locks are for: this one, or python3.12 / python3.11 from PATH. Raises ToolError where there is none."""
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


def install_uv() -> Path:
    """The pinned uv in an environment of its own, installed by the Python that we have."""
    lock, home = LOCKS / "uv.txt", VENV / "uv"
    uv, mark = home / "bin" / "uv", home / MARK
    if mark.is_file() and mark.read_text() == sha256(lock):
        return uv
    shutil.rmtree(home, ignore_errors=True)
    python = find_python()
    made = subprocess.run([python, "-m", "venv", str(home)], capture_output=True, text=True, check=False)
    if made.returncode:
        raise ToolError(
            f"`{python} -m venv` failed: {(made.stdout + made.stderr).strip().splitlines()[-1:]}. On Debian and Ubuntu: apt install python3-venv."
        )
    call([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(lock)])
    mark.write_text(sha256(lock))
    return uv


def compile_locks() -> None:
    """Write requirements/*.txt: every version that pyproject.toml leads to on Linux x86-64 for both Pythons, with hashes, naming no index."""
    uv = install_uv() if (LOCKS / "uv.txt").is_file() else Path(shutil.which("uv") or "uv")
    LOCKS.mkdir(exist_ok=True)
    for name, extras in {**EXTRAS, "uv": []}.items():
        words = [word for extra in extras for word in ("--extra", extra)]
        source = ["pyproject.toml", *words] if extras else ["--group", name]
        common = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
        call([str(uv), "pip", "compile", *source, *common, "--output-file", f"requirements/{name}.txt"])
        print(f"requirements/{name}.txt")


def unhashed(lock: str) -> str:
    """A lock as plain constraints for another CUDA: names and versions without hashes, less the CUDA libraries, which torch's build chooses."""
    pins = re.findall(r"^[A-Za-z0-9_.\-]+==[^\s\\]+(?: ;[^\\\n]*)?", lock, re.MULTILINE)
    return "\n".join(pin.strip() for pin in pins if not re.match(r"(nvidia|cuda)-|triton==", pin)) + "\n"


def check_libraries() -> None:
    """Raise ToolError where a library of the system is missing without which vLLM's CPU build imports, and dies at the first start."""
    try:
        ctypes.CDLL("libnuma.so.1")
    except OSError:
        raise ToolError(f"libnuma.so.1 is missing, and vLLM's CPU build can't start without it. {NUMA}") from None


def check_room(name: str) -> None:
    """Raise ToolError when the disk has less room than the environment needs."""
    VENV.mkdir(exist_ok=True)
    free = shutil.disk_usage(VENV).free / 2**30
    if free < NEEDED_GIB[name]:
        raise ToolError(f"{VENV}: {free:.1f} GiB free, the {name} environment needs {NEEDED_GIB[name]} GiB.")


def uv_environment(environ: Mapping[str, str], pip_config: str) -> dict[str, str]:
    """`environ` for uv, with the index and certificate that pip is configured with (`pip config list`): uv doesn't read pip's settings."""
    settings = dict(re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", pip_config, re.MULTILINE))
    known = {uv: settings[pip] for pip, uv in PIP_TO_UV.items() if pip in settings}
    return {"UV_HTTP_TIMEOUT": "300", "UV_NO_PROGRESS": "0" if sys.stderr.isatty() else "1", **known, **environ}


def pip_config() -> str:
    """What `pip config list` says: this Python's pip, or the one beside uv where this Python has none, as on Ubuntu without python3-pip."""
    for python in (sys.executable, str(VENV / "uv" / "bin" / "python")):
        with contextlib.suppress(OSError):
            done = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
            if not done.returncode:
                return done.stdout
    return ""


def call(command: list[str]) -> None:
    """Run a command of the installation, its output shown; a failure is a ToolError with the way to try again."""
    done = subprocess.run(command, cwd=ROOT, env=uv_environment(os.environ, pip_config()), stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise ToolError(
            f"this step of the installation failed (exit code {done.returncode}): {' '.join(command)}\n"
            "What it printed above says why; nothing half-installed will be used. Try again: make setup"
        )


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the installation's lock; a second `make` waits here. Raises ToolError where this user may not install."""
    try:
        VENV.mkdir(exist_ok=True)
        handle = open(VENV / ".lock", "w")  # noqa: SIM115 - closed below
    except PermissionError:
        raise ToolError(
            f"{VENV}: this user may not install there, and what this step needs isn't there. In a container: take the image that has it (docs/docker.md)."
        ) from None
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

