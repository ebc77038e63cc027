"""Limits a model's answer to the task's own format ('schema'), or leaves it free ('free'), by vLLM's structured outputs.

The format of entities is the task's (tools.chat.answer_formats), the label being one of the task's. The format of a class is one of the row's options. vLLM gets a
grammar, not a JSON schema: with a JSON schema vLLM allows white space everywhere or nowhere, where training wrote `", "` and `": "`, and the model may write \\u4e2d where
training wrote 中. The grammar allows exactly the strings that training writes, behind what training puts before each answer: an empty thought, a line feed.

In: a task, one row's text and options, and the run's text before an answer. Out: the value of a request's `structured_outputs`.

    ./ner eval conf/tiny-qwen2-sample-ner-lora-sft.yaml --decoding schema
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tools.chat.answer_formats import FORMATS
from tools.conf.task import Task
from tools.text import neutralise

DECODINGS = ("free", "schema")


def constraint(task: Task, text: str, options: Sequence[str], before: str = "") -> dict[str, Any]:
    """Returns vLLM's `structured_outputs` for a text: a grammar for entities, a choice for classes.

    `options` are the names that a class may have; `before` is what training puts before each answer (tools.chat.thinking). Rows have one grammar in common, unless the
    task's answers copy the text.
    """
    if task.kind == "classification":
        return {"choice": [before + option for option in options]}
    return {"grammar": FORMATS[task.answer.format].grammar(task, neutralise(text), before)}
