"""Tell the world at once what was committed; what fails here is the relay's."""

import asyncio
from collections.abc import Collection, Sequence

import structlog

from payonce.batching import Batcher
from payonce.domain.errors import Unavailable, Unroutable
from payonce.domain.events import Event, EventType
from payonce.ports.bus import EventBus
from payonce.ports.clock import Clock
from payonce.ports.meter import Meter
from payonce.ports.store import Outbox

log = structlog.get_logger(__name__)

_DELETE_WITHIN_S = 0.02

_WAITS_FOR_A_LISTENER = frozenset({EventType.PAYMENT_SUCCEEDED, EventType.PAYMENT_INITIATED})
"""A success waits for an order service, an initiated payment for our own queue to be declared."""


class Announcer:
    """Publishes events of the outbox and removes those that are told."""

    def __init__(self, bus: EventBus, outbox: Outbox, clock: Clock, meter: Meter) -> None:
        self._bus = bus
        self._clock = clock
        self._meter = meter
        self._deletes: Batcher[str, None] = Batcher(
            outbox.delete_events, max_items=500, max_wait_s=_DELETE_WITHIN_S
        )

    async def announce(self, events: Sequence[Event], acknowledged: Collection[str] = ()) -> int:
        """Publish committed events and return how many are told; never raises Unavailable.

        What is not told stays in the outbox: what waits for a listener, and everything that the
        broker did not confirm. Ids in `acknowledged` wait for no listener: their orders are booked.
        """
        told = await asyncio.gather(
            *(self._announce_one(event, event.event_id in acknowledged) for event in events)
        )
        return sum(told)

    async def _announce_one(self, event: Event, is_acknowledged: bool) -> bool:  # noqa: FBT001
        try:
            if not await self._publish(event) and not is_acknowledged:
                return False
            await self._deletes.submit(event.event_id)
        except Unavailable as error:
            log.warning("event.postponed", event_id=event.event_id, reason=str(error))
            return False
        return True

    async def _publish(self, event: Event) -> bool:
        try:
            await self._bus.publish(event)
        except Unroutable:
            # Nobody listens: what may not be missed waits, any other event is dropped.
            return event.type not in _WAITS_FOR_A_LISTENER
        age_s = (self._clock.now() - event.occurred_at).total_seconds()
        self._meter.event_published(event.type, age_s)
        return True
