"""The short way is taken only where Qwen's files leave no doubt about the tokens."""

import json
from pathlib import Path

from tests.chat.conftest import THINKING, edit, this_run
from tools.chat.qwen import PATTERN, TEMPLATES, is_plain_qwen


def test_every_template_that_is_written_here_is_held_against_llamafactory() -> None:
    assert {template for template, _ in THINKING} == set(TEMPLATES)


def test_a_line_is_cut_by_the_pattern_that_transformers_has() -> None:
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    assert PATTERN == PRETOKENIZE_REGEX


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
