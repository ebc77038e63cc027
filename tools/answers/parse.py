"""From a model's raw answer to (label, string) pairs, or to a class.

In: the answer's text. Out: what it says, and which rules beyond the trained format were needed to see it. Text is never run as code, and no answer takes more than
time linear in its length.

    python -c "from tools.conf import find_task; from tools.answers.parse import parse; print(parse('答案：{\\'name\\': [\\'张三\\']}', find_task('clue')))"
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from typing import Any

from tools.answers.field_names import LABEL_FIELDS, WRAPPERS
from tools.answers.label_lines import read_lines
from tools.answers.reading import Pair, Reading
from tools.answers.scan import Scanned, scan
from tools.conf.task import Task, spellings_of
from tools.text import fold, neutralise

__all__ = ["RULES", "Pair", "Parsed", "parse", "parse_class"]  # a class is the pair (label, "")

# Each rule that can be needed beyond the trained format, with what it does.
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
_BLANK = " \t\r\n\u3000\u00a0\ufeff\u200b\u2028\u2029\x00"
_THINKING = re.compile(r"<(/?)(?:think|thinking|thought|thoughts|reasoning|reflection)>", re.IGNORECASE)
_FENCE = re.compile(r"```[A-Za-z0-9_+-]{0,20}|~~~[A-Za-z0-9_+-]{0,20}")
_WORD = re.compile(r"\w")
_AROUND = "\"'“”‘’「」『』`*_~#。.!！,，;；:：()（）[]【】{} \t\r\n\u3000"
# "该句子中没有找到任何实体": what may stand before the sentinel is a few words about the sentence.
_ABOUT = re.compile(
    r"(?:[^\n\"'“”:。.!?]{0,40}?(?:文本|句子|句话|句|段落|段话|输入|原文|内容)[^\n\"'“”:。.!?,]{0,6},?|(?:抱歉|对不起|好的|答案|结果)[,:是为]*)\s*(?:我|并)?"
)
_RESULT = re.compile(
    r"(?:最终)?(?:提取|识别|抽取|输出)?(?:出)?(?:的)?(?:命名)?(?:答案|结果|实体|实体列表|输出)(?:是|为)?|answer|output|result|entities"
)
# "类别：X", "答案是X": what says that a class follows; an answer is surer than a class that is only spoken of.
_LEAD_INS = [
    re.compile(rf"(?:{words})[^\n:：是为]{{0,8}}?(?:应该是|应该为|应为|是|为|[:：=]|\bis\b)[:：]?\s*+([^\n，,。；;]{{1,80}})", re.IGNORECASE)
    for words in (
        "答案|answer",
        "类别|类型|分类|标签|属于|category|class|label|type|topic",
    )
]
_ABOUT_ENGLISH = re.compile(
    r"(?:(?:there (?:are|is|were)|i found|found)\s+)?(.{1,40}?)(?:\s+(?:(?:were|was|are|is) )?(?:found|identified|present|mentioned|detected))?(?:\s+in (?:the|this) (?:given |input )?(?:text|sentence|input))?"
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an answer says: its unique pairs in its order, or None when it is unparsable, and the rules that were needed (keys of RULES), () for the trained format.

    A label that the task knows is the task's own, whatever name the answer used; another label is as it was written. `cut`: the answer ends within a value.
    """

    pairs: list[Pair] | None
    rules: tuple[str, ...] = ()
    cut: bool = False


def parse(output: str, task: Task, text: str | None = None) -> Parsed:
    """The pairs of an answer to a NER task, in whatever shape it is written; never raises.

    `text` is the sentence as the model saw it, where it is known: it decides whether "无" is an entity, and which side of a pair is the label where the task's labels
    don't. Nothing that could be read: `pairs` is None, never an empty list in silence.
    """
    if (plain := parse_plain(output, task)) is not None:
        return Parsed(list(dict.fromkeys(plain)))
    answer = output.strip(_BLANK)
    try:
        value = _decode(answer)
    except (ValueError, RecursionError):
        return _tolerant(answer, task, text)
    pairs = _strict(value, task)
    return Parsed(pairs) if pairs is not None else _decoded(value, answer, task, text)


def parse_plain(output: str, task: Task) -> list[Pair] | None:
    """The pairs of an answer that is the trained one byte for byte, with the task's own labels; None for any other, which `parse` reads."""
    if output == "[]":
        return []
    if not output.startswith("[{"):
        return None
    fields = task.answer
    pattern, around = _plain_pattern(*(fields.text, fields.label) if fields.text_first else (fields.label, fields.text))
    spellings, sentinels, pairs, length = task.spellings, task.sentinels, [], 0
    for label, text in pattern.findall(output, 1):
        length += around + len(label) + len(text)
        if fields.text_first:
            label, text = text, label
        hit = spellings.get(label)
        if not hit or hit[1] or text in sentinels or (text.isascii() and (not text or fold(text) in sentinels)):
            return None
        pairs.append((hit[0], text))
    # Objects that lie one behind the other from the second character to the last leave no room for anything else.
    return pairs if length == len(output) else None


@lru_cache(maxsize=64)
def _plain_pattern(first: str, second: str) -> tuple[re.Pattern[str], int]:
    """Finds an object of these two fields and what follows it in a list; and how long that is beside the two strings."""
    string = r'([^"\\\x00-\x1f]*+)'
    before, between = (f'{json.dumps(field, ensure_ascii=False)}: "' for field in (first, second))
    before, between = "{" + before, '", ' + between
    return re.compile(f'{re.escape(before)}{string}{re.escape(between)}{string}"}}(?:, (?={{)|\\]\\Z)'), len(before) + len(between) + 4


def _strict(value: Any, task: Task) -> list[Pair] | None:
    """The pairs of an answer in exactly the trained format; None where any rule is needed."""
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
        if text in sentinels or (text.isascii() and (not text or fold(text) in sentinels)):
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
    """An answer that is valid JSON, but not in the trained format."""
    if isinstance(value, str) and value.strip() and ("[" in value or "{" in value):
        inner = _tolerant(value.strip(_BLANK), task, text)
        return Parsed(inner.pairs, _named({*inner.rules, "quoted_json"}), inner.cut)
    return _from_values(Scanned([value], "", set()), value if isinstance(value, str) else answer, task, text)


def _tolerant(answer: str, task: Task, text: str | None) -> Parsed:
    """Any other answer."""
    body, rules = _after_thinking(answer)
    if body is None:
        return Parsed(None, _named(rules), cut=True)
    parsed = _from_values(scan(body), body, task, text)
    if parsed.pairs is None and ('\\"' in body or "&quot;" in body):
        again = _from_values(scan(unescape(body).replace('\\"', '"')), body, task, text)
        if again.pairs is not None:
            parsed, rules = again, rules | {"quoted_json"}
    return Parsed(parsed.pairs, _named({*parsed.rules, *rules}), parsed.cut)


def _from_values(found: Scanned, answer: str, task: Task, text: str | None) -> Parsed:
    reading = Reading(task, text)
    for value in found.values:
        reading.read(value)
    pairs = reading.pairs()
    if pairs is None:
        has_objects = any(type(item) is tuple for value in found.values for item in (value if isinstance(value, list) else [value]))
        return _in_words(found.outside if has_objects else answer, task, text, found.cut)
    rules = found.rules | reading.rules
    outside = _FENCE.sub("", found.outside)
    rules.update(["fence"] if len(outside) != len(found.outside) else [])
    if left := outside.strip(_BLANK + ",，;；"):
        rules.add("chatter" if _WORD.search(left) or not any(bracket in left for bracket in "[]{}") else "repaired")
    rules.update(["several_lists"] if sum(isinstance(value, list) for value in found.values) > 1 else [])
    if found.cut:
        rules = (rules | {"cut_off"}) - {"partial_items"}
    return Parsed(pairs, _named(rules), found.cut)


def _in_words(words: str, task: Task, text: str | None, cut: bool) -> Parsed:
    """An answer without a value that could be read: a word for "nothing", or lines."""
    if _says_nothing(words, task):
        return Parsed([], ("nothing",))
    reading = Reading(task, text)
    read_lines(_FENCE.sub("", words), reading)
    return Parsed(reading.pairs(), _named(reading.rules), cut)


def _says_nothing(words: str, task: Task) -> bool:
    if len(words) > 200:
        return False
    bare = fold(_FENCE.sub("", words).strip(_AROUND))
    head, _, tail = bare.rpartition(":")
    english = _ABOUT_ENGLISH.fullmatch(bare)
    return bool(
        bare in task.sentinels
        or (tail.strip(_AROUND) in task.sentinels and _RESULT.fullmatch(head.strip(_AROUND)))
        or (english and english[1] in task.sentinels)
        or _rest(bare, task)
    )


def _rest(bare: str, task: Task) -> bool:
    """Whether a sentence about the text ends in a sentinel that can't be part of another word."""
    return any(len(word) > 2 and bare.endswith(word) and _ABOUT.fullmatch(bare[: -len(word)]) for word in task.sentinels)


def _after_thinking(answer: str) -> tuple[str | None, set[str]]:
    """What comes after the last thought, None when that has no end."""
    end, is_open, thought = 0, False, False
    for tag in _THINKING.finditer(answer):
        thought, is_open = True, not tag[1]
        if tag[1]:
            end = tag.end()
    return (None if is_open else answer[end:].strip(_BLANK)), {"thinking"} if thought else set()


def _named(rules: set[str]) -> tuple[str, ...]:
    return tuple(sorted(rules))


def parse_class(output: str, task: Task, options: Sequence[str]) -> Parsed:
    """The class that an answer names, as the pair (class, ""); never raises.

    It is one of `options` where the answer is one, by name, alias or file label, says so behind 类别：or in JSON, or mentions exactly one of them; else the answer itself
    without quotes and full stop, which is then no option. Unparsable when no letter is left.
    """
    answer = output.strip(_BLANK)
    if (hit := task.spellings.get(answer)) and not hit[1]:
        return Parsed([(hit[0], "")])
    if answer in options:
        return Parsed([(answer, "")])
    body, rules = _after_thinking(answer)
    if body is None or not _WORD.search(body.strip(_AROUND)):
        return Parsed(None, _named(rules), cut=body is None)
    spellings = _class_spellings(task, options)
    for words, rule in _class_words(body):
        hits = {
            hit[0]: (hit[1] if word in spellings else "label_spelling") for word in words if (hit := spellings.get(word) or spellings.get(fold(word)))
        }
        if len(hits) == 1:
            (label, spelling), *_ = hits.items()
            return Parsed([(label, "")], _named((rules | {spelling, rule}) - {""}))
        if hits and rule == "lead_in":
            break  # it contradicts itself
    exact = tuple(sorted(word for word, (_, how) in spellings.items() if word and how != "label_spelling"))
    mentioned = {spellings[found[0]][0] for found in _mentions(exact).finditer(body)} if exact else set()
    if len(mentioned) == 1:
        return Parsed([(mentioned.pop(), "")], _named(rules | {"mentioned"}))
    if len(words := _json_words(body)) == 1:
        return Parsed([(words[0], "")], _named(rules | {"json_class"}))
    return Parsed([(_unquoted(body) or body, "")], _named(rules))


def _class_words(answer: str) -> Iterator[tuple[list[str], str]]:
    """Where a class may stand, the surest places first: (the words there, the rule that this takes)."""
    yield [answer], ""
    yield [_unquoted(answer), answer.strip(_AROUND)], "quotes"
    yield _json_words(answer), "json_class"
    for lead_in in [] if answer.startswith(("{", "[", "```")) else _LEAD_INS:
        yield [found[1].strip(_AROUND) for found in lead_in.finditer(answer)], "lead_in"
    yield [line.strip(_AROUND) for line in answer.splitlines()], "first_line"


def _json_words(answer: str) -> list[str]:
    """The strings of an answer in JSON that may be a class: those in a field for one, or the only one."""
    words: list[str] = []
    for value in scan(answer).values:
        for item in value if isinstance(value, list) else [value]:
            pairs = item if type(item) is tuple else [("label", item)]
            inner = [(key, one) for key, some in pairs for one in (some if isinstance(some, list) else [some]) if isinstance(one, str)]
            words += [one for key, one in inner if len(inner) == 1 or fold(key) in LABEL_FIELDS or fold(key) in WRAPPERS]
    return [word.strip() for word in words]


def _unquoted(answer: str) -> str:
    return answer.strip().strip("\"'“”‘’「」`。.").strip()


def _class_spellings(task: Task, options: Sequence[str]) -> dict[str, tuple[str, str]]:
    """As Task.spellings, for these options."""
    names = {option: task.names.get(option, option) for option in options}
    aliases = {label: words for label, words in task.aliases.items() if label in names}
    known = spellings_of(names, aliases)
    for option, name in names.items():
        known.setdefault(neutralise(name), (option, ""))
    return known


@lru_cache(maxsize=256)
def _mentions(words: tuple[str, ...]) -> re.Pattern[str]:
    """Finds any of the words in a text: the longest that fits, not as part of a longer Latin word, and not where it is denied."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(r"(?<!不是)(?<!不属于)(?<!并非)(?<!not )(?:" + "|".join(map(_whole, longest_first)) + ")")


def _whole(word: str) -> str:
    before, after = (r"(?<![A-Za-z0-9_])" if word[0].isascii() else ""), (r"(?![A-Za-z0-9_])" if word[-1].isascii() else "")
    return before + re.escape(word) + after
