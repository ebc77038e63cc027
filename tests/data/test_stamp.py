"""Files of two versions are noticed: a conversion killed between two files, or a file edited by hand."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CELTIC
from tools.conf.task import find_task, load_task
from tools.data.convert import convert
from tools.data.stamp import left_over, problems
from tools.files import ROOT, sha256

NAMES = ["alpaca_toy_train", "alpaca_toy_dev"]
OTHER = {"text": "叶老桂去过长滩岛。", "label": {"name": {"叶老桂": [[0, 2]]}}}


@pytest.fixture
def converted(write_task: Callable[..., Path], tmp_path: Path) -> Path:
    """The dataset folder of a task with a training and a development split."""
    (tmp_path / "dev.jsonl").write_text(json.dumps(OTHER), encoding="utf-8")
    convert(load_task(two_splits(write_task, tmp_path, [CELTIC])), tmp_path / "out")
    return tmp_path / "out"


def two_splits(write_task: Callable[..., Path], folder: Path, rows: list[Any], **values: Any) -> Path:
    return write_task(rows, raw={"train": str(folder / "train.jsonl"), "dev": str(folder / "dev.jsonl")}, **values)


def test_the_stamp_is_the_hash_of_both_files(converted: Path) -> None:
    info = json.loads((converted / "alpaca/dataset_info.json").read_text())
    for split in ("train", "dev"):
        assert info[f"alpaca_toy_{split}"]["stamp"] == {
            "examples_sha256": sha256(converted / f"examples/toy_{split}.jsonl"),
            "alpaca_sha256": sha256(converted / f"alpaca/alpaca_toy_{split}.json"),
        }
    assert problems(converted, NAMES) == []


@pytest.mark.parametrize("moved", range(5))
def test_a_conversion_killed_between_two_moves_is_noticed(
    write_task: Callable[..., Path], converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    (tmp_path / "dev.jsonl").write_text(json.dumps(OTHER) + "\n" + json.dumps(CELTIC), encoding="utf-8")
    task = load_task(two_splits(write_task, tmp_path, [OTHER, CELTIC]))
    pid = os.fork()
    if not pid:  # the child dies as a killed process does, without any clearing up
        replace, done = os.replace, []

        def dies(source: Any, target: Any) -> None:
            if len(done) == moved:
                os._exit(9)
            done.append(target)
            replace(source, target)

        monkeypatch.setattr(os, "replace", dies)
        convert(task, converted)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    found = problems(converted, NAMES)
    # In order of moving: examples and Alpaca file of train, then of dev, then dataset_info.json.
    assert len(found) == (moved + 1) // 2
    assert all(f"./ner data TASK.yaml --out {converted}" in problem for problem in found)
    convert(task, converted)
    assert problems(converted, NAMES) == []


def test_a_hand_edited_alpaca_file_is_told_with_both_ways_out(converted: Path) -> None:
    path = converted / "alpaca" / "alpaca_toy_train.json"
    path.write_text(path.read_text().replace("苏格兰", "英格兰"))
    [problem] = problems(converted, NAMES)
    assert problem.startswith(f"{path}: was changed after conversion wrote it")
    assert f"./ner data TASK.yaml --out {converted}" in problem
    assert "an entry of its own" in problem
    own = path.rename(path.with_name("mine.json"))
    info = converted / "alpaca" / "dataset_info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "mine": {"file_name": own.name}}))
    assert problems(converted, ["mine", "alpaca_toy_train"]) == []


def test_a_prompt_that_changed_between_two_conversions_changes_the_stamp(write_task: Callable[..., Path], converted: Path, tmp_path: Path) -> None:
    path = two_splits(write_task, tmp_path, [CELTIC])
    (tmp_path / "prompt.txt").write_text("{text}")
    before = (converted / "alpaca/alpaca_toy_train.json").read_bytes()
    convert(load_task(path), converted)
    assert problems(converted, NAMES) == []
    (converted / "alpaca/alpaca_toy_train.json").write_bytes(before)
    assert len(problems(converted, NAMES)) == 1


def test_hand_edited_examples_are_told(converted: Path) -> None:
    path = converted / "examples" / "toy_dev.jsonl"
    path.write_text(path.read_text() + "\n")
    [problem] = problems(converted, NAMES)
    assert problem.startswith(f"{path}: doesn't belong to {converted / 'alpaca/alpaca_toy_dev.json'}")
    assert problems(converted, NAMES[:1]) == []


@pytest.mark.parametrize("info", [None, "[]", "{}", '{"alpaca_toy_train": 1}', '{"alpaca_toy_train": {"file_name": "alpaca_toy_train.json"}}'])
def test_files_without_a_stamp_are_taken_as_they_are(converted: Path, info: str | None) -> None:
    path = converted / "alpaca" / "dataset_info.json"
    path.unlink() if info is None else path.write_text(info)
    assert problems(converted, NAMES) == []


def test_a_missing_file_is_left_to_the_step_that_reads_it(converted: Path) -> None:
    (converted / "examples/toy_train.jsonl").unlink()
    (converted / "alpaca/alpaca_toy_dev.json").unlink()
    assert problems(converted, NAMES) == []


@pytest.mark.parametrize(("out", "words"), [("data/dataset", ""), ("other", ' ARGS="--out other"')])
def test_the_next_command_writes_to_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, words: str) -> None:
    for folder in ("conf", "data/prompts"):
        shutil.copytree(folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    examples = Path(out) / "examples" / "sample_dev.jsonl"
    convert(find_task("sample", [f"raw.{split}={ROOT / f'data/dataset/sample.{split}.jsonl'}" for split in ("train", "dev")]), Path(out))
    examples.write_text(examples.read_text() + "\n")
    [problem] = problems(Path(out), ["alpaca_sample_dev"])
    assert problem.endswith(f"To write both again: make data TASK=sample{words}")


def test_files_of_a_split_that_the_task_no_longer_has_are_left_over(converted: Path, write_task: Callable[..., Path]) -> None:
    task = load_task(write_task())
    assert left_over(task, converted) == {"dev": [converted / "examples/toy_dev.jsonl", converted / "alpaca/alpaca_toy_dev.json"]}
    assert left_over(task.changed(raw={"train": "x", "dev": "y"}), converted) == {}


def test_another_tasks_files_are_not_left_over(converted: Path, write_task: Callable[..., Path]) -> None:
    (converted / "examples/toy_dev.jsonl").rename(converted / "examples/toy_two_dev.jsonl")
    assert left_over(load_task(write_task()), converted) == {}
