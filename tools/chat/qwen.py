"""Finds out whether a base model's tokenizer is Qwen's, unchanged, and loads it with the `tokenizers` library alone.

In: a run. Out: a yes or no, and a Tokenizer that gives the ids which transformers gives.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml

transformers' own Qwen2Tokenizer doesn't replace this file. Measured with transformers 5.5.4 on 2 cores, best of 8 processes: without torch it gives its first ids after 1.7 s
(the embedded model) and 2.3 s (Qwen2.5's tokenizer), and that process can't use torch any more. `tokenizers` takes 0.04 s and 0.35 s. 10,000 rows of CLUENER take 2 s
either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.chat.prompt import AlpacaRow
from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TokenIds = Callable[[AlpacaRow], tuple[list[int], list[int]]]  # row → the ids of the prompt, and of the answer with its end

# How Qwen's tokenizer cuts a text before it looks for tokens: PRETOKENIZE_REGEX in transformers/models/qwen2/tokenization_qwen2.py.
PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# Keys of a run that change the tokens of a row.
SETTINGS = ("add_tokens", "add_special_tokens", "new_special_tokens_config", "split_special_tokens", "default_system")
TOKENIZERS = ("Qwen2Tokenizer", "Qwen2TokenizerFast")
MODELS = ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe")
TEMPLATES = ("qwen", "qwen3", "qwen3_nothink")  # that add no token


def is_plain_qwen(run: Run) -> bool:
    """Returns whether tokenizer.json and Qwen's chat format alone give the run's tokens: no setting and no file of the base model changes them."""
    if run.values.get("template") not in TEMPLATES or any(run.values.get(key) for key in SETTINGS):
        return False
    files = [Path(run.base_model) / name for name in ("config.json", "tokenizer_config.json", "tokenizer.json")]
    if not all(file.is_file() for file in files):
        return False
    config, settings, own = contents = [read_json(file) for file in files]
    if not all(isinstance(content, dict) for content in contents):
        return False
    if config.get("model_type") not in MODELS or settings.get("tokenizer_class") not in TOKENIZERS:
        return False
    return _cuts_like_qwen(own) and adds_no_token(settings, own) and "<|im_end|>" in {token.get("content") for token in own["added_tokens"]}


def load_tokenizer(run: Run) -> Tokenizer:
    """Returns the base model's tokenizer.json as a Tokenizer. Raises ToolError for a file that isn't one."""
    from tokenizers import Tokenizer

    path = Path(run.base_model) / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more special
        raise ToolError(f"{path}: not a tokenizer: {error}. {download(run)}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def download(run: Run) -> str:
    """Returns the end of a message: the command that downloads the run's base model."""
    name = Path(run.base_model).name
    return f"To get it: make download ARGS={f'Qwen/{name}' if name.startswith('Qwen') else '<owner>/<name>'}"


def adds_no_token(settings: dict[str, Any], own: dict[str, Any]) -> bool:
    """Returns whether tokenizer_config.json adds no token to those of tokenizer.json.

    transformers takes the added tokens of tokenizer_config.json where it lists any, and adds those that are only named there.
    """
    added = {str(token.get("id")): {key: value for key, value in token.items() if key != "id"} for token in own.get("added_tokens") or []}
    named = {str(token.get("content") if isinstance(token, dict) else token) for token in _named_tokens(settings)}
    return settings.get("added_tokens_decoder", added) == added and named <= {token.get("content") for token in added.values()}


def _cuts_like_qwen(own: dict[str, Any]) -> bool:
    """Returns whether tokenizer.json has the rules that transformers puts in their place for this class (it doesn't use the file's)."""
    steps = (own.get("pre_tokenizer") or {}).get("pretokenizers") or []
    return own.get("normalizer") == {"type": "NFC"} and [step.get("pattern") for step in steps] == [{"Regex": PATTERN}, None]


def _named_tokens(settings: dict[str, Any]) -> Iterator[Any]:
    for key, value in settings.items():
        if key.endswith("_token") and value is not None and not isinstance(value, bool):
            yield value
        elif key in ("additional_special_tokens", "extra_special_tokens") and value:
            yield from value.values() if isinstance(value, dict) else value
