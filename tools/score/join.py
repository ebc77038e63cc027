"""Brings two large files together by id, line by line: examples and predictions, in step while their ids come in the same order, in any other order too.

In: an examples file and a predictions file. Out: the lines that belong together, unread but for their ids, so that other processes can read them.

    python -m tools.score.score conf/task/<task>.yaml --examples FILE --predictions FILE --out DIR
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tools import example
from tools.errors import WANTING, ToolError
from tools.files import parse_object, read_lines
from tools.predict import predictions

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")
U = TypeVar("U")
BLOCK = 500  # lines of each file that are compared at a time
CHUNK = 2_000  # examples that a process gets at a time
PARALLEL_FROM = 30_000_000  # bytes of both files: below that, one process is done before others have started
MOST_PROCESSES = 8  # beyond that, the one that reads the lines can't keep up

# The id where our own tools write it. Any other line is parsed to find it.
_ID = re.compile(rb'\{"id": ?"([^"\\\x00-\x1f]*)"[,}]')


# An example's line and its prediction's with their numbers; the prediction's are 0 and b"" where it is missing. Tuples, for a million are made.
Joined = tuple[int, bytes, int, bytes]


def join(examples: Path, answers: Path) -> Iterator[Joined]:
    """Each example's line with its prediction's, if there is one.

    What waits for its partner is held in memory, and the ids that were met: for files in the same order nothing else. Raises ToolError (1) for an id that stands
    twice, for predictions of other examples, and for files with no line.
    """
    done: set[bytes] = set()
    golds: dict[bytes, tuple[int, bytes]] = {}
    waiting: dict[bytes, tuple[int, bytes]] = {}
    nothing = _Block([], [])
    for some, others in zip_longest(_blocks(examples, _example_id), _blocks(answers, _prediction_id), fillvalue=nothing):
        if some.ids == others.ids and not golds and not waiting and _are_new(some.ids, done):
            done.update(some.ids)
            yield from [gold + answer for gold, answer in zip(some.lines, others.lines, strict=True)]
            continue
        for id, line in some.items():
            if id in done or id in golds:
                raise example.stands_twice(_shown(id), f"{examples}:{line[0]}")
            golds[id] = line
        for id, line in others.items():
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


def _refuse_strangers(examples: Path, answers: Path, strangers: dict[bytes, tuple[int, bytes]], known: int, there: bytes) -> None:
    """Predictions without an example: a line that is no prediction is told as such, the others are counted."""
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
    """Some of a file's lines with their numbers, and their ids."""

    ids: list[bytes]
    lines: list[tuple[int, bytes]]

    def items(self) -> Iterator[tuple[bytes, tuple[int, bytes]]]:
        return zip(self.ids, self.lines, strict=True)


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


def _are_new(ids: list[bytes], done: set[bytes]) -> bool:
    return done.isdisjoint(ids) and len(set(ids)) == len(ids)


def _example_id(row: dict[str, Any], where: str) -> str:
    return example.as_example(row, where).id


def _prediction_id(row: dict[str, Any], where: str) -> str:
    return predictions.as_prediction(row, where).id


def _shown(id: bytes) -> str:
    return id.decode("utf-8", "replace")


class Chunk(NamedTuple):
    """Some joined lines, packed so that another process gets them quickly."""

    example_numbers: tuple[int, ...]
    examples: bytes
    prediction_numbers: tuple[int, ...]
    predictions: bytes

    def lines(self) -> Iterator[Joined]:
        """The lines again."""
        return zip(self.example_numbers, self.examples.split(b"\n"), self.prediction_numbers, self.predictions.split(b"\n"), strict=True)


def chunks(joined: Iterable[Joined], size: int | None = None) -> Iterator[Chunk]:
    """The joined lines, `size` at a time, CHUNK where none is given."""
    iterator = iter(joined)
    while some := list(islice(iterator, size or CHUNK)):
        numbers, examples, others, answers = zip(*some, strict=True)
        yield Chunk(numbers, b"\n".join(examples), others, b"\n".join(answers))


@contextmanager
def no_collection() -> Iterator[None]:
    """No garbage collection in the block: rows have no cycles, and to look for them among a million of them takes a tenth of the time and more."""
    import gc

    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def processes_for(*paths: Path) -> int:
    """How many processes pay for files of this size on this machine."""
    import os

    if sum(path.stat().st_size for path in paths) < PARALLEL_FROM:
        return 1
    return min(len(os.sched_getaffinity(0)), MOST_PROCESSES)


def spread(work: Callable[[Iterable[T]], U], items: Iterable[T], processes: int) -> Iterator[U]:
    """What `work` makes of the items, divided among so many processes: one result for each, in no particular order of items.

    Each process is a copy of this one, so `work` may close over anything; it gets the next item when it asks for one, so few are held at a time. An error in one
    process ends all, and is raised here.
    """
    if processes == 1:
        yield work(items)
        return
    import multiprocessing
    from multiprocessing.connection import wait

    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in range(processes)]
    children = [context.Process(target=_child, args=(work, number, pipes), daemon=True) for number in range(processes)]
    ours = [pipe[0] for pipe in pipes]
    try:
        for child in children:
            child.start()
        for _, theirs in pipes:
            theirs.close()
        for item in items:
            asking: Any = wait(ours)[0]
            _answer(asking)
            asking.send(item)
        for connection in ours:
            _answer(connection)
            connection.send(None)
        for connection in ours:
            yield _answer(connection)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise ToolError("one of the processes that share the work is gone; is the memory full?", WANTING) from None
    finally:
        for child in children:
            if child.is_alive():
                child.terminate()
            child.join()


def _answer(connection: Connection) -> Any:
    """What a process says: None when it asks for an item, its result when it has got them all."""
    found = connection.recv()
    if isinstance(found, Exception):
        raise found
    return found


def _child(work: Callable[[Iterable[Any]], Any], number: int, pipes: list[tuple[Connection, Connection]]) -> None:
    """In a new process: Ctrl-C is the parent's to handle, and a parent that is killed takes this one with it."""
    import signal

    from tools.process import die_with_parent

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    own = pipes[number][1]
    for other, theirs in pipes:
        other.close()
        if theirs is not own:
            theirs.close()
    try:
        own.send(work(_asked_for(own)))
    except Exception as error:
        own.send(error)


def _asked_for(connection: Connection) -> Iterator[Any]:
    """The items that the parent sends, one for each request, up to None."""
    connection.send(None)
    while (item := connection.recv()) is not None:
        yield item
        connection.send(None)
