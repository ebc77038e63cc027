import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import allocator
from tools.allocator import BETTER, KEEP, preload


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a folder in which alone libraries are looked for: `lib` for the system's, `.venv` for ours."""
    monkeypatch.setattr(allocator, "FOLDERS", (str(tmp_path / "lib"),))
    monkeypatch.setattr(allocator, "ROOT", tmp_path)
    for name in ("LD_PRELOAD", "MALLOC_CONF"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def put(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return str(path)


def test_the_systems_tcmalloc_comes_before_the_jemalloc_of_our_environment(place: Path) -> None:
    assert preload() == {}
    ours = put(place / ".venv/train/lib/python3.11/site-packages/ray/core/libjemalloc.so")
    assert preload() == {"LD_PRELOAD": ours, **KEEP}
    systems = put(place / "lib/libtcmalloc_minimal.so.4")
    assert preload() == {"LD_PRELOAD": systems}


def test_what_a_user_preloads_and_sets_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = put(place / ".venv/serve/lib/python3.12/site-packages/ray/core/libjemalloc.so")
    monkeypatch.setenv("LD_PRELOAD", "/opt/libtrace.so")
    monkeypatch.setenv("MALLOC_CONF", "stats_print:true")
    assert preload() == {"LD_PRELOAD": f"/opt/libtrace.so:{ours}"}
    monkeypatch.setenv("LD_PRELOAD", "/opt/libmimalloc.so")
    assert preload() == {}


def test_a_path_that_the_loader_would_split_is_left_out(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "ROOT", place / "my models")
    put(place / "my models/.venv/train/lib/python3.11/site-packages/ray/core/libjemalloc.so")
    assert preload() == {}


def test_a_child_maps_the_allocator_that_is_found() -> None:
    found = preload()
    if not found:
        pytest.skip(f"no allocator here. {BETTER}")
    maps = subprocess.run(
        [sys.executable, "-c", "print(open('/proc/self/maps').read())"], env={**os.environ, **found}, capture_output=True, text=True, check=True
    )
    assert str(Path(found["LD_PRELOAD"].rpartition(":")[2]).resolve()) in maps.stdout
    assert maps.stderr == ""
