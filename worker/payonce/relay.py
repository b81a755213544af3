"""The relay: publishes what the settling task could not."""

from datetime import timedelta

import structlog

from payonce.domain.events import Event
from payonce.handlers.announce import Announcer
from payonce.looping import repeat
from payonce.ports.clock import Clock
from payonce.ports.store import Outbox, OutboxRow

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=1)
OLDER_THAN = timedelta(seconds=5)
"""Younger events are in the hands of the task that committed them."""
LEASE = timedelta(seconds=15)
BATCH = 200


class Relay:
    """Leases old events of the outbox and announces them."""

    def __init__(self, outbox: Outbox, announcer: Announcer, clock: Clock) -> None:
        self._outbox = outbox
        self._announcer = announcer
        self._clock = clock

    async def run(self) -> None:
        """Relay for ever."""
        await repeat("relay", self.run_once, EVERY, self._clock)

    async def run_once(self) -> bool:
        """Relay one batch; True where it was full and all of it was told."""
        now = self._clock.now()
        rows = await self._outbox.claim_events(now, now - OLDER_THAN, now + LEASE, BATCH)
        acknowledged = {row.event_id for row in rows if row.acknowledged}
        told = await self._announcer.announce([_event(row) for row in rows], acknowledged)
        if told:
            log.info("outbox.relayed", events=told, waiting=len(rows) - told)
        return told == BATCH


def _event(row: OutboxRow) -> Event:
    return Event(row.event_id, row.type, row.order_id, row.occurred_at, row.data, row.traceparent)
