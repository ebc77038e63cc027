"""The language of messages: English as they are written, Chinese where the environment asks for it.

In: a message with its values filled in, and LC_ALL, LC_MESSAGES or LANG. Out: the same message in Chinese, by the template in tools/zh.json that it was made from.
A message is written once, in English, where it arises; a template is that f-string with `{}` for each value, and its translation names them {0}, {1} … in the
order that Chinese wants. What has no template stays English: a message is never lost.

    LANG=zh_CN.UTF-8 python -m tools.data.check conf/task/nothing.yaml
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

CATALOGUE = Path(__file__).parent / "zh.json"
VALUE = "{}"
DEPTH = 6  # a message in a message in …
LONGEST = 5000  # a longer line is data, not a message
MOST = 20  # and so is one of more parts
END = r"(?<=[.?!]) +(?=[A-Z])"
FULL_WIDTH = ("。", "？", "；", "，", "：", "）")
PLACE = re.compile(r"\{0\}: (?!.*\{0\})")
SENTENCE = re.compile(r"(?:\b[a-z']+,? ){2,}[a-z']+")
WORDS = re.compile(r"[A-Za-z']{2,} [A-Za-z']{2,}")
LETTERS = re.compile(r"[A-Za-z]{2}")
USAGE = "用法: "  # argparse's own word; its catalogues aren't part of Python


class Template(NamedTuple):
    """A message's fixed parts, in order, with one value between each two; its translation; and the longest of the parts, which tells most messages apart."""

    parts: list[str]
    chinese: str
    longest: str

    @classmethod
    def of(cls, parts: list[str], chinese: str) -> Template:
        """The template of these parts."""
        return cls(parts, chinese, max(parts, key=len))

    @property
    def is_weak(self) -> bool:
        """Whether a value comes first and one short word is all that is fixed: it fits most of what anybody says."""
        fixed = "".join(self.parts)
        return not self.parts[0] and len(re.findall("[A-Za-z]+", fixed)) < 2 and len(fixed.replace(" ", "")) <= 8

    @property
    def is_word(self) -> bool:
        """Whether it is a single word without a value: within a message that may be a name of the user's, a label or a run."""
        return len(self.parts) == 1 and " " not in self.parts[0]


def is_chinese(environ: Mapping[str, str] | None = None) -> bool:
    """Whether messages are Chinese: the first of LC_ALL, LC_MESSAGES and LANG that is set decides (POSIX, 'Environment Variables', 8.2)."""
    environ = os.environ if environ is None else environ
    chosen = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return chosen.lower().startswith("zh")


def say(*values: object, sep: str = " ", end: str = "\n", file: TextIO | None = None, flush: bool = False) -> None:
    """`print`, in the user's language."""
    print(in_language(sep.join(map(str, values))), end=end, file=file, flush=flush)


def in_language(text: str) -> str:
    """`text` in the user's language, line by line."""
    return translate(text) if is_chinese() else text


def translate(text: str) -> str:
    """`text` in Chinese, line by line; a line without a template stays as it is."""
    return "\n".join(_line(line, 0) for line in text.split("\n"))


def _line(line: str, depth: int) -> str:
    core = line.strip()
    if not core or depth > DEPTH or len(core) > LONGEST or not LETTERS.search(core):
        return line
    start = line.index(core)
    return line[:start] + _core(core, depth) + line[start + len(core) :]


@lru_cache(maxsize=10_000)
def _core(core: str, depth: int) -> str:
    """A message, or several one after the other, in Chinese; `core` itself where nothing is known of it."""
    candidates = (one for one in catalogue() if one.longest in core and not (depth and one.is_word))
    found = [(one, values) for one in candidates if (values := match(one.parts, core)) is not None]
    strong = [(one, values) for one, values in found if not one.is_weak]
    # A value that holds the end of a sentence is rather two messages than one.
    for one, values in strong:
        if not any(re.search(END, value) for value in values):
            return _filled(one.chinese, [_line(value, depth + 1) for value in values])
    if core[0] == "(" and core[-1] == ")" and (inner := _line(core[1:-1], depth + 1)) != core[1:-1]:
        return f"（{inner}）"
    if place := re.match(r"(\S+:(?:\d+:)? )(?=\S)", core):  # file:line: message
        return place[1] + _line(core[place.end() :], depth + 1)
    if (aside := re.fullmatch(r"(.*[^\s(]) \(([^()]*)\)(\.?)", core)) and (before := _line(aside[1], depth + 1)) != aside[1]:
        return f"{before}（{_line(aside[2], depth + 1)}）{'。' if aside[3] else ''}"
    for stop, joint in ((END, ""), (" → ", " → "), (r"; ", "；"), (r", (?![^()]*\))", "，")):
        pieces = re.split(stop, core)
        said = [_line(piece, depth + 1) for piece in pieces] if len(pieces) <= MOST else []
        unknown = [old for new, old in zip(said, pieces, strict=True) if new == old] if said else []
        if len(unknown) < len(said) > 1 and not any(SENTENCE.search(piece) for piece in unknown):  # a figure or a path needs no Chinese
            return joint.join(said)
    for one, values in [*strong, *found]:
        said = [_line(value, depth + 1) for value in values]
        unknown = [old for new, old in zip(said, values, strict=True) if new == old]
        if not one.is_weak or not any(WORDS.search(value) or ", " in value for value in unknown):
            return _filled(one.chinese, said)
    return _sentences(core, depth)


def _sentences(core: str, depth: int) -> str:
    """Sentence by sentence, those that nothing is known of as they are."""
    pieces = re.split(f"({END})", core)
    return _joined(_line(piece, depth + 1) for piece in pieces) if 1 < len(pieces) <= 2 * MOST else core


def _filled(chinese: str, values: list[str]) -> str:
    """The translation with {0}, {1} … replaced; a value may hold braces of its own."""
    return _joined(values[int(piece[1:-1])] if re.fullmatch(r"\{\d+\}", piece) else piece for piece in re.split(r"(\{\d+\})", chinese))


def _joined(pieces: Iterable[str]) -> str:
    """The pieces in a row; full-width punctuation needs no space behind it."""
    whole = ""
    for piece in pieces:
        whole += piece.lstrip(" ") if whole.endswith(FULL_WIDTH) else piece
    return whole


def match(parts: list[str], text: str) -> list[str] | None:
    """The values that stand between `parts` in `text`, each as short as can be; None where the text isn't made of them. Time is linear in the text."""
    if len(parts) == 1:
        return [] if text == parts[0] else None
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return None
    values, at, end = [], len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return None
        values.append(text[at:found])
        at = found + len(part)
    return [*values, text[at:end]]


@cache
def catalogue() -> list[Template]:
    """All templates: first those that begin with fixed text, which hold others rather than being held; then by how much is fixed, so that the special one wins.

    A message that begins with its place also stands without it, for where the place was said before.
    """
    entries = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    templates = [Template.of(english.split(VALUE), chinese) for english, chinese in entries.items()]
    templates += [
        _placeless(template) for template in templates if template.parts[0] == "" and template.parts[1][:2] == ": " and PLACE.match(template.chinese)
    ]
    return sorted(templates, key=lambda template: (not template.parts[0], -sum(map(len, template.parts))))


def _placeless(template: Template) -> Template:
    chinese = re.sub(r"\{(\d+)\}", lambda number: f"{{{int(number[1]) - 1}}}", PLACE.sub("", template.chinese))
    return Template.of([template.parts[1][2:], *template.parts[2:]], chinese)


class Parser(argparse.ArgumentParser):
    """argparse's parser with its help and errors in the user's language."""

    def format_help(self) -> str:
        """As argparse's; description, titles and the help of each option are translated."""
        if not is_chinese():
            return super().format_help()
        self.description, self.epilog = translate(self.description or ""), translate(self.epilog or "")
        for group in self._action_groups:
            group.title = translate(group.title or "")
        for action in self._actions:
            action.help = translate(action.help) if action.help and action.help != argparse.SUPPRESS else action.help
        return super().format_help().replace("usage: ", USAGE, 1)

    def error(self, message: str) -> NoReturn:
        """The usage, and one line that says what was wrong; exit code 2."""
        self.print_usage(sys.stderr)
        self.exit(2, in_language(f"{self.prog}: error: {message}") + "\n")
