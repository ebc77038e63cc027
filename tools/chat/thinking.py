"""Decides once whether the model thinks: what every request carries, and what training puts before each answer.

In: a run. Out: the `chat_template_kwargs` of its requests, the empty thought that is part of its answers, and the text with which its template begins each.

    ./ner check conf/Qwen3-8B-clue-ner-lora-sft.yaml template=qwen3 enable_thinking=false

LLaMA-Factory's reasoning templates (`ReasoningTemplate` in llamafactory/data/template.py, 0.9.5) give an answer without a thought an empty one: as part of the answer, or
of the prompt where `enable_thinking` is false or null. Its other templates ignore the key. A base model's chat template puts the same empty thought into the prompt where
it is called with `enable_thinking: false`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tools.chat.formats import ChatFormat, formats
from tools.conf.run import Run

THOUGHT = "".join(ChatFormat.thought_words)  # as most of LLaMA-Factory's templates and Qwen's own write it
# template → its empty thought, its answers' opening; read in LLaMA-Factory 0.9.5. These are told without it; a test compares them with it.
KNOWN = {
    **dict.fromkeys(("qwen", "qwen2_vl", "qwen3_nothink", "qwen3_vl_nothink", "qwen3_5_nothink", "llama3"), ("", "")),
    **dict.fromkeys(("qwen3", "qwen3_vl", "qwen3_5", "qwen3_6"), (THOUGHT, "")),
    "glm4": ("", "\n"),
}


@dataclass(frozen=True)
class Thinking:
    """A run's decision: `kwargs` of its requests' chat template, and the `thought` before each of its answers, of which one at least is empty.

    `opening` is what the template begins each answer with, behind the thought: mostly nothing, else white space. Reading an answer skips it, writing one needs it.
    """

    kwargs: dict[str, bool] = field(default_factory=dict)
    thought: str = ""
    opening: str = ""

    @property
    def before(self) -> str:
        """The text that training puts before each answer."""
        return self.thought + self.opening

    @property
    def body(self) -> dict[str, Any]:
        """The part of a request's body, for /v1/chat/completions and /tokenize alike."""
        return {"chat_template_kwargs": self.kwargs} if self.kwargs else {}


def thinking(run: Run) -> Thinking:
    """Returns the decision of a run, as it was trained where it is `run.trained()`.

    Raises ToolError where LLaMA-Factory isn't installed and the template isn't one of KNOWN.
    """
    kwargs, (thought, opening) = template_kwargs(run), _parts(run.values.get("template"))
    return Thinking(kwargs, "" if kwargs else thought, opening)


def template_kwargs(run: Run) -> dict[str, bool]:
    """Returns what every request to the run's server carries as `chat_template_kwargs`: nothing, except where the run turns thinking off."""
    return {} if run.values.get("enable_thinking", True) else {"enable_thinking": False}


def empty_thought(template: Any) -> str:
    """Returns the empty thought of one of LLaMA-Factory's templates; nothing for a template without thoughts, for no template and for an unknown name.

    Raises ToolError as `thinking` does.
    """
    return _parts(template)[0]


def _parts(template: Any) -> tuple[str, str]:
    """Returns a template's empty thought and its answers' opening."""
    if template is None or template in KNOWN:
        return KNOWN.get(template, ("", ""))
    found = formats().get(str(template))
    return (found.empty_thought, found.opening) if found else ("", "")
