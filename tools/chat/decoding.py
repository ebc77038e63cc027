"""What an answer is allowed to be: anything ('free'), or only the task's own format ('schema'), by vLLM's structured outputs.

The schema is a JSON list of objects with the task's two fields, the label one of the task's; for classification it is one of the row's options. It goes to vLLM
as a grammar, and not as a JSON schema: there vLLM allows white space everywhere or nowhere, and training wrote `", "` and `": "`; and it lets a
model write \\u4e2d where training wrote 中. With the grammar, an answer in the schema is a string that json.dumps(…, ensure_ascii=False) can give.

In: a task and one row's options. Out: the value of a request's `structured_outputs`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tools.conf.task import Task

DECODINGS = ("free", "schema")


def constraint(task: Task, options: Sequence[str]) -> dict[str, Any]:
    """vLLM's `structured_outputs` for a row: a grammar for entities, a choice for classes; `options` are the names a class may have."""
    return {"grammar": grammar(task)} if task.kind == "ner" else {"choice": list(options)}


def grammar(task: Task) -> str:
    """The answers that training can teach for a task, as a GBNF grammar (github.com/ggml-org/llama.cpp, grammars/README.md: what xgrammar reads)."""
    fields = [(task.answer.label, "label"), (task.answer.text, "string")]
    if task.answer.text_first:
        fields.reverse()
    object_ = ' ", " '.join(f"{_literal(_json(name) + ': ')} {rule}" for name, rule in fields)
    labels = " | ".join(_literal(_json(name)) for name in task.names.values())
    return "\n".join(
        (
            'root ::= "[" (object (", " object)*)? "]"',
            f'object ::= "{{" {object_} "}}"',
            f"label ::= {labels}",
            r'string ::= "\"" char+ "\""',
            r'char ::= [^"\\\x00-\x1f] | "\\" (["\\bfnrt] | "u00" [01] [0-9a-f])',  # json.dumps escapes these, and nothing else
        )
    )


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _literal(text: str) -> str:
    """A string of a grammar; every character beyond ASCII stands for itself."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'
