"""Where operators have unacknowledged orders told again, from the command line or over HTTP."""

import structlog

from payonce.domain.errors import Conflict, UnknownId
from payonce.domain.ids import check_id
from payonce.domain.people import say
from payonce.ports.clock import Clock
from payonce.ports.store import DueOutcome, Retelling

log = structlog.get_logger(__name__)

STEP = 1_000


class NotifyDesk:
    """Takes an operator's wish. Raises InvalidField, UnknownId, Conflict, Unavailable.

    It makes orders due; the reteller, which looks every few seconds, tells of them.
    """

    def __init__(self, retelling: Retelling, clock: Clock) -> None:
        self._retelling = retelling
        self._clock = clock

    async def notify(self, order_id: object, by: object) -> None:
        """Have one paid order told again now."""
        name, about = say(by).by, check_id(order_id, "order_id")
        match await self._retelling.make_due(about, name, self._clock.now()):
            case DueOutcome.UNKNOWN:
                raise UnknownId("order", about)
            case DueOutcome.NOT_PAID:
                raise Conflict("order-not-paid", f"{about} is not paid: there is nothing to tell")
            case DueOutcome.ACKNOWLEDGED:
                raise Conflict("order-acknowledged", f"the order service has booked {about}")
            case DueOutcome.DUE:
                log.info("order.notify_asked", order_id=about, by=name)

    async def notify_all(self, by: object) -> int:
        """Have every unacknowledged order told again now; return how many were not due."""
        name, now = say(by).by, self._clock.now()
        count = step = await self._retelling.make_all_due(name, now, STEP)
        while step == STEP:
            step = await self._retelling.make_all_due(name, now, STEP)
            count += step
        log.info("orders.notify_asked", orders=count, by=name)
        return count
