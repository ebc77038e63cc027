"""Renders a task's prompt and answer: the one place for the converter (training) and the predictor (serving).

In: a task and a text. Out: the chat messages that the model sees, and the answer it should give.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from string import Formatter

from tools.conf import Task
from tools.errors import ToolError
from tools.example import Example
from tools.files import need_file, read_text

FIELDS = ("text", "labels")


def renderer(task: Task) -> Callable[[str], str]:
    """The function from a text to the user turn, read once from the task's prompt file.

    The file is a `str.format` template with {text} and {labels}, literal braces doubled. A file whose JSON example has single braces is
    taken literally, but for the two fields. Either way the template is rendered once and the text is never looked at for braces.
    Raises ToolError for a missing file, one without {text}, or one that mixes both styles.
    """
    need_file(task.prompt, f"{task.path} names it as `prompt`.")
    parts = _parts(read_text(task.prompt).replace("\r\n", "\n").rstrip("\n"), task)
    values = {"labels": ", ".join(task.labels)}
    constant = [values.get(part, part) if is_field else part for part, is_field in parts]
    slots = [i for i, (part, is_field) in enumerate(parts) if is_field and part == "text"]
    if not slots:
        raise ToolError(f"{task.prompt}: no {{text}} in it: the model would never see the sentence.")
    pieces = ["".join(constant[a + 1 : b]) for a, b in zip([-1, *slots], [*slots, len(constant)], strict=True)]
    return lambda text: text.join(pieces)


def messages(task: Task, user: str) -> list[dict[str, str]]:
    """The chat that asks for one text: the task's system line and a rendered user turn, as OpenAI messages."""
    return [{"role": "system", "content": task.system}, {"role": "user", "content": user}]


def answer(task: Task, example: Example) -> str:
    """The answer that training teaches: a JSON list of the unique (label, string) pairs, Chinese unescaped, in the task's order.

    Order 'source' is the raw file's; 'text' is by first position in the text.
    """
    entities: Sequence = example.entities
    if task.answer.order == "text":
        entities = sorted(entities, key=lambda entity: (entity.start, entity.end))
    pairs = Example(example.id, example.text, list(entities)).pairs()
    return json.dumps([{task.answer.label: label, task.answer.text: text} for label, text in pairs], ensure_ascii=False)


def alpaca(task: Task, example: Example, render: Callable[[str], str]) -> dict[str, str]:
    """One Alpaca row: {"instruction": system, "input": the user turn, "output": the answer}."""
    return {"instruction": task.system, "input": render(example.text), "output": answer(task, example)}


def _parts(template: str, task: Task) -> list[tuple[str, bool]]:
    """The template as (literal, False) and (field name, True) parts."""
    try:
        parsed = list(Formatter().parse(template))
        named = [name for _, name, spec, conversion in parsed if name is not None and not spec and not conversion]
        escaped = len(named) == sum(name is not None for _, name, _, _ in parsed) and set(named) <= set(FIELDS)
    except ValueError:
        escaped = False
    if escaped:
        return [part for literal, name, _, _ in parsed for part in ((literal, False), (name or "", name is not None))]
    if "{{" in template:
        line = template[: template.index("{{")].count("\n") + 1
        raise ToolError(
            f"{task.prompt}:{line}: the file has both doubled and single literal braces, or a field other than {{text}} and {{labels}}."
            " Double every literal brace, or none."
        )
    return [
        (piece.strip("{}"), True) if piece in ("{text}", "{labels}") else (piece, False) for piece in re.split(r"(\{(?:text|labels)\})", template)
    ]
