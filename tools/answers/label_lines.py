"""Reads the answers of models that write words instead of JSON: bullets, tables, "实体：张三，类别：人名".

In: the text of an answer. Out: pairs, added to a Reading. A pair is found only where a known label stands alone on one side. The entry point is tools.answers.parse.
"""

from __future__ import annotations

import re

from tools.answers.field_names import LABEL_FIELDS, TEXT_FIELDS
from tools.answers.reading import SEPARATORS, Reading
from tools.text import fold

LONGEST = 65_536  # characters that are read; no answer in words is as long

_BULLET = re.compile(r"\s*+(?:[-*•·●◦▪>#+]+|\(?\d{1,3}[.、)）:：]|（\d{1,3}）|[①-⑳])\s*+")
_MARKS = " \t\r\"'“”‘’「」『』`*_。.!！?？<>【】[]{}｛｝，,"
_TAG = re.compile(r"<([^<>/\s]{1,40})>([^<>]{1,200})</\1>")
_TUPLE = re.compile(r"[(（]([^()（）,，\n]{1,80})[,，]([^()（）,，\n]{1,80})[)）]")
_BETWEEN = re.compile(r"[,，;；、]|(?<!\s)\s++(?=[^\s:：,，()（）]{1,12}[:：])")
_STRONG = ("：", ":", "->", "→", "=>", "——", "—", "–", " - ", "=", "\t", "|", "是", "属于")
_WEAK = ("-", " ", "/")  # these stand within names too


def read_lines(text: str, reading: Reading) -> None:
    """Adds the pairs in the lines of a text to `reading`."""
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n")[0]
    lines = _Lines(reading)
    for tag in _TAG.finditer(text):
        lines.tag(tag[1], _bare(tag[2]))
    for line in _TAG.sub("", text).splitlines():
        if not [two for two in _TUPLE.findall(line) if lines.pair(*map(_bare, two))]:
            lines.line(line)


class _Lines:
    """Reads line by line, and keeps the label of the last heading and a field that waits for its partner."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.heading: str | None = None
        self.fields: dict[str, str] = {}

    def tag(self, label: str, text: str) -> None:
        """Adds <人名>张三</人名>. Other tags are HTML."""
        if self._label(label):
            self._add(label, text)

    def pair(self, one: str, other: str) -> bool:
        """Adds two words of which exactly one is a known label; returns False for any other two."""
        if self._label(one) == self._label(other) or not (one and other):
            return False
        self._add(*(one, other) if self._label(one) else (other, one))
        return True

    def line(self, line: str) -> None:
        """Reads one line, with or without a bullet."""
        bullet = _BULLET.match(line)
        body = line[bullet.end() :] if bullet else line
        word = _bare(body.rstrip(" \t:："))
        if not word:
            return
        if "|" in line.strip()[1:-1] and self._cells([_bare(cell) for cell in line.strip().strip("|").split("|")]):
            return
        if self._label(word) and not self.fields:
            self.heading = word
        elif bullet and self.heading and not any(mark in body for mark in "：:（("):
            for part in _BETWEEN.split(body):
                self._add(self.heading, _bare(part))
        elif self.heading and not bullet and self.reading.in_sentence(_bare(body)):
            self._add(self.heading, _bare(body))
        elif not self._parts(_BETWEEN.split(body)) and not bullet:
            self.heading = None

    def _cells(self, cells: list[str]) -> bool:
        """Reads a table's row: the one cell that is a known label, and the first of the others that isn't a number."""
        labels = [cell for cell in cells if self._label(cell)]
        texts = [cell for cell in cells if cell and cell not in labels and not cell.isdecimal()]
        if len(labels) != 1 or not texts:
            is_rule = all(set(cell) <= set("-:=") for cell in cells)
            self.reading.unread += len(texts) > 1 and not is_rule and not any(map(_is_field, texts))
            return False
        self.reading.rules.add("lines")
        for text in SEPARATORS.split(texts[0]) if len(texts) == 1 and not self.reading.in_sentence(texts[0]) else texts[:1]:
            self._add(labels[0], _bare(text))
        return True

    def _parts(self, parts: list[str]) -> bool:
        """Reads a line's parts, one after another; a label before a colon holds for the parts after it. Returns whether any part was read."""
        words = [_bare(part) for part in parts]
        if len(words) == 2 and any(self._fits("-", word) for word in words if not self._label(word)) and self.pair(*words):
            return True
        label, found = None, False
        for part in parts:
            if self._field(part):
                label, found = None, True
            elif sides := self._sides(part):
                self._add(*sides[:2])
                label, found = sides[0] if sides[2] else None, True
            elif label and _bare(part):
                self._add(label, _bare(part))
        return found

    def _field(self, part: str) -> bool:
        """Reads "实体：张三", which waits for "类别：人名", or the other way round, and adds the pair once both are there; returns False for any other part."""
        name, colon, value = part.replace("：", ":").partition(":")
        name = _bare(name)
        kind = "label" if fold(name) in LABEL_FIELDS else "text" if fold(name) in TEXT_FIELDS and not self._label(name) else ""
        if not colon or not kind:
            return False
        self.fields[kind] = _bare(value)
        if len(self.fields) == 2:
            label, text = self.fields["label"], self.fields["text"]
            self.fields = {}
            if self._label(label) or self.reading.in_sentence(text) or self.reading.is_nothing(text):
                self._add(label, text)
            else:
                self.reading.unread += 1
        return True

    def _sides(self, part: str) -> tuple[str, str, bool] | None:
        """Returns (label, text, whether the label is on the left) of "人名：张三", "张三 - 人名" or "张三（人名）"."""
        body = part.strip().rstrip("。.!！*` ")
        if body.endswith(("）", ")")):
            left, _, right = body[:-1].replace("（", "(").rpartition("(")
            for text, label in ((left, right), (right, left)):
                if self._label(_bare(label)) and _bare(text):
                    return _bare(label), _bare(text), False
        for mark in _STRONG + _WEAK:
            if mark not in body:
                continue
            label, _, text = map(_bare, body.partition(mark))
            label = _behind_colon(label)
            if self._label(label) and (text or mark in "：:") and self._fits(mark, text):
                return label, text, mark not in _WEAK
            text, _, label = map(_bare, body.rpartition(mark))
            label = _behind_colon(label)
            if self._label(label) and text and self._fits(mark, text) and not _is_field(text):
                return label, text, False
        return None

    def _fits(self, mark: str, text: str) -> bool:
        if mark not in _WEAK:
            return True
        return self.reading.in_sentence(text) if self.reading.sentence is not None else not text.isascii() and " " not in text

    def _label(self, word: str) -> bool:
        return bool(word) and self.reading.known(word)

    def _add(self, label: str, text: str) -> None:
        if text:
            self.reading.rules.add("lines")
            before = _bare(text.replace("（", "(").partition("(")[0])  # "张三（主席）"
            is_remarked = not self.reading.in_sentence(text) and self.reading.in_sentence(before)
            self.reading.add(label, before if is_remarked else text)


def _behind_colon(label: str) -> str:
    return _bare(label.replace("：", ":").rpartition(":")[2])


def _is_field(word: str) -> bool:
    return fold(word) in LABEL_FIELDS or fold(word) in TEXT_FIELDS


def _bare(text: str) -> str:
    """Returns the text without the marks around it: quotes, Markdown, brackets, full stops."""
    return text.strip(_MARKS)
