"""Says what is wrong with text that isn't JSON: cut off, or written by something else than a JSON writer, with the way out.

In: the text and the decoder's error. Out: a BadRow.
"""

from __future__ import annotations

import json
import re

from tools.data.raw.row import BadRow
from tools.files import json_problem

CUT = "the file ends in the middle of this row"
NO_COMMA = "',' or ']' is needed"
_PYTHON = re.compile(r"'|(?:None|True|False)\b|\(\s*['\"]")
# What was meant to be JSON: it begins like an object, a list of objects, lists or strings, a tuple, a variable or a comment.
LIKE_JSON = re.compile(r"\s*(?:\{|\[\s*[\[{('\"]|\(\s*['\"]|//|/\*|(?:var |let |const )?[A-Za-z_]\w* *= *[\[({])")
_ASSIGNED = re.compile(r"(?:var |let |const )?[A-Za-z_]\w* *= *[\[({]")
_FROM_PYTHON = (
    "it is Python's repr. To convert it: .venv/train/bin/python -c"
    ' "import ast, json, sys; [print(json.dumps(ast.literal_eval(row.strip().rstrip(chr(44))), ensure_ascii=False)) for row in open(sys.argv[1])]" FILE > FILE.jsonl'
)


def broken(line: int, text: str, error: ValueError | RecursionError, place: str, ended: bool) -> BadRow:
    """Returns the BadRow of a row at `line` that isn't JSON. `place` follows the reason, as in ' at column 3'; `ended`: the file can't have been cut off in it."""
    problem = f"not JSON: {json_problem(error).removesuffix(' starting at')}"
    if not isinstance(error, json.JSONDecodeError):  # a number of too many digits, or too deep a list, is a fault wherever the file ends
        return BadRow(line, f"{problem}.", "json")
    problem += place
    if not ended and at_end(text.rstrip(), error):
        return BadRow(line, f"{CUT} ({problem}).", "truncated")
    return BadRow(line, f"{problem}{_hint(text, error.pos)}.", "json")


def at_end(text: str, error: json.JSONDecodeError) -> bool:
    """Returns whether the decoder failed because the text ends. It names the beginning of an incomplete string or word; a complete value ends in ']' or '}'."""
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return True
    return error.pos > 0 and error.msg not in (NO_COMMA, "Extra data") and not text.endswith(("]", "}")) and not _PYTHON.match(text, error.pos)


def _hint(text: str, position: int) -> str:
    """Returns the likely cause of the decoder's fault at a position, as a clause; empty where none is known."""
    found = text[position : position + 1]
    if _PYTHON.match(text, position):
        return f"; {_FROM_PYTHON}"
    if position == 0 and _ASSIGNED.match(text):
        return "; it is code that gives a variable its value: leave the value alone in the file, or write it with Python's json.dump"
    if found in ("}", "]") and text[:position].rstrip().endswith(","):
        return f"; delete the comma before '{found}'"
    if found and found in "“”‘’：，【】｛｝":
        return f"; '{found}' is full-width: write the ASCII character"
    if text.startswith(("//", "/*", "#"), position):
        return "; JSON has no comments: delete them"
    return ""
