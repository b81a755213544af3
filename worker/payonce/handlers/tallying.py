"""Carry what this process counted to the sums of all processes, for the operators' page."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from payonce.domain.errors import Unavailable
from payonce.looping import repeat
from payonce.ports.activity import Activity, Key
from payonce.ports.clock import Clock

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=10)
KEPT_FOR = timedelta(hours=48)
LEAVE_WITHIN_S = 1.0


class Tallying:
    """Adds counts every 10 s. What cannot be added is lost: charts are not worth a second count."""

    def __init__(
        self, activity: Activity, take: Callable[[], Mapping[Key, int]], clock: Clock
    ) -> None:
        self._activity = activity
        self._take = take
        self._clock = clock

    async def run(self) -> None:
        """Add for ever."""
        await repeat("activity", self.run_once, EVERY, self._clock)

    async def run_once(self) -> bool:
        """Add what was counted since the last time, in one statement."""
        counts = self._take()
        if not counts:
            return False
        now = self._clock.now()
        try:
            await self._activity.add(now, counts, now - KEPT_FOR)
        except Unavailable as error:
            log.info("activity.lost", counts=sum(counts.values()), reason=str(error))
        return False

    async def leave(self) -> None:
        """Add the last counts; the end does not wait for them for long."""
        try:
            async with asyncio.timeout(LEAVE_WITHIN_S):
                await self.run_once()
        except TimeoutError:
            log.info("activity.left")
