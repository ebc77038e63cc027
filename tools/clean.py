"""Removes what can be made again, and nothing else: caches, the doctor's reports, and examples and Alpaca files whose raw files are here.

In: a checkout. Out: the same without them, and a list of what went. Raw files, mended copies, models and runs stay: a task may name a mended copy as its raw file.
Plain python3 is enough.

    ./ner clean
    ./ner clean --all
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tools.errors import ToolError
from tools.files import ROOT, write_json

CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis", "__pycache__", "*.egg-info")
CODE = ("tools", "tests", "bench", "models/tiny-qwen2/make")
DATASET = Path("data/dataset")
INFO = DATASET / "alpaca" / "dataset_info.json"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the words of `./ner clean`."""
    parser.add_argument("--all", action="store_true", help="the environments too; the next step installs them again")


def main(args: argparse.Namespace) -> None:
    """Cleans this checkout."""
    freed = clean(ROOT, args.all)
    print(f"{freed / 2**20:,.1f} MiB freed. Raw files, mended copies, models/ and data/outputs/ stay. To remove a run, remove its folder by hand.")


def clean(root: Path, environments: bool = False) -> int:
    """Removes it all below `root` and prints each file and folder. Returns the bytes that were freed."""
    freed = 0
    for path in [*_caches(root), *_generated(root), *([root / ".venv"] if environments else [])]:
        if path.exists():
            size = _size(path)
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            print(f"removed {path.relative_to(root)} ({size / 2**20:,.1f} MiB)")
            freed += size
    _forget(root / INFO)
    return freed


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in ([path] if path.is_file() else path.rglob("*")))


def _caches(root: Path) -> Iterator[Path]:
    """Yields caches, and the doctor's reports and pictures without its mended copies."""
    for pattern in (*CACHES, *(f"{folder}/**/__pycache__" for folder in CODE), *(f"{DATASET}/check/*/{name}" for name in ("report.json", "*.png"))):
        yield from sorted(root.glob(pattern))


def _generated(root: Path) -> Iterator[Path]:
    """Yields the examples and Alpaca files that `./ner data` would write again: their task and its raw files are here."""
    if not all(find_spec(name) for name in ("omegaconf", "pydantic")):  # no environment is made, so nothing was generated
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
            yield task.examples(split, root / DATASET)
            yield root / DATASET / "alpaca" / alpaca_name(task, split)


def _forget(info: Path) -> None:
    """Takes the entries of removed Alpaca files out of dataset_info.json. Entries that a user wrote stay."""
    if not info.is_file():
        return
    try:
        entries = json.loads(info.read_text(encoding="utf-8"))
        left = {name: entry for name, entry in entries.items() if not _is_ours(name, entry) or (info.parent / entry["file_name"]).exists()}
    except (ValueError, AttributeError):  # not a file of ours
        return
    if not left:
        info.unlink()
    elif left != entries:
        write_json(info, left)


def _is_ours(name: str, entry: Any) -> bool:
    return name.startswith("alpaca_") and entry.get("file_name") == f"{name}.json"
