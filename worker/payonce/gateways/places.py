"""Places for calls to one gateway: so many at a time, and whether they have been taken for long."""

import asyncio
import time
from collections.abc import Callable

LONG_S = 1.0
"""A burst fills all places for less than this; a gateway too slow for its load, for longer."""


class Places:
    """As a context: one place, waited for in turn."""

    def __init__(self, places: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._free = asyncio.Semaphore(places)
        self._calm_below = places * 3 / 4
        self._taken = 0
        self._full_since_s: float | None = None
        self._now_s = now_s

    async def __aenter__(self) -> None:
        await self._free.acquire()
        self._taken += 1

    async def __aexit__(self, *_: object) -> None:
        self._taken -= 1
        self._free.release()
        if self._taken < self._calm_below and not self._free.locked():
            self._full_since_s = None

    def long_full(self) -> bool:
        """Say whether no place is free, and hardly one has been for LONG_S."""
        if not self._free.locked():
            return False
        now_s = self._now_s()
        if self._full_since_s is None:
            self._full_since_s = now_s
        return now_s - self._full_since_s >= LONG_S
