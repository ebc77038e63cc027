"""The embedded model's folder: small, bf16, in Qwen2.5's chat format, and with a tokenizer that loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

MODEL = Path(__file__).parents[2] / "models" / "tiny-qwen2"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """The embedded model's tokenizer."""
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(MODEL)


def test_the_folder_is_at_most_eight_million_bytes() -> None:
    assert sum(file.stat().st_size for file in MODEL.rglob("*") if file.is_file()) <= 8_000_000


def test_the_model_is_a_qwen2_in_bf16_with_tied_embeddings() -> None:
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert config["dtype"] == "bfloat16"
    with (MODEL / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
    assert {tensor["dtype"] for tensor in tensors.values()} == {"BF16"}
    assert "lm_head.weight" not in tensors


def test_a_chat_is_rendered_as_qwen_does(tokenizer: Any) -> None:
    messages = [{"role": "system", "content": "甲"}, {"role": "user", "content": "乙"}, {"role": "assistant", "content": "丙"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == (
        "<|im_start|>system\n甲<|im_end|>\n<|im_start|>user\n乙<|im_end|>\n<|im_start|>assistant\n丙<|im_end|>\n"
    )
    assert tokenizer.apply_chat_template(messages[1:2], tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n乙<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_end_tokens_are_qwens(tokenizer: Any) -> None:
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == ("<|im_end|>", "<|endoftext|>", None)
    assert tokenizer.encode("<|im_end|>") == [tokenizer.eos_token_id]


def test_any_text_survives_encoding_and_decoding(tokenizer: Any) -> None:
    plane = "".join(bytes([row, cell]).decode("gb2312", "ignore") for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF))
    for text in (plane, "😀👩‍👧🇨🇳", "ＡＢＣ１２３！？（）\u3000", "\t制表\t\r\n  两格  ", '"引" \\n \\\\ \\" “弯”…——', ' {"label": "name"}, '):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_span_has_the_same_tokens_in_a_sentence_and_in_an_answer(tokenizer: Any) -> None:
    for span in ("叶老桂", "浙商银行", "CSOL", "《三国演义》", "鬭齉"):
        inside = tokenizer.encode(json.dumps([{"label": "x", "text": span}], ensure_ascii=False))
        alone = tokenizer.encode(span)
        assert any(inside[start : start + len(alone)] == alone for start in range(len(inside)))


def test_prompts_and_answers_constant_parts_cost_few_tokens(tokenizer: Any) -> None:
    prompt = (MODEL.parents[1] / "data" / "prompts" / "sample_prompt.txt").read_text(encoding="utf-8")
    assert len(tokenizer.encode(prompt)) < 30
    assert len(tokenizer.encode('", "text": "')) <= 6
