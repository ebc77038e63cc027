"""Token counts are LLaMA-Factory's own, whichever way they are made."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chat.conftest import CONF, TEXTS, THINKING, edit, row, this_run
from tools.chat import token_ids
from tools.chat.formats import formats
from tools.chat.qwen import is_plain_qwen
from tools.chat.token_ids import LlamaFactory, token_counter, trained_ids
from tools.conf.run import Run
from tools.conf.task import load_task
from tools.data.convert import COLUMNS, alpaca_name, convert
from tools.errors import ToolError
from tools.files import ROOT


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


def test_the_order_of_rows_is_kept() -> None:
    rows = [row("甲" * (i % 50) + "\n乙" * (i % 7)) for i in range(200)]
    count = token_counter(this_run())
    expected = [count([one])[0] for one in rows]
    assert count(rows) == expected
    assert count(rows) == expected
    assert count([]) == []


@pytest.mark.parametrize(("template", "thinking"), THINKING)
def test_prompt_and_answer_are_parted_where_llamafactory_parts_them(template: str, thinking: bool | None) -> None:
    run = this_run(f"template={template}", f"enable_thinking={json.dumps(thinking)}")
    short, long = trained_ids(run), LlamaFactory(run).ids(template)
    assert is_plain_qwen(run)
    for one in hard_rows()[::3]:
        assert short(one) == long(one), one


@pytest.mark.parametrize("kind", ["Qwen2Tokenizer", "PreTrainedTokenizerFast"])
def test_both_ways_to_read_a_tokenizer_give_the_same(base: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(base / "tokenizer_config.json", tokenizer_class=kind)
    if kind != "Qwen2Tokenizer":  # rules of its own, as Llama 3's
        edit(base / "tokenizer.json", normalizer={"type": "Lowercase"})
    run = this_run(f"model_name_or_path={base}")
    assert token_ids.is_plain_tokenizer(run)
    quick = token_ids.base_tokenizer(run)
    monkeypatch.setattr(token_ids, "_is_plain", lambda folder, states: False)
    token_ids._base_tokenizer.cache_clear()
    slow = token_ids.base_tokenizer(run)
    token_ids._base_tokenizer.cache_clear()
    assert (slow.special["eos_token"], slow.added) == (quick.special["eos_token"], quick.added)
    assert slow.token_id("<|im_end|>") == quick.token_id("<|im_end|>")
    for text in [*TEXTS, "<|im_start|>User\n甲ABC<|im_end|>\n<think>\n\n</think>\n\n"]:
        assert quick.encode(text) == slow.encode(text)
        assert quick.decode(quick.encode(text)) == slow.decode(slow.encode(text))


@pytest.mark.parametrize("thinking", [True, False])
def test_templates_that_add_no_token_are_encoded_as_by_llamafactory(thinking: bool) -> None:
    base = token_ids.base_tokenizer(this_run())
    known = [form for form in formats().values() if base.knows(form) and not form.plugin]
    assert {"qwen", "qwen3", "chatml", "intern2", "smollm", "mimo", "empty"} <= {form.name for form in known}
    for form in known:
        run = this_run(f"template={form.name}", f"enable_thinking={json.dumps(thinking)}")
        short, long = base.ids(form, thinking), LlamaFactory(run).ids(form.name)
        for one in hard_rows()[::40]:
            assert short(one) == long(one), (form.name, one)


def test_a_tokenizer_is_loaded_once_for_all_that_ask(monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    loads: list[str] = []
    load = token_ids.load_tokenizer
    monkeypatch.setattr(token_ids, "load_tokenizer", lambda run: loads.append(run.base_model) or load(run))
    for words in (["template=qwen"], ["template=qwen3"], ["template=chatml"], ["cutoff_len=9"]):
        token_counter(this_run(f"model_name_or_path={base}", *words))([row("一")])
    assert len(loads) == 1
    edit(base / "tokenizer_config.json", model_max_length=7)
    token_counter(this_run(f"model_name_or_path={base}"))([row("一")])
    assert len(loads) == 2, "a changed file is read anew"


def test_a_template_for_pictures_is_counted_at_once_where_the_model_takes_them(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = this_run(f"model_name_or_path={base}", "template=qwen3_5", "enable_thinking=false")
    assert not token_ids.is_quick(run), "LLaMA-Factory refuses it without a processor"
    (base / "preprocessor_config.json").write_text("{}")
    assert token_ids.is_quick(run)
    asked: list[Any] = []
    monkeypatch.setattr(token_ids, "slow_ids", lambda run: lambda row: asked.append(row["input"]) or ([], []))
    plain = trained_ids(this_run(f"model_name_or_path={base}", "template=qwen3", "enable_thinking=false"))
    assert trained_ids(run)(row("一")) == plain(row("一"))
    assert trained_ids(run)(row("图<image>")) == ([], [])
    assert asked == ["图<image>"]


@pytest.mark.parametrize(
    ("word", "quick"), [("template=qwen", True), ("template=llama3", False), ("add_tokens=<a>", False), ("template=qwen2_vl", False)]
)
def test_only_what_needs_no_library_is_quick(word: str, quick: bool) -> None:
    assert token_ids.is_quick(this_run(word)) is quick


def test_the_short_way_loads_no_heavy_library() -> None:
    code = (
        "import sys; from pathlib import Path; from tools.conf.run import load_run; from tools.chat.token_ids import token_counter;"
        f"token_counter(load_run(Path('{CONF}')))([{row('一')}]); print([name for name in ('torch', 'transformers', 'llamafactory') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_a_base_model_that_is_not_here_is_named_with_the_command_that_gets_it(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"nowhere/Qwen9-1B: no such folder.*make download ARGS=Qwen/Qwen9-1B"):
        token_counter(this_run("model_name_or_path=nowhere/Qwen9-1B"))
    with pytest.raises(ToolError, match=r"tokenizer.json: no such file.*make download ARGS=<owner>/<name>"):
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
