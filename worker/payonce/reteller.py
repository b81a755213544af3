"""The reteller: tells of paid orders again until the order service has acknowledged them."""

from datetime import datetime, timedelta

import structlog

from payonce.domain.ladder import Ladder
from payonce.domain.retelling import next_telling
from payonce.looping import repeat
from payonce.ports.clock import Clock
from payonce.ports.meter import Meter
from payonce.ports.notifier import Notices
from payonce.ports.store import Retelling

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=5)
BATCH = 500


class Reteller:
    """Puts `payment.succeeded` back into the outbox, the same event under the same id.

    From there the relay publishes it, and there it waits, and is counted, while nobody listens.
    Where the order service is called as well, it is called again.
    """

    def __init__(
        self,
        retelling: Retelling,
        ladder: Ladder,
        clock: Clock,
        meter: Meter,
        notices: Notices | None = None,
    ) -> None:
        self._retelling = retelling
        self._ladder = ladder
        self._clock = clock
        self._meter = meter
        self._notices = notices

    async def run(self) -> None:
        """Retell for ever."""
        await repeat("reteller", self.run_once, EVERY, self._clock)

    async def run_once(self) -> bool:
        """Retell one batch; True where it was full."""
        now = self._clock.now()

        def next_at(settled_at: datetime) -> datetime:
            return next_telling(settled_at, now, self._ladder)

        events = await self._retelling.retell(now, BATCH, next_at)
        if events:
            self._meter.orders_retold(len(events))
            log.info("orders.retold", orders=len(events), first=events[0].order_id)
        if self._notices is not None:
            await self._notices.tell(events, again=True)
        return len(events) == BATCH
