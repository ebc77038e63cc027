"""`./ner show` prints a row at each step, with the ids and labels that LLaMA-Factory trains on."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.conf.run import Run, load_run
from tools.errors import ToolError
from tools.files import ROOT
from tools.train.show import ENDS, page, token_texts, trained_row

CONF = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")
TOPICS = Path("conf/tiny-qwen2-topics-cls-lora-sft.yaml")
ROW = {"instruction": "你是专家。", "input": "上桥植物园的日出值得早起！" * 3, "output": '[{"text": "上桥植物园", "label": "scene"}]'}


@pytest.fixture
def words(dataset: Path, tmp_path: Path) -> list[str]:
    """Overrides that keep a test's files below tmp_path."""
    shutil.copytree(dataset.parent, tmp_path, dirs_exist_ok=True)
    return [f"output_dir={tmp_path}/{CONF.stem}", f"dataset_dir={tmp_path}/alpaca"]


def shown(words: list[str], split: str = "train", number: int = 1, everything: bool = False, conf: Path = CONF) -> str:
    return "\n".join(page(load_run(conf, words), split, number, everything))


def table(text: str) -> list[tuple[int, int, int, int]]:
    """Position, input id, attention mask and label of each line of the table."""
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in re.findall(r"^ +(\d+)  .* (\d+) +([01]) +(-?\d+)$", text, re.MULTILINE)]


@pytest.fixture(scope="module")
def llamafactory() -> Callable[[Run, dict[str, str]], tuple[list[int], list[int]]]:
    """LLaMA-Factory's own processor of rows, with the run's cutoff and its key for training on prompts."""
    from llamafactory.data.processor import SupervisedDatasetProcessor
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments
    from transformers import AutoTokenizer

    def encode(run: Run, row: dict[str, str]) -> tuple[list[int], list[int]]:
        keys = ("template", "cutoff_len", "enable_thinking", "train_on_prompt")
        arguments = DataArguments(**{key: run.values[key] for key in keys if key in run.values})
        tokenizer = AutoTokenizer.from_pretrained(run.base_model)
        template = get_template_and_fix_tokenizer(tokenizer, arguments)
        processor = SupervisedDatasetProcessor(template=template, tokenizer=tokenizer, processor=None, data_args=arguments)
        user, answer = {"role": "user", "content": row["input"]}, {"role": "assistant", "content": row["output"]}
        return processor._encode_data_example([user], [answer], row["instruction"], "", [], [], [])

    return encode


@pytest.mark.parametrize(
    "words",
    [
        ["template=qwen"],
        ["template=qwen3"],
        ["template=qwen3", "enable_thinking=false"],
        ["template=qwen", "train_on_prompt=true"],
        *(["template=qwen", f"cutoff_len={limit}"] for limit in (8, 20, 32, 40, 60)),
        *(["template=falcon", f"cutoff_len={limit}"] for limit in (16, 40, 512)),  # its answers end with a token that isn't cut off
    ],
    ids=" ".join,
)
def test_ids_and_labels_are_those_that_llamafactory_makes(words: list[str], llamafactory: Callable[..., Any]) -> None:
    run = load_run(CONF, words)
    found = trained_row(run, ROW)
    assert (found.ids, found.labels) == tuple(llamafactory(run, ROW))
    assert found.mask == [1] * len(found.ids)
    assert found.trained == sum(label != -100 for label in found.labels)


def test_a_row_is_shown_at_every_step(words: list[str], tmp_path: Path) -> None:
    text = shown(words, everything=True)
    assert "== raw line: data/dataset/sample.train.jsonl:1\n" + (ROOT / "data/dataset/sample.train.jsonl").read_text().splitlines()[0] in text
    assert (tmp_path / "examples/sample_train.jsonl").read_text().splitlines()[0] in text
    row = json.loads((tmp_path / "alpaca/alpaca_sample_train.json").read_text())[0]
    assert json.dumps(row, ensure_ascii=False, indent=2) in text
    assert f"<|im_start|>system\n{row['instruction']}<|im_end|>\n<|im_start|>user\n{row['input']}<|im_end|>\n<|im_start|>assistant\n" in text
    assert f"{row['output']}<|im_end|>\n" in text
    found = trained_row(load_run(CONF, words), row)
    assert table(text) == list(zip(range(len(found.ids)), found.ids, found.mask, found.labels, strict=True))
    assert f"trained  {found.trained} of {len(found.ids)} tokens" in text and "nothing is cut" in text


def test_a_long_stretch_without_loss_is_shortened_with_a_count(words: list[str]) -> None:
    whole, short = table(shown(words, everything=True)), shown(words)
    [left_out] = [int(count) for count in re.findall(r"… (\d+) more tokens without loss, label -100", short)]
    masked = [line for line in whole if line[3] == -100]
    assert left_out == len(masked) - 2 * ENDS
    assert table(short) == [*masked[:ENDS], *whole[len(masked) - ENDS :]]


def test_a_classification_row_and_another_split_are_shown(tool: Callable, tmp_path: Path) -> None:
    assert tool("data", "conf/task/topics.yaml", "--out", tmp_path).returncode == 0
    done = tool("show", TOPICS, f"dataset_dir={tmp_path}/alpaca", "--row", 7, "--split", "dev")
    assert done.returncode == 0, done.stderr
    assert "== raw line: data/dataset/topics.dev.jsonl:7\n" in done.stdout and '"id": "topics-dev-000007"' in done.stdout
    assert "The run doesn't train on alpaca_topics_dev." in done.stdout


def test_an_empty_thought_stands_where_the_run_trains_it(words: list[str]) -> None:
    thought = "<think>\n\n</think>\n\n"
    of_answer = shown([*words, "template=qwen3"])
    of_prompt = shown([*words, "template=qwen3", "enable_thinking=false"])
    assert f'== chat text, the answer\n{thought}[{{"text"' in of_answer
    assert f"<|im_start|>assistant\n{thought}\n\n== chat text, the answer\n[" in of_prompt and "enable_thinking: false" in of_prompt


def test_what_is_cut_off_is_told(words: list[str]) -> None:
    assert "60 of cutoff_len 60; the last 18 tokens of the prompt and the last 0 of the answer are cut off" in shown([*words, "cutoff_len=60"])


def test_several_tokens_of_one_character_are_numbered() -> None:
    pieces = [*(bytes([byte]) for byte in "叶a".encode()), b"\n", b"\xff"]
    assert token_texts(range(6), lambda ids: b"".join(pieces[id] for id in ids).decode(errors="replace")) == [
        "'叶' 1/3",
        "'叶' 2/3",
        "'叶' 3/3",
        "'a'",
        r"'\n'",
        "'�'",
    ]


def test_a_row_of_several_lines_is_shown_whole(write_task: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.conf.task import load_task
    from tools.data.convert import convert

    raw = tmp_path / "train.bio"
    raw.write_text("北 B-address\n京 I-address\n\n叶 B-name\n老 I-name\n桂 I-name\n", encoding="utf-8")
    task = load_task(write_task(reader="bio", raw={"train": str(raw)}))
    convert(task, tmp_path)
    monkeypatch.setattr("tools.train.show.find_task", lambda name: task)
    words = [f"dataset_dir={tmp_path}/alpaca", "dataset=alpaca_toy_train"]
    assert f"== raw line: {raw}:4\n叶 B-name\n老 I-name\n桂 I-name\n\n== example" in shown(words, number=2)
    assert f"== raw line: {raw}:1\n北 B-address\n京 I-address\n\n== example" in shown(words, number=1)
    raw.write_text("上 O\n海 O\n\n深 O\n圳 O\n", encoding="utf-8")
    assert f"== raw line: none of {raw} has this text as its row 2 now; `make data` reads them anew" in shown(words, number=2)
    raw.unlink()
    assert "== raw line: not here. " in shown(words, number=2)


def test_a_dataset_of_ones_own_is_shown_from_its_rows_on(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(json.dumps([ROW], ensure_ascii=False), encoding="utf-8")
    info = {"mine": {"file_name": "own.json", "columns": {"prompt": "input", "system": "instruction", "response": "output"}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    text = shown([f"dataset_dir={tmp_path}", "dataset=mine", "eval_dataset=null"])
    assert text.startswith("== Alpaca row:") and ROW["output"] in text


@pytest.mark.parametrize(
    ("split", "number", "more", "message"),
    [
        ("train", 2001, [], "alpaca_sample_train.json: no row 2001; it has 2,000 rows, --row counts them from 1"),
        ("train", 65, ["max_samples=64"], r"it has 64 rows \(max_samples: 64\)"),
        ("test", 1, [], "no dataset 'alpaca_sample_test' in .*dataset_info.json.*To write it: make data"),
        ("train", 1, ["model_name_or_path=models/none"], "models/none: no such folder"),
        ("train", 1, ["template=qwne"], "unknown template 'qwne'. Did you mean 'qwen'"),
    ],
)
def test_what_is_missing_is_a_message(words: list[str], split: str, number: int, more: list[str], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        shown([*words, *more], split, number)


def test_files_of_two_conversions_are_refused(words: list[str], tmp_path: Path) -> None:
    with open(tmp_path / "examples/sample_train.jsonl", "a") as file:
        file.write("\n")
    with pytest.raises(ToolError, match="doesn't belong to"):
        shown(words)


def test_data_that_was_never_made_names_the_command(tool: Callable, tmp_path: Path) -> None:
    done = tool("show", CONF, f"dataset_dir={tmp_path}/alpaca")
    assert (done.returncode, "to write it: make data" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("name", ["docs/concepts.md", "docs/zh/concepts.md"])
def test_the_page_on_a_rows_way_shows_what_is_printed(name: str, words: list[str], tmp_path: Path) -> None:
    blocks = re.findall(r"^```text\n(.*?)\n```$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    printed = shown(words).replace(str(tmp_path), "data/dataset")
    assert [line for block in blocks for line in block.splitlines() if line] == [line for line in printed.splitlines() if line]
    [entry] = re.findall(r"^```json\n(.*?)\n```$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert json.loads(entry).items() <= json.loads((tmp_path / "alpaca/dataset_info.json").read_text()).items()
    [cut] = re.findall(r"^length   60 of .*$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert cut in shown([*words, "cutoff_len=60"]).splitlines()
