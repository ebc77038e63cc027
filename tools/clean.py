"""Removes what can be made again, and nothing else: caches, the doctor's reports, examples and Alpaca files whose raw files are here; with --all the environments.

In: a checkout. Out: the same with less in it, and a list of what went. Raw files, mended copies (a task may name one as its raw file), models and runs stay.

    python -m tools.clean
    python3 -m tools.clean --all
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.errors import ToolError, run
from tools.files import write_json

ROOT = Path(__file__).resolve().parent.parent
CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "__pycache__", "*.egg-info")
CODE = ("tools", "tests", "bench")
DATASET = Path("data/dataset")
CHECK = DATASET / "check"
INFO = DATASET / "alpaca" / "dataset_info.json"
ENVIRONMENTS = Path(".venv")


def clean(root: Path, environments: bool = False) -> int:
    """Remove it all below `root`, each said as it goes; returns how many bytes that were."""
    going = [*_caches(root), *_reports(root / CHECK), *_generated(root), *([root / ENVIRONMENTS] if environments else [])]
    freed = 0
    for path in going:
        if path.exists():
            size = _size(path)
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            print(f"removed {path.relative_to(root)} ({size / 2**20:,.1f} MiB)")
            freed += size
    _forget(root / INFO)
    return freed


def _size(path: Path) -> int:
    """Bytes of a file or of all files in a folder."""
    return sum(file.lstat().st_size for file in ([path] if path.is_file() else path.rglob("*")))


def _caches(root: Path) -> Iterator[Path]:
    for name in CACHES:
        yield from root.glob(name)
    for folder in CODE:
        yield from (root / folder).rglob("__pycache__")


def _reports(check: Path) -> Iterator[Path]:
    """The doctor's reports and pictures; not its mended copies."""
    for pattern in ("*/report.json", "*/*.png"):
        yield from sorted(check.glob(pattern))


def _forget(info: Path) -> None:
    """Take the entries of removed Alpaca files out of dataset_info.json; whatever else a user put there stays."""
    if not info.is_file():
        return
    try:
        entries = json.loads(info.read_text(encoding="utf-8"))
        left = {name: entry for name, entry in entries.items() if name != _written_by_us(entry) or (info.parent / entry["file_name"]).exists()}
    except (ValueError, AttributeError):  # a user's own: not ours to touch
        return
    if not left:
        info.unlink()
    elif left != entries:
        write_json(info, left)


def _written_by_us(entry: Any) -> str:
    """The name that `make data` gives an entry of this file, '' where it isn't one of its files."""
    name = entry.get("file_name") if isinstance(entry, dict) else None
    return name.removesuffix(".json") if isinstance(name, str) and name.startswith("alpaca_") else ""


def _generated(root: Path) -> Iterator[Path]:
    """Examples and Alpaca files that `make data` would write again: their task is here, and its raw files are."""
    if not importlib.util.find_spec("yaml"):  # without the environment nothing was generated here, and no task can be read
        return
    from tools.conf.task import load_task
    from tools.data.convert import alpaca_name
    from tools.data.sources import sources_of

    for path in sorted((root / "conf" / "task").glob("*.yaml")):
        try:
            task = load_task(path)
            sources_of(task)  # raises where a raw file is missing
        except ToolError:
            continue
        for split in sorted({*task.raw, *(task.split.of if task.split else ())}):
            yield root / DATASET / "examples" / f"{task.name}_{split}.jsonl"
            yield root / DATASET / "alpaca" / alpaca_name(task, split)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.clean", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--all", action="store_true", help="the environments too; the next step installs them again (make: ALL=1)")
    freed = clean(ROOT, parser.parse_args().all)
    print(
        f"{freed / 2**20:,.1f} MiB freed. Raw files, mended copies, models/ and data/outputs/ stay: what is in them can't be made again in a moment; remove a run by hand."
    )


if __name__ == "__main__":
    run(main)
