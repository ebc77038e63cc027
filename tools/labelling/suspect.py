"""Defines a suspect, a place whose label is probably wrong, as suspects.jsonl has it, one object a line.

{"id": "clue-train-000012", "split": "train", "score": 0.93, "kind": "label", "now": {"label": "movie", "text": "…", "start": 3, "end": 7}, "instead": {"label": "book", …},
 "why": {"string": "…", "places": [{"label": "book", "start": 0, "end": 0, "places": 41, "ids": ["clue-train-000077", …]}, …], "ending": {"characters": "银行", "labels": {…}},
 "model": {"label": …, "confidence": 0.97}}}

`places` says how all places of the string are annotated: with a label, or with '' for nothing; `start` and `end` are moved against the string's own, where an entity within it is
annotated. `model` is empty where no model was asked, and its label is empty where it found nothing there.

    ./ner suspects conf/task/sample.yaml
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tools.answers import Span


@dataclass(frozen=True)
class Marked:
    """An entity of a text, or a class: then `text` is empty, and both offsets are 0."""

    label: str
    text: str = ""
    start: int = 0
    end: int = 0

    @classmethod
    def of(cls, span: Span | None, text: str) -> Marked | None:
        """Returns the entity at a span of a text; None for none."""
        return cls(span[0], text[span[1] : span[2]], span[1], span[2]) if span else None

    def __str__(self) -> str:
        return f"{self.text} [{self.label}]" if self.text else f"[{self.label}]"


@dataclass(frozen=True)
class Annotated:
    """One way in which the places of a string are annotated: `label` ('' for nothing), moved borders, the number of places, and the ids of some of their examples."""

    label: str
    start: int
    end: int
    places: int
    ids: Sequence[str] = ()


@dataclass(frozen=True)
class Why:
    """What speaks against a label: the string and its places, the labels of entities that end alike, and a model's answer with its confidence."""

    string: str = ""
    places: Sequence[Annotated] = ()
    ending: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suspect:
    """A place that is probably annotated wrongly: what stands there now, and what may belong there instead; None for nothing.

    `score` is from 0 to 1 (tools/labelling/suspicion.py). `kind` is missing (an entity isn't marked), extra (what is marked is none), label, border, odd (no suggestion), or class.
    """

    id: str
    split: str
    score: float
    kind: str
    now: Marked | None
    instead: Marked | None
    why: Why

    def to_dict(self) -> dict[str, Any]:
        """Returns the suspect as a line of suspects.jsonl."""
        return asdict(self)

    def change(self) -> tuple[Span | None, Span | None]:
        """Returns the spans now and instead. Without a suggestion nothing changes."""
        if self.kind == "odd" or self.kind == "class":
            return None, None
        return tuple((one.label, one.start, one.end) if one else None for one in (self.now, self.instead))  # type: ignore[return-value]


def kind_of(now: Span | None, instead: Span | None) -> str:
    """Returns the kind of a suspect by its two readings."""
    if now is None:
        return "missing"
    if instead is None:
        return "extra"
    return "label" if now[1:] == instead[1:] else "border"
