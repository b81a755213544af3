"""The order service has booked a payment."""

from collections.abc import Mapping, Sequence
from typing import Any

from payonce.batching import Batcher
from payonce.domain.messages import OrderAcknowledged, parse_acknowledged
from payonce.ports.bus import DONE, Fate, Park
from payonce.ports.clock import Clock
from payonce.ports.store import AcknowledgeOutcome, Orders


class Acknowledge:
    """Takes `order.acknowledged`, and acknowledgements that came in another way."""

    def __init__(self, orders: Orders, clock: Clock) -> None:
        self._orders = orders
        self._clock = clock
        self._batcher: Batcher[OrderAcknowledged, AcknowledgeOutcome] = Batcher(self._note_many)

    async def handle(self, data: Mapping[str, Any], _traceparent: str | None) -> Fate:
        """Note the acknowledgement; it counts only for the payment that settled the order."""
        outcome = await self.note(parse_acknowledged(data))
        match outcome:
            case AcknowledgeOutcome.ACKNOWLEDGED | AcknowledgeOutcome.ALREADY:
                return DONE
            case AcknowledgeOutcome.NOT_THE_WINNER | AcknowledgeOutcome.UNKNOWN_ORDER:
                return Park(outcome.value)

    async def note(self, message: OrderAcknowledged) -> AcknowledgeOutcome:
        """Note that the order service booked a payment, whichever way it said so."""
        return await self._batcher.submit(message)

    async def _note_many(self, messages: Sequence[OrderAcknowledged]) -> list[AcknowledgeOutcome]:
        return await self._orders.acknowledge(messages, self._clock.now())
