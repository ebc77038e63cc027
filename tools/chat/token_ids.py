"""Encodes rows as a run's training does: LLaMA-Factory's token ids, before it cuts to `cutoff_len`, by the run's own tokenizer, template and settings.

In: a run. Out: a function from an Alpaca row to the ids of its prompt and of its answer, or from rows to their numbers of tokens.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml

There are two ways to the same ids. LLaMA-Factory encodes for every template and setting, and importing it takes 10 s. The slots of its templates (tools.chat.formats) do
without it where neither template nor setting changes the tokenizer; plain Qwen then starts at once (tools.chat.qwen). A test compares them. A tokenizer is loaded once.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from tools.chat.formats import BOS, EOS, ChatFormat, Slot, format_of, formats
from tools.chat.own_format import named_tokens, takes_pictures
from tools.chat.prompt import AlpacaRow
from tools.chat.qwen import SETTINGS, TOKENIZERS, TokenIds, adds_no_token, download, is_plain_qwen, load_tokenizer
from tools.conf.run import Run
from tools.errors import ToolError, choices
from tools.files import need_file, read_json

TokenCounter = Callable[[list[AlpacaRow]], list[int]]
States = tuple[tuple[str, int, int], ...]  # name, size and time of each file

EVERYTHING = 2**31  # a cutoff that cuts nothing
IGNORED = -100  # llamafactory.extras.constants.IGNORE_INDEX: the label of the prompt's tokens
QWEN3_5 = ("qwen3_5", "qwen3_5_moe")  # types of model whose class is Qwen3_5Tokenizer
AS_FILED = ("PreTrainedTokenizerFast", "TokenizersBackend")  # classes that read tokenizer.json and change nothing in it (transformers 5)
UNCHANGED = ("qwen2_vl", "qwen3_vl")  # LLaMA-Factory's plug-ins that change nothing in a row without one of PICTURES
PICTURES = ("<image>", "<video>", "<audio>")
QWEN_EOS = "<|endoftext|>"  # of transformers' Qwen2Tokenizer, where its configuration names none
LOADED = ("*.json", "*.model", "*.jinja")  # files of a base model that its tokenizer depends on


@dataclass(frozen=True)
class BaseTokenizer:
    """A base model's tokenizer as its server has it. `special` are its named tokens, `added` its tokens that no text is cut through."""

    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    token_id: Callable[[str], int | None]
    special: dict[str, str]
    added: frozenset[str]

    def knows(self, form: ChatFormat) -> bool:
        """Returns whether the template adds no token, so that training has the same tokenizer as the server."""
        return {*form.stop_words, form.eos(self.special.get(EOS, ""))} <= self.added

    def ids(self, form: ChatFormat, thinks: Any) -> TokenIds:
        """Returns the function from a row to the ids that LLaMA-Factory makes of it under a template that adds no token; `thinks` is `enable_thinking`."""
        named = {BOS: self.special.get(BOS), EOS: form.eos(self.special.get(EOS, ""))}

        def of(slot: Slot) -> list[int]:
            if isinstance(slot, str):
                return self.encode(slot) if slot else []
            token = slot["token"] if isinstance(slot, dict) else named.get(next(iter(slot)))
            found = self.token_id(token) if token else None
            return [] if found is None else [found]

        def ids(row: AlpacaRow) -> tuple[list[int], list[int]]:
            asked, taught = form.slots(row, thinks)
            return [token for slot in asked for token in of(slot)], [token for slot in taught for token in of(slot)]

        return ids


def trained_ids(run: Run) -> TokenIds:
    """Returns the function from a row to the ids that training sees under the run's template.

    Raises ToolError for a base model that isn't here, a tokenizer that can't be read, or a template that LLaMA-Factory doesn't know. The function raises it for a
    row that LLaMA-Factory refuses.
    """
    need_tokenizer(run)
    form, template = format_of(run), run.values.get("template")
    if form is None and template is not None:
        raise ToolError(f"{run.path}: unknown template '{template}'.{choices(str(template), formats())}")
    if form is None or not _is_quick(run, form):
        return slow_ids(run)
    quick = base_tokenizer(run).ids(form, run.values.get("enable_thinking", True))
    if not form.plugin:
        return quick
    return lambda row: slow_ids(run)(row) if any(mark in text for text in row.values() for mark in PICTURES) else quick(row)


def slow_ids(run: Run) -> TokenIds:
    """Returns what `trained_ids` does, from LLaMA-Factory itself."""
    return _llamafactory(run).ids(run.values.get("template"))


def is_quick(run: Run) -> bool:
    """Returns whether the run's tokens are counted in seconds: without transformers, torch and LLaMA-Factory."""
    form = format_of(run)
    return form is not None and is_plain_tokenizer(run) and _is_quick(run, form)


def token_counter(run: Run) -> TokenCounter:
    """Returns the function from rows to each one's number of tokens, prompt and answer together, nothing cut or padded. Raises as `trained_ids` does."""
    ids = trained_ids(run)
    return lambda rows: [sum(map(len, ids(row))) for row in rows]


def first_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> int:
    """Returns the place of the first token or character that differs, or where the shorter sequence ends."""
    return next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))


def takes(run: Run, form: ChatFormat) -> bool:
    """Returns whether LLaMA-Factory trains the base model under a template: one for pictures wants a model for them."""
    return not form.plugin or takes_pictures(Path(run.base_model))


def is_plain_tokenizer(run: Run) -> bool:
    """Returns whether the base model's tokenizer.json alone gives its ids, so that the `tokenizers` library reads it, in a second less than transformers imports."""
    return _is_plain(run.base_model, _states(run))


def base_tokenizer(run: Run) -> BaseTokenizer:
    """Returns the base model's own tokenizer, loaded once. Raises ToolError where it isn't here or can't be read."""
    need_tokenizer(run)
    return _base_tokenizer(run.path, run.base_model, bool(run.values.get("trust_remote_code")), _states(run))


def need_tokenizer(run: Run) -> None:
    """Raises ToolError where the base model's folder or tokenizer isn't here, with the command that gets it."""
    folder = Path(run.base_model)
    if not folder.is_dir():
        local = [str(path.parent) for path in Path("models").glob("*/tokenizer.json")]
        raise ToolError(f"{run.path}: base model {folder}: no such folder.{choices(str(folder), local)} {download(run)}")
    need_file(folder / "tokenizer.json", download(run))


class LlamaFactory:
    """LLaMA-Factory's own encoder with a run's tokenizer.

    Raises ToolError where LLaMA-Factory isn't installed, or can't load the tokenizer.
    """

    def __init__(self, run: Run) -> None:
        try:
            from llamafactory.hparams import ModelArguments
            from llamafactory.model import load_tokenizer as load
        except ImportError as error:
            reason = f"counting tokens with `template: {run.values.get('template')}` takes LLaMA-Factory, and {error.name} isn't in {sys.executable}"
            raise ToolError(f"{run.path}: {reason}. `make setup` makes the environment .venv/train, which has it.") from None
        _be_quiet()
        self._run = run
        try:
            self._loaded = load(_given(ModelArguments, run))
        except (OSError, ValueError) as error:
            raise _cannot_load(run, error) from None
        self._eos = self._loaded["tokenizer"].eos_token

    def ids(self, template: Any) -> TokenIds:
        """Returns the function from a row to its ids under a template, or under none for None. Raises ToolError for a name that LLaMA-Factory doesn't know."""
        processor = self._processor(template)

        def ids(row: AlpacaRow) -> tuple[list[int], list[int]]:
            user, answer = ({"role": role, "content": row[key]} for role, key in (("user", "input"), ("assistant", "output")))
            try:
                tokens, labels = processor._encode_data_example([user], [answer], row["instruction"], "", [], [], [])
            except ValueError as error:  # a template for pictures wants a model for them, and one for each "<image>" in a text
                raise ToolError(f"{self._run.path}: LLaMA-Factory can't encode a row with `template: {template}`: {str(error)[:300]}") from None
            prompt = labels.count(IGNORED)
            return tokens[:prompt], tokens[prompt:]

        return ids

    def _processor(self, template: Any) -> Any:
        """Returns LLaMA-Factory's processor of rows, under the same settings for any template."""
        from llamafactory.data.processor import SupervisedDatasetProcessor
        from llamafactory.data.template import get_template_and_fix_tokenizer
        from llamafactory.hparams import DataArguments

        tokenizer = self._loaded["tokenizer"]
        tokenizer.eos_token = self._eos  # another template may have replaced it
        try:
            data = _given(DataArguments, self._run, template=template, cutoff_len=EVERYTHING, train_on_prompt=False, mask_history=False)
            return SupervisedDatasetProcessor(get_template_and_fix_tokenizer(tokenizer, data), **self._loaded, data_args=data)
        except (OSError, ValueError) as error:
            raise _cannot_load(self._run, error) from None


def _given(kind: Any, run: Run, **fixed: Any) -> Any:
    """Returns one of LLaMA-Factory's dataclasses with the run's keys, as its own parser fills it."""
    known = {field.name for field in fields(kind) if field.init}
    return kind(**{**{key: value for key, value in run.values.items() if key in known}, **fixed})


def _cannot_load(run: Run, error: Exception) -> ToolError:
    return ToolError(f"{run.path}: LLaMA-Factory can't load the tokenizer of {run.base_model}: {error.__cause__ or error}")


def _is_quick(run: Run, form: ChatFormat) -> bool:
    """Returns whether the template's slots give LLaMA-Factory's ids: no setting, token or plug-in of either changes them."""
    unchanged = not form.plugin or (form.plugin in UNCHANGED and takes(run, form))
    return unchanged and not any(run.values.get(key) for key in SETTINGS if key != "default_system") and base_tokenizer(run).knows(form)


def _states(run: Run) -> States:
    """Returns what tells whether the files of a tokenizer have changed."""
    files = sorted(file for pattern in LOADED for file in Path(run.base_model).glob(pattern))
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)


@lru_cache(maxsize=4)
def _is_plain(folder: str, states: States) -> bool:
    return is_plain_qwen(Run(Path(), {"model_name_or_path": folder, "template": "qwen"})) or _is_as_filed(Path(folder))


def _is_as_filed(folder: Path) -> bool:
    """Returns whether transformers takes tokenizer.json as it is: the class of Llama 3's and GLM-4's does, and those of older models replace its rules."""
    files = [folder / name for name in ("config.json", "tokenizer_config.json", "tokenizer.json")]
    config, settings, own = [read_json(file) if file.is_file() else None for file in files]
    if not (isinstance(config, dict) and isinstance(settings, dict) and isinstance(own, dict)):
        return False
    kind, model = settings.get("tokenizer_class"), config.get("model_type")
    # transformers leaves the file as it is where the model's type has another class than its configuration names.
    as_filed = kind in AS_FILED or (model in QWEN3_5 and kind in TOKENIZERS)
    mended = "mistral" in str(model) or settings.get("auto_map") or settings.get("split_special_tokens")
    return as_filed and not mended and adds_no_token(settings, own)


@lru_cache(maxsize=1)
def _base_tokenizer(path: Path, folder: str, trust: bool, states: States) -> BaseTokenizer:
    run = Run(path, {"model_name_or_path": folder})
    if _is_plain(folder, states):
        quick, settings = load_tokenizer(run), read_json(Path(folder) / "tokenizer_config.json")
        return BaseTokenizer(
            encode=_remembering(lambda text: list(quick.encode(text, add_special_tokens=False).ids)),
            decode=lambda ids: str(quick.decode(ids, skip_special_tokens=False)),
            token_id=quick.token_to_id,
            special={**({EOS: QWEN_EOS} if settings["tokenizer_class"] not in AS_FILED else {}), **named_tokens(Path(folder))},
            added=frozenset(token.content for token in quick.get_added_tokens_decoder().values()),
        )
    from transformers import AutoTokenizer

    _be_quiet()
    try:
        slow = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
    except Exception as error:  # of any kind: what a file that isn't a tokenizer leads to depends on its class
        raise ToolError(f"{path}: transformers can't load the tokenizer of {folder}: {' '.join(str(error).split())[:300]}. {download(run)}") from None
    return BaseTokenizer(
        encode=_remembering(lambda text: list(slow.encode(text, add_special_tokens=False))),
        decode=lambda ids: str(slow.decode(ids)),
        token_id=slow.convert_tokens_to_ids,
        special={key: str(value) for key, value in slow.special_tokens_map.items() if isinstance(value, str)},
        added=frozenset(slow.get_added_vocab()),
    )


def _remembering(encode: Callable[[str], list[int]]) -> Callable[[str], list[int]]:
    """Returns the function with a memory of the last texts: a row's system line and its empty thought are every row's."""
    return lru_cache(maxsize=16)(encode)


def _llamafactory(run: Run) -> LlamaFactory:
    return _loaded_llamafactory(run.path, json.dumps(run.values, sort_keys=True, default=str), _states(run))


@lru_cache(maxsize=1)
def _loaded_llamafactory(path: Path, values: str, states: States) -> LlamaFactory:
    return LlamaFactory(Run(path, json.loads(values)))


def _be_quiet() -> None:
    """Keeps the libraries' lines about a tokenizer off the page: one for each special token, for each load."""
    from transformers.utils.logging import set_verbosity_error

    set_verbosity_error()
    logging.getLogger("llamafactory").setLevel(logging.ERROR)
