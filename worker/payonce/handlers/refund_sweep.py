"""The net under refunds: takes up those that show no life."""

import asyncio
from datetime import timedelta

import structlog

from payonce.domain.messages import refund_due
from payonce.domain.times import to_ms
from payonce.domain.watch import REFUND_AGAIN_AFTER
from payonce.looping import repeat
from payonce.ports.bus import Timer
from payonce.ports.clock import Clock
from payonce.ports.gateway import Gateways
from payonce.ports.refunds import Refunds

log = structlog.get_logger(__name__)

BATCH = 200


class RefundSweep:
    """Finds refunds whose time to be looked after has passed and has them looked at at once.

    What the broker does not take, or loses again, comes back a minute later.
    """

    def __init__(
        self, refunds: Refunds, timer: Timer, gateways: Gateways, every: timedelta, clock: Clock
    ) -> None:
        self._refunds = refunds
        self._timer = timer
        self._gateways = gateways
        self._every = every
        self._clock = clock

    async def run(self) -> None:
        """Sweep for ever."""
        await repeat("refund-sweep", self.run_once, self._every, self._clock)

    async def run_once(self) -> bool:
        """Take up one batch; True where it was full. Raises Unavailable."""
        now = self._clock.now()
        found = await self._refunds.overdue(
            now, now + REFUND_AGAIN_AFTER, BATCH, sorted(self._gateways)
        )
        looks = (self._timer.refund_after(0, refund_due(one, to_ms(now))) for one in found)
        for problem in await asyncio.gather(*looks, return_exceptions=True):
            if problem is not None:
                raise problem
        if found:
            log.info("refunds.revived", refunds=len(found))
        return len(found) == BATCH
