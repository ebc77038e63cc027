"""Joins two large files by id, line by line: examples and predictions, in the same order or in any other.

In: an examples file and a predictions file. Out: the lines that belong together, parsed no further than their ids, so that other processes can read them.

    ./ner score conf/task/<task>.yaml --examples FILE --predictions FILE --out DIR
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from tools import example
from tools.errors import WANTING, ToolError
from tools.files import parse_object, read_lines
from tools.predict import predictions

BLOCK = 500  # lines of each file that are compared at a time
CHUNK = 2_000  # examples that a process gets at a time

# The id where our own tools write it. Any other line is parsed to find it.
_ID = re.compile(rb'\{"id": ?"([^"\\\x00-\x1f]*)"[,}]')

Line = tuple[int, bytes]  # a line and its number
# An example's number and line, then its prediction's; 0 and b"" where there is no prediction. It is a tuple, because a million are made.
Joined = tuple[int, bytes, int, bytes]


def join(examples: Path, answers: Path) -> Iterator[Joined]:
    """Yields each example's line with its prediction's.

    Memory holds the ids, and the lines that wait for their partner: none where both files have the same order. Raises ToolError (1) for an id that stands twice, for
    predictions of other examples, and for a file without a line.
    """
    done: set[bytes] = set()
    golds: dict[bytes, Line] = {}
    waiting: dict[bytes, Line] = {}
    golds_of = _blocks(examples, lambda row, where: example.as_example(row, where).id)
    answers_of = _blocks(answers, lambda row, where: predictions.as_prediction(row, where).id)
    for some, others in zip_longest(golds_of, answers_of, fillvalue=_Block([], [])):
        if some.ids == others.ids and not golds and not waiting and done.isdisjoint(some.ids) and len(set(some.ids)) == len(some.ids):
            done.update(some.ids)
            yield from [gold + answer for gold, answer in zip(some.lines, others.lines, strict=True)]
            continue
        for id, line in zip(some.ids, some.lines, strict=True):
            if id in done or id in golds:
                raise example.stands_twice(_shown(id), f"{examples}:{line[0]}")
            golds[id] = line
        for id, line in zip(others.ids, others.lines, strict=True):
            if id in done or id in waiting:
                raise predictions.stands_twice(_shown(id), f"{answers}:{line[0]}")
            if gold := golds.pop(id, None):
                done.add(id)
                yield gold + line
            else:
                waiting[id] = line
        for id in [id for id in some.ids if id in waiting]:
            done.add(id)
            yield golds.pop(id) + waiting.pop(id)
    if not done and not golds:
        raise ToolError(f"{examples}: no examples in it.", WANTING)
    if not done and not waiting:
        raise ToolError(f"{answers}: no predictions in it.", WANTING)
    _refuse_strangers(examples, answers, waiting, len(done), next(iter(golds or done)))
    for left in golds.values():
        yield *left, 0, b""


def _refuse_strangers(examples: Path, answers: Path, strangers: dict[bytes, Line], known: int, there: bytes) -> None:
    """Raises ToolError (1) for predictions without an example: the first that is no prediction at all, else their number."""
    for number, text in strangers.values():
        where = f"{answers}:{number}"
        predictions.as_prediction(parse_object(text, where), where)
    if strangers:
        first = _shown(next(iter(strangers)))
        raise ToolError(
            f"{answers}: {len(strangers)} of {known + len(strangers)} ids aren't in {examples}, e.g. '{first}' (there: '{_shown(there)}'). They don't belong together.",
            WANTING,
        )


class _Block(NamedTuple):
    """Some of a file's lines, and their ids."""

    ids: list[bytes]
    lines: list[Line]


def _blocks(path: Path, id_of: Callable[[dict[str, Any], str], str]) -> Iterator[_Block]:
    match, lines = _ID.match, read_lines(path)
    while block := list(islice(lines, BLOCK)):
        ids = []
        for number, text in block:
            if found := match(text):
                ids.append(found[1])
            else:
                where = f"{path}:{number}"
                ids.append(id_of(parse_object(text, where), where).encode("utf-8", "surrogatepass"))
        yield _Block(ids, block)


def _shown(id: bytes) -> str:
    return id.decode("utf-8", "replace")


def chunks(joined: Iterable[Joined]) -> Iterator[list[Joined]]:
    """Yields the joined lines in chunks of CHUNK."""
    lines = iter(joined)
    while some := list(islice(lines, CHUNK)):
        yield some
