"""Spreads work over the cores of this machine: processes that are copies of this one, few items in memory at a time.

In: a function, items, and a number of processes. Out: the function's result for each item.

    ./ner score conf/task/<task>.yaml --examples FILE --predictions FILE --out DIR
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tools.errors import WANTING, ToolError

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
U = TypeVar("U")
PARALLEL_FROM = 30_000_000  # bytes of all files: below that, one process is done before others have started
MOST_PROCESSES = 8  # beyond that, the one that reads the lines can't keep up
WAITING = 2  # items a process that are under way at a time

_work: Callable[[Any], Any]  # in a process of the pool


def processes_for(*paths: Path) -> int:
    """Returns how many processes pay for files of this size on this machine."""
    if sum(path.stat().st_size for path in paths) < PARALLEL_FROM:
        return 1
    return min(len(os.sched_getaffinity(0)), MOST_PROCESSES)


def spread(work: Callable[[T], U], items: Iterable[T], processes: int) -> Iterator[U]:
    """Yields `work(item)` for each item in order; the items are divided among the processes.

    The processes are forked: each has its own copy of what `work` closes over. The first error ends all processes and is raised here. Raises ToolError (1) when a
    process is killed.
    """
    if processes == 1:
        yield from map(work, items)
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(processes, get_context("fork"), _begin, (work,))
    under_way: deque[Future[U]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(_do, item))
            if len(under_way) == WAITING * processes:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool:
        raise ToolError("one of the processes that share the work is gone; is the memory full?", WANTING) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(work: Callable[[Any], Any]) -> None:
    """Prepares a process of the pool: Ctrl-C is the parent's to handle, and a parent that is killed takes this process with it."""
    import signal

    from tools.process import die_with_parent

    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()


def _do(item: Any) -> Any:
    return _work(item)


@contextmanager
def no_collection() -> Iterator[None]:
    """Turns garbage collection off in the block: rows have no cycles, and looking for cycles among a million rows takes a tenth of the time or more."""
    import gc

    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
