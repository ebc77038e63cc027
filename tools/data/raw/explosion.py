"""Takes a row out of what spaCy and Prodigy put around it, before any reader looks at it.

["…", {"entities": […]}]  ["…", {"cats": {"体育": 1.0, "财经": 0.0}}]                 spaCy's training data: a text and its annotation
{"text": "…", "spans": […], "answer": "accept"}  {"text": "…", "accept": ["体育"], "answer": "accept"}      Prodigy: what the annotator said to a suggestion

In: a decoded JSON value. Out: the same, or an object with the text and the annotation; a class stands under `label`.
Sources: spacy.io/api/data-formats#json-input, prodi.gy/docs/api-interfaces.
"""

from __future__ import annotations

from typing import Any

from tools.data.raw.fields import Unusable
from tools.data.raw.row import shown

_TURNED_DOWN = ("reject", "ignore")


def unpacked(value: Any) -> Any:
    """Returns the row. Raises Unusable for one that the annotator turned down, and for one of several classes."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        value = {"text": value[0], **value[1]}
        if isinstance(cats := value.get("cats"), dict) and cats and not value.get("entities"):
            return {**value, "label": _only([name for name, score in cats.items() if isinstance(score, int | float) and score >= 0.5], "cats")}
    if not isinstance(value, dict) or "answer" not in value:
        return value
    if value["answer"] in _TURNED_DOWN:
        raise Unusable(f"its 'answer' is '{value['answer']}' (Prodigy's): the annotator didn't accept the row.", "unannotated")
    accepted = value.get("accept")
    is_choice = value["answer"] == "accept" and isinstance(accepted, list) and all(isinstance(name, str) for name in accepted)
    return {**value, "label": _only(accepted or [], "accept")} if is_choice and not value.get("spans") else value


def _only(names: list[str], key: str) -> str:
    if len(names) == 1:
        return names[0]
    if not names:
        raise Unusable(f"no class in '{key}': the row isn't annotated.", "unannotated")
    raise Unusable(f"several classes in '{key}', {shown(names)}: a row of this project has one class.")
