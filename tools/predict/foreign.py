"""Compares the prompt of a server that somebody else started with the trained one, on one row, where the model can think.

Our own `serve` compares before it answers anybody. Another server may have other defaults for the chat template's arguments, or may not heed those of a request; its
answers would be worse, and nothing would say why. In: a server, a run and one chat. Out: a line where it can't be told, or a ToolError.

    ./ner predict conf/tiny-qwen2-sample-ner-lora-sft.yaml --url http://127.0.0.1:8000/v1 --out DIR
"""

from __future__ import annotations

import json
from http.client import HTTPException
from pathlib import Path

from tools.chat.own_format import find_template
from tools.chat.probe import prompt_parity
from tools.chat.prompt import AlpacaRow
from tools.chat.thinking import Thinking, thinking
from tools.chat.token_ids import trained_ids
from tools.conf.run import Run
from tools.errors import ToolError
from tools.predict.server import Server
from tools.serve.http import fetch

SWITCH = "enable_thinking"  # what Qwen's chat templates call it
ROLES = (["user"], ["system", "user"])  # of the chats that training has


def need_trained_prompt(server: Server, model: str, run: Run, chat: list[dict[str, str]]) -> None:
    """Prints a line where a server's prompt of a chat can't be compared with the trained one. Raises ToolError (1) where they differ."""
    if reason := _compared(server, model, run.trained(), chat):
        print(f"{server.url}: its prompt isn't compared with the trained one: {reason}", flush=True)


def _compared(server: Server, model: str, trained: Run, chat: list[dict[str, str]]) -> str:
    """Returns why the prompts can't be compared; '' where they are equal, and where neither run nor chat template knows of thoughts."""
    decided, own = thinking(trained), find_template(Path(trained.base_model))[1] or ""
    if decided == Thinking() and SWITCH not in own:
        return ""
    said = {turn.get("role"): turn.get("content") for turn in chat}
    if [turn.get("role") for turn in chat] not in ROLES or not all(isinstance(content, str) for content in said.values()):
        return "its first question isn't a user turn, or a system line and a user turn."
    row: AlpacaRow = {"instruction": said.get("system") or "", "input": said.get("user") or "", "output": ""}
    try:
        ids, body = trained_ids(trained)(row), decided.body
    except ToolError as error:
        return str(error)

    def post(path: str, body: dict[str, object]) -> object:
        return json.loads(fetch(server.url.removesuffix("/v1") + path, body))

    try:
        prompt_parity(post, model, [row], [ids], body)
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return "it has no /tokenize as vLLM's."
    except ToolError as error:
        heed = f" It was asked with {json.dumps(body)}: does it heed that?" if body else ""
        raise ToolError(f"{server.url}: {error}{heed}", error.exit_code) from None
    return ""
