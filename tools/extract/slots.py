"""Keeps the service from having a queue without end: what doesn't fit is refused at once, and no request keeps the others waiting for long.

In: how many windows vLLM computes at once. Out: Slots, which admit requests and hand out places at vLLM.

    ./ner serve conf/tiny-qwen2-sample-ner-lora-sft.yaml
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from tools.extract.problems import Problem

ROOM = 16  # windows of all requests, as a multiple of those that vLLM computes at once
PART = 4  # a request takes up a quarter of the room at most, however long it is: long texts get in beside short ones
HALF = 2  # a request asks for half of vLLM's places at most


class Slots:
    """The windows of all requests. `at_once` are those that vLLM computes together; `taken` counts the room that open requests take up."""

    def __init__(self, at_once: int) -> None:
        self.at_once, self.room, self.taken = at_once, ROOM * at_once, 0
        self.a_request = max(1, at_once // HALF)
        self.asked = 0
        self._places = asyncio.Semaphore(at_once)  # the first to wait is the first to go

    def need_room(self, windows: int) -> int:
        """Returns the room that a request with so many windows takes up. Raises Problem (503) where there isn't enough."""
        size = max(1, min(windows, self.room // PART))
        if self.taken + size > self.room:
            raise Problem(503, "busy", "the server has as much to do as it takes on; try again after the seconds that Retry-After names")
        return size

    @contextmanager
    def admitted(self, windows: int) -> Iterator[None]:
        """Holds the room of a request with so many windows. Raises Problem as `need_room` does."""
        size = self.need_room(windows)
        self.taken += size
        try:
            yield
        finally:
            self.taken -= size

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Holds one of vLLM's places, for which it waits."""
        async with self._places:
            self.asked += 1
            try:
                yield
            finally:
                self.asked -= 1
