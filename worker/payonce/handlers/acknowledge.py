"""The order service has booked a payment."""

from collections.abc import Mapping, Sequence
from typing import Any

from payonce.batching import Batcher
from payonce.domain.messages import OrderAcknowledged, parse_acknowledged
from payonce.ports.bus import DONE, Fate, Park
from payonce.ports.clock import Clock
from payonce.ports.store import AcknowledgeOutcome, Orders


class Acknowledge:
    """Takes `order.acknowledged`."""

    def __init__(self, orders: Orders, clock: Clock) -> None:
        self._orders = orders
        self._clock = clock
        self._batcher: Batcher[OrderAcknowledged, AcknowledgeOutcome] = Batcher(self._note)

    async def handle(self, data: Mapping[str, Any], _traceparent: str | None) -> Fate:
        """Note the acknowledgement; it counts only for the payment that settled the order."""
        outcome = await self._batcher.submit(parse_acknowledged(data))
        match outcome:
            case AcknowledgeOutcome.ACKNOWLEDGED | AcknowledgeOutcome.ALREADY:
                return DONE
            case AcknowledgeOutcome.NOT_THE_WINNER | AcknowledgeOutcome.UNKNOWN_ORDER:
                return Park(outcome.value)

    async def _note(self, messages: Sequence[OrderAcknowledged]) -> list[AcknowledgeOutcome]:
        return await self._orders.acknowledge(messages, self._clock.now())
