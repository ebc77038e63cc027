import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CELTIC, CELTIC_TEXT, real
from tools.conf import load_task
from tools.data.convert import Source, convert
from tools.errors import ToolError
from tools.example import read_examples

PROMPT = """请从给定的句子中识别并提取出以下指定类别的实体。

<实体类别集合>
name, organization, scene, company, movie, book, government, position, address, game

<任务说明>
1. 仅提取属于上述类别的实体，忽略其他类型的实体。
2. 以json格式输出，对于每个识别出的实体，请提供：
   - label: 实体类型，必须严格使用原始类型标识（不可更改）
   - text: 实体在原文中的中文内容

<输出格式要求>
```json
[{"label": "实体类别", "text": "实体名称"}]
```

<输入文本>
"""


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_documents_example_comes_out_exactly(tool: Callable, tmp_path: Path) -> None:
    raw = tmp_path / "raw.jsonl"
    raw.write_text(json.dumps(CELTIC, ensure_ascii=False))
    done = tool("tools.data.convert", "conf/task/clue.yaml", f"raw.train={raw}", "raw.dev=null", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/alpaca/alpaca_clue_train.json").read_text()) == [
        {
            "instruction": "你是一个文本实体识别领域的专家，擅长从自然语言中提取不同类别的实体名称。",
            "input": PROMPT + CELTIC_TEXT,
            "output": '[{"label": "organization", "text": "苏格兰"}, {"label": "organization", "text": "奥尔堡"}, {"label": "organization", "text": "凯尔特人"}]',
        }
    ]
    assert json.loads((tmp_path / "out/alpaca/dataset_info.json").read_text()) == {
        "alpaca_clue_train": {
            "file_name": "alpaca_clue_train.json",
            "columns": {"prompt": "input", "system": "instruction", "response": "output"},
        }
    }
    assert "{{" not in (tmp_path / "out/alpaca/alpaca_clue_train.json").read_text()


def test_a_second_call_writes_the_same_bytes(tmp_path: Path) -> None:
    from tools.conf import find_task

    convert(find_task("sample"), tmp_path)
    first = files(tmp_path)
    convert(find_task("sample"), tmp_path)
    assert files(tmp_path) == first
    assert len(first) == 5


def test_entries_that_a_user_added_to_dataset_info_stay(write_task: Callable[..., Path], tmp_path: Path) -> None:
    info = tmp_path / "out" / "alpaca" / "dataset_info.json"
    info.parent.mkdir(parents=True)
    info.write_text('{"mine": {"file_name": "mine.json"}}')
    convert(load_task(write_task()), tmp_path / "out")
    assert list(json.loads(info.read_text())) == ["mine", "alpaca_toy_train"]


def test_bad_rows_are_all_listed_and_nothing_is_written(write_task: Callable[..., Path], tool: Callable, tmp_path: Path) -> None:
    bad = {"text": "甲", "label": {"name": {"乙": [[0, 0]]}}}
    unknown = {"text": "甲", "label": {"nmae": {"甲": [[0, 0]]}}}
    done = tool("tools.data.convert", write_task([CELTIC, bad, unknown]), "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "train.jsonl:2: '乙' (name) isn't at [0, 0]; the text there is '甲'" in done.stderr
    assert "train.jsonl:3: label 'nmae' is not among" in done.stderr
    assert "Did you mean 'name'?" in done.stderr
    assert "2 of 3 rows can't be used" in done.stderr
    assert files(tmp_path / "out") == {}


def test_a_long_list_of_bad_rows_is_cut(write_task: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"… and 10 more bad rows\.\n.*30 of 30 rows"):
        convert(load_task(write_task([{"text": 1}] * 30)), tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["raw.train=/nowhere/x.jsonl"], "/nowhere/x.jsonl: no such file"),
        (["raw.train=tests"], "tests: is a folder"),
        (["reader=cluner"], "unknown reader 'cluner'. Did you mean 'cluener'?"),
        (["raw.tr_ain=x"], "a split's name is letters, digits and '-'"),
        (["prompt=nowhere.txt"], "nowhere.txt: no such file"),
        (["readr=x"], "unknown key 'readr'. Did you mean 'reader'?"),
    ],
)
def test_a_wrong_command_is_exit_code_2_and_writes_nothing(
    write_task: Callable[..., Path], tool: Callable, tmp_path: Path, words: list[str], message: str
) -> None:
    done = tool("tools.data.convert", write_task(), *words, "--out", tmp_path / "out")
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_task_lists_the_tasks_that_are_there(tool: Callable, tmp_path: Path) -> None:
    done = tool("tools.data.convert", "conf/task/clu.yaml", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "conf/task/clue.yaml, conf/task/sample.yaml" in done.stderr


def test_among_several_tasks_those_without_raw_files_are_skipped_and_said(write_task: Callable[..., Path], tool: Callable, tmp_path: Path) -> None:
    absent = tmp_path / "absent.yaml"
    absent.write_text(write_task().read_text().replace("train.jsonl", "absent.jsonl"))
    done = tool("tools.data.convert", write_task(), absent, "--out", tmp_path / "out")
    assert (done.returncode, "absent: skipped" in done.stdout) == (0, True), done.stderr
    assert tool("tools.data.convert", absent, "--out", tmp_path / "out").returncode == 2


def test_an_empty_raw_file_is_an_error(write_task: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no rows in it"):
        convert(load_task(write_task([])), tmp_path / "out")


@pytest.mark.parametrize(
    ("slice_", "ids"), [("", [1, 2, 3, 4, 5]), ("[:-2]", [1, 2, 3]), ("[-2:]", [4, 5]), ("[1:3]", [2, 3]), ("[:-9]", []), ("[3:]", [4, 5])]
)
def test_a_slice_of_a_raw_file_takes_pythons_own_rows(write_task: Callable[..., Path], tmp_path: Path, slice_: str, ids: list[int]) -> None:
    path = write_task([{"text": f"第{n}句", "label": {}} for n in range(1, 6)])
    task = load_task(path, [f"raw.train={tmp_path / 'train.jsonl'}{slice_}"])
    if not ids:
        with pytest.raises(ToolError, match="no rows in it"):
            convert(task, tmp_path / "out")
        return
    convert(task, tmp_path / "out")
    examples = list(read_examples(tmp_path / "out/examples/toy_train.jsonl"))
    assert [example.id for example in examples] == [f"toy-train-{n:06}" for n in ids]
    assert [example.text for example in examples] == [f"第{n}句" for n in ids]


def test_a_file_really_called_like_a_slice_is_taken_as_it_is(tmp_path: Path) -> None:
    odd = tmp_path / "train[1:2]"
    odd.touch()
    assert Source.parse(str(odd)) == Source(odd)


def test_the_real_training_split_loses_no_row_and_no_pair(tmp_path: Path) -> None:
    from tools.conf import find_task

    path = real("cluener/train.jsonl")
    train, dev = convert(find_task("clue", [f"raw.train={path}[:-1000]", f"raw.dev={path}[-1000:]"]), tmp_path)
    assert (train.rows, dev.rows, train.entities + dev.entities) == (9_748, 1_000, 23_338)
