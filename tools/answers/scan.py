"""Finds the JSON-like values in free text in one pass without recursion: time and memory are linear in the text's length.

In: any text. Out: its values, the text outside of them, and the rules that were needed to read them. Text is never run as code.

    .venv/train/bin/python -c "from tools.answers.scan import scan; print(scan('答案：[{\\'人名\\': \\'张三\\'},]'))"
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tools.answers.escapes import unescape

MAX_DEPTH = 64  # no answer is nested so deeply, unless the model repeats an opening bracket without end

_QUOTES = "\"'“”‘’「『"
# An opening bracket counts outside of a value only where one can begin: "[1]" and "{见下文}" are prose.
_START = re.compile(
    rf"[\[【](?=\s*+(?:[uU]?[{_QUOTES}]|[\[{{(【｛（\]】]|\Z))"
    rf"|\((?=\s*+(?:[uU]?[\"'“][^\"'“”\n]{{1,80}}[\"'”]\s*+,|[(\[{{]\s*+[uU]?[\"'“]))"
    rf"|[{{｛](?=\s*+(?:[uU]?[{_QUOTES}]|[\[{{}}｛｝]|[^\s\\\"'“”\[\]{{}},，:：]{{1,40}}\s*+[:：]|\Z))"
)
_TOKEN = re.compile(
    rf"""\s*+(?:
      (?P<open>[\[{{【｛]|[(（](?=\s*+(?:[uU]?[{_QUOTES}]|[\[{{(]|\d+\s*+,)))
    | (?P<close>[\]}}】｝)）])
    | (?P<comma>[,，、;；])
    | (?P<colon>[:：]|=>?)
    | (?P<comment>//[^\n]*+|\#[^\n]*+|\.\.\.+|…+)
    | (?P<quote>[uUbBrR]?[{_QUOTES}])
    | (?P<bare>[^\s\[\]{{}}【】｛｝()（）,，、;；:："'“”‘’「『][^\[\]{{}}【】｛｝)）,，、;；:："“”\n]*+)
    | (?P<other>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_CLOSERS = {'"': '"', "'": "'", "“": '”“"', "”": '”“"', "‘": "’‘'", "’": "’‘'", "「": "」", "『": "』"}
# A quote ends a string if something structural follows; any other quote is part of it.
_ENDS = re.compile(
    rf"\s*+(?:[,;:=\]}}】｝)）]|[，、；：]\s*+(?:[{_QUOTES}\[{{(【｛（\]}}】｝)）\d]|\Z)|//|\#|\Z)"
    r"|[ \t]*+\n|\s++[\"'“][^\"'“”\n]{1,30}[\"'”]\s*+[:：,，\]]|[ \t]++\d{1,9}\s*+[,，\]]"
)
# A line's end within a string is part of it, unless the next line is blank or begins with JSON.
_BREAKS = re.compile(r"\n[ \t\r]*+(?:[\n\"'“\[\]{}]|\Z)")
# The text before a quote that begins another string, and behind a quote that begins a key.
_NEXT_OBJECT, _COMMA = re.compile(r"[}\]]\s*,\s*[{\[]\s*\Z"), re.compile(r"[,，]\s*\Z")
_KEY = re.compile(r"[^\"'“”\n]{1,30}[\"'”]\s*+[:：]")
_BODIES = {quote: re.compile(rf"(?:[^{closers}\\\n]++|\\.)*+", re.DOTALL) for quote, closers in _CLOSERS.items()}
_NUMBER = re.compile(r"[-+]?[\d.]{1,40}(?:[eE][-+]?\d{1,5})?%?'?")
_WORDS: dict[str, bool | None] = {"null": None, "None": None, "NaN": None, "true": True, "false": False, "True": True, "False": False}
_decode = json.JSONDecoder(object_pairs_hook=tuple, parse_constant=int).raw_decode  # the fast way for JSON; it refuses NaN
_KIND = {"【": "[", "｛": "{", "（": "(", "]": "[", "】": "[", "}": "{", "｝": "{", ")": "(", "）": "("}
_ALL_WIDE, _NARROW = re.compile("[［｛]\\s*[｛＂＇“]"), str.maketrans("［］＂＇", "[]\"'")
_FULL_WIDTH = frozenset("【】｛｝（），、；：“”‘’「『")


class _Keyed(NamedTuple):
    key: str
    value: Any


@dataclass(slots=True)
class Scanned:
    """The values of a text: an object is a tuple of (key, value), so that a repeated key is not lost; a list or Python tuple is a list; a number is an int or a float.

    `outside` is the text around the values, `spans` are the values' places, `rules` are the rules that were needed (keys of tools.answers.parse.RULES). `cut`: the text ends within a value, which
    then holds its whole parts.
    """

    values: list[Any]
    outside: str
    rules: set[str]
    cut: bool = False
    spans: list[tuple[int, int]] = field(default_factory=list)


def scan(text: str) -> Scanned:
    """Returns all JSON-like values of a text, from the left; values inside strings and other values are parts of these."""
    found, pieces, position = Scanned([], "", set()), [], 0
    if _ALL_WIDE.search(text):
        text = text.translate(_NARROW)
        found.rules.add("syntax")
    while start := _START.search(text, position):
        pieces.append(text[position : start.start()])
        try:
            plain, position = _decode(text, start.start())
            found.values.append(plain)
        except (ValueError, RecursionError):
            value = _Value(text, found.rules)
            position = value.read(start.start())
            found.values += value.result
            found.cut = value.cut
        found.spans.append((start.start(), position))
    found.outside = "\n".join([*pieces, text[position:]])
    return found


def scan_at(text: str, start: int) -> tuple[Any, int] | None:
    """Returns the value that begins at `start`, and its end; None where none begins there, or none of it is whole."""
    if not _START.match(text, start):
        return None
    value = _Value(text, set())
    end = value.read(start)
    return (value.result[0], end) if value.result else None


class _Frame:
    """An open bracket with its values and key-value pairs so far, and the key that waits for its value."""

    __slots__ = ("entries", "key", "kind", "last")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.entries: list[Any] = []
        self.key: str | None = None
        self.last = ""  # the kind of token that came last: 'value', 'comma' or 'colon'

    def build(self, rules: set[str]) -> Any:
        """Returns the value of the closed bracket, and adds to `rules`."""
        pairs = tuple((entry.key, entry.value) for entry in self.entries if type(entry) is _Keyed)
        if self.kind != "{":
            if pairs:
                rules.add("repaired")
            return [((entry.key, entry.value),) if type(entry) is _Keyed else entry for entry in self.entries]
        loose = [entry for entry in self.entries if type(entry) is not _Keyed]
        if not loose:
            return pairs
        rules.add("repaired")
        return [pairs, *loose] if pairs else loose


class _Value:
    """Reads one value with a stack of open brackets."""

    def __init__(self, text: str, rules: set[str]) -> None:
        self.text = text
        self.rules = rules
        self.stack: list[_Frame] = []
        self.open = {"[": 0, "{": 0, "(": 0}
        self.prose = False  # a closing bracket is missing, and words follow
        self.result: list[Any] = []  # the value; empty where the text ends before any part is whole
        self.cut = False

    def read(self, position: int) -> int:
        """Reads the value that begins at `position`; returns its end."""
        text, match = self.text, _TOKEN.match
        while token := match(text, position):
            position, kind = token.end(), token.lastgroup
            word = token[kind or 0]
            if word[-1] in _FULL_WIDTH and kind not in ("bare", "comment") and not self.prose:
                self.rules.add("syntax")
            if kind == "open":
                if len(self.stack) == MAX_DEPTH:
                    position = len(text)
                    break
                self._open(_KIND.get(word, word))
            elif kind == "close":
                self._close(_KIND[word])
                if not self.stack:
                    return position
            elif kind == "quote" and not self.prose:
                position = self._string(word, position)
            elif kind == "comment":
                self.rules.add("syntax")
            elif kind == "bare":
                self._bare(word.strip())
            elif kind in ("comma", "colon") and not self.prose:
                self._comma() if kind == "comma" else self._colon(word)
        self.cut = not self.prose
        if self.prose:
            self.rules.add("repaired")
        while self.stack:
            self.stack[-1].key = None  # its value was never read
            self._pop(torn=True)
        return len(text) if self.cut or position >= len(text) else position

    def _open(self, kind: str) -> None:
        self.prose = False
        if kind == "(":
            self.rules.add("syntax")
        self.open[kind] += 1
        self.stack.append(_Frame(kind))

    def _close(self, kind: str) -> None:
        self.prose = False
        if not self.open[kind]:
            self.rules.add("repaired")
            return
        while self.stack[-1].kind != kind:
            self.rules.add("repaired")
            self._pop()
        self._pop()

    def _pop(self, torn: bool = False) -> None:
        frame = self.stack.pop()
        self.open[frame.kind] -= 1
        if torn and frame.kind == "{":  # a string alone is a key whose value never came
            frame.entries = [entry for entry in frame.entries if not isinstance(entry, str)]
        if torn and not frame.entries:
            return  # its content is unknown, so it is no empty list
        if frame.key is not None:
            frame.entries.append(_Keyed(frame.key, None))
        if frame.last == "comma" and frame.entries and not torn:
            self.rules.add("syntax")
        value = frame.build(set() if torn else self.rules)
        if self.stack:
            self._value(value)
        else:
            self.result.append(value)

    def _value(self, value: Any) -> None:
        frame = self.stack[-1]
        if frame.key is not None:
            frame.entries.append(_Keyed(frame.key, value))
            frame.key = None
        else:
            if frame.last == "value":
                self.rules.add("repaired")
            frame.entries.append(value)
        frame.last = "value"

    def _comma(self) -> None:
        frame = self.stack[-1]
        if frame.key is not None:
            frame.entries.append(_Keyed(frame.key, None))
            frame.key = None
        if frame.last != "value":
            self.rules.add("repaired")
        frame.last = "comma"

    def _colon(self, word: str) -> None:
        frame = self.stack[-1]
        if word[0] == "=":
            self.rules.add("repaired")
        if frame.last == "value" and isinstance(frame.entries[-1], str):
            frame.key = frame.entries.pop()
            frame.last = "colon"
        else:
            self.rules.add("repaired")

    def _bare(self, word: str) -> None:
        frame = self.stack[-1]
        if frame.last == "value" and frame.kind == "[" and type(frame.entries[-1]) in (tuple, list):
            self.prose = True
        if self.prose:
            return
        if word in _WORDS:
            if word[0].isupper():
                self.rules.add("syntax")
            self._value(_WORDS[word])
        elif _NUMBER.fullmatch(word):
            self._value(_number(word))
        else:
            self.rules.add("syntax")
            self._value(word)

    def _string(self, quote: str, start: int) -> int:
        """Reads a string whose opening quote ends at `start`; returns its end. A string without an end has no value."""
        text, body = self.text, _BODIES[quote[-1]]
        if len(quote) > 1:
            self.rules.add("syntax")
        if quote[-1] == "'":
            self.rules.add("syntax")
        at = start
        while True:
            match = body.match(text, at)
            at = match.end() if match else at
            if at >= len(text) or text[at] == "\\":
                return len(text)
            if text[at] == "\n":
                if _BREAKS.match(text, at):
                    self.rules.add("repaired")
                    return at
            elif _ENDS.match(text, at + 1):
                self._value(unescape(text[start:at], self.rules))
                return at + 1
            elif (lost := self._lost_quote(start, at)) is not None:
                self.rules.add("repaired")
                self._value(unescape(text[start:lost].rstrip(), self.rules))
                return lost
            self.rules.add("repaired")
            at += 1

    def _lost_quote(self, start: int, at: int) -> int | None:
        """Returns the place where the string should have ended, if the quote at `at` begins the next one: "张三}, {"label" or "人名, "text":."""
        before = self.text[max(start, at - 12) : at]
        if lost := _NEXT_OBJECT.search(before) or (_KEY.match(self.text, at + 1) and _COMMA.search(before)):
            return at - len(before) + lost.start()
        return None


def _number(word: str) -> int | float:
    word = word.rstrip("'%")
    try:
        return float(word) if not word.lstrip("+-").isdecimal() else int(word[:18])
    except ValueError:
        return 0  # such as 1.2.3
