"""What was read a moment ago, shared by all who look: viewers cost the servers little."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from payonce.domain.errors import Unavailable
from payonce.ports.clock import Clock

Result = TypeVar("Result")

KEPT_S = 1.5
COST_SHARE = 20
"""Counts that took long to read are kept longer: a twentieth of the time goes on it at most."""

MOST_KEPT = 128


@dataclass(slots=True)
class _Kept:
    reading: "asyncio.Task[Any]"
    until: float = float("inf")


class Shelf:
    """Reads each thing once at a time. That a server is away is kept for a moment as well."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    async def get(
        self,
        key: Hashable,
        read: Callable[[], Awaitable[Result]],
        keep_s: float = KEPT_S,
        *,
        share: int = 0,
    ) -> Result:
        """Return what `read` returns, or what it returned a moment ago, or raise the same.

        `share`: a result is kept for so many times as long as it took to read, if that is longer:
        for counts, never for what an order is.
        """
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._now_s():
            kept = self._begin(key, read, keep_s, share)
        # Whoever leaves does not take the reading along: others wait for it too.
        result: Result = await asyncio.shield(kept.reading)
        return result

    def clear(self) -> None:
        """Forget everything: somebody has just changed something."""
        self._kept.clear()

    def _begin(
        self, key: Hashable, read: Callable[[], Awaitable[Result]], keep_s: float, share: int
    ) -> _Kept:
        began_s = self._now_s()

        async def work() -> Result:
            try:
                result = await read()
            except BaseException:
                kept.until = self._now_s() + KEPT_S
                raise
            now_s = self._now_s()
            kept.until = now_s + max(keep_s, (now_s - began_s) * share)
            return result

        kept = _Kept(asyncio.create_task(work()))
        kept.reading.add_done_callback(self._note)
        self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return kept

    def _note(self, reading: "asyncio.Task[Any]") -> None:
        """Look at an error that nobody waited for, and keep none but that a server is away."""
        if reading.cancelled() or isinstance(reading.exception(), Unavailable):
            return
        if reading.exception() is not None:
            self._kept = OrderedDict(
                (key, one) for key, one in self._kept.items() if one.reading is not reading
            )

    def _now_s(self) -> float:
        return self._clock.now().timestamp()
