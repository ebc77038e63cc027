"""Takes a row out of what spaCy and Prodigy put around it, before any reader looks at it.

["…", {"entities": […]}]  ["…", {"cats": {"体育": 1.0, "财经": 0.0}}]                 spaCy's training data: a text and its annotation
{"text": "…", "spans": […], "answer": "accept"}  {"text": "…", "accept": ["体育"], "answer": "accept"}      Prodigy: what the annotator said to a suggestion

In: a decoded JSON value. Out: the same, or an object with the text and the annotation; a class stands under `label`.
Sources: spacy.io/api/data-formats#json-input, prodi.gy/docs/api-interfaces.
"""

from __future__ import annotations

from typing import Any

from tools.data.raw.fields import Unusable, only_class
from tools.data.raw.row import TURNED_DOWN

_NO = ("reject", "ignore")


def unpacked(value: Any) -> Any:
    """Returns the row. Raises Unusable for one that the annotator turned down, and for one of several classes."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        value = {"text": value[0], **value[1]}
        if isinstance(cats := value.get("cats"), dict) and cats and not value.get("entities"):
            return {**value, "label": only_class([name for name, score in cats.items() if isinstance(score, int | float) and score >= 0.5], "cats")}
    if not isinstance(value, dict) or "answer" not in value:
        return value
    if value.get("_view_id") == "ner" and value.get("spans"):
        raise Unusable(
            "the row is a yes or no to one suggested span (Prodigy's ner.teach): the text's other entities aren't annotated. Take ner.manual's or ner.correct's.",
            "named",
        )
    if value["answer"] in _NO:
        raise Unusable(f"its 'answer' is '{value['answer']}' (Prodigy's): the annotator took the row out.", TURNED_DOWN)
    accepted = value.get("accept")
    if value["answer"] != "accept" or not isinstance(accepted, list) or value.get("spans"):
        return value
    options = value["options"] if isinstance(value.get("options"), list) else []
    names = {option.get("id"): option.get("text") for option in options if isinstance(option, dict)}
    return {
        **value,
        "label": only_class(
            [name if isinstance(name, str) else str(names.get(name, name)) for name in accepted if isinstance(name, str | int)], "accept"
        ),
    }
