"""Turns JSON-like values of any shape into (label, string) pairs.

In: values from tools.answers.scan, a task, and the sentence if it is known. Out: pairs, and the rules beyond the trained format that were needed. A word is a label if
the task knows it. The entry point is tools.answers.parse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tools.answers.assertion import is_doubted, is_rejected, is_switched_off
from tools.answers.field_names import BESIDE, LABEL_FIELDS, OTHER_FIELDS, TEXT_FIELDS, WRAPPERS
from tools.answers.given_places import Places
from tools.answers.programs import arguments
from tools.answers.scan import MAX_DEPTH, scan
from tools.conf.task import Task
from tools.text import fold

_SCHEMA_TYPES = ("object", "array", "string")
_FINAL = re.compile(r"final|corrected|revised|最终|修正|更正")


class Reading(Places):
    """The pairs of an answer's values: `read` each of them, then call `pairs()`."""

    def __init__(self, task: Task, sentence: str | None) -> None:
        super().__init__(task, sentence)
        self._own = {fold(task.answer.label), fold(task.answer.text)}
        self._in_quotes = False

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
        self.rules.add("wrapping")
        self._in_quotes = True
        for inner in scan(value).values:
            self.read(inner, label, depth + 1)
        self._in_quotes = False

    def _list(self, values: list[Any], label: str | None, depth: int) -> None:
        self.silent |= not values
        if label is None and (self._pair(values, depth) or self._tags(values) or self._span(values)):
            self.rules.add("layout")
            return
        if depth and label is None:
            self.rules.add("layout")
        for value in values:
            self.read(value, label, depth + 1)

    def _pair(self, values: list[Any], depth: int) -> bool:
        """Reads ["张三", "人名"], with or without numbers behind it. A list of two strings that isn't in a list needs a label that is known."""
        words = [value for value in values if isinstance(value, str)]
        if depth and len(values) == 2 and len(words) == 1 and words[0] is values[0] and self.known(words[0]) and _is_texts(values[1]):
            self.read(values[1], words[0], depth + 1)
            return True
        if not 2 <= len(values) <= 8 or len(words) != 2 or any(isinstance(value, tuple | list) for value in values):
            return False
        if not depth and self.known(words[0]) == self.known(words[1]):
            return False
        if any(value is False for value in values):
            self.rules.add("rejected")
            return True
        first, second = map(self.known, words)
        if first or second or any(map(self.in_sentence, words)) or (self.sentence is not None and self.is_nothing(words[0])):
            self.either(words[0], words[1], "list")
        else:
            return False
        return True

    def _object(self, pairs: tuple[tuple[str, Any], ...], label: str | None, depth: int) -> None:
        if not pairs:
            self.silent = True
            self.rules.add("nothing")
        if call := arguments(pairs):
            for value in call:
                self.read(value, label, depth)
            return
        asserted = self._asserted(pairs)
        if len(asserted) < len(pairs):
            self.rules.add("rejected")
        for fields in self._without_repeats(asserted):
            before = len(self.items)
            was_silent, self.silent = self.silent, False
            if not self._fields(fields, label, depth):
                self._map(fields, label, depth)
            self.unread += len(self.items) == before and not self.silent
            self.silent |= was_silent

    def _asserted(self, pairs: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
        """Returns an object's fields without those for what is rejected; none where a flag says that it doesn't count, and of a JSON schema."""
        if any(not self.known(key) and is_switched_off(key, value) for key, value in pairs):
            return ()
        keys = dict(pairs)
        if str(keys.get("type")) in _SCHEMA_TYPES and keys.keys() & {"properties", "items", "enum"}:
            return ()
        kept = tuple(
            (key, value)
            for key, value in pairs
            if not isinstance(value, list | tuple) or self.known(key) or self.in_sentence(key) or not (is_rejected(key) or is_doubted(key))
        )
        final = tuple((key, value) for key, value in kept if isinstance(value, list | tuple) and not self.known(key) and _FINAL.search(fold(key)))
        return final or kept

    def _without_repeats(self, pairs: tuple[tuple[str, Any], ...]) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = [{}] if pairs else []
        for key, value in pairs:
            if key in groups[-1]:
                groups.append({})
                self.rules.add("layout")
            groups[-1][key] = value
        return groups

    def _fields(self, fields: Mapping[str, Any], label: str | None, depth: int) -> bool:
        """Reads an object with a field for the label and one for the text, or its place; returns False for any other object."""
        fields = {key: (type(value) is tuple and fold(key) in LABEL_FIELDS and self._best(value)) or value for key, value in fields.items()}
        names = self.task.answer.label, self.task.answer.text
        own = names[0] in fields and names[1] in fields
        if not own:
            found = self._field_names(fields, label)
            if found is None:
                return self._placed(fields, label)
            names = found
        labels, texts = fields[names[0]] if names[0] else label, fields[names[1]]
        if texts is None:
            texts, labels = [], labels or ""
        strings: list[Any] = [texts] if isinstance(texts, str) else texts
        several: list[Any] = labels if isinstance(labels, list) else [labels]
        if not (strings == [] or _is_texts(strings)) or not _is_texts(several) or len(several) not in (1, len(strings)):
            return False
        if not own or len(fields) > 2:
            self.rules.add("fields")
        if depth == 0 or (isinstance(texts, list) and texts):
            self.rules.add("layout")
        if isinstance(texts, list) and not texts:
            self.silent = True
            self.rules.add("nothing")
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
                    if isinstance(one, tuple) or isinstance(other, tuple) or _is_lists(one) or _is_lists(other) or self._is_echo(other):
                        continue
                    swapped = isinstance(one, str) and isinstance(other, str) and self.known(other) and not self.known(one)
                    return (text_name, label_name) if swapped else (label_name, text_name)
        if label is not None and text_names and not label_names:
            return "", text_names[0]
        words = [key for key, value in fields.items() if isinstance(value, str)]
        if len(words) != 2 or any(self.known(key) or self.in_sentence(key) for key in words):
            return None
        first, second = (self.is_tag(fields[key]) for key in words)
        named = bool(label_names or text_names) or (all(key.isascii() for key in words) and not all(fields[key].isascii() for key in words))
        if first == second or not named:
            return None
        return (words[0], words[1]) if first else (words[1], words[0])

    def _is_echo(self, value: Any) -> bool:
        """Returns whether a value is the sentence itself, beside the entities."""
        return self.sentence is not None and value == self.sentence and len(value) > 12

    def _map(self, fields: Mapping[str, Any], label: str | None, depth: int) -> None:
        """Reads an object whose keys are entities or labels, or an object around the entities."""
        group = any(self.known(key) for key, value in fields.items() if isinstance(value, list | tuple) or value is None)
        kind = label or next(
            (value for key, value in fields.items() if fold(key) in LABEL_FIELDS and isinstance(value, str) and self.known(value)), None
        )
        around = any(fold(key) in WRAPPERS and isinstance(value, list | tuple) and not self.known(key) for key, value in fields.items())
        for key, value in fields.items():
            known = self.known(key)
            if value is None and label is None and fold(key) in WRAPPERS and not known:
                self.silent = True
            if isinstance(value, str) and around and not self.in_sentence(value):
                continue  # {"name": "实体识别", "entities": []}
            if isinstance(value, str):
                self._entry(key, value, label, depth)
            elif label is not None and type(value) in (int, float):
                self._scored(label, key, value)
            elif known or (
                not self._is_field(key) and _is_texts(value) and (group or any(map(self.in_sentence, value))) and not self.in_sentence(key)
            ):
                self._group(key, value, depth)
            elif not self._is_field(key) and _is_texts(value) and all(map(self.known, value)):
                self.rules.add("layout")
                for word in value:
                    self.add(word, key)
            elif type(value) is tuple and not self._is_field(key) and (best := self._best(value)):
                self.rules.add("layout")
                self.add(best, key)
            elif isinstance(value, list) and value and kind and all(isinstance(one, str | tuple) for one in value):
                self._inside(key, value, kind, depth)
            elif isinstance(value, list | tuple) and (self.in_sentence(key) or not BESIDE.fullmatch(fold(key))):
                self._inside(key, value, label, depth)

    def _best(self, scores: tuple[tuple[str, Any], ...]) -> str | None:
        """Returns the label with the highest score in {"name": 0.9, "company": 0.1}, or the label in {"type": "name"}."""
        if scores and all(self.known(name) and type(score) in (int, float) for name, score in scores):
            name, score = max(scores, key=lambda one: one[1])
            return name if score >= 0.5 else None
        types = [value for name, value in scores if isinstance(value, str) and fold(name) in LABEL_FIELDS]
        texts = [name for name, value in scores if isinstance(value, str) and fold(name) in TEXT_FIELDS]
        return types[0] if len(types) == 1 and not texts else None

    def _scored(self, label: str, text: str, score: float) -> None:
        """Reads {"name": {"张三": 0.9}}: a string with a low probability isn't asserted."""
        if type(score) is float and score < 0.5:
            self.rules.add("rejected")
        elif self.may_stand(text) and not self._is_field(text):
            self.add(label, text)

    def _entry(self, key: str, value: str, label: str | None, depth: int) -> None:
        """Reads a key with a string value."""
        key_known, value_known = self.known(key), self.known(value)
        if self._is_quoted(value) and (key_known or fold(key) in WRAPPERS):
            self._quoted(value, key if key_known else label, depth)
        elif label is not None and not key_known and not value_known:
            if not self._is_field(key) or fold(key) in TEXT_FIELDS:
                self.add(label, value)
        elif fold(key) == "error":
            return
        elif not key_known and self.is_nothing(value) and (value.strip() or self.is_nothing(key) or self._is_field(key)):
            self.silent = True
            self.rules.add("nothing")
        elif key_known and not value_known:
            self.sides["map", True] += 1
            self.rules.add("layout")
            self.add_all(key, value)
        elif not key_known and (self._is_field(key) or is_rejected(key)):
            return
        else:
            self.rules.add("layout")
            self.either(key, value, "map")

    def _group(self, key: str, value: Any, depth: int) -> None:
        """Reads {"人名": ["张三"]}, {"人名": [{"text": "张三"}]}, {"人名": {"张三": [[0, 1]]}}, {"人名": {"张三": 0.9}} or {"人名": null}."""
        self.rules.add("layout")
        self.sides["map", True] += 1
        if value is None:
            self.silent = True
        elif type(value) is tuple and value and not any(isinstance(inner, str) or self._is_field(name) for name, inner in value):
            for name, inner in value:
                self._scored(key, name, inner if type(inner) is float else 1)
        elif type(value) is tuple and all(isinstance(inner, str) and self.in_sentence(name) and not self.in_sentence(inner) for name, inner in value):
            for name, _ in value:  # {"人名": {"张三": "主席"}}
                self.add(key, name)
        else:
            self.read(value, key, depth + 1)

    def _inside(self, key: str, value: Any, label: str | None, depth: int) -> None:
        """Reads a list or object under a key of its own. An empty one means "no entity" only where the key is a name for a list of entities."""
        was_silent, before, unread = self.silent, len(self.items), self.unread
        self.read(value, label, depth + 1)
        if fold(key) in WRAPPERS or len(self.items) > before:
            self.rules.add("layout")
        else:
            self.silent, self.unread = was_silent, unread

    def _is_field(self, key: str) -> bool:
        name = fold(key)
        return any(name in names for names in (self._own, LABEL_FIELDS, TEXT_FIELDS, WRAPPERS, OTHER_FIELDS))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _is_lists(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, list | tuple) for one in value)
