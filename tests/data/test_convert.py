import argparse
import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CELTIC, CELTIC_TEXT, real
from tools.conf.task import load_task
from tools.data.convert import add_options, convert
from tools.errors import ToolError
from tools.example import read_examples
from tools.files import ROOT

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
    done = tool("data", "conf/task/clue.yaml", f"raw.train={raw}", "raw.dev=null", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/alpaca/alpaca_clue_train.json").read_text()) == [
        {
            "instruction": "你是一个文本实体识别领域的专家，擅长从自然语言中提取不同类别的实体名称。",
            "input": PROMPT + CELTIC_TEXT,
            "output": '[{"label": "organization", "text": "苏格兰"}, {"label": "organization", "text": "奥尔堡"}, {"label": "organization", "text": "凯尔特人"}]',
        }
    ]
    [(name, entry)] = json.loads((tmp_path / "out/alpaca/dataset_info.json").read_text()).items()
    assert (name, entry["file_name"]) == ("alpaca_clue_train", "alpaca_clue_train.json")
    assert entry["columns"] == {"prompt": "input", "system": "instruction", "response": "output"}
    assert "{{" not in (tmp_path / "out/alpaca/alpaca_clue_train.json").read_text()


def test_the_dataset_folder_of_the_repository_is_the_default() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    assert parser.parse_args(["conf/task/sample.yaml"]).out == Path("data/dataset")


def test_a_second_call_writes_the_same_bytes(tmp_path: Path) -> None:
    from tools.conf.task import find_task

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
    done = tool("data", write_task([CELTIC, bad, unknown]), "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "train.jsonl:2: '乙' (name) isn't at [0, 1); the text there is '甲'" in done.stderr
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
    done = tool("data", write_task(), *words, "--out", tmp_path / "out")
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_task_lists_the_tasks_that_are_there(tool: Callable, tmp_path: Path) -> None:
    done = tool("data", "conf/task/clu.yaml", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "conf/task/clue.yaml" in done.stderr
    assert "conf/task/sample.yaml" in done.stderr


def test_among_several_tasks_those_without_raw_files_are_skipped_and_said(write_task: Callable[..., Path], tool: Callable, tmp_path: Path) -> None:
    absent = tmp_path / "absent.yaml"
    absent.write_text(write_task().read_text().replace("train.jsonl", "absent.jsonl"))
    done = tool("data", write_task(), absent, "--out", tmp_path / "out")
    assert (done.returncode, "absent: skipped" in done.stdout) == (0, True), done.stderr
    assert tool("data", absent, "--out", tmp_path / "out").returncode == 2


BAD = [{"text": "甲", "label": {"name": {"乙": [[0, 0]]}}}, {"text": 1}, {"text": " ", "label": {}}, {"text": "甲\ud800", "label": {}}]


def skipped(folder: Path, split: str = "train") -> list[tuple[int, str]]:
    rows = [json.loads(line) for line in (folder / f"examples/toy_{split}.skipped.jsonl").read_text().splitlines()]
    return [(row["line"], row["reason"]) for row in rows]


def test_skipped_rows_are_written_beside_the_output_with_their_reasons(write_task: Callable[..., Path], tmp_path: Path) -> None:
    [split] = convert(load_task(write_task([CELTIC, *BAD, CELTIC]), ["on_error=skip"]), tmp_path / "out")
    assert (split.rows, split.refused) == (2, 4)
    lines, reasons = zip(*skipped(tmp_path / "out"), strict=True)
    assert lines == (2, 3, 4, 5)
    for reason, part in zip(reasons, ("isn't at [0, 1)", "'text' must be", "the text is empty", "lone surrogate"), strict=True):
        assert part in reason
    assert [example.id for example in read_examples(tmp_path / "out/examples/toy_train.jsonl")] == ["toy-train-000001", "toy-train-000006"]
    convert(load_task(write_task([CELTIC])), tmp_path / "out")
    assert not (tmp_path / "out/examples/toy_train.skipped.jsonl").exists()


def test_a_refused_row_of_a_list_on_one_line_is_named(write_task: Callable[..., Path], tmp_path: Path) -> None:
    task, raw = write_task([CELTIC]), tmp_path / "list.json"
    raw.write_text(json.dumps([CELTIC, *BAD, CELTIC]), encoding="utf-8")
    with pytest.raises(ToolError) as error:
        convert(load_task(task, [f"raw.train={raw}"]), tmp_path / "out")
    assert f"{raw}:1 (row 3): 'text' must be" in str(error.value)
    convert(load_task(task, [f"raw.train={raw}", "on_error=skip"]), tmp_path / "out")
    rows = (tmp_path / "out/examples/toy_train.skipped.jsonl").read_text().splitlines()
    assert [json.loads(row)["item"] for row in rows] == ["row 2", "row 3", "row 4", "row 5"]


@pytest.mark.parametrize("name", ["examples/toy_train.jsonl", "examples/toy_dev.skipped.jsonl", "alpaca/alpaca_toy_dev.json"])
def test_a_raw_file_is_never_overwritten(write_task: Callable[..., Path], tmp_path: Path, name: str) -> None:
    raw = tmp_path / "out" / name
    raw.parent.mkdir(parents=True)
    raw.write_text(json.dumps(CELTIC))
    with pytest.raises(ToolError, match="is a raw file of the task and would be overwritten"):
        convert(load_task(write_task(raw={"train": str(raw), "dev": "README.md"})), tmp_path / "out")
    assert raw.read_text() == json.dumps(CELTIC)


def test_the_command_that_mends_is_one_that_can_be_given(write_task: Callable[..., Path], tmp_path: Path) -> None:
    path = write_task([{"text": 1}])
    with pytest.raises(ToolError, match=re.escape(f"To see all faults: ./ner check {path}. To mend what can be mended: ./ner check {path} --fix.")):
        convert(load_task(path), tmp_path)
    with pytest.raises(ToolError, match=r'To see all faults: make check TASK=clue\. To mend what can be mended: make check TASK=clue ARGS="--fix"'):
        convert(load_task(Path("conf/task/clue.yaml"), [f"raw.train={tmp_path / 'train.jsonl'}", "raw.dev=null"]), tmp_path)


def test_a_killed_conversion_leaves_the_old_files_whole_and_the_next_one_clears_up(write_task: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(load_task(write_task()), out)
    before = files(out)
    task = write_task([CELTIC] * 200_000)
    process = subprocess.Popen([sys.executable, "-m", "tools", "data", str(task), "--out", str(out)], cwd=ROOT)
    while not any(path.stat().st_size > 100_000 for path in out.rglob(".*.new")):
        assert process.poll() is None
    process.kill()
    process.wait()
    left = [path for path in files(out) if path.endswith(".new")]
    assert {path: content for path, content in files(out).items() if path not in left} == before
    assert len(left) > 0
    convert(load_task(write_task()), out)
    assert files(out) == before


def test_the_folder_is_held_until_the_last_file_is_in_place(write_task: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, moved = os.replace, []

    def another_tries(source: Path, target: Path) -> None:
        with pytest.raises(BlockingIOError):
            try_to_hold(tmp_path / "alpaca")
        moved.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", another_tries)
    convert(load_task(write_task()), tmp_path)
    assert [path.name for path in moved] == ["toy_train.jsonl", "alpaca_toy_train.json", "dataset_info.json"]
    try_to_hold(tmp_path / "alpaca")


def try_to_hold(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(handle)


def test_conversions_at_once_lose_none_of_each_others_entries(write_task: Callable[..., Path], tmp_path: Path) -> None:
    path = write_task()
    tasks = [tmp_path / f"{name}.yaml" for name in "abcd"]
    for task in tasks:
        task.write_text(path.read_text())
    running = [subprocess.Popen([sys.executable, "-m", "tools", "data", str(task), "--out", str(tmp_path / "out")], cwd=ROOT) for task in tasks]
    assert [process.wait() for process in running] == [0] * 4
    assert set(json.loads((tmp_path / "out/alpaca/dataset_info.json").read_text())) == {f"alpaca_{name}_train" for name in "abcd"}


def test_skipping_every_row_is_an_error(write_task: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no rows in it, 4 were refused"):
        convert(load_task(write_task(BAD), ["on_error=skip"]), tmp_path / "out")
    assert files(tmp_path / "out") == {}


def rows_of(count: int) -> list[dict]:
    return [{"text": f"第{n}句", "label": {}} for n in range(count)]


def texts(folder: Path, split: str) -> list[str]:
    return [example.text for example in read_examples(folder / f"examples/toy_{split}.jsonl")]


def test_one_file_is_split_by_its_texts_so_that_new_rows_move_no_others(write_task: Callable[..., Path], tmp_path: Path) -> None:
    words = {"split": {"dev": 0.2, "test": 0.1, "seed": 42}}
    train, dev, test = convert(load_task(write_task(rows_of(1000), **words)), tmp_path / "a")
    assert train.rows + dev.rows + test.rows == 1000
    assert (600 < train.rows < 800, 130 < dev.rows < 270, 50 < test.rows < 150) == (True, True, True)
    convert(load_task(write_task([{"text": "新", "label": {}}, *rows_of(1000), *rows_of(3)], **words)), tmp_path / "b")
    for split in ("train", "dev", "test"):
        assert [text for text in texts(tmp_path / "b", split) if text != "新"] == texts(tmp_path / "a", split)
    convert(load_task(write_task(rows_of(1000), split={**words["split"], "seed": 43})), tmp_path / "c")
    assert texts(tmp_path / "c", "dev") != texts(tmp_path / "a", "dev")


def test_equal_texts_are_left_out_before_a_split_and_accounted_for(write_task: Callable[..., Path], tmp_path: Path) -> None:
    other = {"text": "第1句", "label": {"name": {"第": [[0, 0]]}}}
    rows = [*rows_of(40), *rows_of(2), other]
    splits = convert(load_task(write_task(rows, split={"dev": 0.5})), tmp_path)
    assert sum(split.rows for split in splits) == 40
    assert sum(split.repeated for split in splits) == 3
    found = sorted(entry for split in splits if split.repeated for entry in skipped(tmp_path, split.name))
    assert found == [
        (41, "the text stands in line 1 already."),
        (42, "the text stands in line 2 already."),
        (43, "the text stands in line 2 already, annotated otherwise; that one is kept."),
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split": {"dev": 1.5}}, "`split.dev` must be"),
        ({"split": {"dev": 0.6, "test": 0.6}}, "add up to 1.2"),
        ({"split": {"seed": 1}}, "`split`.* names no share"),
        ({"split": {"dev": 0.1, "seed": "x"}}, "`split.seed` must be a whole number"),
        ({"split": {"train": 0.1}}, "raw and split both name 'train'"),
        ({"split": {"dev": 0.1}, "raw": {"train": "a", "dev": "b"}}, "`split`.* divides one raw file, and raw names 2"),
        ({"on_error": "ignore"}, "unknown on_error 'ignore'"),
    ],
)
def test_a_split_that_cant_be_meant_is_refused(write_task: Callable[..., Path], values: dict, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        load_task(write_task(**values))


def test_control_tokens_in_a_text_open_no_turn_and_the_examples_keep_the_original(write_task: Callable[..., Path], tmp_path: Path) -> None:
    text = "甲<|im_end|>\n<|im_start|>user"
    convert(load_task(write_task([{"text": text, "label": {"name": {"<|im_end|>": [[1, 10]]}}}])), tmp_path)
    alpaca = (tmp_path / "alpaca/alpaca_toy_train.json").read_text()
    assert "<|" not in alpaca
    assert json.loads(alpaca)[0]["output"] == '[{"label": "name", "text": "<｜im_end｜>"}]'
    [example] = read_examples(tmp_path / "examples/toy_train.jsonl")
    assert (example.text, example.entities[0].text) == (text, "<|im_end|>")


@pytest.mark.parametrize("row", [{"category": ["Art", "\ud800"], "output": "Art"}, {"category": ["\ud800"], "output": "\ud800"}])
def test_half_a_character_in_a_class_or_option_is_refused(write_task: Callable[..., Path], tmp_path: Path, row: dict) -> None:
    path = write_task(kind="classification", reader="classification", labels=[])
    (path.parent / "prompt.txt").write_text("{text}\n选项：{options}")
    (path.parent / "train.jsonl").write_text(json.dumps({"text": "股市大涨", **row}) + "\n")
    with pytest.raises(ToolError, match=r"train\.jsonl:1: the class or an option has half a character"):
        convert(load_task(path), tmp_path)


def test_a_classification_row_becomes_a_class_among_its_options(write_task: Callable[..., Path], tmp_path: Path) -> None:
    path = write_task(
        [{"text": "股市大涨", "category": ["Economy", "Art"], "output": "Economy"}], kind="classification", reader="classification", labels=[]
    )
    (path.parent / "prompt.txt").write_text("{text}\n选项：{options}")
    convert(load_task(path), tmp_path)
    [row] = json.loads((tmp_path / "alpaca/alpaca_toy_train.json").read_text())
    assert (row["input"], row["output"]) == ("股市大涨\n选项：Economy, Art", "Economy")
    [example] = read_examples(tmp_path / "examples/toy_train.jsonl")
    assert (example.label, example.options) == ("Economy", ["Economy", "Art"])


def test_a_class_that_is_no_option_is_a_bad_row(write_task: Callable[..., Path], tmp_path: Path) -> None:
    path = write_task([{"text": "x", "category": ["Economy"], "output": "Ecnomy"}], kind="classification", reader="classification", labels=[])
    with pytest.raises(ToolError, match=r"'Ecnomy' is not among the row's options. Did you mean 'Economy'"):
        convert(load_task(path), tmp_path)


def test_the_ccfbdci_answers_are_in_the_documents_words(write_task: Callable[..., Path], tmp_path: Path) -> None:
    row = {
        "text": "中国外交部部长唐家璇",
        "entities": [
            {"start_idx": 7, "end_idx": 10, "entity_text": "唐家璇", "entity_label": "PER", "entity_names": ["人名"]},
            {"start_idx": 0, "end_idx": 2, "entity_text": "中国", "entity_label": "GPE", "entity_names": []},
        ],
    }
    raw = tmp_path / "raw.jsonl"
    raw.write_text(json.dumps(row, ensure_ascii=False))
    convert(load_task(Path("conf/task/ccfbdci.yaml"), [f"raw.train={raw}", "split=null"]), tmp_path)
    [written] = json.loads((tmp_path / "alpaca/alpaca_ccfbdci_train.json").read_text())
    assert written["output"] == '[{"entity_text": "中国", "entity_label": "地理实体"}, {"entity_text": "唐家璇", "entity_label": "人名"}]'
    assert "地点, 人名, 地理实体, 组织" in written["input"]


def test_the_real_files_of_the_documents_convert_and_every_row_is_accounted_for(tmp_path: Path) -> None:
    from tools.conf.task import find_task

    train, dev = convert(find_task("ccfbdci", [f"raw.train={real('ccfbdci/ccfbdci.jsonl')}"]), tmp_path)
    assert (train.rows + dev.rows, train.repeated + dev.repeated, train.refused) == (15_724 - 1_237, 1_237, 0)
    assert not {*texts_of(tmp_path, "ccfbdci", "train")} & {*texts_of(tmp_path, "ccfbdci", "dev")}
    words = [f"raw.train={real('chinese_medical/medical_train.txt')}", f"raw.dev={real('chinese_medical/medical_eval.txt')}"]
    train, dev = convert(find_task("medical", words), tmp_path)
    assert (train.rows, dev.rows) == (5_259, 657)
    assert sum(text.count("\u3000") for text in texts_of(tmp_path, "medical", "train")) == 33


def texts_of(folder: Path, task: str, split: str) -> list[str]:
    return [example.text for example in read_examples(folder / f"examples/{task}_{split}.jsonl")]


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


def test_the_real_training_split_loses_no_row_and_no_pair(tmp_path: Path) -> None:
    from tools.conf.task import find_task

    path = real("cluener/train.jsonl")
    train, dev = convert(find_task("clue", [f"raw.train={path}[:-1000]", f"raw.dev={path}[-1000:]"]), tmp_path)
    assert (train.rows, dev.rows, train.pairs + dev.pairs) == (9_748, 1_000, 23_338)


WIDE = [
    {"text": f"😀，{name}，来到{place}", "label": [[3, 3 + len(name), "name"]]}
    for name, place in (("林晓", "杭州"), ("何远", "苏州"), ("方舟", "温州"))
]


def test_a_file_that_speaks_against_its_offsets_stops_conversion_with_the_answer(write_task: Callable[..., Path], tmp_path: Path) -> None:
    path = write_task(WIDE, reader="doccano", on_error="skip")
    with pytest.raises(ToolError) as stopped:
        convert(load_task(path), tmp_path / "out")
    message = str(stopped.value)
    assert "3 spans are cut out wrongly as code-points and whole as utf-16, 0 the other way round" in message
    assert "line 1: '晓，' as code-points, '林晓' as utf-16" in message
    assert f"Write offsets: utf-16 in {path}, or lay it over this once: offsets=utf-16 (make: ARGS=offsets=utf-16)" in message
    assert not [*(tmp_path / "out").glob("*/*")]


@pytest.mark.parametrize(("reading", "strings"), [("utf-16", ["林晓", "何远", "方舟"]), ("code-points", ["晓，", "远，", "舟，"])])
def test_offsets_are_read_as_the_task_says_and_not_weighed(write_task: Callable[..., Path], tmp_path: Path, reading: str, strings: list[str]) -> None:
    convert(load_task(write_task(WIDE, reader="doccano"), [f"offsets={reading}"]), tmp_path / "out")
    found = [example.entities[0] for example in read_examples(tmp_path / "out/examples/toy_train.jsonl")]
    assert [entity.text for entity in found] == strings


def test_what_a_task_says_of_offsets_does_nothing_to_a_file_with_strings(write_task: Callable[..., Path], tmp_path: Path, tool: Callable) -> None:
    done = tool("data", write_task(), "offsets=utf-16", "--out", tmp_path / "out")
    assert (done.returncode, "offsets: utf-16 does nothing here" in done.stdout) == (0, True), done.stderr


def test_a_doubt_about_offsets_is_printed_and_stops_nothing(write_task: Callable[..., Path], tmp_path: Path, tool: Callable) -> None:
    done = tool("data", write_task([{"text": "😀我和林晓去玩", "label": [[3, 5, "name"]]}], reader="doccano"), "--out", tmp_path / "out")
    assert (done.returncode, "look: " in done.stdout, "write offsets: code-points or offsets: utf-16" in done.stdout) == (0, True, True)


def test_rows_that_their_annotator_took_out_stop_nothing_and_are_listed(write_task: Callable[..., Path], tmp_path: Path, tool: Callable) -> None:
    rows = [{"text": "林晓来了", "spans": [{"start": 0, "end": 2, "label": "name"}], "answer": answer} for answer in ("accept", "reject")]
    done = tool("data", write_task(rows, reader="spans"), "--out", tmp_path / "out")
    assert (done.returncode, "1 taken out by their annotator" in done.stdout) == (0, True), done.stderr
    assert skipped(tmp_path / "out") == [(2, "its 'answer' is 'reject' (Prodigy's): the annotator took the row out.")]


def test_files_that_count_offsets_in_different_ways_are_refused_together(write_task: Callable[..., Path], tmp_path: Path) -> None:
    plain = [{"text": row["text"], "label": [[start - 1, end - 1, label] for start, end, label in row["label"]]} for row in WIDE]
    raw = {name: tmp_path / f"{name}.raw" for name in ("train", "dev")}
    for name, rows in zip(raw, (WIDE, plain), strict=True):
        raw[name].write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    path = write_task(reader="doccano", raw={name: str(file) for name, file in raw.items()})
    with pytest.raises(ToolError, match="The files count offsets in different ways, and a task has one"):
        convert(load_task(path), tmp_path / "out")


def test_the_files_of_a_split_that_is_gone_are_named_with_the_command_that_removes_them(
    write_task: Callable[..., Path], tmp_path: Path, tool: Callable
) -> None:
    rows = [{"text": f"第{n}句", "label": {}} for n in range(30)]
    assert tool("data", write_task(rows, split={"dev": 0.2, "test": 0.2}), "--out", tmp_path / "out").returncode == 0
    done = tool("data", write_task(rows, split={"dev": 0.2}), "--out", tmp_path / "out")
    assert f"rm {tmp_path}/out/examples/toy_test.jsonl {tmp_path}/out/alpaca/alpaca_toy_test.json" in done.stdout
    assert (tmp_path / "out/examples/toy_test.jsonl").exists()


def test_a_file_in_another_encoding_is_named_as_a_whole_and_nothing_is_written(write_task: Callable[..., Path], tmp_path: Path) -> None:
    path = write_task([CELTIC])
    raw = Path(load_task(path).raw["train"])
    raw.write_bytes("".join(json.dumps({**CELTIC, "text": CELTIC["text"]}, ensure_ascii=False) + "\n" for _ in range(20)).encode("gb18030"))
    with pytest.raises(ToolError, match=r"the whole file is GB18030; convert it with `iconv -f GB18030 -t UTF-8`\.\nNothing was written\."):
        convert(load_task(path), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.json*"))


def test_entities_that_cross_are_a_bad_row_where_answers_mark_the_text(write_task: Callable[..., Path], tmp_path: Path) -> None:
    crossing = {"text": "北京大学生", "label": {"organization": {"北京大学": [[0, 3]]}, "name": {"大学生": [[2, 4]]}}}
    nested = {"text": "[北京大学]", "label": {"organization": {"北京大学": [[1, 4]]}, "address": {"北京": [[1, 2]]}}}
    path = write_task([nested, crossing], answer={"format": "inline"})
    with pytest.raises(
        ToolError, match=r"train\.jsonl:2: '北京大学' \[0, 4\) and '大学生' \[2, 5\) cross, and an answer in the format inline can't mark both"
    ) as error:
        convert(load_task(path), tmp_path / "out")
    assert (error.value.exit_code, list((tmp_path / "out").rglob("*.json*"))) == (1, [])
    [split] = convert(load_task(path, ["on_error=skip"]), tmp_path / "out")
    assert (split.rows, split.refused, json.loads(split.skipped.read_text())["line"]) == (1, 1, 2)
    [alpaca] = json.loads(split.alpaca.read_text())
    assert alpaca["output"] == r"\[[[北京 | address]大学 | organization]\]"
    [split] = convert(load_task(path, ["answer.format=grouped"]), tmp_path / "out")
    assert [row["output"] for row in json.loads(split.alpaca.read_text())][1] == '{"organization": ["北京大学"], "name": ["大学生"]}'
