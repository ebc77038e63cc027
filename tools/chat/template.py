"""Whether the prompt that training sees is the one that the server will send, token by token.

LLaMA-Factory makes its prompt from `template:`, vLLM from the base model's own chat template; where the two differ, the model is served something that it wasn't
trained on, and nobody says so. In: a run and some of its rows. Out: what differs, with the templates that would fit.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from tools.chat.lengths import Row
from tools.chat.token_ids import Ids, is_quick, llamafactory_ids, trained_ids
from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import read_json, read_text

COMPARED = 16  # rows, evenly over the data
NAMED = 4  # templates in a message
AROUND = 40  # characters shown about the first difference


def prompt_problems(run: Run, rows: list[Row]) -> list[str]:
    """One message where the trained prompt of a row differs from the served one, or its answer from what the base model's format makes of it; else none.

    Raises ToolError where the base model's chat template can't be rendered, or LLaMA-Factory doesn't know the run's.
    """
    if chat_template(Path(run.base_model)) is None:
        return [
            f"{run.base_model}: no chat template; vLLM couldn't be asked in chat form. Take the Instruct model, or put a chat_template.jinja there."
        ]
    trained, served, decode = _plain(run) if is_quick(run) else _by_llamafactory(run)
    for row in some(rows, COMPARED):
        ours, theirs = trained(row), served(row)
        if not same(ours, theirs):
            part, where = (0, "the server sends") if ours[0] != theirs[0] else (1, "its own format has the answer")
            near = _difference(ours[part], theirs[part], decode)
            return [
                f"{run.path}: `template: {run.values.get('template')}` isn't the base model's own chat format: trained {near[0]!r} where {where} {near[1]!r}."
                f"{fitting(run, row, theirs)}"
            ]
    return []


def same(ours: tuple[list[int], list[int]], theirs: tuple[list[int], list[int]]) -> bool:
    """Whether prompts are equal, and answers but for what stands behind their end (a line feed, or none)."""
    answers = zip(ours[1], theirs[1], strict=False)
    return ours[0] == theirs[0] and abs(len(ours[1]) - len(theirs[1])) <= 1 and all(a == b for a, b in answers)


def _difference(ours: list[int], theirs: list[int], decode: Callable[[list[int]], str]) -> tuple[str, str]:
    place = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    start = max(0, place - 3)
    return decode(ours[start:])[:AROUND], decode(theirs[start:])[:AROUND]


def some(rows: list[Row], count: int) -> list[Row]:
    """About `count` rows, evenly from the first to the last, and the longest."""
    if not rows:
        return []
    step = max(1, len(rows) // count)
    return [*rows[::step], max(rows, key=lambda row: len(row["input"]))]


def chat_template(folder: Path) -> str | None:
    """The base model's own chat template, as transformers finds it: a file beside the tokenizer, or a value in its configuration."""
    if (file := folder / "chat_template.jinja").is_file():
        return read_text(file)
    config = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    value = config.get("chat_template") if isinstance(config, dict) else None
    if isinstance(value, list):  # several, by name
        value = next((entry.get("template") for entry in value if entry.get("name") == "default"), None)
    return value if isinstance(value, str) else None


def fitting(run: Run, row: Row, served: tuple[list[int], list[int]]) -> str:
    """The tail of the message: LLaMA-Factory's templates that make of the row what the base model's own format does, the likeliest first."""
    from llamafactory.data.template import TEMPLATES

    found = []
    for name in TEMPLATES:
        try:
            if same(llamafactory_ids(run, name)(row), served):
                found.append(name)
        except Exception:  # a template that this tokenizer can't do isn't the one
            continue
    kind = str(read_json(Path(run.base_model) / "config.json").get("model_type", ""))
    found.sort(key=lambda name: -difflib.SequenceMatcher(None, name, kind).ratio())
    return f" Say template: {' or '.join(found[:NAMED])}." if found else " None of LLaMA-Factory's templates fits it."


def _plain(run: Run) -> tuple[Ids, Ids, Callable[[list[int]], str]]:
    """Qwen's format on the tokenizers library alone, which starts in a tenth of a second; tools.chat.lengths says when that is the same."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(run.base_model) / "tokenizer.json"))
    render = _renderer(chat_template(Path(run.base_model)) or "", run)

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    def served(row: Row) -> tuple[list[int], list[int]]:
        asked = render(_messages(row), True)
        whole = render([*_messages(row), {"role": "assistant", "content": row["output"]}], False)
        return encode(asked), encode(whole.removeprefix(asked))

    return trained_ids(run), served, lambda ids: str(tokenizer.decode(ids, skip_special_tokens=False))


def _renderer(template: str, run: Run) -> Callable[[list[dict[str, str]], bool], str]:
    """A chat template with transformers' own settings of Jinja (utils/chat_template_utils.py), which sandboxes it."""
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.globals["raise_exception"] = refuse
    try:
        compiled = environment.from_string(template)
    except TemplateError as error:
        raise ToolError(f"{run.base_model}: its chat template isn't readable: {error}") from None

    def render(messages: list[dict[str, str]], ask: bool) -> str:
        try:
            return str(compiled.render(messages=messages, tools=None, add_generation_prompt=ask))
        except (TemplateError, TypeError, ValueError) as error:
            raise ToolError(f"{run.base_model}: its chat template refuses a system and a user turn: {error}") from None

    return render


def _by_llamafactory(run: Run) -> tuple[Ids, Ids, Callable[[list[int]], str]]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run.base_model, trust_remote_code=bool(run.values.get("trust_remote_code")))

    def served(row: Row) -> tuple[list[int], list[int]]:
        messages = [*_messages(row), {"role": "assistant", "content": row["output"]}]
        asked = list(tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=True, return_dict=False))
        whole = list(tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False))
        return asked, whole[len(asked) :] if whole[: len(asked)] == asked else whole

    return llamafactory_ids(run, run.values.get("template")), served, lambda ids: str(tokenizer.decode(ids))


def _messages(row: Row) -> list[dict[str, str]]:
    """What tools.chat.prompt sends to the server for such a row."""
    system = [{"role": "system", "content": row["instruction"]}] if row["instruction"] else []
    return [*system, {"role": "user", "content": row["input"]}]
