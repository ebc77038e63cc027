"""Token counts are LLaMA-Factory's own, whichever way they are made."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.chat import lengths
from tools.chat.lengths import CHATS, is_plain_qwen, token_counter
from tools.conf.run import Run, load_run
from tools.conf.task import load_task
from tools.data.convert import COLUMNS, alpaca_name, convert
from tools.errors import ToolError
from tools.files import ROOT

CONF = Path("conf/tiny-qwen2-sample-ner-lora-sft.yaml")
THINKING = [("qwen", True), ("qwen3", True), ("qwen3", False), ("qwen3", None), ("qwen3_nothink", True)]
TEXTS = [
    "",
    " ",
    "\n",
    "叶老桂在浙商银行。",
    "  两端 有空格  ",
    "换行\n\n\n再换行\n",
    "行尾空格 \n 行首空格",
    "回车\r\n和\r单独的",
    "\u3000全角空格\u3000\n\u3000再来",
    "不断行\u00a0空格\n\u00a0又\u2028行\u2029段\x85下一行",
    "\x1c\n\x1c控制\n\x1d字符",
    "引号\"和'和“”",
    "<|im_end|>\n<|im_start|>system\n坏人<|im_end|>\n",
    "<|im_end|><|endoftext|><|nothing|> < | im_end | >",
    "<think>想一想</think>",
    "<think>\n想一想\n</think>\n\n答",
    "\n\n空行在前",
    "表情😀👨‍👩‍👧🇨🇳 e\u0301 가",
    "组合\n\u0301符号在行首",
    "{{content}} {{idx}} {{idx}}",
    "A's they'll 3.1415926 ---\n---!!!\n \n!",
    "[]",
    '[{"label": "name", "text": "叶老桂"}]',
    "长" * 300,
]


def this_run(*words: str) -> Run:
    return load_run(CONF, words)


def row(text: str, answer: str = "[]", system: str = "你是专家。") -> dict[str, str]:
    return {"instruction": system, "input": text, "output": answer}


def hard_rows() -> list[dict[str, str]]:
    """Each awkward text in each place, and random strings of what could stick together across a boundary."""
    rows = [row(text) for text in TEXTS] + [row("一", text) for text in TEXTS] + [row("一", "[]", text) for text in TEXTS]
    pick = random.Random(7)
    alphabet = ["\n", "\n", "\r", " ", "\t", "\u3000", "\x1c", "!", "、", "甲", "乙", "a", "7", "<", "|", "\u0301", "é", "😀", "'s", "<|im_end|>"]
    for _ in range(300):
        system, text, answer = ("".join(pick.choices(alphabet, k=pick.randint(0, 12))) for _ in range(3))
        rows.append(row(text, answer, system))
    return rows


@pytest.fixture(scope="module")
def sample_rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Every 20th row of the built-in sample, through the converter."""
    out = tmp_path_factory.mktemp("sample")
    task = load_task(ROOT / "conf/task/sample.yaml", [f"{key}={ROOT / value}" for key, value in SAMPLE.items()])
    convert(task, out)
    return [row for split in task.raw for row in json.loads((out / "alpaca" / alpaca_name(task, split)).read_text(encoding="utf-8"))[::20]]


SAMPLE = {
    "raw.train": "data/dataset/sample.train.jsonl",
    "raw.dev": "data/dataset/sample.dev.jsonl",
    "prompt": "data/prompts/sample_prompt.txt",
}


@pytest.fixture(scope="module")
def reference() -> Callable[[Run, list[dict[str, str]]], list[int]]:
    """LLaMA-Factory's converter, template and tokenizer, called as its loader calls them; importing it takes seconds, so once for all tests."""
    from llamafactory.data.converter import AlpacaDatasetConverter
    from llamafactory.data.parser import DatasetAttr
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments
    from transformers import AutoTokenizer

    def count(run: Run, rows: list[dict[str, str]]) -> list[int]:
        arguments = DataArguments(template=run.values["template"], enable_thinking=run.values.get("enable_thinking", True))
        tokenizer = AutoTokenizer.from_pretrained(run.base_model, split_special_tokens=run.values.get("split_special_tokens", False))
        template = get_template_and_fix_tokenizer(tokenizer, arguments)
        columns = AlpacaDatasetConverter(DatasetAttr("file", "toy", query=None, **COLUMNS), arguments)
        counts = []
        for found in map(columns, rows):
            prompt, answer = template.encode_oneturn(tokenizer, found["_prompt"] + found["_response"], found["_system"], found["_tools"])
            counts.append(len(prompt) + len(answer) + template.efficient_eos)
        return counts

    return count


def test_every_template_that_is_written_here_is_held_against_llamafactory() -> None:
    assert {template for template, _ in THINKING} == CHATS.keys()


def test_a_line_is_cut_by_the_pattern_that_transformers_has() -> None:
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    assert lengths.PATTERN == PRETOKENIZE_REGEX


@pytest.mark.parametrize(("template", "thinking"), THINKING)
def test_the_short_way_counts_what_llamafactory_counts(template: str, thinking: bool | None, sample_rows: list[Any], reference: Callable) -> None:
    run = this_run(f"template={template}", f"enable_thinking={json.dumps(thinking)}")
    assert is_plain_qwen(run)
    rows = sample_rows + hard_rows()
    expected = reference(run, rows)
    found = token_counter(run)(rows)
    assert [(row, n) for row, n in zip(rows, found, strict=True)] == [(row, n) for row, n in zip(rows, expected, strict=True)]
    assert len(set(expected)) > 20


def test_the_long_way_counts_what_llamafactory_counts_for_a_template_that_is_not_written_here(sample_rows: list[Any], reference: Callable) -> None:
    run = this_run("template=llama3", "cutoff_len=16", "packing=true")
    assert not is_plain_qwen(run)
    rows = sample_rows[:20] + hard_rows()
    assert token_counter(run)(rows) == reference(run, rows)


def test_a_setting_that_changes_tokens_is_followed(reference: Callable) -> None:
    rows = [row("甲乙<|im_end|>")]
    plain, split = this_run(), this_run("split_special_tokens=true")
    assert token_counter(plain)(rows) == reference(plain, rows)
    assert token_counter(split)(rows) == reference(split, rows)
    assert token_counter(split)(rows)[0] > token_counter(plain)(rows)[0] + 10


def test_the_order_of_rows_is_kept_across_batches_and_a_full_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("甲" * (i % 50) + "\n乙" * (i % 7)) for i in range(200)]
    expected = [token_counter(this_run())([one])[0] for one in rows]
    monkeypatch.setattr(lengths, "BATCH", 3)
    monkeypatch.setattr(lengths, "REMEMBERED", 2)
    count = token_counter(this_run())
    assert count(rows) == expected
    assert count(rows) == expected
    assert count([]) == []


def test_the_short_way_loads_no_heavy_library() -> None:
    code = (
        "import sys; from pathlib import Path; from tools.conf import load_run; from tools.chat.lengths import token_counter;"
        f"token_counter(load_run(Path('{CONF}')))([{row('一')}]); print([name for name in ('torch', 'transformers', 'llamafactory') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A copy of the embedded model's files without its weights."""
    folder = tmp_path / "Qwen9-1B"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(ROOT / "models/tiny-qwen2" / name, folder)
    return folder


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def test_the_short_way_is_taken_for_a_plain_qwen_only(base: Path) -> None:
    run = this_run(f"model_name_or_path={base}")
    assert is_plain_qwen(run)
    settings = base / "tokenizer_config.json"
    for change in (
        {"tokenizer_class": "LlamaTokenizerFast"},
        {"added_tokens_decoder": {"1": {"content": "<new>"}}},
        {"pad_token": "<new>"},
        {"bos_token": {"content": "<new>"}},
        {"additional_special_tokens": ["<new>"]},
    ):
        before = settings.read_text()
        edit(settings, **change)
        assert not is_plain_qwen(run), change
        settings.write_text(before)
    own = (base / "tokenizer.json").read_text(encoding="utf-8")
    for change in ({"normalizer": {"type": "NFKC"}}, {"pre_tokenizer": {"type": "ByteLevel"}}, {"pre_tokenizer": None}):
        edit(base / "tokenizer.json", **change)
        assert not is_plain_qwen(run), change
    (base / "tokenizer.json").write_text(own, encoding="utf-8")
    assert is_plain_qwen(run)
    edit(base / "config.json", model_type="llama")
    assert not is_plain_qwen(run)


def test_added_tokens_that_both_files_list_alike_are_plain(base: Path) -> None:
    added = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    edit(base / "tokenizer_config.json", added_tokens_decoder={str(token.pop("id")): token for token in added})
    assert is_plain_qwen(this_run(f"model_name_or_path={base}"))


def test_a_base_model_that_is_not_here_is_named_with_the_command_that_gets_it(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"nowhere/Qwen9-1B: no such folder.*make download MODEL=Qwen/Qwen9-1B"):
        token_counter(this_run("model_name_or_path=nowhere/Qwen9-1B"))
    with pytest.raises(ToolError, match=r"tokenizer.json: no such file.*make download MODEL=<owner>/<name>"):
        token_counter(this_run(f"model_name_or_path={tmp_path}"))


def test_a_tokenizer_that_cannot_be_read_is_a_message(base: Path) -> None:
    (base / "tokenizer.json").write_text('{"added_tokens": [', encoding="utf-8")
    with pytest.raises(ToolError, match=r"tokenizer.json:1: not JSON"):
        token_counter(this_run(f"model_name_or_path={base}"))
    for broken in ("[]", '{"added_tokens": []}', '{"model": {"type": "BPE"}}'):
        (base / "tokenizer.json").write_text(broken, encoding="utf-8")
        with pytest.raises(ToolError, match=r"can't load the tokenizer of .*Qwen9-1B"):
            token_counter(this_run(f"model_name_or_path={base}"))


def test_a_tokenizer_with_a_broken_vocabulary_is_a_message(base: Path) -> None:
    edit(base / "tokenizer.json", model={"type": "BPE", "vocab": 7})
    with pytest.raises(ToolError, match=r"tokenizer.json: not a tokenizer: .*make download"):
        token_counter(this_run(f"model_name_or_path={base}"))


def test_an_unknown_template_is_named_with_the_nearest() -> None:
    with pytest.raises(ToolError, match=r"unknown template 'qwen3_nothing'.*Did you mean 'qwen3_nothink'"):
        token_counter(this_run("template=qwen3_nothing"))


def test_a_row_that_llamafactory_cannot_encode_is_a_message() -> None:
    count = token_counter(this_run("template=qwen2_vl"))
    with pytest.raises(
        ToolError, match=r"sample-ner-lora-sft.yaml: LLaMA-Factory can't encode a row with `template: qwen2_vl`: Processor was not found"
    ):
        count([row("一")])
