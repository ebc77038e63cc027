"""Finds a memory allocator that keeps big blocks, for child processes that compute on a CPU.

In: the libraries of this machine. Out: the environment variables that make a child process use one.

    call(["llamafactory-cli", "train", "run.yaml"], env=preload())
"""

from __future__ import annotations

import os
from pathlib import Path

from tools.files import ROOT

# glibc gives a freed block of many megabytes back to the system, which clears the same pages again when the next step asks for them: up to a third of the time
# of a model on a CPU. tcmalloc comes first: jemalloc, told to keep what is freed, faults as little and held a third more memory in the same trial.
FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/lib", "/usr/lib")  # Debian and Ubuntu; Fedora; built by hand; Arch
SYSTEM = ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4")
RAYS = "lib/python*/site-packages/ray/core/libjemalloc.so"  # ray's wheel brings one into both environments
KNOWN = ("tcmalloc", "jemalloc", "mimalloc")
KEEP = {"MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1"}  # jemalloc(3): never give pages back
BETTER = "On Debian and Ubuntu: apt install libtcmalloc-minimal4. On Fedora: dnf install gperftools-libs."


def preload() -> dict[str, str]:
    """Returns the environment variables for a child process, or none where no such allocator is here.

    A user's own LD_PRELOAD stays; one that names an allocator already is left as it is, and so is a MALLOC_CONF.
    """
    own, library = os.environ.get("LD_PRELOAD", ""), allocator()
    if library is None or any(name in own for name in KNOWN):
        return {}
    options = KEEP if "jemalloc" in library.name and "MALLOC_CONF" not in os.environ else {}
    return {"LD_PRELOAD": f"{own}:{library}" if own else str(library), **options}


def allocator() -> Path | None:
    """Returns the library to preload: the system's tcmalloc, else the jemalloc in one of our environments; None where neither is here."""
    system = (Path(folder) / name for folder in FOLDERS for name in SYSTEM)
    rays = (path for name in ("train", "serve") for path in sorted((ROOT / ".venv" / name).glob(RAYS)))
    # The loader splits LD_PRELOAD at spaces and colons.
    return next((path for path in (*system, *rays) if path.is_file() and not set(" :") & set(str(path))), None)
