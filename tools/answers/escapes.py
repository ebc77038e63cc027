"""Resolves the escapes of a string in JSON or Python.

In: what stood between two quotes. Out: the string. It serves tools.answers.scan.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'", "\n": ""}
_SURROGATE = re.compile("[\ud800-\udfff]")


def unescape(raw: str, rules: set[str]) -> str:
    """Returns a string with JSON's and Python's escapes resolved. An escape that neither has stays as it is, and adds to `rules`."""
    if "\\" not in raw:
        return raw

    def character(found: re.Match[str]) -> str:
        if code := found[1] or found[2]:
            return chr(int(code, 16))
        if found[3] not in _ESCAPED:
            rules.add("repaired")
        return _ESCAPED.get(found[3], found[0])

    text = _ESCAPE.sub(character, raw)
    # Two \u escapes may be one character; one that stands alone stays as it is.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass") if _SURROGATE.search(text) else text
