"""Turns JSON-like values of any shape into (label, string) pairs.

In: values from tools.answers.scan, a task, and the sentence if it is known. Out: pairs, and the rules beyond the trained format that were needed. A word is a label if
the task knows it. The entry point is tools.answers.parse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from tools.answers import Pair
from tools.answers.field_names import LABEL_FIELDS, OTHER_FIELDS, TEXT_FIELDS, WRAPPERS
from tools.answers.scan import MAX_DEPTH, scan
from tools.conf.task import Task
from tools.text import fold

_REMARK = re.compile(r"([^()]+?)\s*\(([a-z0-9_ \-]+)\)")
SEPARATORS = re.compile(r"[、,，;；|/]")


class _Either(NamedTuple):
    """A key and a string value of which both or none are known labels. The rest of the answer decides which side is the label."""

    key: str
    value: str


class Reading:
    """Collects the pairs of one answer: `read` its values or `add` pairs, then call `pairs()`."""

    def __init__(self, task: Task, sentence: str | None) -> None:
        self.task = task
        self.sentence = sentence
        self.rules: set[str] = set()
        self.items: list[Pair | _Either] = []
        self.silent = False  # the answer says somewhere that there is nothing
        self.unread = 0  # items that could not be read
        self._own = {fold(task.answer.label), fold(task.answer.text)}
        self._in_quotes = False
        self._labels_right = self._labels_left = 0

    def pairs(self) -> list[Pair] | None:
        """Returns the unique pairs in the answer's order; None where no pair was found and the answer doesn't say that there is nothing."""
        items = [pair for item in self.items if (pair := self._decide(item) if isinstance(item, _Either) else item)]
        if self.unread and (items or self.silent):
            self.rules.add("partial_items")
        return list(dict.fromkeys(items)) if items or self.silent else None

    def known(self, word: str) -> bool:
        """Returns whether the task has a label of that name, in any spelling."""
        return self._look_up(word) is not None

    def _look_up(self, word: str) -> tuple[str, str] | None:
        """Returns (label, rule) of a known label: as it is written, folded, or with its other name behind it in brackets, as in "人名（PER）"."""
        spellings = self.task.spellings
        if hit := spellings.get(word):
            return hit
        folded = fold(word)
        if not (hit := spellings.get(folded)) and (remark := _REMARK.fullmatch(folded)):
            inner = spellings.get(remark[2])
            hit = spellings.get(remark[1]) if inner is None or inner[0] == spellings.get(remark[1], ("", ""))[0] else None
        return (hit[0], "label_spelling") if hit else None

    def is_nothing(self, word: str) -> bool:
        """Returns whether a word says that there is no entity."""
        return not word or fold(word) in self.task.sentinels

    def in_sentence(self, word: str) -> bool:
        """Returns whether a word stands in the sentence; False where the sentence isn't known."""
        return self.sentence is not None and bool(word) and word in self.sentence

    def add(self, label: str, text: str) -> None:
        """Adds one pair. A known label becomes the task's own. A label or string that says "nothing" is no entity, unless the string stands in the sentence."""
        hit = self._look_up(label)
        if (self.is_nothing(text) and not self.in_sentence(text)) or (not hit and self.is_nothing(label)):
            self.silent = True
            self.rules.add("nothing")
            return
        if hit and hit[1]:
            self.rules.add(hit[1])
        self.items.append((hit[0] if hit else label.strip(), text))

    def add_all(self, label: str, text: str) -> None:
        """Adds a label's string, or its parts where only these stand in the sentence."""
        parts = [part.strip() for part in SEPARATORS.split(text)] if self.sentence is not None and not self.in_sentence(text) else []
        if len(parts) > 1 and all(self.in_sentence(part) for part in parts):
            self.rules.add("joined_texts")
            for part in parts:
                self.add(label, part)
        else:
            self.add(label, text)

    def read(self, value: Any, label: str | None = None, depth: int = 0) -> None:
        """Reads one value: an object (a tuple of pairs), a list, a string or something else. `label` is the label that the values around it gave."""
        if depth > MAX_DEPTH:
            self.unread += 1
        elif type(value) is tuple:
            self._object(value, label, depth)
        elif isinstance(value, list):
            self._list(value, label, depth)
        elif isinstance(value, str) and self._is_quoted(value):
            self._quoted(value, label, depth)
        elif isinstance(value, str) and label is not None:
            self.add(label, value)
        elif value is None or (isinstance(value, str) and self.is_nothing(value)):
            self.silent = True
            self.rules.add("nothing")
        elif label is None:
            self.unread += 1

    def _is_quoted(self, value: str) -> bool:
        return not self._in_quotes and value.lstrip()[:1] in ("[", "{") and not self.in_sentence(value)

    def _quoted(self, value: str, label: str | None, depth: int) -> None:
        """Reads a string that holds JSON. Strings within that JSON are plain strings, so that each character is read twice at most."""
        self.rules.add("quoted_json")
        self._in_quotes = True
        for inner in scan(value).values:
            self.read(inner, label, depth + 1)
        self._in_quotes = False

    def _list(self, values: list[Any], label: str | None, depth: int) -> None:
        self.silent |= not values
        if label is None and (pair := self._pair_of(values)):
            self.rules.add("pair_lists")
            self.add(*pair)
            return
        if depth and label is None:
            self.rules.add("wrapper")
        for value in values:
            self.read(value, label, depth + 1)

    def _pair_of(self, values: list[Any]) -> Pair | None:
        """Returns the pair in ["张三", "人名"], with or without numbers behind it."""
        if not 2 <= len(values) <= 8:
            return None
        words = [value for value in values if isinstance(value, str)]
        if len(words) != 2 or any(isinstance(value, tuple | list) for value in values):
            return None
        return self._by_label(*words)

    def _by_label(self, one: str, other: str) -> Pair | None:
        """Returns (label, text) where exactly one of two words is a known label, or where both are and only one stands in the sentence."""
        first, second = self.known(one), self.known(other)
        if first and second:
            first, second = self.in_sentence(other), self.in_sentence(one)
        if first == second:
            return None
        return (one, other) if first else (other, one)

    def _object(self, pairs: tuple[tuple[str, Any], ...], label: str | None, depth: int) -> None:
        if not pairs:
            self.silent = True
            self.rules.add("nothing")
        for fields in self._without_repeats(pairs):
            before = len(self.items)
            was_silent, self.silent = self.silent, False
            if not self._fields(fields, label, depth):
                self._map(fields, label, depth)
            self.unread += len(self.items) == before and not self.silent
            self.silent |= was_silent

    def _without_repeats(self, pairs: tuple[tuple[str, Any], ...]) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = [{}] if pairs else []
        for key, value in pairs:
            if key in groups[-1]:
                groups.append({})
                self.rules.add("repeated_keys")
            groups[-1][key] = value
        return groups

    def _fields(self, fields: Mapping[str, Any], label: str | None, depth: int) -> bool:
        """Reads an object with a field for the label and one for the text; returns False for any other object."""
        names = self.task.answer.label, self.task.answer.text
        own = names[0] in fields and names[1] in fields
        if not own:
            found = self._field_names(fields, label)
            if found is None:
                return False
            names = found
        labels, texts = fields[names[0]] if names[0] else label, fields[names[1]]
        if texts is None:
            texts, labels = [], labels or ""
        strings: list[Any] = [texts] if isinstance(texts, str) else texts
        several: list[Any] = labels if isinstance(labels, list) else [labels]
        if not (strings == [] or _is_texts(strings)) or not _is_texts(several) or len(several) not in (1, len(strings)):
            return False
        if not own:
            self.rules.add("other_fields")
        elif len(fields) > 2:
            self.rules.add("extra_fields")
        if depth == 0:
            self.rules.add("no_list")
        if isinstance(texts, list):
            self.silent |= not texts
            self.rules.add("text_lists" if texts else "nothing")
        for one, text in zip(several * len(strings) if len(several) == 1 else several, strings, strict=True):
            self.add(one, text)
        return True

    def _field_names(self, fields: Mapping[str, Any], label: str | None) -> tuple[str, str] | None:
        """Returns the names of the label's field ('' for the label from outside) and of the text's, found by the lists of names or by the one value that is a label."""
        folded = {key: fold(key) for key in fields}
        label_names = [key for key, name in folded.items() if name in LABEL_FIELDS or name == fold(self.task.answer.label)]
        text_names = [key for key, name in folded.items() if name in TEXT_FIELDS or name == fold(self.task.answer.text)]
        for label_name in label_names:
            for text_name in text_names:
                if label_name != text_name:
                    one, other = fields[label_name], fields[text_name]
                    swapped = isinstance(one, str) and isinstance(other, str) and self.known(other) and not self.known(one)
                    return (text_name, label_name) if swapped else (label_name, text_name)
        if label is not None and text_names and not label_names:
            return "", text_names[0]
        words = [key for key, value in fields.items() if isinstance(value, str)]
        if len(words) != 2 or any(self.known(key) or self.in_sentence(key) for key in words):
            return None
        first, second = (self.known(fields[key]) for key in words)
        named = bool(label_names or text_names) or (all(key.isascii() for key in words) and not all(fields[key].isascii() for key in words))
        if first == second or not named:
            return None
        return (words[0], words[1]) if first else (words[1], words[0])

    def _map(self, fields: Mapping[str, Any], label: str | None, depth: int) -> None:
        """Reads an object whose keys are entities or labels, or an object around the entities."""
        group = any(self.known(key) for key, value in fields.items() if isinstance(value, list | tuple) or value is None)
        for key, value in fields.items():
            if isinstance(value, str):
                self._entry(key, value, label, depth)
            elif self.known(key) or (group and not self._is_field(key) and _is_texts(value)):
                self._group(key, value, depth)
            elif _is_texts(value) and all(map(self.known, value)) and not self._is_field(key):
                self.rules.add("entity_map")
                for word in value:
                    self.add(word, key)
            elif isinstance(value, list | tuple):
                self._inside(key, value, label, depth)

    def _entry(self, key: str, value: str, label: str | None, depth: int) -> None:
        """Reads a key with a string value."""
        key_known, value_known = self.known(key), self.known(value)
        if self._is_quoted(value) and (key_known or fold(key) in WRAPPERS):
            self._quoted(value, key if key_known else label, depth)
        elif label is not None and not key_known and not value_known:
            self.add(label, value)
        elif not key_known and self.is_nothing(value) and (value.strip() or self.is_nothing(key) or self._is_field(key)):
            self.silent = True
            self.rules.add("nothing")
        elif key_known and not value_known:
            self._labels_left += 1
            self.rules.add("label_groups")
            self.add_all(key, value)
        elif not key_known and self._is_field(key):
            return
        elif value_known and not key_known:
            self._labels_right += 1
            self.rules.add("entity_map")
            self.add(value, key)
        else:
            self.items.append(_Either(key, value))

    def _group(self, key: str, value: Any, depth: int) -> None:
        """Reads {"人名": ["张三"]}, {"人名": [{"text": "张三"}]}, {"人名": {"张三": [[0, 1]]}} or {"人名": null}."""
        self.rules.add("label_groups")
        self._labels_left += 1
        if value is None:
            self.silent = True
        elif type(value) is tuple and value and not any(isinstance(inner, str) or self._is_field(name) for name, inner in value):
            for name, _ in value:
                self.add(key, name)
        else:
            self.read(value, key, depth + 1)

    def _inside(self, key: str, value: Any, label: str | None, depth: int) -> None:
        """Reads a list or object under a key of its own. An empty one means "no entity" only where the key is a name for a list of entities."""
        was_silent, before, unread = self.silent, len(self.items), self.unread
        self.read(value, label, depth + 1)
        if fold(key) in WRAPPERS or len(self.items) > before:
            self.rules.add("wrapper")
        else:
            self.silent, self.unread = was_silent, unread

    def _is_field(self, key: str) -> bool:
        name = fold(key)
        return any(name in names for names in (self._own, LABEL_FIELDS, TEXT_FIELDS, WRAPPERS, OTHER_FIELDS))

    def _decide(self, item: _Either) -> Pair | None:
        """Returns the pair in a key and a value, by the side where the answer's other labels are, else by the side that stands in the sentence."""
        right, left = self._labels_right, self._labels_left
        if right == left:
            right, left = self.in_sentence(item.key), self.in_sentence(item.value)
        if right == left:
            self.unread += 1
            return None
        self.rules.add("entity_map" if right > left else "label_groups")
        return (self._canonical(item.value), item.key) if right > left else (self._canonical(item.key), item.value)

    def _canonical(self, label: str) -> str:
        hit = self._look_up(label)
        return hit[0] if hit else label.strip()


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)
