"""Spreads work over the cores of this machine: processes that are copies of this one, few items in memory at a time.

In: a function that takes an item, a function that gives a result, items, and a number of processes. Out: one result a process.

    ./ner score conf/task/<task>.yaml --examples FILE --predictions FILE --out DIR
"""

from __future__ import annotations

import os
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
LONGEST_WAIT = 600  # seconds for a process to end, once all items are done

_own: tuple[Any, ...]  # in a process of the pool: `work`, `result` and the barrier at the end


def processes_for(*paths: Path) -> int:
    """Returns how many processes pay for files of this size on this machine."""
    if sum(path.stat().st_size for path in paths) < PARALLEL_FROM:
        return 1
    return min(len(os.sched_getaffinity(0)), MOST_PROCESSES)


def spread(work: Callable[[T], None], result: Callable[[], U], items: Iterable[T], processes: int) -> Iterator[U]:
    """Calls `work` for each item, divided among the processes, and yields each process's `result()` at the end.

    The processes are forked: each has its own copy of what `work` and `result` close over. The first error ends all processes and is raised here. Raises ToolError (1)
    when a process is killed.
    """
    if processes == 1:
        for item in items:
            work(item)
        yield result()
        return
    from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    context = get_context("fork")
    pool = ProcessPoolExecutor(processes, context, _begin, (work, result, context.Barrier(processes, timeout=LONGEST_WAIT)))
    under_way: set[Future[None]] = set()
    try:
        pool.submit(int)  # all processes start now, while this one holds little that they would share
        for item in items:
            under_way.add(pool.submit(_do, item))
            if len(under_way) == WAITING * processes:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                _check(done)
        _check(under_way)
        yield from [future.result() for future in [pool.submit(_end) for _ in range(processes)]]
    except BrokenProcessPool:
        raise ToolError("one of the processes that share the work is gone; is the memory full?", WANTING) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _check(done: Iterable[Future[None]]) -> None:
    """Raises the error of the first that failed; waits for those that aren't done."""
    for future in done:
        future.result()


def _begin(*own: Any) -> None:
    """Prepares a process of the pool: Ctrl-C is the parent's to handle, and a parent that is killed takes this process with it."""
    import signal

    from tools.process import die_with_parent

    global _own
    _own = own
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()


def _do(item: Any) -> None:
    _own[0](item)


def _end() -> Any:
    """Returns this process's result. Waits for the other processes to end too, so that none takes two ends."""
    _own[2].wait()
    return _own[1]()


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
