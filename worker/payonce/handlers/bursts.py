"""Equal work that is asked for many times at once is done once; everybody gets the same result."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


@dataclass
class Burst:
    """Those who wait for one piece of work."""

    size: int = 0


class Bursts(Generic[Key, Result]):
    """Runs work in tasks of its own, so that it ends also where those who asked have gone."""

    def __init__(self) -> None:
        self._running: dict[Key, tuple[Burst, asyncio.Task[Result]]] = {}

    async def join(self, key: Key, work: Callable[[Burst], Awaitable[Result]]) -> Result:
        """Return the result of the work under way for `key`, else begin `work`."""
        burst, task = self._running.get(key) or self._begin(key, work)
        burst.size += 1
        return await asyncio.shield(task)

    def _begin(
        self, key: Key, work: Callable[[Burst], Awaitable[Result]]
    ) -> "tuple[Burst, asyncio.Task[Result]]":
        burst = Burst()

        async def run() -> Result:
            try:
                return await work(burst)
            finally:
                del self._running[key]

        task = asyncio.create_task(run())
        self._running[key] = burst, task
        return burst, task
