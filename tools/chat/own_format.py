"""Renders a chat as the base model's server does: by the chat template in the model's own folder.

In: a run. Out: the text of a row's prompt, and the tokens at which the server ends an answer. Neither torch nor a tokenizer is loaded for it.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.chat.prompt import AlpacaRow, trained_messages
from tools.conf.run import Run
from tools.errors import ToolError
from tools.files import read_json, read_text

FILE, CONFIG, PROCESSOR = "chat_template.jinja", "tokenizer_config.json", "chat_template.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")  # one is there where a model takes pictures


class OwnFormat:
    """The base model's own chat format. `special` are the named tokens that its chat template may use.

    Raises ToolError where the folder has no chat template, or several and none to begin with.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.folder = run, Path(run.base_model)
        self.special = named_tokens(self.folder)
        self.place, found = find_template(self.folder)
        if found is None:
            raise ToolError(
                f"{run.base_model}: no chat template; vLLM couldn't be asked in chat form. Take the Instruct model, or put a {FILE} there."
            )
        self.template = found

    def prompt(self, row: AlpacaRow, kwargs: Mapping[str, Any]) -> str:
        """Returns the text that the server makes of a row's request, with `chat_template_kwargs`. Raises ToolError where that fails."""
        return self._render(trained_messages(row), True, kwargs)

    def opening(self, row: AlpacaRow) -> str:
        """Returns the text of a row's chat without the request for an answer."""
        return self._render(trained_messages(row), False, {})

    def past(self, row: AlpacaRow) -> str:
        """Returns the text of a row's chat with its answer, '' where the template can't render one; the server never needs to."""
        try:
            return self._render([*trained_messages(row), {"role": "assistant", "content": row["output"]}], False, {})
        except ToolError:
            return ""

    def _render(self, messages: list[dict[str, str]], ask: bool, kwargs: Mapping[str, Any]) -> str:
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            [text], _ = render_jinja_template([messages], chat_template=self.template, add_generation_prompt=ask, **{**self.special, **kwargs})
        except Exception as error:  # a template is a program, and may fail in any way
            roles = " and ".join({"system": "a system", "user": "a user"}.get(message["role"], message["role"]) for message in messages)
            why = " ".join(str(error).split())[:300] or type(error).__name__
            raise ToolError(
                f"{self.place}: its chat template can't render {roles} turn: {why}. Each request would fail: mend it, or take a base model whose chat format has them."
            ) from None
        return str(text)


def ends(folder: Path) -> list[int]:
    """Returns the ids at which a base model's files say that an answer ends: generation_config.json's, else config.json's, as vLLM reads them."""
    for name in ("generation_config.json", "config.json"):
        config = read_json(folder / name) if (folder / name).is_file() else {}
        for part in (config, config.get("text_config")) if isinstance(config, dict) else ():
            found = part.get("eos_token_id") if isinstance(part, dict) else None
            if ids := [value for value in (found if isinstance(found, list) else [found]) if type(value) is int]:
                return ids
    return []


def takes_pictures(folder: Path) -> bool:
    """Returns whether a base model has what LLaMA-Factory asks for with a template for pictures, sound or films."""
    return any((folder / name).is_file() for name in PROCESSORS)


def named_tokens(folder: Path) -> dict[str, str]:
    """Returns bos_token, eos_token and the like, as a tokenizer's files name them."""
    found: dict[str, str] = {}
    for name in ("special_tokens_map.json", CONFIG):
        config = read_json(folder / name) if (folder / name).is_file() else {}
        found |= dict(_tokens(config)) if isinstance(config, dict) else {}
    return found


def find_template(folder: Path) -> tuple[Path, str | None]:
    """Returns the file that holds the chat template, and the template, as transformers finds it: a file beside the tokenizer, or a value in its configuration.

    Raises ToolError for several templates without one named 'default'.
    """
    if (file := folder / FILE).is_file():
        return file, read_text(file)
    for place in (folder / CONFIG, folder / PROCESSOR):
        config = read_json(place) if place.is_file() else {}
        value = config.get("chat_template") if isinstance(config, dict) else None
        if value is not None:
            break
    if isinstance(value, list):  # several, by name
        value = {entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)}
    if value and isinstance(value, dict):
        names = ", ".join(map(str, value))
        if not isinstance(value.get("default"), str):
            raise ToolError(
                f"{place}: several chat templates ({names}), and none is named 'default': the server would refuse each request. Name one so."
            )
        value = value["default"]
    return place, value if isinstance(value, str) else None


def _tokens(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        content = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and isinstance(content, str):
            yield key, content
