"""Compares the prompt that training sees with the one that the server will send, token by token.

LLaMA-Factory makes its prompt from `template:`, vLLM from the base model's own chat template. A model that is served another prompt than the trained one answers worse,
and no tool warns. In: a run and some of its rows. Out: the difference, and the templates that would fit.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml template=llama3
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tools.chat.prompt import AlpacaRow, trained_messages
from tools.chat.qwen import is_plain_qwen, load_tokenizer
from tools.chat.token_ids import LlamaFactory, first_difference, trained_ids
from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import read_json, read_text

COMPARED = 16  # rows at least, evenly over the data, and the longest
NAMED = 4  # templates in a message
AROUND = 40  # characters shown about the first difference

Messages = list[dict[str, str]]
Encode = Callable[[Messages, bool], list[int]]  # messages, and whether the request for an answer follows → token ids
Decode = Callable[[list[int]], str]


def prompt_problems(run: Run, rows: list[AlpacaRow]) -> list[str]:
    """Returns a message about the first row whose prompt is trained and served differently, or whose answer is; an empty list where all agree.

    There must be a row. Raises ToolError where the base model's chat template can't be rendered, or LLaMA-Factory doesn't know the run's.
    """
    own = chat_template(Path(run.base_model))
    if own is None:
        return [
            f"{run.base_model}: no chat template; vLLM couldn't be asked in chat form. Take the Instruct model, or put a chat_template.jinja there."
        ]
    trained = trained_ids(run)
    encode, decode = _plain(run, own) if is_plain_qwen(run) else _by_transformers(run)
    for row in [*rows[:: max(1, len(rows) // COMPARED)], max(rows, key=lambda row: len(row["input"]))]:
        ours, theirs = trained(row), served(run, encode, row)
        if not same(ours, theirs):
            part, where = (0, "the server sends") if ours[0] != theirs[0] else (1, "its own format has the answer")
            near = _difference(ours[part], theirs[part], decode)
            return [
                f"{run.path}: `template: {run.values.get('template')}` isn't the base model's own chat format: trained {near[0]!r} where {where} {near[1]!r}."
                f"{_advice(run, row, theirs)}"
            ]
    return []


def served(run: Run, encode: Encode, row: AlpacaRow) -> tuple[list[int], list[int]]:
    """Returns the ids of a row's prompt and answer in the base model's own chat format. Raises ToolError where it can't be rendered."""
    from jinja2 import TemplateError

    messages = trained_messages(row)
    try:
        asked = encode(messages, True)
        whole = encode([*messages, {"role": "assistant", "content": row["output"]}], False)
    except (TemplateError, TypeError, ValueError) as error:
        raise ToolError(f"{run.base_model}: its chat template can't render a system and a user turn: {error}") from None
    return asked, whole[len(asked) :] if whole[: len(asked)] == asked else whole


def same(ours: tuple[list[int], list[int]], theirs: tuple[list[int], list[int]]) -> bool:
    """Returns whether prompts are equal, and answers up to one token behind their end (a line feed, or none)."""
    answers = zip(ours[1], theirs[1], strict=False)
    return ours[0] == theirs[0] and abs(len(ours[1]) - len(theirs[1])) <= 1 and all(a == b for a, b in answers)


def chat_template(folder: Path) -> str | None:
    """Returns the base model's own chat template as transformers finds it: a file beside the tokenizer, or a value in its configuration. None without one."""
    if (file := folder / "chat_template.jinja").is_file():
        return read_text(file)
    config = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    value = config.get("chat_template") if isinstance(config, dict) else None
    if isinstance(value, list):  # several, by name
        value = next((entry.get("template") for entry in value if entry.get("name") == "default"), None)
    return value if isinstance(value, str) else None


def fitting(run: Run, row: AlpacaRow, served: tuple[list[int], list[int]]) -> list[str]:
    """Returns LLaMA-Factory's templates that give a row the served ids, those first whose name is most like the base model's type."""
    encoder, found = LlamaFactory(run), []
    for name in encoder.templates:
        try:
            if same(encoder.ids(name)(row), served):
                found.append(name)
        except Exception:  # a template that this tokenizer can't do isn't the one
            continue
    kind = str(read_json(Path(run.base_model) / "config.json").get("model_type", ""))
    return sorted(found, key=lambda name: -difflib.SequenceMatcher(None, name, kind).ratio())


def _advice(run: Run, row: AlpacaRow, served: tuple[list[int], list[int]]) -> str:
    """Returns the end of the message: the templates that fit, with the run's `enable_thinking`, or else with LLaMA-Factory's default."""
    default = replace(run, values=run.values | {"enable_thinking": True})
    for other, remedy in ((run, ""), (default, " Leave enable_thinking out.")):
        if templates := fitting(other, row, served):
            return f"{remedy} Say template: {' or '.join(templates[:NAMED])}."
    return " None of LLaMA-Factory's templates fits it."


def _difference(ours: list[int], theirs: list[int], decode: Decode) -> tuple[str, str]:
    start = max(0, first_difference(ours, theirs) - 3)
    return decode(ours[start:])[:AROUND], decode(theirs[start:])[:AROUND]


def _plain(run: Run, template: str) -> tuple[Encode, Decode]:
    """Returns a plain Qwen's encoder of messages and decoder, without importing torch."""
    from transformers.utils.chat_template_utils import render_jinja_template

    tokenizer = load_tokenizer(run)

    def encode(messages: Messages, ask: bool) -> list[int]:
        [text], _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=ask)
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    return encode, lambda ids: str(tokenizer.decode(ids, skip_special_tokens=False))


def _by_transformers(run: Run) -> tuple[Encode, Decode]:
    """Returns any base model's encoder of messages and decoder."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run.base_model, trust_remote_code=bool(run.values.get("trust_remote_code")))

    def encode(messages: Messages, ask: bool) -> list[int]:
        return list(tokenizer.apply_chat_template(messages, add_generation_prompt=ask, tokenize=True, return_dict=False))

    return encode, lambda ids: str(tokenizer.decode(ids))
