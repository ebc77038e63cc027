"""LLaMA-Factory's templates, read from its source, render every row as LLaMA-Factory does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chat.conftest import TEXTS, row, this_run
from tools.chat.formats import BOS, EOS, format_of, formats, text

ROWS = [row(text, answer, system) for text in TEXTS for answer in ("[]", "<think>\n想\n</think>\n\n[]") for system in ("", "你是专家。{{content}}")]


class Letters:
    """A tokenizer whose ids are the letters themselves, and whose tokens are one id each."""

    bos_token_id, eos_token_id = "<bos>", "<eos>"

    def encode(self, text: str, add_special_tokens: bool) -> list[str]:
        return list(text)

    def convert_tokens_to_ids(self, token: str) -> str:
        return token


def special(name: str) -> str:
    return {BOS: Letters.bos_token_id, EOS: Letters.eos_token_id}.get(name, "")


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    from llamafactory.data.template import TEMPLATES

    return TEMPLATES


def test_every_template_is_found_with_its_words(theirs: dict[str, Any]) -> None:
    ours = formats()
    assert list(ours) == list(theirs)
    for name, template in theirs.items():
        assert (ours[name].default_system, list(ours[name].stop_words)) == (template.default_system, template.stop_words), name
        assert (ours[name].efficient_eos, ours[name].replace_eos) == (template.efficient_eos, template.replace_eos), name
        assert bool(ours[name].plugin) == (type(template.mm_plugin).__name__ != "BasePlugin"), name


@pytest.mark.parametrize("thinks", [True, False, None])
def test_every_template_renders_every_row_as_llamafactory_does(theirs: dict[str, Any], thinks: bool | None) -> None:
    for name, template in theirs.items():
        asked = replace(template, enable_thinking=thinks)
        for one in ROWS:
            turns = [{"role": "user", "content": one["input"]}, {"role": "assistant", "content": one["output"]}]
            [(prompt, answer)] = asked.encode_multiturn(Letters(), turns, one["instruction"], "")
            ours = formats()[name].slots(one, thinks)
            end = [Letters.eos_token_id] * template.efficient_eos
            assert (text(ours[0], special), text(ours[1], special)) == ("".join(prompt), "".join([*answer, *end])), (name, one)


def test_a_runs_template_has_its_own_default_system() -> None:
    assert format_of(this_run("template=qwen")).default_system.startswith("You are Qwen")
    assert format_of(this_run("template=qwen", "default_system=你好")).default_system == "你好"
    assert format_of(this_run("template=nothing")) is None
