"""Limits a model's answer to the task's own format ('schema'), or leaves it free ('free'), by vLLM's structured outputs.

The format of entities is a JSON list of objects with the task's two fields, the label being one of the task's. The format of a class is one of the row's options. vLLM
gets a grammar, not a JSON schema: with a JSON schema vLLM allows white space everywhere or nowhere, where training wrote `", "` and `": "`, and the model may write
\\u4e2d where training wrote 中. The grammar allows exactly the strings that json.dumps(…, ensure_ascii=False) writes, behind what training puts before each answer: an
empty thought, a line feed.

In: a task, one row's options and the run's text before an answer. Out: the value of a request's `structured_outputs`.

    ./ner eval conf/tiny-qwen2-sample-ner-lora-sft.yaml --decoding schema
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tools.conf.task import Task

DECODINGS = ("free", "schema")
CHARACTER, ESCAPE = r'[^"\\\x00-\x1f]', r'"\\" (["\\bfnrt] | "u00" [01] [0-9a-f])'  # json.dumps escapes these, and nothing else


def constraint(task: Task, options: Sequence[str], before: str = "") -> dict[str, Any]:
    """Returns vLLM's `structured_outputs` for a row: a grammar for entities, a choice for classes.

    `options` are the names that a class may have; `before` is what training puts before each answer (tools.chat.thinking).
    """
    return {"grammar": grammar(task, before)} if task.kind == "ner" else {"choice": [before + option for option in options]}


def grammar(task: Task, before: str = "") -> str:
    """Returns a GBNF grammar of the answers that training can teach (github.com/ggml-org/llama.cpp, grammars/README.md; xgrammar reads it)."""
    fields = [(task.answer.label, "label"), (task.answer.text, "string")]
    if task.answer.text_first:
        fields.reverse()
    object_ = ' ", " '.join(f"{_json(_json(name) + ': ')} {rule}" for name, rule in fields)
    labels = " | ".join(_json(_json(name)) for name in task.names.values())
    return "\n".join(
        (
            f'root ::= {_json(before + "[")} (object (", " object)*)? "]"',
            f'object ::= "{{" {object_} "}}"',
            f"label ::= {labels}",
            r'string ::= "\"" char',
            # Each way begins with its own character: xgrammar then keeps one mask of tokens for all places in a string, where `char+` made it look at most tokens
            # of the vocabulary at each place.
            rf"char ::= {CHARACTER} rest | {ESCAPE} rest",
            rf'rest ::= "\"" | {CHARACTER} rest | {ESCAPE} rest',
        )
    )


def _json(text: str) -> str:
    """Returns a text as JSON writes it; a grammar's strings have the same escapes for what JSON text holds."""
    return json.dumps(text, ensure_ascii=False)
