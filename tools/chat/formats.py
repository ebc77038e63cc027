"""Reads LLaMA-Factory's templates from its source, and renders a row's prompt and answer with one of them, as text.

Nothing is imported or run: importing LLaMA-Factory takes 10 s, since torch comes along. In: nothing, or a row. Out: ChatFormats by name, or slots of text.

    ./ner check conf/tiny-qwen2-sample-ner-lora-sft.yaml template=llama3

The rules are those of llamafactory/data/template.py and formatter.py (0.9.5); a test holds every template against LLaMA-Factory's own ids.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tools.chat.prompt import AlpacaRow
from tools.conf.run import Run
from tools.errors import ToolError

Slot = str | set[str] | dict[str, str]  # text, {"bos_token"} or {"eos_token"}, {"token": one token}
Slots = list[Slot]
Special = Callable[[str], str]  # "bos_token" or "eos_token" → the token, "" for none

CONTENT = "{{content}}"
BOS, EOS = "bos_token", "eos_token"
# Classes of templates: the system line is part of the first user turn; an answer has a thought; an empty thought is its closing word alone.
FUSED, REASONING, CLOSED = "Llama2Template", ("ReasoningTemplate", "Glm47ReasoningTemplate"), "Glm47ReasoningTemplate"


@dataclass(frozen=True)
class ChatFormat:
    """One template. `plugin` names what handles its pictures, sound and films, '' for a template of text alone."""

    name: str
    user: Slots
    assistant: Slots
    system: Slots
    prefix: Slots
    default_system: str = ""
    stop_words: tuple[str, ...] = ()
    thought_words: tuple[str, str] = ("<think>\n", "\n</think>\n\n")
    kind: str = "Template"
    efficient_eos: bool = False
    replace_eos: bool = False
    plugin: str = ""

    @property
    def empty_thought(self) -> str:
        """What the template makes of an answer without a thought: an empty one, or '' where it knows none."""
        return "" if self.kind not in REASONING else self.thought_words[1] if self.kind == CLOSED else "".join(self.thought_words)

    @property
    def opening(self) -> str:
        """The text that the template puts before an answer as its part: a line feed in GLM-4's, a space in Mistral's."""
        slots = [slot if isinstance(slot, str) else "" for slot in self.assistant]
        return "".join(slots).partition(CONTENT)[0]

    def slots(self, row: AlpacaRow, thinks: Any) -> tuple[Slots, Slots]:
        """Returns the slots of a row's prompt and of its answer; each is encoded by itself. `thinks` is the run's `enable_thinking`."""
        system, answer = row["instruction"] or self.default_system, row["output"]
        prompt: Slots = [*self.prefix]
        if self.kind == FUSED:
            fused = str(_filled(self.system, system)[0]) if system else ""
            prompt += _filled(self.user, fused + row["input"])
        else:
            prompt += _filled(self.system, system) if system else []
            # The turn's number is filled in after the text, so that the first {{idx}} of a text becomes one.
            prompt += [slot.replace("{{idx}}", "0", 1) if isinstance(slot, str) else slot for slot in _filled(self.user, row["input"])]
        thought: Slots = []
        if self.empty_thought:
            opened, closed = self.thought_words
            if thinks is False:
                answer = re.sub(f"{re.escape(opened)}(.*?){re.escape(closed)}", "", answer, flags=re.DOTALL).lstrip("\n")
            thought = [] if any(word.strip() in answer for word in self.thought_words) else [self.empty_thought]
        end: Slots = [{EOS}] if self.efficient_eos else []
        taught = [*_filled(self.assistant, answer), *end]
        return (prompt, [*thought, *taught]) if thinks else ([*prompt, *thought], taught)

    def eos(self, own: str) -> str:
        """Returns the token that {"eos_token"} stands for, where the tokenizer's own is `own`."""
        return self.stop_words[0] if self.replace_eos and self.stop_words else own or "<|endoftext|>"


def text(slots: Slots, special: Special) -> str:
    """Returns slots as one text."""
    return "".join(slot if isinstance(slot, str) else slot["token"] if isinstance(slot, dict) else special(next(iter(slot))) for slot in slots)


def format_of(run: Run) -> ChatFormat | None:
    """Returns a run's template with its `default_system`; None for a run without a template, and for a name that LLaMA-Factory doesn't know."""
    found = formats().get(str(run.values.get("template")))
    default = run.values.get("default_system")
    return found if found is None or default is None else replace(found, default_system=str(default))


def formats() -> dict[str, ChatFormat]:
    """Returns LLaMA-Factory's templates by name, in its order. Raises ToolError where LLaMA-Factory isn't installed."""
    package = find_spec("llamafactory")
    if package is None or not package.submodule_search_locations:
        raise ToolError(f"LLaMA-Factory's templates aren't in {sys.executable}. `make setup` makes the environment .venv/train, which has them.")
    return _read(Path(package.submodule_search_locations[0]) / "data" / "template.py")


@cache
def _read(source: Path) -> dict[str, ChatFormat]:
    calls = [node for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    given = [{str(word.arg): word.value for word in call.keywords} for call in calls if getattr(call.func, "id", "") == "register_template"]
    return {found.name: found for found in map(_format, given)}


def _format(words: dict[str, ast.expr]) -> ChatFormat:
    """Returns the template that one call of `register_template` declares, with that function's own defaults."""
    values = {name: ast.literal_eval(value) for name, value in words.items() if not isinstance(value, ast.Call | ast.Name)}
    efficient = bool(values.get("efficient_eos"))
    plugin = words.get("mm_plugin")
    return ChatFormat(
        name=values["name"],
        user=_slots(words.get("format_user"), [CONTENT]),
        assistant=_slots(words.get("format_assistant"), [CONTENT] if efficient else [CONTENT, {EOS}]),
        system=_slots(words.get("format_system"), [CONTENT]),
        prefix=_slots(words.get("format_prefix"), []),
        default_system=values.get("default_system", ""),
        stop_words=tuple(values.get("stop_words") or ()),
        thought_words=values.get("thought_words") or ChatFormat.thought_words,
        kind=getattr(words.get("template_class"), "id", "Template"),
        efficient_eos=efficient,
        replace_eos=bool(values.get("replace_eos")),
        plugin=str(ast.literal_eval((plugin.args or [word.value for word in plugin.keywords])[0])) if isinstance(plugin, ast.Call) else "",
    )


def _slots(formatter: ast.expr | None, default: Slots) -> Slots:
    return ast.literal_eval(formatter.keywords[0].value) if isinstance(formatter, ast.Call) and formatter.keywords else default


def _filled(slots: Sequence[Slot], content: str) -> Slots:
    return [slot.replace(CONTENT, content, 1) if isinstance(slot, str) else slot for slot in slots]
