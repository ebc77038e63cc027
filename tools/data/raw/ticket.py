"""Names the example that a row of an annotation tool's export came from, and tells whether its annotation is still the one that went out.

In: an example's id, text and annotation. Out: a ticket, `<id>@<12 hex digits>`, which travels with the row in the field TICKET and comes back in the export.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from tools.example import Entity

TICKET = "example"
_FORM = re.compile(r"(?P<id>.+)@(?P<digest>[0-9a-f]{12})", re.DOTALL)

Meaning = tuple[str | None, tuple[tuple[int, int, str], ...]]


def meaning(entities: Iterable[Entity], label: str | None) -> Meaning:
    """Returns what tells two annotations of a text apart: the class, and the labelled places in any order."""
    return label, tuple(sorted({(one.start, one.end, one.label) for one in entities}))


def ticket(id: str, text: str, entities: Iterable[Entity], label: str | None) -> str:
    """Returns the ticket of an example: its id, and a digest of its text and annotation."""
    value = json.dumps([text, *meaning(entities, label)])  # ASCII, whatever the text
    return f"{id}@{hashlib.sha256(value.encode()).hexdigest()[:12]}"


def ticket_in(data: dict[str, Any]) -> str:
    """Returns the ticket among the fields of a row, or in `meta`, where older doccano puts them; an empty string where there is none."""
    value = data["meta"].get(TICKET) if TICKET not in data and isinstance(data.get("meta"), dict) else data.get(TICKET)
    return value if isinstance(value, str) and _FORM.fullmatch(value) else ""


def id_of(ticket: str) -> str:
    """Returns the example's id of a ticket; an empty string for an empty one."""
    match = _FORM.fullmatch(ticket)
    return match["id"] if match else ""


def is_as_sent(sent: str, text: str, entities: Iterable[Entity], label: str | None) -> bool:
    """Returns whether a row's annotation is the one that went out with its ticket."""
    return bool(sent) and ticket(id_of(sent), text, entities, label) == sent
