"""A command's tasks, and the raw file or slice of each split."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conf.task import Task
from tools.data.sources import Source, in_turn, named_tasks
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
        ("a[1].jsonl", Source(Path("a[1].jsonl"))),
        ("[1:2]", Source(Path("[1:2]"))),
    ],
)
def test_a_slice_is_pythons_own(value: str, source: Source) -> None:
    assert Source.parse(value) == source


@pytest.mark.parametrize("slice_", ["[-:5]", "[:-]", "[::2]", "[1:2:3]", "[]", "[5]", "[:10%]", "[first:]", "[: 100]", "[:1e3]", f"[:{'9' * 5000}]"])
def test_brackets_that_are_no_slice_are_refused_by_name(tmp_path: Path, slice_: str) -> None:
    (tmp_path / "a.jsonl").touch()
    with pytest.raises(ToolError, match=r"is no slice of rows\. Write \[START:STOP\]") as error:
        Source.parse(f"{tmp_path / 'a.jsonl'}{slice_}")
    assert slice_[:20] in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("slice_", ["[:99999999999999999999]", "[-99999999999999999999:]", "[0:99999999999999999999]"])
def test_a_bound_of_twenty_digits_takes_all_rows(write_task: Callable[..., Path], tool: Callable, tmp_path: Path, slice_: str) -> None:
    done = tool("data", write_task(), f"raw.train={tmp_path / 'train.jsonl'}{slice_}", "--out", tmp_path / "out")
    assert (done.returncode, "1 rows" in done.stdout) == (0, True), done.stderr


def test_a_task_named_twice_is_one_and_two_tasks_of_one_name_are_refused(write_task: Callable[..., Path], tmp_path: Path) -> None:
    path = write_task()
    assert named_tasks([str(path), str(path)])[0] == [path]
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
    seen = []
    assert in_turn([str(write_task()), "raw.train=/nowhere/x.jsonl"], lambda task, words: seen.append((task.raw, words)) or 0) == 0
    assert seen == [({"train": "/nowhere/x.jsonl"}, ["raw.train=/nowhere/x.jsonl"])]


@pytest.mark.parametrize("verb", ["data", "check"])
def test_one_broken_task_doesnt_stop_the_others_and_all_that_is_wrong_is_said(
    write_task: Callable[..., Path], tool: Callable, tmp_path: Path, verb: str
) -> None:
    path = write_task()
    broken = {
        "yaml": "kind: [",
        "key": path.read_text().replace("labels", "lables", 1),
        "slice": path.read_text().replace("train.jsonl", "train.jsonl[::2]"),
    }
    for name, text in broken.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    done = tool(verb, *(tmp_path / f"{name}.yaml" for name in broken), path, "--out", tmp_path / "out")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for said in ("yaml.yaml:", "key.yaml: unknown key 'lables'", "'[::2]' is no slice of rows"):
        assert said in done.stderr
    assert (tmp_path / "out" / ("examples/toy_train.jsonl" if verb == "data" else "toy/report.json")).is_file()


def test_a_raw_file_that_cant_be_opened_doesnt_stop_the_other_tasks(write_task: Callable[..., Path], tmp_path: Path) -> None:
    path, done = write_task(), []
    (tmp_path / "other.yaml").write_text(path.read_text())

    def work(task: Task, _: list[str]) -> int:
        if task.name == "toy":
            raise PermissionError(13, "Permission denied", "train.jsonl")
        done.append(task.name)
        return 0

    with pytest.raises(ToolError, match=r"toy\.yaml: train\.jsonl: Permission denied"):
        in_turn([str(path), str(tmp_path / "other.yaml")], work)
    assert done == ["other"]
