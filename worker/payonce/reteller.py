"""The reteller: tells of paid orders again until the order service has acknowledged them."""

from datetime import datetime, timedelta

import structlog

from payonce.domain.ladder import Ladder
from payonce.domain.retelling import next_telling
from payonce.looping import repeat
from payonce.ports.clock import Clock
from payonce.ports.meter import Meter
from payonce.ports.store import Retelling

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=5)
BATCH = 500


class Reteller:
    """Puts `payment.succeeded` back into the outbox, the same event under the same id.

    From there the relay publishes it, and there it waits, and is counted, while nobody listens. Who
    is told in another way than by events is told again from here too: `run_once` knows the orders.
    """

    def __init__(self, retelling: Retelling, ladder: Ladder, clock: Clock, meter: Meter) -> None:
        self._retelling = retelling
        self._ladder = ladder
        self._clock = clock
        self._meter = meter

    async def run(self) -> None:
        """Retell for ever."""
        await repeat("reteller", self.run_once, EVERY, self._clock)

    async def run_once(self) -> bool:
        """Retell one batch; True where it was full."""
        now = self._clock.now()

        def next_at(settled_at: datetime) -> datetime:
            return next_telling(settled_at, now, self._ladder)

        orders = await self._retelling.retell(now, BATCH, next_at)
        if orders:
            self._meter.orders_retold(len(orders))
            log.info("orders.retold", orders=len(orders), first=orders[0])
        return len(orders) == BATCH
