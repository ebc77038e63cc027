"""A command's tasks, and the raw file or slice of each split."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf.task import load_task
from tools.data.sources import Source, named_tasks, present
from tools.errors import ToolError


def test_a_file_really_called_like_a_slice_is_taken_as_it_is(tmp_path: Path) -> None:
    odd = tmp_path / "train[1:2]"
    odd.touch()
    assert Source.parse(str(odd)) == Source(odd)


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("a.jsonl[:-2]", Source(Path("a.jsonl"), None, -2)),
        ("a.jsonl[3:]", Source(Path("a.jsonl"), 3, None)),
        ("a.jsonl[:]", Source(Path("a.jsonl"))),
        ("a.jsonl[:99999999999999999999]", Source(Path("a.jsonl"), None, sys.maxsize)),
        ("a.jsonl[-99999999999999999999:007]", Source(Path("a.jsonl"), -sys.maxsize, 7)),
        ("a.jsonl[-:5]", Source(Path("a.jsonl[-:5]"))),
        ("a.jsonl[1:2:3]", Source(Path("a.jsonl[1:2:3]"))),
        (f"a.jsonl[:{'9' * 5000}]", Source(Path(f"a.jsonl[:{'9' * 5000}]"))),
    ],
)
def test_a_slice_is_pythons_own_and_anything_else_is_a_file_name(value: str, source: Source) -> None:
    assert Source.parse(value) == source


@pytest.mark.parametrize("slice_", ["[:99999999999999999999]", "[-99999999999999999999:]", "[0:99999999999999999999]"])
def test_a_bound_of_twenty_digits_takes_all_rows(write_task: Callable[..., Path], tool: Callable, tmp_path: Path, slice_: str) -> None:
    done = tool("data", write_task(), f"raw.train={tmp_path / 'train.jsonl'}{slice_}", "--out", tmp_path / "out")
    assert (done.returncode, "1 rows" in done.stdout) == (0, True), done.stderr


def test_a_task_named_twice_is_one_and_two_tasks_of_one_name_are_refused(write_task: Callable[..., Path], tmp_path: Path) -> None:
    path = write_task()
    assert [task.path for task in named_tasks([str(path), str(path)])[0]] == [path]
    other = tmp_path / "other" / "toy.yaml"
    other.parent.mkdir()
    other.write_text(path.read_text())
    with pytest.raises(ToolError, match="tasks of one name write the same files"):
        named_tasks([str(path), str(other)])


def test_key_value_words_need_one_task(write_task: Callable[..., Path]) -> None:
    with pytest.raises(ToolError, match="on_error=skip: this belongs to one task, and 2 are named"):
        named_tasks([str(write_task()), "conf/task/sample.yaml", "on_error=skip"])


@pytest.mark.parametrize("verb", ["data", "check"])
def test_several_tasks_of_which_none_has_its_raw_files_are_an_error(
    write_task: Callable[..., Path], tool: Callable, tmp_path: Path, verb: str
) -> None:
    path = write_task()
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(path.read_text().replace("train.jsonl", f"{name}.jsonl"))
    done = tool(verb, tmp_path / "a.yaml", tmp_path / "b.yaml", "--out", tmp_path / "out")
    assert (done.returncode, "no raw file of any task is here" in done.stderr) == (2, True)
    assert "a: skipped" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["data", "check"])
@pytest.mark.parametrize("word", ["raw.train=null", "raw=null"])
def test_a_task_that_names_no_raw_file_is_an_error(write_task: Callable[..., Path], tool: Callable, tmp_path: Path, verb: str, word: str) -> None:
    done = tool(verb, write_task(), word, "--out", tmp_path / "out")
    assert (done.returncode, "raw" in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_a_single_task_is_kept_whether_its_raw_files_are_here_or_not(write_task: Callable[..., Path]) -> None:
    task = load_task(write_task(), ["raw.train=/nowhere/x.jsonl"])
    assert present([task]) == [task]
