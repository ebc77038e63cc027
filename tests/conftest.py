"""What tests share: a task made of toy files, and a way to call a tool as a user does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.files import ROOT

# Whoever starts the tests in a shell's background starts them with Ctrl-C ignored, and every process below them would ignore it too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Without compiled modules every process spends twice the time on importing LLaMA-Factory or vLLM, and tests start a hundred of them.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(ROOT / ".venv" / "pycache")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

REAL_DATA = Path(os.environ.get("REAL_DATA", ROOT.parent / "shared" / "data"))
LABELS = ["name", "organization", "scene", "company", "movie", "book", "government", "position", "address", "game"]

# The CLUENER document's example.
CELTIC_TEXT = "凯尔特人在苏格兰赛场连胜7场，不过连胜含金量要打折扣。双方首回合交锋奥尔堡客场逼平凯尔特人。"
CELTIC = {"text": CELTIC_TEXT, "label": {"organization": {"苏格兰": [[5, 7]], "奥尔堡": [[34, 36]], "凯尔特人": [[41, 44], [0, 3]]}}}


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools read conf/ and data/ relative to the checkout."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def tool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls `./ner <verb> <words>`; whatever the user did wrong, a traceback is a defect."""

    def call(verb: str, *words: Any, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tools", verb, *map(str, words)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return call


@pytest.fixture
def write_task(tmp_path: Path) -> Callable[..., Path]:
    """Write conf/task-like files below tmp_path and return the task's path; keywords replace the task's values."""

    def write(rows: list[Any] | None = None, **values: Any) -> Path:
        raw = tmp_path / "train.jsonl"
        raw.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in (rows if rows is not None else [CELTIC])),
            encoding="utf-8",
            errors="backslashreplace",
        )
        prompt = tmp_path / "prompt.txt"
        prompt.write_text('找出 {labels}：\n[{{"label": "…"}}]\n{text}\n', encoding="utf-8")
        task = {
            "kind": "ner",
            "raw": {"train": str(raw)},
            "reader": "cluener",
            "system": "你是专家。",
            "prompt": str(prompt),
            "labels": LABELS,
            **values,
        }
        path = tmp_path / "toy.yaml"
        path.write_text(json.dumps({key: value for key, value in task.items() if value is not None}, ensure_ascii=False), encoding="utf-8")
        return path

    return write


def real(name: str) -> Path:
    """A real data file, or a skip that says so."""
    path = REAL_DATA / name
    if not path.is_file():
        pytest.skip(f"real data not here: {path} (set REAL_DATA)")
    return path
