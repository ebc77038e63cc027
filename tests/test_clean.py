"""`make clean`: what can be made again goes, all else stays."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.clean import clean
from tools.files import ROOT


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two tasks, of which one has its raw file, a run, a model, caches, and a user's own dataset."""
    monkeypatch.chdir(tmp_path)
    for name in ("here", "gone"):
        (tmp_path / f"{name}.prompt").write_text("{labels} {text}")
        write(
            f"conf/task/{name}.yaml",
            f"{{kind: ner, raw: {{train: data/dataset/{name}.jsonl}}, reader: cluener, system: s, prompt: {name}.prompt, labels: [a]}}",
        )
        write(f"data/dataset/examples/{name}_train.jsonl", "{}")
        write(f"data/dataset/alpaca/alpaca_{name}_train.json", "[]")
    for path in (
        "data/dataset/here.jsonl",
        "data/dataset/check/here/report.json",
        "data/dataset/check/here/train.mended.jsonl",
        "data/dataset/check/here/labels.png",
        "data/dataset/alpaca/mine.json",
        "data/outputs/run/adapter.bin",
    ):
        write(path, "x")
    for path in ("models/base/model.safetensors", ".pytest_cache/x", "tools/data/__pycache__/a.pyc", ".venv/train/bin/python", "tests/kept.py"):
        write(path, "x")
    entries = {name: {"file_name": f"{name}.json"} for name in ("alpaca_here_train", "alpaca_gone_train", "mine", "alpaca_other")}
    write("data/dataset/alpaca/dataset_info.json", json.dumps(entries))
    return tmp_path


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_what_can_be_made_again_goes_and_all_else_stays(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(checkout)
    clean(checkout)
    assert before - files(checkout) == {
        "data/dataset/examples/here_train.jsonl",
        "data/dataset/alpaca/alpaca_here_train.json",
        "data/dataset/check/here/report.json",
        "data/dataset/check/here/labels.png",
        ".pytest_cache/x",
        "tools/data/__pycache__/a.pyc",
    }
    assert "removed data/dataset/check/here/report.json (" in capsys.readouterr().out
    left = json.loads((checkout / "data/dataset/alpaca/dataset_info.json").read_text())
    assert set(left) == {"alpaca_gone_train", "mine"}


def test_a_dataset_info_that_only_named_what_went_goes_too(checkout: Path) -> None:
    info = checkout / "data/dataset/alpaca/dataset_info.json"
    info.write_text(json.dumps({"alpaca_here_train": {"file_name": "alpaca_here_train.json"}}))
    clean(checkout)
    assert not info.exists()


def test_a_dataset_info_that_cannot_be_read_is_left_as_it_is(checkout: Path) -> None:
    info = checkout / "data/dataset/alpaca/dataset_info.json"
    for text in ("{", "[]", '{"alpaca_x": 3}'):
        info.write_text(text)
        clean(checkout)
        assert info.read_text() == text


def test_the_environments_go_when_they_are_asked_for(checkout: Path) -> None:
    clean(checkout)
    assert (checkout / ".venv").exists()
    clean(checkout, environments=True)
    assert not (checkout / ".venv").exists()
    assert clean(checkout, environments=True) == 0


def test_plain_python_is_enough_and_leaves_generated_files(checkout: Path) -> None:
    code = f"from pathlib import Path; from tools.clean import clean; clean(Path({str(checkout)!r}))"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (checkout / ".pytest_cache").exists()
    assert (checkout / "data/dataset/alpaca/alpaca_here_train.json").exists()
