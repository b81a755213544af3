"""An event loop whose time is a number: it jumps to the next timer, and nobody waits."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Stuck(Exception):
    """Nothing can ever happen any more: everybody waits for somebody else."""


class _Selector(selectors.SelectSelector):
    """Waits for nothing: a time-out has passed as soon as it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let `timeout` pass."""
        if timeout is None:
            raise Stuck
        self.now_s += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time. What runs in it is the same at each run, bit by bit."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        # A timer that is due by less than this counts as due: no rounding makes the loop spin.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Return the virtual seconds since the loop began."""
        return self._virtual.now_s


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end on virtual time. Raises Stuck."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(work)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
