"""Reads an answer in the form that was trained: byte for byte, or as JSON with other white space. Most answers of a trained model need nothing else.

The trained form is that of the task's `answer.format` (tools.chat.answer_formats). In: an answer and a task. Out: its pairs, or None where it isn't in that form;
tools.answers.parse reads it then.

    .venv/train/bin/python -c "from tools.conf.task import find_task; from tools.answers.trained import parse_plain; print(parse_plain('[]', find_task('clue')))"
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from tools.answers import Pair
from tools.answers.assertion import is_rejected, may_be_nothing
from tools.answers.field_names import LABEL_FIELDS
from tools.answers.label_names import names_of
from tools.conf.task import Task
from tools.text import fold

decode = json.JSONDecoder(object_pairs_hook=tuple).decode


def parse_plain(output: str, task: Task) -> list[Pair] | None:
    """Returns the pairs of an answer in the format `json` that equals the trained one byte for byte, with known labels; None for any other, which `parse` reads."""
    if task.answer.format != "json":
        return None
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
        if not hit or hit[1] or may_be_nothing(text, sentinels):
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


def strict(value: Any, task: Task) -> list[Pair] | None:
    """Returns the pairs of a JSON answer in exactly the format `json`; None where any rule is needed."""
    if type(value) is not list:
        return None
    label_field, text_field = task.answer.label, task.answer.text
    pairs = []
    for item in value:
        if type(item) is not tuple or len(item) != 2:
            return None
        (first, label), (second, text) = item
        if first == text_field:
            first, label, second, text = second, text, first, label
        if first != label_field or second != text_field or type(label) is not str or type(text) is not str:
            return None
        pairs.append((label, text))
    found = trained_pairs(pairs, task)
    return None if found is None else list(dict.fromkeys(found))


def groups(value: Any) -> list[Pair] | None:
    """Returns the pairs of a JSON answer in exactly the format `grouped`, whatever its labels are; None for any other value."""
    if type(value) is not tuple or len(dict(value)) < len(value):
        return None
    if not all(type(texts) is list and texts and all(type(text) is str for text in texts) for _, texts in value):
        return None
    return [(label, text) for label, texts in value for text in texts]


def trained_pairs(pairs: Iterable[Pair], task: Task, placed: bool = False) -> list[Pair] | None:
    """Returns the pairs with the task's own labels, one for each; None where any rule is needed to understand one. A label that the task hasn't stays as it is.

    A string that was marked at its place in the text (`placed`) is an entity, even where it is a word for "nothing".
    """
    spellings, sentinels, found = task.spellings, task.sentinels, []
    for label, text in pairs:
        if not placed and may_be_nothing(text, sentinels):
            return None
        hit = spellings.get(label)
        if hit and not hit[1]:
            found.append((hit[0], text))
        elif is_template(label) or is_rejected(label) or label[1:2] in "-_" or label in ("O", "o"):
            return None  # the prompt's own example, or a tag
        elif label != label.strip() or fold(label) in sentinels or names_of(task).look_up(label):
            return None
        else:
            found.append((label, text))
    return found


def is_template(label: str) -> bool:
    """Returns whether a label is the prompt's own: the name of its field, or a placeholder such as <entity type>."""
    return fold(label.strip("<>{}[]【】 ")) in LABEL_FIELDS or (label[:1] in "<{" and label[-1:] in ">}") or not label.strip(". …")
