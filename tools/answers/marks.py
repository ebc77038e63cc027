"""Reads entities that are marked in the text: tags, [text|label], [text](label), YEDDA, text/label, and BIO tags word by word.

In: the text of an answer. Out: pairs, added to a Reading. The mark's two sides are told apart by the labels that the task knows. The entry point is tools.answers.parse.
"""

from __future__ import annotations

import re
from html import unescape

from tools.answers.field_names import LABEL_FIELDS, OTHER_FIELDS, TEXT_FIELDS, WRAPPERS
from tools.answers.reading import Reading
from tools.text import fold

_ATTRIBUTE = re.compile(r"([\w:.-]{1,40})\s*=\s*(?:\"([^\"<>]{0,200})\"|'([^'<>]{0,200})'|([^\s\"'<>/]{1,200}))")
_ELEMENT = re.compile(r"<([^<>/\s=|]{1,40})((?:\s[^<>]{0,300}?)?)(?:/>|>([^<>]{0,300})</\1\s*>)")
_PARAMETER = re.compile(r"<parameter[= ]([^<>=\"']{1,40})>([^<>]{0,300})</parameter>")  # of a tool call, as Qwen3-Coder writes it
_HTML = re.compile("a|b|i|u|p|s|em|strong|span|div|code|pre|br|li|ul|ol|td|tr|th|table|html|body|head|script|mark|del|small|sup|sub|font|h1|h2|h3")
# Each has two groups, the mark's two sides; the order of the patterns is that of their surety.
_MARKS = [
    re.compile(r"^T\d{1,4}\s+(\S{1,40})\s+\d{1,6}\s+\d{1,6}\s+(\S[^\n]{0,200})", re.MULTILINE),  # brat
    re.compile(r"\[@([^\[\]#\n]{1,200})#([^\[\]#*\n]{1,40})\*\]"),  # YEDDA
    re.compile(r"[\[【<{｛]\s*([^\[\]【】<>{}｛｝|｜\n]{1,200}?)\s*[|｜]\s*([^\[\]【】<>{}｛｝|｜\n]{1,200}?)\s*[\]】>}｝]"),
    re.compile(r"[\[【]([^\[\]【】|\n]{1,200})[\]】]\s?[(（{｛]([^()（）{}｛｝\n]{1,60})[)）}｝]"),
    re.compile(r"\*\*([^*\n]{1,200})\*\*[ \t]?[(（\[]([^()（）\[\]\n]{1,60})[)）\]]"),
    re.compile(r"[\[【<]([^\s\[\]【】<>|:：]{1,40})\s([^\[\]【】<>|:：\n]{1,200})[\]】>]"),
    re.compile(r"[\[【(（{｛<]([^\[\]【】()（）{}｛｝:：|,，\n]{1,60})[:：]\s*([^\[\]【】()（）{}｛｝:：|,，\n]{1,200})[\]】)）}｝>]"),
    re.compile(r"(?<![^\s，,、;；。])([^\s/，,、;；。]{1,60})/([^\s/，,、;；。]{1,40})(?![^\s，,、;；。])"),
]
_TAGGED = re.compile(
    r"(?<!\S)[\"'(\[]{0,2}([^\s\"'(]{1,30}?)[\"']?(?:/|[ \t]+|\||_|[ \t]*[,:：][ \t]*)[\"']?(O|[BIESMLU][-_][^\s\"',)\]/]{1,40})[\"']?[)\]]{0,2}[,;]?(?!\S)"
)


def read_marks(text: str, reading: Reading) -> bool:
    """Adds the marked entities of a text to `reading`; returns False where there is none."""
    before, text = len(reading.items), _PARAMETER.sub(r"<\1>\2</\1>", text)
    for read in (_tagged, _elements, _marked):
        read(text, reading)
        if len(reading.items) > before:
            reading.rules.add("marks")
            return True
    return False


def _tagged(text: str, reading: Reading) -> None:
    """Reads 王/B-name 小/I-name, or a word and its tag a line."""
    found = list(_TAGGED.finditer(text))
    if not any(tag[2] != "O" and reading.known(tag[2][2:]) for tag in found):
        return
    for tag in found:
        reading.add(tag[2], tag[1])


def _elements(text: str, reading: Reading) -> None:
    """Reads <name>张三</name>, <entity type="name">张三</entity>, <entity label="name" text="张三"/> and <entity><label>name</label><text>张三</text></entity>."""
    found = [(element[1], element[2], unescape(element[3] or "").strip()) for element in _ELEMENT.finditer(text)]
    names = {fold(tag) for tag, _, _ in found}
    in_fields = any(fold(tag) in LABEL_FIELDS and not attributes.strip() for tag, attributes, _ in found) and bool(names & TEXT_FIELDS)
    record: dict[str, str] = {}
    for tag, attributes, inside in found:
        fields = {key: one or two or three for key, one, two, three in _ATTRIBUTE.findall(attributes)}
        if fields:
            reading.read(tuple({**fields, **({"text": inside} if inside else {})}.items()))
        elif in_fields:
            if tag in record:
                record = {}
            record[tag] = inside
            if len(record) > 1:
                before = len(reading.items)
                reading.read(tuple(record.items()))
                record = {} if len(reading.items) > before else record
        elif reading.known(tag) or (
            not _HTML.fullmatch(fold(tag)) and fold(tag) not in LABEL_FIELDS | TEXT_FIELDS | WRAPPERS | OTHER_FIELDS and reading.in_sentence(inside)
        ):
            reading.add_all(tag, inside)


def _marked(text: str, reading: Reading) -> None:
    """Reads [张三|name], [张三](name), 【name：张三】, [@张三#name*] and 张三/name: marks of one kind, one of which has a known label."""
    for pattern in _MARKS:
        marks = [(reading.string(one), reading.string(other)) for one, other in pattern.findall(text)]
        if any(reading.known(one) != reading.known(other) for one, other in marks):
            for one, other in marks:
                if reading.may_stand(one) or reading.may_stand(other):
                    reading.either(one, other, "mark")
            return
