"""Writes a JSON string as a pattern and as rules of a grammar: exactly the strings of json.dumps(…, ensure_ascii=False) that have a character.

In: nothing, or a text. Out: a pattern, rules, or a literal. The formats that are JSON share them.

    .venv/train/bin/python -c "from tools.chat.answer_formats.json_strings import RULES; print(RULES)"
"""

from __future__ import annotations

import json

CHARACTER, ESCAPE = r'[^"\\\x00-\x1f]', r'"\\" (["\\bfnrt] | "u00" [01] [0-9a-f])'  # json.dumps escapes these, and nothing else
INSIDE = r'(?:[^"\\\x00-\x1f]|\\(?:["\\bfnrt]|u00[01][0-9a-f]))*+'  # the same between two quotes, as a pattern of Python's
# The rule `string` of a GBNF grammar. Each way begins with its own character: xgrammar then keeps one mask of tokens for all places in a string, where `char+` made it
# look at most tokens of the vocabulary at each place.
RULES = "\n".join(
    (
        r'string ::= "\"" char',
        rf"char ::= {CHARACTER} rest | {ESCAPE} rest",
        rf'rest ::= "\"" | {CHARACTER} rest | {ESCAPE} rest',
    )
)


def literal(text: str) -> str:
    """Returns a text as JSON writes it. The same is a literal of a grammar: its escapes are JSON's for what texts hold."""
    return json.dumps(text, ensure_ascii=False)
