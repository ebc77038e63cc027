"""Makes base models of today's families: a few layers of random weights beside a tokenizer and a chat template, 1 to 20 MB each.

Qwen2.5 and Qwen3 have their real tokenizers and templates where REAL_DATA has them. The others are stand-ins, of what the installed packages and this file hold:

- Qwen3-Instruct-2507: Qwen3's tokenizer; its chat template is plain ChatML, written here.
- Qwen3.5: the class, the layer pattern (three gated delta nets, one attention), the vision tower and the preprocessors of transformers; Qwen3's vocabulary of 151,936
  tokens where the real one has 248,320, cut by Qwen3.5's rule; of its chat template what a system line, a user turn and an answer meet.
- Llama 3 and GLM-4: the class; a tokenizer of bytes and the family's special tokens; the same part of its chat template.

None of them shows a real model's size, speed or memory, or that it learns anything.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import real

VOCABULARY = 151_936
# Wide enough embeddings that a change of the last hidden state shows in the probabilities.
SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "initializer_range": 0.15}
SIZES |= {"max_position_embeddings": 4096, "tie_word_embeddings": True}
LAYERS = {"num_hidden_layers": 2}
QWEN = {"vocab_size": VOCABULARY, "bos_token_id": 151643, "eos_token_id": 151645, "pad_token_id": 151643}
# vLLM's CPU kernel of a gated delta net takes heads of 128, as the real ones are.
GATED = {"num_hidden_layers": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 1, "linear_num_value_heads": 2}
# A quarter of a head is rotated: 4 pairs, divided among time, height and width.
ROTATED = {"rope_type": "default", "rope_theta": 1e7, "partial_rotary_factor": 0.25, "mrope_section": [2, 1, 1], "mrope_interleaved": True}
VISION = {"depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64, "num_position_embeddings": 16}
PICTURES = {"vision_start_token_id": 151652, "vision_end_token_id": 151653, "image_token_id": 151655, "video_token_id": 151656}

CHATML = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
# Qwen3.5 takes white space off both ends of each turn, and each of its answers begins with a thought.
QWEN3_5 = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + ('<think>\\n\\n</think>\\n\\n' if m.role == 'assistant' else '') + m.content|trim + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
LLAMA3 = (
    "{{- bos_token }}{%- for m in messages %}{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content|trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
GLM4 = "[gMASK]<sop>{%- for m in messages %}{{- '<|' + m.role + '|>\\n' + m.content }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"


@dataclass(frozen=True)
class Family:
    """A family: its model's folder name, the class and config of transformers, what makes its tokenizer, and what its run says about the chat format."""

    model: str
    kind: str
    config: dict[str, Any]
    tokenizer: Callable[[Path], None]
    format: dict[str, Any]

    def make(self, parent: Path) -> Path:
        """Writes the model into a folder of its name and returns it."""
        import torch
        import transformers

        torch.manual_seed(1)
        folder, made = parent / self.model, getattr(transformers, self.kind)
        made(made.config_class(**self.config)).to(torch.bfloat16).save_pretrained(folder)
        self.tokenizer(folder)
        _name_as_published(folder / "model.safetensors", self.kind)
        return folder


def _name_as_published(file: Path, kind: str) -> None:
    """Undoes what transformers 5.5.4 does to the names of a Qwen3.5 that it saves, and adds the layer that guesses further tokens, which it doesn't load."""
    import torch
    from safetensors.torch import load_file, save_file

    if kind == "Qwen3_5ForConditionalGeneration":
        weights = {name.replace("language_model.visual.", "visual."): tensor for name, tensor in load_file(file).items()}
        save_file({**weights, "mtp.fc.weight": torch.zeros(64, 128, dtype=torch.bfloat16)}, file, metadata={"format": "pt"})
    if kind == "Qwen3_5ForCausalLM":
        save_file({name.replace("language_model.", ""): tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})


def qwen(name: str, template: str = "") -> Callable[[Path], None]:
    """Returns what copies a real tokenizer of Qwen, with another chat template than its own where one is given."""

    def copy(folder: Path) -> None:
        for file in real(f"tokenizers/{name}/tokenizer.json").parent.glob("*.j*"):
            shutil.copyfile(file, folder / file.name)
        if template:
            change(folder / "tokenizer_config.json", chat_template=template)

    return copy


def qwen3_5(folder: Path) -> None:
    """Writes Qwen3's vocabulary with Qwen3.5's rule for cutting a text, and the preprocessors of pictures and films, without which LLaMA-Factory's template refuses."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLVideoProcessor
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX as OLD
    from transformers.models.qwen3_5.tokenization_qwen3_5 import PRETOKENIZE_REGEX as NEW

    qwen("qwen3", QWEN3_5)(folder)
    file = folder / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8").replace(json.dumps(OLD), json.dumps(NEW)), encoding="utf-8")
    for kind in (Qwen2VLImageProcessor, Qwen3VLVideoProcessor):
        kind(patch_size=16).save_pretrained(folder)


def of_bytes(template: str, bos: str, eos: str, *others: str) -> Callable[[Path], None]:
    """Returns what writes a tokenizer of 256 bytes and these special tokens, with a chat template."""

    def write(folder: Path) -> None:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        made = Tokenizer(models.BPE(vocab={byte: number for number, byte in enumerate(alphabet)}, merges=[]))
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        made.add_special_tokens([bos, eos, *others])
        PreTrainedTokenizerFast(tokenizer_object=made, bos_token=bos, eos_token=eos, pad_token=eos, chat_template=template).save_pretrained(folder)

    return write


def change(file: Path, **values: Any) -> None:
    """Writes other values into a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **values}), encoding="utf-8")


BYTES = {"vocab_size": 264, "bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 257}
TEXT_3_5 = {**SIZES, **GATED, **QWEN, "rope_parameters": ROTATED}
FAMILIES = {
    "qwen2.5": Family(
        "Qwen2.5-7B-Instruct",
        "Qwen2ForCausalLM",
        {**SIZES, **LAYERS, **QWEN, "num_attention_heads": 2, "num_key_value_heads": 1},
        qwen("qwen2.5"),
        {"template": "qwen"},
    ),
    "qwen3": Family("Qwen3-8B", "Qwen3ForCausalLM", {**SIZES, **LAYERS, **QWEN}, qwen("qwen3"), {"template": "qwen3", "enable_thinking": False}),
    "qwen3-thought": Family("Qwen3-8B", "Qwen3ForCausalLM", {**SIZES, **LAYERS, **QWEN}, qwen("qwen3"), {"template": "qwen3"}),
    "qwen3-2507": Family(
        "Qwen3-4B-Instruct-2507", "Qwen3ForCausalLM", {**SIZES, **LAYERS, **QWEN}, qwen("qwen3", CHATML), {"template": "qwen3_nothink"}
    ),
    "qwen3.5": Family(
        "Qwen3.5-4B",
        "Qwen3_5ForConditionalGeneration",
        {"text_config": TEXT_3_5, "vision_config": VISION, "tie_word_embeddings": True, **PICTURES},
        qwen3_5,
        {"template": "qwen3_5", "enable_thinking": False},
    ),
    "qwen3.5-text": Family(
        "Qwen3.5-4B-text", "Qwen3_5ForCausalLM", TEXT_3_5, qwen("qwen3", QWEN3_5), {"template": "qwen3", "enable_thinking": False}
    ),
    "llama3": Family(
        "Llama-3.2-1B-Instruct",
        "LlamaForCausalLM",
        {**SIZES, **LAYERS, **BYTES},
        of_bytes(LLAMA3, "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"),
        {"template": "llama3"},
    ),
    "glm4": Family(
        "GLM-4-9B-0414",
        "Glm4ForCausalLM",
        {**SIZES, **LAYERS, **BYTES},
        of_bytes(GLM4, "[gMASK]", "<|user|>", "<sop>", "<|system|>", "<|assistant|>", "<|observation|>"),
        {"template": "glm4", "lora_target": "q_proj,k_proj,v_proj,o_proj,down_proj"},  # without gate_up_proj, which vLLM has in parts
    ),
}
