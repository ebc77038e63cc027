"""Reads a raw answer as (label, string) pairs.

In: the answer's text, a task, and the sentence if it is known. Out: the pairs, and the rules beyond the trained format that were needed. Text is never run as code, and
the time is linear in the answer's length.

    .venv/train/bin/python -c "from tools.conf.task import find_task; from tools.answers.parse import parse; print(parse('答案：{\\'name\\': [\\'张三\\']}', find_task('clue')))"
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from html import unescape
from typing import Any

from tools.answers import Pair, Span
from tools.answers.assertion import is_rejected, says_no_entity
from tools.answers.final import BLANK, FENCE, FENCED, final_answer
from tools.answers.label_lines import read_lines
from tools.answers.label_names import names_of
from tools.answers.marks import read_marks
from tools.answers.programs import as_objects, is_program
from tools.answers.reading import Reading
from tools.answers.scan import Scanned, scan
from tools.answers.sides import may_be_label
from tools.answers.trained import decode, groups, is_template, parse_plain, strict, trained_pairs
from tools.chat.answer_formats import FORMATS
from tools.chat.answer_formats.inline import marked
from tools.conf.task import Task
from tools.text import fold

# Rule → what it does. Each can be needed beyond the trained format.
RULES = {
    "thinking": "what was thought aloud before the answer is left out, in tags or channels of any kind",
    "conclusion": "a stated conclusion, a correction or a restatement replaces what stands before it; an announced example is left out",
    "wrapping": "a code fence, `<answer>`, `\\boxed{}`, quotes, special tokens or invented turns around the answer are taken off",
    "chatter": "words before, between or behind the values are left out",
    "cut_off": "the answer ends within a value; what was whole is kept, and the row is counted as truncated",
    "syntax": "other punctuation than JSON's: single quotes, Python's tuples and None, full-width marks, comments, strings without quotes",
    "repaired": "a comma, quote, bracket or backslash is missing or misplaced",
    "layout": "another format than the task's; or JSON in another arrangement: objects without a list, several lists, lists by label, maps, pairs, a list or object around them",
    "fields": "other field names than the task's, or more fields than label and text",
    "lines": "lines, bullets, sentences or table rows with a label on one side, not as the format `lines` has them",
    "marks": "entities marked in the text, not as the format `inline` has them, tagged word by word, or given by their places in it",
    "label_name": "a label by another of its names: the raw file's, an alias, in other case, width or spacing, with a remark in brackets",
    "joined_texts": "several entities of one label in one string, each of which stands in the sentence",
    "rejected": "what the answer lists as rejected, denies or doubts is left out",
    "partial_items": "some items could not be read and are left out",
    "nothing": "a word that says that there is nothing, as an answer or as an entity that doesn't stand in the sentence",
    "lead_in": "a class that a sentence or words such as 类别： assert",
}

Placed = tuple[str, str, int | None]  # (label, string, the string's place in the text)
NEAR = {"lines": "lines", "inline": "marks"}  # format → the rule of an answer that comes near it
# What stands around most answers, and nothing else: an empty thought, a code fence.
_AROUND = re.compile(r"(?=[<`])(<think>\s*</think>\s*)?(```(?:json)?[ \t]*\n\s*)?(\[.*\])\s*(?(2)```)", re.DOTALL)
WORD = re.compile(r"\w")
_TEMPLATES = frozenset(
    ("...", "…", "……", "string", "str", "entity text", "entity name", "text", "xxx", "xx", "实体名称", "实体文本", "具体文本")
)  # strings of an example
_STRUCK = re.compile(
    r"(?<!~)~~(?!~)[^~\n]{1,300}~~(?!~)|<(del|strike)>[^<>\n]{1,300}</\1>|(?<!\A)<s>[^<>\n]{1,300}</s>|<s>[^<>\n]{1,300}</s>(?!\s*\Z)"
)
_DELIMITER = re.compile(r"<\|[^\w|<>]?\|?>")  # LightRAG's and GraphRAG's, between cells
_BREAK = re.compile(r"<br ?/?>(?=[^<>|\n]{1,20}[:：])|(?<=\S)<br ?/?><br ?/?>")  # before another label
# A value behind these is no answer.
_IF = re.compile(
    r"(?:如果|假如|假设|倘若|\bif )[^。\n]{0,40}\Z|(?:不含|不包[含括]|不是|而非|排除|\b(?:not|without|excluding|instead of))\s{0,3}\Z", re.IGNORECASE
)
_SIDED = re.compile(r"\w\W+\w")  # a string that may be a clause


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed answer: its unique pairs in their order, or None for an unparsable answer, and the rules that were needed (keys of RULES), () for the trained format.

    A label that the task knows is the task's own, whatever name the answer used; another label stays as it was written. `cut`: the answer ends within a value.
    `spans` are the places that the answer itself gives its pairs, where the task's format has places; else None.
    """

    pairs: list[Pair] | None
    rules: tuple[str, ...] = ()
    cut: bool = False
    spans: tuple[Span, ...] | None = None


def parse(output: str, task: Task, text: str | None = None, cut: bool = False) -> Parsed:
    """Returns the pairs of an answer to a NER task, whatever its form. Never raises.

    `text` is the sentence as the model saw it, if it is known. It decides whether "无" is an entity, and which side of a pair is the label where the task's labels
    don't decide it. `cut`: the server stopped the answer at its limit. An answer that can't be read has `pairs` None, never an empty list.
    """
    if task.answer.format != "json":
        return _in_format(output, task, text, cut)
    if (plain := parse_plain(output, task)) is not None:
        return Parsed(list(dict.fromkeys(plain)))
    return _as_json(output, task, text)


def _in_format(output: str, task: Task, text: str | None, cut: bool) -> Parsed:
    """Reads an answer to a task of another format than `json`. An answer in any other format than the task's needs the rule `layout` at least."""
    found = _own(output, task, text)
    if found is not None and (task.answer.copies_text or _are_labels(found, Reading(task, text))):
        is_cut = cut and task.answer.format == "lines"  # a cut answer in another format isn't whole
        return _written(found[:-1] if is_cut else found, output, task, text, is_cut)
    parsed = _as_json(output, task, text)
    if parsed.pairs is None or (parsed.rules and not parsed.pairs) or NEAR.get(task.answer.format) in parsed.rules:
        return parsed
    return named(parsed.pairs, {*parsed.rules, "layout"}, parsed.cut)


def _own(output: str, task: Task, text: str | None) -> list[Placed] | None:
    """Returns the pairs of an answer in the task's own format, which isn't `json`, each with its place where the format has places; None for any other answer.

    JSON may have other white space than was trained.
    """
    if task.answer.format == "grouped":
        try:
            pairs = groups(decode(output.strip(BLANK)))
        except (ValueError, RecursionError):
            return None
        return None if pairs is None else [(label, string, None) for label, string in pairs]
    if text is None and task.answer.copies_text:
        return None
    found = FORMATS[task.answer.format].written(task, output, text or "")
    return None if found is None else [(one.label, one.text, one.start) for one in found]


def _are_labels(found: list[Placed], reading: Reading) -> bool:
    """Returns whether the pairs of an answer have labels: those of the task, or words that may be one, before a string of the sentence or beside a label of the task.

    Any other "Note: …" is prose, and {"entities": […]} has a list of entities, not a label.
    """
    known = [reading.known(label) for label, _, _ in found]
    return all(
        is_known or (may_be_label(label, reading) and (any(known) or reading.in_sentence(string)))
        for is_known, (label, string, _) in zip(known, found, strict=True)
    )


def _written(found: list[Placed], output: str, task: Task, text: str | None, cut: bool) -> Parsed:
    """Reads the pairs of an answer in the task's own format. Without any rule where their labels and strings are as trained; else as those of JSON objects are read."""
    pairs = trained_pairs([(label, string) for label, string, _ in found], task, task.answer.copies_text)
    if pairs is not None:
        parsed = Parsed(list(dict.fromkeys(pairs)))
    else:
        parsed = _decoded([((task.answer.label, label), (task.answer.text, string)) for label, string, _ in found], output, task, text)
    if cut:
        return named(parsed.pairs or None, {*parsed.rules, "cut_off"}, True)
    return replace(parsed, spans=_spans(found, parsed.pairs, task)) if task.answer.copies_text and parsed.pairs is not None else parsed


def _spans(found: list[Placed], pairs: list[Pair], task: Task) -> tuple[Span, ...]:
    """Returns the places of an answer's pairs in the text, as the answer's marks have them."""
    look_up, read = names_of(task).look_up, set(pairs)
    placed = [(hit[0] if (hit := look_up(label)) else label.strip(), string, start) for label, string, start in found]
    return tuple(
        dict.fromkeys((label, start, start + len(string)) for label, string, start in placed if start is not None and (label, string) in read)
    )


def _as_json(output: str, task: Task, text: str | None) -> Parsed:
    """Reads an answer as JSON in the format `json`, or else as whatever it is."""
    answer = output.strip(BLANK)
    around = _AROUND.fullmatch(answer)
    try:
        value = decode(around[3] if around else answer)
    except (ValueError, RecursionError):
        return _tolerant(answer, task, text)
    pairs = strict(value, task)
    if around:
        rules = {"thinking"} if around[1] else {"wrapping"}
        return named(pairs, rules | ({"wrapping"} if around[2] else set())) if pairs is not None else _tolerant(answer, task, text)
    return Parsed(pairs) if pairs is not None else _decoded(value, answer, task, text)


def _decoded(value: Any, answer: str, task: Task, text: str | None) -> Parsed:
    """Reads an answer that is valid JSON, but not in the trained format."""
    if isinstance(value, str) and value.strip(BLANK):
        inner = _tolerant(value.strip(BLANK), task, text)
        return named(inner.pairs, {*inner.rules, "wrapping"}, inner.cut)
    found = Scanned([value], "", set(), spans=[(0, len(answer))])
    return _by_values(found, answer, task, text) or _in_words(_words(found, ""), task, text, False)


def _tolerant(answer: str, task: Task, text: str | None) -> Parsed:
    """Reads an answer that is not JSON as a whole: its final part alone."""
    final = final_answer(asserted := _STRUCK.sub("", answer) if "~~" in answer or "</" in answer else answer, text)
    if final.body is None:
        return named(None, set(final.rules), final.cut)
    struck = {"rejected"} if len(asserted) < len(answer) else set()
    for conclusion in final.conclusions:
        parsed = _read(conclusion, task, text)
        fenced = FENCED.search(final.body)
        if parsed.pairs is not None and (parsed.pairs == [] or not {"lines", "marks"} & set(parsed.rules) or fenced):
            around = FENCED.sub("", final.body) if fenced else final.body.removesuffix(conclusion)
            more = {"wrapping"} if fenced else set()
            more |= {"chatter"} if WORD.search(around) else set()
            return named(parsed.pairs, {*parsed.rules, *final.rules, *struck, *more}, parsed.cut or final.cut)
    parsed = _read(final.body, task, text)
    return named(parsed.pairs, {*parsed.rules, *final.rules, *struck}, parsed.cut or final.cut)


def _read(body: str, task: Task, text: str | None) -> Parsed:
    """Reads one text: by the values that stand in it, by marks, by its words."""
    if task.answer.copies_text and (copied := _copied(body, task, text)):
        return copied
    if is_program(body):
        return _in_code(body, task, text)
    found = scan(body)
    parsed = _by_values(found, body, task, text)
    escaped = body.count('\\"')  # more of them than of plain quotes: the values are escaped, and not a quote in one of their strings
    if (parsed is None or not parsed.pairs) and (escaped > body.count('"') - escaped or "&quot;" in body):
        found = scan(unescape(body).replace('\\"', '"'))
        again = _by_values(found, body, task, text)
        parsed = named(again.pairs, {*again.rules, "wrapping"}, again.cut) if again else parsed
    if (parsed is None or not parsed.pairs) and "(" in body and (calls := as_objects(body, Reading(task, None).known)) != body:
        parsed = _by_values(scan(calls), calls, task, text) or parsed
    if parsed is None or not parsed.pairs:
        words = _words(found, body)
        in_words = _in_words(words, task, text, bool(parsed and parsed.cut))
        parsed = in_words if in_words.pairs or parsed is None else parsed
    return parsed


def _copied(body: str, task: Task, text: str | None) -> Parsed | None:
    """Reads marks of the format `inline` around a text that wasn't copied exactly: no place can be told. Returns None where there are none.

    A text without a mark says that there is no entity, but only if it is the text, save for blanks around it.
    """
    if (found := marked(body)) is None:
        return None
    copied, marks = found
    if not marks:
        return Parsed([], ("marks",)) if text is not None and copied.strip(BLANK) == text.strip(BLANK) else None
    reading = Reading(task, text)
    if not any(reading.known(mark.label) for mark in marks):
        return None
    reading.rules.add("marks")
    for mark in marks:
        reading.add(mark.label, mark.text)
    return named(reading.pairs(), reading.rules)


def _in_code(code: str, task: Task, text: str | None) -> Parsed:
    """Reads a program, which asserts nothing but the values that it writes out: those whose strings the sentence has."""
    parsed = _by_values(scan(code), code, task, text)
    pairs = [pair for pair in parsed.pairs or [] if text is not None and pair[1] in text] if parsed else []
    return named(pairs or None, set(parsed.rules) if parsed and pairs else set())


def _by_values(found: Scanned, answer: str, task: Task, text: str | None) -> Parsed | None:
    """Reads an answer by the values that stand in it; None where these hold no pair and don't say that there is none."""
    if not found.values and not found.cut:
        return None
    reading, parts, position = Reading(task, text), [], 0
    for number, value in enumerate(found.values):
        start, end = found.spans[number]
        lead = answer[position:start].rstrip(BLANK + "`*").rpartition("\n")[2]
        position = end
        if _IF.search(lead) or (lead.endswith((":", "：")) and is_rejected(lead.rpartition("。")[2][-60:])):
            reading.rules.add("rejected")
            continue
        first = len(reading.items)
        reading.read(value)
        parts.append((first, len(reading.items), isinstance(value, list) or _has_list(value)))
    _drop_restated(reading, parts, found.cut)
    pairs = reading.pairs()
    if pairs is None:
        return Parsed(None, (), True) if found.cut and not found.outside.strip(BLANK) else None
    rules = found.rules | reading.rules
    outside = FENCE.sub("", found.outside)
    if len(outside) != len(found.outside):
        rules.add("wrapping")
    if left := outside.strip(BLANK + ",，;；"):
        rules.add("chatter" if WORD.search(left) or not any(bracket in left for bracket in "[]{}") else "repaired")
    if sum(isinstance(value, list) for value in found.values) > 1:
        rules.add("layout")
    if found.cut:
        rules = (rules | {"cut_off"}) - {"partial_items"}
    return named(pairs, rules, found.cut)


def _words(found: Scanned, text: str) -> str:
    """Returns the words of an answer whose values hold no pairs: an object that wasn't read holds no words, a list of strings has one on each line."""
    if any(map(_has_object, found.values)):
        return found.outside
    strings = [one for value in found.values if isinstance(value, list) for one in value]
    if strings and not found.outside.strip(BLANK) and all(isinstance(one, str) and _SIDED.search(one) for one in strings):
        return "\n".join(strings)
    return text


def _has_object(value: Any) -> bool:
    return type(value) is tuple or (isinstance(value, list) and any(type(item) is tuple for item in value))


def _has_list(value: Any) -> bool:
    return type(value) is tuple and any(isinstance(inner, list | tuple) for _, inner in value)


def _drop_restated(reading: Reading, parts: list[tuple[int, int, bool]], cut: bool) -> None:
    """Drops a list of which a later whole list names a string again (that is a revision), and the prompt's own example beside an answer."""
    seen: list[tuple[int, int, set[str]]] = []
    dropped: set[int] = set()
    for number, (first, last, several) in enumerate(parts):
        pairs = [pair for item in reading.items[first:last] if (pair := reading.decided(item))]
        if pairs and all(fold(text) in _TEMPLATES or (not reading.known(label) and is_template(label)) for label, text in pairs):
            dropped.update(range(first, last))
            continue
        strings = {string for _, string in pairs}
        if not several or not strings or (cut and number == len(parts) - 1):
            continue
        for begin, end, earlier in seen[-8:]:
            if strings & earlier:
                dropped.update(range(begin, end))
        seen.append((first, last, strings))
    if dropped:
        reading.rules.add("conclusion")
        reading.items = [item for number, item in enumerate(reading.items) if number not in dropped]


def _in_words(words: str, task: Task, text: str | None, cut: bool) -> Parsed:
    """Reads an answer without any JSON value of use: a word for "nothing", marks in the text, or lines."""
    if says_no_entity(FENCE.sub("", words), task.sentinels, _in_prose(tuple(task.spellings))):
        return Parsed([], ("nothing",))
    if text is not None and words.strip(BLANK) == text.strip(BLANK):
        return named(None, set(), cut)
    reading = Reading(task, text)
    plain = _BREAK.sub("\n", _DELIMITER.sub(" | ", FENCE.sub("", words)))
    if not read_marks(plain, reading):
        read_lines(plain, reading)
    pairs = reading.pairs()
    if pairs and text is not None and not any(reading.in_sentence("".join(string.split())) or reading.in_sentence(string) for _, string in pairs):
        pairs = None  # it explains the labels, or speaks of another text
    return named(pairs, reading.rules, cut)


@lru_cache(maxsize=64)
def _in_prose(labels: tuple[str, ...]) -> re.Pattern[str] | None:
    """Returns a pattern of labels as words of a sentence."""
    words = [re.escape(name) if not name.isascii() else rf"(?<![A-Za-z]){re.escape(name)}(?:e?s)?(?![A-Za-z])" for name in labels if len(name) > 1]
    return re.compile("|".join(words), re.IGNORECASE) if words else None


def named(pairs: list[Pair] | None, rules: set[str], cut: bool = False) -> Parsed:
    """Returns a Parsed with its rules in order."""
    return Parsed(pairs, tuple(sorted(rules)), cut)
