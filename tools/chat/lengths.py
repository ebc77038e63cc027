"""How many tokens LLaMA-Factory makes of a row, before it cuts to `cutoff_len`: with a run's own tokenizer, template and settings.

In: a run, then lists of Alpaca rows. Out: one number a row. `make check TASK=… CONF=…` calls this; by hand:

    .venv/train/bin/python -c "from pathlib import Path; from tools.conf import load_run; from tools.chat.lengths import token_counter
    print(token_counter(load_run(Path('conf/tiny-qwen2-sample-ner-lora-sft.yaml')))([{'instruction': '你是专家。', 'input': '一句话', 'output': '[]'}]))"

There are two ways to the same numbers. LLaMA-Factory's own processor is right for every template and tokenizer, but importing it takes 10 s and more (torch
comes along), and it counts a few thousand rows a second. Qwen's chat format and tokenizer are simple enough to be written here, on the `tokenizers` library
alone: that starts in well under a second. A run takes the short way only when nothing about it could make a difference, and a test holds one way against the other.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.conf.run import Run
from tools.errors import ToolError, choices
from tools.files import need_file, read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Row = dict[str, str]
Counter = Callable[[list[Row]], list[int]]

BATCH = 512  # rows tokenised in one go: enough for all cores, little enough that memory stays small
REMEMBERED = 65536  # lines whose count is kept
# How Qwen's tokenizer cuts a text before it looks for tokens: PRETOKENIZE_REGEX in transformers/models/qwen2/tokenization_qwen2.py.
PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# Each match of it that holds a newline ends at the last newline of a run, so a newline is never joined to what follows it unless that is more whitespace. A line
# has the same number of tokens wherever it stands, then, and the prompt's own are counted once.
LINE_START = re.compile(r"(?<=\n)(?=\S)")
# Keys of a run that change the tokens of a row.
SETTINGS = ("add_tokens", "add_special_tokens", "new_special_tokens_config", "split_special_tokens", "default_system")
TOKENIZERS = ("Qwen2Tokenizer", "Qwen2TokenizerFast")
MODELS = ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe")
THOUGHT = ("<think>\n", "\n</think>\n\n")
EVERYTHING = 2**31  # a cutoff that cuts nothing


@dataclass(frozen=True)
class Chat:
    """What tells Qwen's templates apart: the system line of a row without one, and whether an answer without a thought gets an empty one."""

    default_system: str = ""
    thinks: bool = False


# As in llamafactory/data/template.py (0.9.5), `register_template(name="qwen", …)` and the two below it.
CHATS = {
    "qwen": Chat("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    "qwen3": Chat(thinks=True),
    "qwen3_nothink": Chat(),
}


def token_counter(run: Run) -> Counter:
    """The function from Alpaca rows to the number of tokens that LLaMA-Factory trains on for each (prompt and answer, nothing cut, nothing padded).

    Raises ToolError for a base model that isn't here, a tokenizer that can't be read, or a template that LLaMA-Factory doesn't know; the function raises it for
    a row that LLaMA-Factory itself refuses.
    """
    tokenizer = _tokenizer_file(run)
    return _by_tokenizers(run, tokenizer) if is_plain_qwen(run) else _by_llamafactory(run)


def is_plain_qwen(run: Run) -> bool:
    """Whether the run's tokens are what tokenizer.json and Qwen's chat format say, with no setting and no file in the base model's folder changing them."""
    folder = Path(run.base_model)
    if run.values.get("template") not in CHATS or any(run.values.get(key) for key in SETTINGS):
        return False
    if not all((folder / name).is_file() for name in ("config.json", "tokenizer_config.json")):
        return False
    config, settings, own = files = [read_json(folder / name) for name in ("config.json", "tokenizer_config.json", "tokenizer.json")]
    if not all(isinstance(file, dict) for file in files):
        return False
    if config.get("model_type") not in MODELS or settings.get("tokenizer_class") not in TOKENIZERS or not _cuts_like_qwen(own):
        return False
    added = {str(token.get("id")): {key: value for key, value in token.items() if key != "id"} for token in own.get("added_tokens") or []}
    # transformers takes the added tokens of tokenizer_config.json where it lists any, and adds those that are merely named there.
    named = {str(token.get("content") if isinstance(token, dict) else token) for token in _named_tokens(settings)}
    return settings.get("added_tokens_decoder", added) == added and named | {"<|im_end|>"} <= {token.get("content") for token in added.values()}


def _cuts_like_qwen(own: dict[str, Any]) -> bool:
    """Whether tokenizer.json's own rules are those that transformers puts in their place for this class (the file's are not used)."""
    steps = (own.get("pre_tokenizer") or {}).get("pretokenizers") or []
    return own.get("normalizer") == {"type": "NFC"} and [step.get("pattern") for step in steps] == [{"Regex": PATTERN}, None]


def _by_tokenizers(run: Run, path: Path) -> Counter:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more special
        raise ToolError(f"{path}: not a tokenizer: {error}. {_download(run)}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    chat, thinking = CHATS[run.values["template"]], run.values.get("enable_thinking", True)
    known: dict[str, int] = {}

    def count(rows: list[Row]) -> list[int]:
        counts: list[int] = []
        for start in range(0, len(rows), BATCH):
            lines = [[line for piece in chat_pieces(row, chat, thinking) for line in LINE_START.split(piece)] for row in rows[start : start + BATCH]]
            _learn(known, tokenizer, lines)
            counts += [sum(known[line] for line in row) for row in lines]
        return counts

    return count


def _learn(known: dict[str, int], tokenizer: Tokenizer, rows: list[list[str]]) -> None:
    """Put the number of tokens of each new line into `known`."""
    if len(known) > REMEMBERED:
        known.clear()
    new = list({line for row in rows for line in row} - known.keys())
    # _fast keeps no offsets, which nobody asks for here.
    known.update(zip(new, map(len, tokenizer.encode_batch_fast(new, add_special_tokens=False)), strict=True))


def chat_pieces(row: Row, chat: Chat, thinking: bool | None = True) -> Iterator[str]:
    """The strings that LLaMA-Factory tokenises, one by one, for a row in Qwen's chat format (`Template._encode` and `ReasoningTemplate`, data/template.py)."""
    if system := row["instruction"] or chat.default_system:
        yield f"<|im_start|>system\n{system}<|im_end|>\n"
    # The turn's number is filled in after the text, so that the first {{idx}} of a text becomes one.
    yield f"<|im_start|>user\n{row['input']}<|im_end|>\n<|im_start|>assistant\n".replace("{{idx}}", "0", 1)
    answer = row["output"]
    if chat.thinks:
        if thinking is False:
            answer = re.sub(f"{THOUGHT[0]}(.*?){THOUGHT[1]}", "", answer, flags=re.DOTALL).lstrip("\n")
        if not any(mark.strip() in answer for mark in THOUGHT):
            yield "".join(THOUGHT)
    yield f"{answer}<|im_end|>\n"


def _by_llamafactory(run: Run) -> Counter:
    try:
        from llamafactory.data.processor import SupervisedDatasetProcessor
        from llamafactory.data.template import TEMPLATES, get_template_and_fix_tokenizer
        from llamafactory.hparams import DataArguments, ModelArguments
        from llamafactory.model import load_tokenizer
    except ImportError as error:
        raise ToolError(
            f"{run.path}: `template: {run.values.get('template')}` with this tokenizer needs LLaMA-Factory itself to count tokens, and {error.name} isn't in"
            f" {sys.executable}; `make setup` makes the environment, .venv/train/bin/python runs this tool."
        ) from None
    logging.getLogger("llamafactory").setLevel(logging.ERROR)  # what it says while it loads is no finding about the data
    if (name := run.values.get("template")) is not None and name not in TEMPLATES:
        raise ToolError(f"{run.path}: unknown template '{name}'.{choices(str(name), TEMPLATES)}")
    try:
        loaded = load_tokenizer(_given(ModelArguments, run))
        data = _given(DataArguments, run, cutoff_len=EVERYTHING)
        processor = SupervisedDatasetProcessor(get_template_and_fix_tokenizer(loaded["tokenizer"], data), **loaded, data_args=data)
    except (OSError, ValueError) as error:
        raise ToolError(f"{run.path}: LLaMA-Factory can't load the tokenizer of {run.base_model}: {error.__cause__ or error}") from None

    def count(rows: list[Row]) -> list[int]:
        try:
            return [_length(processor, row) for row in rows]
        except ValueError as error:  # a template for pictures wants a model for them, and one for each "<image>" in a text
            raise ToolError(f"{run.path}: LLaMA-Factory can't encode a row with `template: {name}`: {str(error)[:300]}") from None

    return count


def _length(processor: Any, row: Row) -> int:
    """LLaMA-Factory's own encoding of what `AlpacaDatasetConverter` makes of a row under our dataset_info.json."""
    user, answer = ({"role": role, "content": row[key]} for role, key in (("user", "input"), ("assistant", "output")))
    tokens, _ = processor._encode_data_example([user], [answer], row["instruction"], "", [], [], [])
    return len(tokens)


def _given(kind: Any, run: Run, **fixed: Any) -> Any:
    """One of LLaMA-Factory's dataclasses with the run's keys, as its own parser fills it."""
    from dataclasses import fields

    known = {field.name for field in fields(kind) if field.init}
    return kind(**{**{key: value for key, value in run.values.items() if key in known}, **fixed})


def _tokenizer_file(run: Run) -> Path:
    folder = Path(run.base_model)
    if not folder.is_dir():
        local = [str(path.parent) for path in Path("models").glob("*/tokenizer.json")]
        raise ToolError(f"{run.path}: base model {folder}: no such folder.{choices(str(folder), local)} {_download(run)}")
    return need_file(folder / "tokenizer.json", _download(run))


def _download(run: Run) -> str:
    return f"To get it: make download MODEL={'Qwen/' + run.base_name if run.base_name.startswith('Qwen') else '<owner>/<name>'}"


def _named_tokens(settings: dict[str, Any]) -> Iterator[Any]:
    for key, value in settings.items():
        if key.endswith("_token") and value is not None and not isinstance(value, bool):
            yield value
        elif key in ("additional_special_tokens", "extra_special_tokens") and value:
            yield from value.values() if isinstance(value, dict) else value
