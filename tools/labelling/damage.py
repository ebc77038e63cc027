"""Damages annotation on purpose, in the ways in which annotators err, and says where: an entity dropped, under another label, with another border, or added.

In: examples, a rate and a seed. Out: damaged copies, and the entities that are wrong now. `./ner suspects` learns from such copies what a wrong label looks like, and bench/suspects.py
counts how many of them it finds.

    ./ner suspects conf/task/sample.yaml
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tools.answers import Span
from tools.example import Entity, Example

KINDS = ("dropped", "relabelled", "moved", "added")
TRIES = 20  # to find room for an added entity in a text


@dataclass(frozen=True)
class Damage:
    """One damaged entity: its kind, what stood there before (None for an added one), and what stands there now (None for a dropped one)."""

    kind: str
    before: Span | None
    now: Span | None


def damaged(rows: Sequence[Example], rate: float, seed: int, kinds: Sequence[str] = KINDS) -> tuple[list[Example], list[list[Damage]]]:
    """Returns the examples with a share of `rate` of their entities damaged, and each example's damage. The kinds take turns; the same seed damages the same."""
    chance = random.Random(seed)
    every = [(number, entity) for number, row in enumerate(rows) for entity in row.entities]
    entities, done = [list(row.entities) for row in rows], [list[Damage]() for _ in rows]
    for turn, (number, entity) in enumerate(chance.sample(every, round(rate * len(every)))):
        kind = kinds[turn % len(kinds)]
        if kind == "added":
            number = chance.randrange(len(rows))
        now = _now(kind, entity, rows[number], entities[number], every, chance)
        if kind != "added":
            entities[number].remove(entity)
        elif now is None:
            continue
        if now:
            entities[number].append(now)
        done[number].append(Damage(kind, None if kind == "added" else _span(entity), _span(now) if now else None))
    changed = zip(rows, entities, done, strict=True)
    return [replace(row, entities=sorted(own, key=lambda one: one.start)) if harm else row for row, own, harm in changed], done


def _now(kind: str, entity: Entity, row: Example, own: list[Entity], every: list[tuple[int, Entity]], chance: random.Random) -> Entity | None:
    """Returns what takes an entity's place; None where nothing does. Labels and lengths are drawn as often as the data has them."""
    if kind == "relabelled":
        others = [one.label for _, one in chance.choices(every, k=TRIES) if one.label != entity.label]
        return replace(entity, label=others[0]) if others else None
    if kind == "moved":
        return _moved(entity, row, own, chance)
    return _added(row, own, every, chance) if kind == "added" else None


def _moved(entity: Entity, row: Example, own: list[Entity], chance: random.Random) -> Entity | None:
    """Returns the entity with one border moved, inwards by up to half of it or outwards by one or two characters; None where there is no room."""
    inwards = chance.randint(1, max(1, len(entity.text) // 2))
    shifts = [(inwards, 0), (0, -inwards)] if chance.random() < 0.75 else [(-chance.randint(1, 2), 0), (0, chance.randint(1, 2))]
    for start, end in chance.sample([(entity.start + a, entity.end + b) for a, b in shifts], 2):
        room = 0 <= start < end <= len(row.text) and not any(one is not entity and one.start < end and start < one.end for one in own)
        if room and row.text[start:end].strip() == row.text[start:end]:
            return Entity(entity.label, row.text[start:end], start, end)
    return None


def _added(row: Example, own: list[Entity], every: list[tuple[int, Entity]], chance: random.Random) -> Entity | None:
    """Returns an entity at an empty place of a text, with the label of one entity and the length of another; None where none was found."""
    for _ in range(TRIES):
        (_, like), (_, long) = chance.choices(every, k=2)
        length = long.end - long.start
        if length > len(row.text):
            continue
        start = chance.randint(0, len(row.text) - length)
        string = row.text[start : start + length]
        if string.strip() == string and not any(one.start < start + length and start < one.end for one in (*row.entities, *own)):
            return Entity(like.label, string, start, start + length)
    return None


def _span(entity: Entity) -> Span:
    return entity.label, entity.start, entity.end
