"""A new task: three files that appear together and that the rest of the chain takes as they are."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.scaffold.conftest import CLUENER, TEXT, different, everything, lines, made
from tools.errors import ToolError
from tools.files import ROOT


def test_the_doctors_page_ends_in_the_commands_that_follow(checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert made(give(different(CLUENER)), model="Qwen/Qwen2.5-7B-Instruct") == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-3:] == [
        "next: make data TASK=toy",
        "then: make download ARGS=Qwen/Qwen2.5-7B-Instruct",
        "then: make train CONF=conf/Qwen2.5-7B-Instruct-toy-ner-lora-sft.yaml",
    ]
    assert "isn't here yet, so no row was measured" in shown
    assert (checkout / "data/dataset/check/toy/report.json").is_file()


@pytest.mark.parametrize("words", [[], ["toy"], ["--from", "x.jsonl"]])
def test_a_command_without_name_or_file_says_what_it_needs(tool: Callable, words: list[str]) -> None:
    done = tool("new", *words)
    assert (done.returncode, "required: " in done.stderr, "./ner new --help" in done.stderr) == (2, True, True)


@pytest.mark.parametrize("name", ["../x", "a b", "合同", "-x", "x.yaml", "a/b", "x" * 61, "", "a\n"])
def test_a_name_that_cant_be_a_file_everywhere_is_refused(checkout: Path, give: Callable[..., Path], name: str) -> None:
    with pytest.raises(ToolError, match="a task's name is letters, digits"):
        made(give(different(CLUENER)), name=name)


def test_nothing_that_is_there_is_overwritten_and_a_second_call_changes_nothing(checkout: Path, give: Callable[..., Path]) -> None:
    source = give(different(CLUENER))
    assert made(source) == 0
    after = everything(checkout)
    with pytest.raises(ToolError) as error:
        made(source)
    assert error.value.exit_code == 2
    for path in ("conf/task/toy.yaml", "data/prompts/toy_prompt.txt", "conf/tiny-qwen2-toy-ner-lora-sft.yaml", "there already, and kept"):
        assert path in str(error.value)
    assert everything(checkout) == after


@pytest.mark.parametrize(
    "path", ["conf/task/toy.yaml", "data/prompts/toy_prompt.txt", "conf/tiny-qwen2-toy-ner-lora-sft.yaml", "data/dataset/toy.data"]
)
def test_any_one_file_that_is_there_stops_all_of_them(checkout: Path, give: Callable[..., Path], path: str) -> None:
    (checkout / path).parent.mkdir(exist_ok=True)
    (checkout / path).write_text("mine")
    before = everything(checkout)
    with pytest.raises(ToolError, match=f"{path}: there already, and kept"):
        made(give(different(CLUENER)))
    assert everything(checkout) == before


def test_a_full_disk_leaves_nothing(checkout: Path, give: Callable[..., Path]) -> None:
    source = give(different(CLUENER, 2000))
    before = everything(checkout)
    done = subprocess.run(
        [sys.executable, "-m", "tools", "new", "toy", "--from", source],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr, done.stderr.startswith("error: ")) == (2, False, True), done.stderr
    assert everything(checkout) == before


def test_files_appear_together_or_not_at_all(checkout: Path, give: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, before = give(different(CLUENER)), everything(checkout)
    moved: list[Any] = []

    def second_fails(old: Path, new: Path) -> None:
        moved.append(new)
        if len(moved) == 2:
            raise OSError(28, "No space left on device")
        Path(old).rename(new)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError, match="No space left"):
        made(source)
    assert len(moved) == 2
    assert everything(checkout) == before


def test_make_calls_it_with_what_was_said() -> None:
    shown = subprocess.run(
        ["make", "-n", "new", "TASK=x", "ARGS=--from 'my file.jsonl' --dev d.jsonl --model a/b --reader bio"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "./ner new x --from 'my file.jsonl' --dev d.jsonl --model a/b --reader bio" in shown


def test_labels_are_printed_as_the_file_has_them(checkout: Path, give: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text": f"{TEXT}{n}", "label": {"no reply": {"张三": [[0, 1]]}, "error: rows": {"北京": [[3, 4]]}}} for n in range(12)]
    assert made(give(lines(*rows))) == 0
    shown = capsys.readouterr().out
    assert "line 1 holds '张三' (no reply), '北京' (error: rows)\n" in shown
    assert "2 labels: no reply 12, error: rows 12." in shown
