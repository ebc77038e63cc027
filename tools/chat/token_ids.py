"""The token ids that a run trains on, for a row: what the server must see too.

In: a run. Out: the function from an Alpaca row to (prompt ids, answer ids), by the same two ways as tools.chat.lengths counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.chat.lengths import CHATS, Row, chat_pieces, is_plain_qwen
from tools.conf.run import Run

Ids = Callable[[Row], tuple[list[int], list[int]]]  # row → the prompt's tokens, and the answer's with its end


def trained_ids(run: Run) -> Ids:
    """The ids that LLaMA-Factory makes of a row under the run's template."""
    return _plain_ids(run) if is_quick(run) else llamafactory_ids(run, run.values.get("template"))


def is_quick(run: Run) -> bool:
    """Whether the ids need no LLaMA-Factory, which takes ten seconds to import."""
    return is_plain_qwen(run) and not CHATS[run.values["template"]].thinks


def _plain_ids(run: Run) -> Ids:
    from tokenizers import Tokenizer

    tokenizer, chat = Tokenizer.from_file(str(Path(run.base_model) / "tokenizer.json")), CHATS[run.values["template"]]

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    def ids(row: Row) -> tuple[list[int], list[int]]:
        *asked, answer = chat_pieces(row, chat)
        return [token for piece in asked for token in encode(piece)], encode(answer)

    return ids


def llamafactory_ids(run: Run, name: Any) -> Ids:
    """The ids by LLaMA-Factory's own template of that name, with the run's tokenizer."""
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments, ModelArguments
    from llamafactory.model import load_tokenizer

    model = ModelArguments(model_name_or_path=run.base_model, trust_remote_code=bool(run.values.get("trust_remote_code")))
    tokenizer = load_tokenizer(model)["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, DataArguments(template=name, enable_thinking=run.values.get("enable_thinking", True)))

    def ids(row: Row) -> tuple[list[int], list[int]]:
        turns = [{"role": "user", "content": row["input"]}, {"role": "assistant", "content": row["output"]}]
        prompt, answer = template.encode_oneturn(tokenizer, turns, row["instruction"])
        return list(prompt), [*answer, *([tokenizer.eos_token_id] if template.efficient_eos else [])]

    return ids
