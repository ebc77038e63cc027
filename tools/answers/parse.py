"""Reads a raw answer as (label, string) pairs.

In: the answer's text, a task, and the sentence if it is known. Out: the pairs, and the rules beyond the trained format that were needed. Text is never run as code, and
the time is linear in the answer's length.

    .venv/train/bin/python -c "from tools.conf.task import find_task; from tools.answers.parse import parse; print(parse('答案：{\\'name\\': [\\'张三\\']}', find_task('clue')))"
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from typing import Any

from tools.answers import Pair
from tools.answers.label_lines import read_lines
from tools.answers.reading import Reading
from tools.answers.scan import Scanned, scan
from tools.conf.task import Task
from tools.text import fold

# Rule → what it does. Each can be needed beyond the trained format.
RULES = {
    "thinking": "what was thought aloud before the answer (`<think>…</think>`) is left out",
    "fence": "a code fence (``` or ~~~) around the answer is taken off",
    "chatter": "words before, between or behind the values are left out",
    "quoted_json": "the answer is JSON within a JSON string, or its quotes are escaped",
    "cut_off": "the answer ends within a value; what was whole is kept, and the row is counted as truncated",
    "single_quotes": "strings in single quotes",
    "python_literals": "Python instead of JSON: tuples, None, True, u''",
    "trailing_commas": "a comma before a closing bracket",
    "bare_words": "strings without quotes",
    "unescaped": "a quote, line end or backslash within a string that should have been escaped",
    "comments": "comments and dots of omission between the values",
    "repaired": "a comma, quote or bracket is missing or misplaced",
    "full_width": "full-width punctuation as JSON's",
    "no_list": "objects without a list around them, one or several",
    "several_lists": "several lists in one answer are united",
    "wrapper": 'a list or object around the entities, such as {"entities": […]}',
    "other_fields": "other field names than the task's",
    "extra_fields": "more fields than label and text, which are left out",
    "repeated_keys": "one object that names its fields several times is as many objects",
    "text_lists": "one label with a list of strings",
    "entity_map": '{"entity": "label"}',
    "label_groups": '{"label": ["entity", …]} or {"label": "entity"}',
    "pair_lists": '["entity", "label"] or ["label", "entity"]',
    "joined_texts": "several entities of one label in one string, each of which stands in the sentence",
    "partial_items": "some items could not be read and are left out",
    "lines": "no JSON, but lines, bullets or table rows with a known label on one side",
    "file_label": "the label as the raw file has it instead of the name that was trained",
    "label_alias": "a label by one of the task's aliases",
    "label_spelling": "a label in other case, width or spacing, or with a Latin name behind it in brackets",
    "nothing": "a word that says that there is nothing, as an answer or as an entity that doesn't stand in the sentence",
    "quotes": "a class in quotes, in Markdown or with a full stop",
    "json_class": "a class in JSON",
    "lead_in": "a class behind words such as 类别：",
    "first_line": "a class on a line of its own before an explanation",
    "mentioned": "a class that is the only one of the options that occurs in the answer",
}

_decode = json.JSONDecoder(object_pairs_hook=tuple).decode
BLANK = " \t\r\n\u3000\u00a0\ufeff\u200b\u2028\u2029\x00"
AROUND = "\"'“”‘’「」『』`*_~#。.!！,，;；:：()（）[]【】{} \t\r\n\u3000"  # what may stand around a word
WORD = re.compile(r"\w")
_THINKING = re.compile(r"<(/?)(?:think|thinking|thought|thoughts|reasoning|reflection)>", re.IGNORECASE)
_FENCE = re.compile(r"```[A-Za-z0-9_+-]{0,20}|~~~[A-Za-z0-9_+-]{0,20}")
# "该句子中没有找到任何实体": a few words about the sentence may stand before the sentinel.
_ABOUT = re.compile(
    r"(?:[^\n\"'“”:。.!?]{0,40}?(?:文本|句子|句话|句|段落|段话|输入|原文|内容)[^\n\"'“”:。.!?,]{0,6},?|(?:抱歉|对不起|好的|答案|结果)[,:是为]*)\s*(?:我|并)?"
)
_RESULT = re.compile(
    r"(?:最终)?(?:提取|识别|抽取|输出)?(?:出)?(?:的)?(?:命名)?(?:答案|结果|实体|实体列表|输出)(?:是|为)?|answer|output|result|entities"
)
_ABOUT_ENGLISH = re.compile(
    r"(?:(?:there (?:are|is|were)|i found|found)\s+)?(.{1,40}?)(?:\s+(?:(?:were|was|are|is) )?(?:found|identified|present|mentioned|detected))?(?:\s+in (?:the|this) (?:given |input )?(?:text|sentence|input))?"
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed answer: its unique pairs in their order, or None for an unparsable answer, and the rules that were needed (keys of RULES), () for the trained format.

    A label that the task knows is the task's own, whatever name the answer used; another label stays as it was written. `cut`: the answer ends within a value.
    """

    pairs: list[Pair] | None
    rules: tuple[str, ...] = ()
    cut: bool = False


def parse(output: str, task: Task, text: str | None = None) -> Parsed:
    """Returns the pairs of an answer to a NER task, whatever its form. Never raises.

    `text` is the sentence as the model saw it, if it is known. It decides whether "无" is an entity, and which side of a pair is the label where the task's labels
    don't decide it. An answer that can't be read has `pairs` None, never an empty list.
    """
    if (plain := parse_plain(output, task)) is not None:
        return Parsed(list(dict.fromkeys(plain)))
    answer = output.strip(BLANK)
    try:
        value = _decode(answer)
    except (ValueError, RecursionError):
        return _tolerant(answer, task, text)
    pairs = _strict(value, task)
    return Parsed(pairs) if pairs is not None else _decoded(value, answer, task, text)


def parse_plain(output: str, task: Task) -> list[Pair] | None:
    """Returns the pairs of an answer that equals the trained one byte for byte, with known labels; None for any other answer, which `parse` reads."""
    if output == "[]":
        return []
    if not output.startswith("[{"):
        return None
    fields, text_first = task.answer, task.answer.text_first
    pattern, around = _plain_pattern(*(fields.text, fields.label) if text_first else (fields.label, fields.text))
    spellings, sentinels, pairs, length = task.spellings, task.sentinels, [], 0
    for label, text in pattern.findall(output, 1):
        length += around + len(label) + len(text)
        if text_first:
            label, text = text, label
        hit = spellings.get(label)
        if not hit or hit[1] or _may_be_nothing(text, sentinels):
            return None
        pairs.append((hit[0], text))
    # Objects that lie one behind the other from the second character to the last leave no room for anything else.
    return pairs if length == len(output) else None


@lru_cache(maxsize=64)
def _plain_pattern(first: str, second: str) -> tuple[re.Pattern[str], int]:
    """Returns a pattern of an object of these two fields and the separator behind it, and the length of both without the two strings."""
    string = r'([^"\\\x00-\x1f]*+)'
    before, between = (f'{json.dumps(field, ensure_ascii=False)}: "' for field in (first, second))
    before, between = "{" + before, '", ' + between
    return re.compile(f'{re.escape(before)}{string}{re.escape(between)}{string}"}}(?:, (?={{)|\\]\\Z)'), len(before) + len(between) + 4


def _may_be_nothing(text: str, sentinels: frozenset[str]) -> bool:
    """Returns whether an entity's text says "nothing", which only `Reading` can decide. Sentinels in Latin letters are compared folded."""
    return text in sentinels or (text.isascii() and (not text or fold(text) in sentinels))


def _strict(value: Any, task: Task) -> list[Pair] | None:
    """Returns the pairs of an answer in exactly the trained format; None where any rule is needed."""
    if type(value) is not list:
        return None
    label_field, text_field, spellings, sentinels = task.answer.label, task.answer.text, task.spellings, task.sentinels
    pairs = []
    for item in value:
        if type(item) is not tuple or len(item) != 2:
            return None
        (first, label), (second, text) = item
        if first == text_field:
            first, label, second, text = second, text, first, label
        if first != label_field or second != text_field or type(label) is not str or type(text) is not str:
            return None
        if _may_be_nothing(text, sentinels):
            return None
        hit = spellings.get(label)
        if hit and not hit[1]:
            pairs.append((hit[0], text))
        elif hit or label != label.strip() or label.endswith((")", "）")) or fold(label) in spellings or fold(label) in sentinels:
            return None
        else:
            pairs.append((label, text))
    return list(dict.fromkeys(pairs))


def _decoded(value: Any, answer: str, task: Task, text: str | None) -> Parsed:
    """Reads an answer that is valid JSON, but not in the trained format."""
    if isinstance(value, str) and ("[" in value or "{" in value):
        inner = _tolerant(value.strip(BLANK), task, text)
        return named(inner.pairs, {*inner.rules, "quoted_json"}, inner.cut)
    return _from_values(Scanned([value], "", set()), value if isinstance(value, str) else answer, task, text)


def _tolerant(answer: str, task: Task, text: str | None) -> Parsed:
    """Reads an answer that is not JSON as a whole."""
    body, rules = after_thinking(answer)
    if body is None:
        return named(None, rules, cut=True)
    parsed = _from_values(scan(body), body, task, text)
    if parsed.pairs is None and ('\\"' in body or "&quot;" in body):
        again = _from_values(scan(unescape(body).replace('\\"', '"')), body, task, text)
        if again.pairs is not None:
            parsed, rules = again, rules | {"quoted_json"}
    return named(parsed.pairs, {*parsed.rules, *rules}, parsed.cut)


def _from_values(found: Scanned, answer: str, task: Task, text: str | None) -> Parsed:
    """Reads an answer by the values that stand in it; without any pair there, by its words."""
    reading = Reading(task, text)
    for value in found.values:
        reading.read(value)
    pairs = reading.pairs()
    if pairs is None:
        has_objects = any(type(item) is tuple for value in found.values for item in (value if isinstance(value, list) else [value]))
        return _in_words(found.outside if has_objects else answer, task, text, found.cut)
    rules = found.rules | reading.rules
    outside = _FENCE.sub("", found.outside)
    if len(outside) != len(found.outside):
        rules.add("fence")
    if left := outside.strip(BLANK + ",，;；"):
        rules.add("chatter" if WORD.search(left) or not any(bracket in left for bracket in "[]{}") else "repaired")
    if sum(isinstance(value, list) for value in found.values) > 1:
        rules.add("several_lists")
    if found.cut:
        rules = (rules | {"cut_off"}) - {"partial_items"}
    return named(pairs, rules, found.cut)


def _in_words(words: str, task: Task, text: str | None, cut: bool) -> Parsed:
    """Reads an answer without any JSON value of use: a word for "nothing", or lines."""
    if _says_nothing(words, task):
        return Parsed([], ("nothing",))
    reading = Reading(task, text)
    read_lines(_FENCE.sub("", words), reading)
    return named(reading.pairs(), reading.rules, cut)


def _says_nothing(words: str, task: Task) -> bool:
    if len(words) > 200:
        return False
    bare = fold(_FENCE.sub("", words).strip(AROUND))
    head, _, tail = bare.rpartition(":")
    english = _ABOUT_ENGLISH.fullmatch(bare)
    return bool(
        bare in task.sentinels
        or (tail.strip(AROUND) in task.sentinels and _RESULT.fullmatch(head.strip(AROUND)))
        or (english and english[1] in task.sentinels)
        # A sentence about the text that ends in a sentinel; one of two characters may be part of another word.
        or any(len(word) > 2 and bare.endswith(word) and _ABOUT.fullmatch(bare[: -len(word)]) for word in task.sentinels)
    )


def after_thinking(answer: str) -> tuple[str | None, set[str]]:
    """Returns the text after the last thought, or None where a thought has no end, and the rule that this took."""
    tags = deque(_THINKING.finditer(answer), maxlen=1)
    if not tags:
        return answer.strip(BLANK), set()
    return (answer[tags[0].end() :].strip(BLANK) if tags[0][1] else None), {"thinking"}


def named(pairs: list[Pair] | None, rules: set[str], cut: bool = False) -> Parsed:
    """Returns a Parsed with its rules in order."""
    return Parsed(pairs, tuple(sorted(rules)), cut)
