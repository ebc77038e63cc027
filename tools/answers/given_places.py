"""Reads entities that are given by their places in the sentence: BIO tags alone, [0, 3, "name"], {"start": 0, "end": 3, "label": "name"}.

In: a list or an object without the entity's string. Out: the strings that the sentence has there. It serves tools.answers.reading.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tools.answers.collected import Collected
from tools.answers.field_names import END_FIELDS, START_FIELDS
from tools.text import fold

_TAG = re.compile(r"O|[BIESMLU][-_].+")


class Places(Collected):
    """Reads places; only where the sentence is known."""

    def _tags(self, values: list[Any]) -> bool:
        """Reads a list of BIO tags, one for each character of the sentence."""
        if self.sentence is None or len(values) != len(self.sentence) or not all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in values):
            return False
        self.rules.add("marks")
        for character, tag in zip(self.sentence, values, strict=True):
            self.add(tag, character)
        return True

    def _span(self, values: list[Any]) -> bool:
        """Reads [0, 3, "name"]: places in the sentence."""
        labels, numbers = [one for one in values if isinstance(one, str)], [one for one in values if type(one) is int]
        if len(values) != 3 or len(labels) != 1 or len(numbers) != 2 or not self.known(labels[0]):
            return False
        return self._place(labels[0], *numbers)

    def _place(self, label: str, start: int, end: int) -> bool:
        """Adds the string at a place in the sentence, whose end is exclusive."""
        if self.sentence is None or not 0 <= start < end <= len(self.sentence):
            return False
        self.rules.add("marks")
        self.add(label, self.sentence[start:end])
        return True

    def _placed(self, fields: Mapping[str, Any], label: str | None) -> bool:
        """Reads {"start": 0, "end": 3, "label": "name"}: the sentence has the string."""
        numbers = {fold(key): value for key, value in fields.items() if type(value) is int}
        starts, ends = [numbers[name] for name in numbers if name in START_FIELDS], [numbers[name] for name in numbers if name in END_FIELDS]
        labels = [value for value in fields.values() if isinstance(value, str)] or ([label] if label else [])
        if len(starts) != 1 or len(ends) != 1 or len(labels) != 1 or not self._place(labels[0], starts[0], ends[0]):
            return False
        self.rules.add("fields")
        return True
