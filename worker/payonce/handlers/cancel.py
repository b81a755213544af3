"""The shop cancelled an order: nobody shall pay it any more."""

from collections.abc import Mapping
from typing import Any

from payonce.domain.messages import close_of, parse_cancelled
from payonce.ports.bus import DONE, Fate, Timer
from payonce.ports.clock import Clock
from payonce.ports.store import Orders


class Cancel:
    """Takes `order.cancelled`."""

    def __init__(self, orders: Orders, timer: Timer, clock: Clock) -> None:
        self._orders = orders
        self._timer = timer
        self._clock = clock

    async def handle(self, data: Mapping[str, Any], _traceparent: str | None) -> Fate:
        """Cancel the order unless it is paid, and have its pending payments closed."""
        message = parse_cancelled(data)
        for payment in await self._orders.cancel(message.order_id, self._clock.now()):
            await self._timer.close_after(0, close_of(payment, payment.closing or ""))
        return DONE
