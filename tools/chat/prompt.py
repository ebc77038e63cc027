"""Renders a task's prompt and answer: the one place for the converter (training) and the predictor (serving).

In: a task and an example. Out: the chat messages that the model sees, and the answer that it should give.

    ./ner data conf/task/sample.yaml
"""

from __future__ import annotations

import re
from collections.abc import Callable
from json.encoder import encode_basestring as quoted
from string import Formatter

from tools.chat.answer_formats import FORMATS
from tools.conf.run import Run
from tools.conf.task import Task
from tools.errors import ToolError
from tools.example import Example
from tools.files import need_file, read_text
from tools.text import neutralise

FIELDS = ("text", "labels", "options")
SEPARATOR = ", "  # between labels, and between options
ANSWER_TOKENS = 512  # that an answer may have where it is asked for, unless it copies the text

AlpacaRow = dict[str, str]  # {"instruction": the system line, "input": the user turn, "output": the answer}


def renderer(task: Task, quote: Callable[[str], str] = str) -> Callable[[Example], str]:
    """Returns the function from an example to the user turn. The task's prompt file is read once.

    The file is a `str.format` template with the fields {text}, {labels} (the labels' names) and {options} (the example's own, or else all labels); literal braces are
    doubled. A file whose JSON example has single braces is taken literally, except the fields. Braces in the example's text have no meaning, and control tokens in
    it are neutralised. `quote` is applied to every part of the result, to the constant parts only once.
    Raises ToolError for a missing file, for one without {text}, and for one that mixes both styles.
    """
    need_file(task.prompt, f"{task.path} names it as `prompt`.")
    parts = _parts(read_text(task.prompt).replace("\r\n", "\n").rstrip("\n"), task)
    labels = SEPARATOR.join(task.names.values())
    pieces = [quote(labels if is_field and part == "labels" else part) for part, is_field in parts]
    slots = [(i, part) for i, (part, is_field) in enumerate(parts) if is_field and part != "labels"]
    if not any(part == "text" for _, part in slots):
        raise ToolError(f"{task.prompt}: no {{text}} in it: the model would never see the sentence.")

    def render(example: Example) -> str:
        for i, part in slots:
            pieces[i] = quote(neutralise(example.text) if part == "text" else SEPARATOR.join(options(task, example)))
        return "".join(pieces)

    return render


def messages(task: Task, user: str) -> list[dict[str, str]]:
    """Returns the chat that asks for one text: the task's system line and a rendered user turn, as OpenAI messages."""
    return [{"role": "system", "content": task.system}, {"role": "user", "content": user}]


def trained_messages(row: AlpacaRow) -> list[dict[str, str]]:
    """Returns the chat of an Alpaca row without its answer: what `messages` gives for the same example."""
    system = [{"role": "system", "content": row["instruction"]}] if row["instruction"] else []
    return [*system, {"role": "user", "content": row["input"]}]


def answer(task: Task, example: Example) -> str:
    """Returns the answer that training teaches: the entities in the task's format (tools.chat.answer_formats); for classification the class's name."""
    if example.label is not None:
        return neutralise(task.names.get(example.label, example.label))
    return FORMATS[task.answer.format].render(task, example)


def answer_tokens(task: Task, trained: Run) -> int:
    """Returns the tokens that an answer may have where it is asked for.

    An answer that copies its text may be as long as the longest row that training took: no trained answer is longer.
    """
    return max(ANSWER_TOKENS, int(trained.values.get("cutoff_len", 2048))) if task.answer.copies_text else ANSWER_TOKENS


def alpaca(task: Task, example: Example, render: Callable[[Example], str]) -> AlpacaRow:
    """Returns an example's Alpaca row; `render` is the task's renderer."""
    return {"instruction": task.system, "input": render(example), "output": answer(task, example)}


def alpaca_line(task: Task) -> Callable[[Example], str]:
    """Returns the function from an example to its Alpaca row in JSON, as `json.dumps(alpaca(…), ensure_ascii=False)` writes it; it quotes the prompt only once."""
    render = renderer(task, lambda text: quoted(text)[1:-1])
    head = f'{{"instruction": {quoted(task.system)}, "input": "'
    return lambda example: f'{head}{render(example)}", "output": {quoted(answer(task, example))}}}'


def options(task: Task, example: Example) -> list[str]:
    """Returns the names that the answer to a classification example may be: its own options, or all labels."""
    return [neutralise(task.names.get(option, option)) for option in (example.options if example.options is not None else task.labels)]


def _parts(template: str, task: Task) -> list[tuple[str, bool]]:
    """Returns the template as parts: (literal, False) or (field name, True)."""
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
            f"{task.prompt}:{line}: the file has both doubled and single literal braces, or a field other than {{text}}, {{labels}} and {{options}}."
            " Double every literal brace, or none."
        )
    return [
        (piece.strip("{}"), True) if piece in {f"{{{field}}}" for field in FIELDS} else (piece, False)
        for piece in re.split(rf"(\{{(?:{'|'.join(FIELDS)})\}})", template)
    ]
