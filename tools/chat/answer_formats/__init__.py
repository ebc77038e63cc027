"""Lists the formats that a task's answer may have: how training writes it, what schema decoding allows, and where each pair stands in it.

In: a task and an example, or an answer. Out: the answer's text, a grammar, or its pairs with their places. A format is a module here and a line of FORMATS.

    ./ner data conf/task/sample.yaml
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tools.chat.answer_formats import grouped, inline, object_list, pair_lines
from tools.chat.answer_formats.written import Written
from tools.conf.task import Task
from tools.example import Example


@dataclass(frozen=True)
class AnswerFormat:
    """One format of the answer to a NER task.

    `render(task, example)` writes an example's answer. `grammar(task, text, before)` returns the rules of a GBNF grammar (github.com/ggml-org/llama.cpp, grammars/README.md;
    xgrammar reads it), `root` first, of every answer about a text that training can teach, behind a given beginning. `written(task, answer, text)` reads an answer that
    `render` could have written, where a pair may stand twice; None for any other. `text` is what the model sees, control tokens neutralised.
    """

    render: Callable[[Task, Example], str]
    grammar: Callable[[Task, str, str], str]
    written: Callable[[Task, str, str], list[Written] | None]


FORMATS = {
    "json": AnswerFormat(object_list.render, object_list.grammar, object_list.written),
    "grouped": AnswerFormat(grouped.render, grouped.grammar, grouped.written),
    "lines": AnswerFormat(pair_lines.render, pair_lines.grammar, pair_lines.written),
    "inline": AnswerFormat(inline.render, inline.grammar, inline.written),
}
