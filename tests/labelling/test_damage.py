"""Labels that are damaged on purpose."""

from collections import Counter

from tests.labelling.toy_town import rows
from tools.labelling.damage import KINDS, damaged

ROWS = rows(400)


def test_the_share_that_is_asked_for_is_damaged_and_every_damaged_place_is_told() -> None:
    copy, done = damaged(ROWS, 0.1, 1)
    entities = sum(len(row.entities) for row in ROWS)
    assert 0.9 * 0.1 * entities <= sum(map(len, done)) <= 0.1 * entities
    for before, after, told in zip(ROWS, copy, done, strict=True):
        spans = [{(one.label, one.start, one.end) for one in row.entities} for row in (before, after)]
        assert spans[0] - spans[1] == {one.before for one in told if one.before}
        assert spans[1] - spans[0] == {one.now for one in told if one.now}
        assert all(row.text[one.start : one.end] == one.text for row in (after,) for one in row.entities)


def test_the_kinds_take_turns_and_the_same_seed_damages_the_same() -> None:
    _, done = damaged(ROWS, 0.2, 1)
    kinds = Counter(one.kind for told in done for one in told)
    assert set(kinds) == {*KINDS} and max(kinds.values()) < 2 * min(kinds.values())
    assert damaged(ROWS, 0.2, 1)[1] == done and damaged(ROWS, 0.2, 2)[1] != done


def test_nothing_added_or_moved_overlaps_another_entity() -> None:
    copy, _ = damaged(ROWS, 0.5, 3, ("moved", "added"))
    for row in copy:
        for left, right in zip(row.entities, row.entities[1:], strict=False):
            assert left.end <= right.start
