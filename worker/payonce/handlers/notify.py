"""The order service is called about a paid order, at once and until it says yes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog

from payonce.batching import Batcher
from payonce.domain.errors import Unavailable
from payonce.domain.events import Event, EventType
from payonce.domain.messages import NotifyDue, OrderAcknowledged
from payonce.domain.reach import CatchUp, Reach
from payonce.ports.bus import DONE, Fate, Park, Timer
from payonce.ports.clock import Clock
from payonce.ports.meter import Meter
from payonce.ports.notifier import NoticeAnswer, NoticeOutcome, Notifier
from payonce.ports.store import AcknowledgeOutcome, Orders, Retelling

log = structlog.get_logger(__name__)

NOTIFY_WAITS_MS = (1_000, 5_000, 30_000, 180_000)
"""Waits after a call that was not taken; from then on the reteller's ladder counts."""
MOST_IN_HAND = 200
"""Calls that are made without the bus, at most; the reteller's ladder makes the others."""
CATCH_UP_STEP = 1_000

Acknowledged = Callable[[OrderAcknowledged], Awaitable[AcknowledgeOutcome]]
"""Notes an acknowledgement."""


class Notify:
    """Takes calls that are due, and puts new ones on their way (`ports.notifier.Notices`).

    An order service that cannot be reached is asked how it stands every few seconds, by one call;
    the others wait. Once it says yes, every order that is not acknowledged is told again at once.
    """

    def __init__(  # noqa: PLR0913 - a call touches both servers and the order service
        self,
        notifier: Notifier,
        orders: Orders,
        retelling: Retelling,
        acknowledged: Acknowledged,
        timer: Timer,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._notifier = notifier
        self._retelling = retelling
        self._acknowledged = acknowledged
        self._timer = timer
        self._clock = clock
        self._meter = meter
        self._reach = Reach()
        self._catching_up = CatchUp()
        self._untold: Batcher[str, Event | None] = Batcher(orders.unacknowledged)
        self._in_hand: set[asyncio.Task[None]] = set()

    async def tell(self, events: Sequence[Event], *, again: bool = False) -> None:
        """Put the calls on their way; where the bus is away, make them from here."""
        attempt = len(NOTIFY_WAITS_MS) if again else 0
        await asyncio.gather(
            *(
                self._send(NotifyDue(event.order_id, event.data["payment_id"], attempt))
                for event in events
                if event.type is EventType.PAYMENT_SUCCEEDED
            )
        )

    async def handle(self, message: NotifyDue) -> Fate:
        """Call, unless the order is acknowledged already; a 2xx acknowledges it.

        What is told is the database's: nobody who can write to the queue makes us sign anything.
        """
        event = await self._untold.submit(message.order_id)
        if event is None:
            self._meter.notice_skipped("acknowledged")
            return DONE
        if event.data["payment_id"] != message.payment_id:
            return Park(AcknowledgeOutcome.NOT_THE_WINNER.value)
        if not self._reach.may_call(self._now_s()):
            self._meter.notice_skipped("away")
            await self._call_later(message)
            return DONE
        answer = await self._call(event)
        if answer.outcome is not NoticeOutcome.OK:
            self._say_why(message, answer)
        await self._note_reach(answer)
        if answer.outcome is not NoticeOutcome.OK:
            await self._call_later(message)
            return DONE
        return await self._acknowledge(message)

    async def drain(self, timeout_s: float) -> None:
        """Finish the calls that are made without the bus; the reteller makes what is cut off."""
        if not self._in_hand:
            return
        _, left = await asyncio.wait(set(self._in_hand), timeout=timeout_s)
        for task in left:
            task.cancel()

    async def _send(self, message: NotifyDue) -> None:
        try:
            await self._timer.notify_after(0, message)
        except Unavailable as error:
            if len(self._in_hand) >= MOST_IN_HAND:
                log.warning("notice.postponed", order_id=message.order_id, reason=str(error))
                return
            task = asyncio.ensure_future(self._handle_here(message))
            self._in_hand.add(task)
            task.add_done_callback(self._in_hand.discard)

    async def _handle_here(self, message: NotifyDue) -> None:
        try:
            await self.handle(message)
        except Unavailable as error:
            log.warning("notice.postponed", order_id=message.order_id, reason=str(error))

    async def _call(self, event: Event) -> NoticeAnswer:
        began_s = self._now_s()
        answer = await self._notifier.notify(event)
        self._meter.order_notified(answer.outcome, self._now_s() - began_s)
        log.debug("order.notified", order_id=event.order_id, outcome=answer.outcome.value)
        return answer

    def _say_why(self, message: NotifyDue, answer: NoticeAnswer) -> None:
        """Log why an order stays unacknowledged; while nobody is there, one line has said it."""
        if self._reach.is_away and answer.outcome is not NoticeOutcome.REFUSED:
            return
        log.warning(
            "order.not_notified",
            order_id=message.order_id,
            outcome=answer.outcome.value,
            status=answer.status,
            reason=answer.reason,
            again_in_ms=_wait_ms(message),
        )

    async def _acknowledge(self, message: NotifyDue) -> Fate:
        word = OrderAcknowledged(message.order_id, message.payment_id, "call")
        match await self._acknowledged(word):
            case AcknowledgeOutcome.ACKNOWLEDGED | AcknowledgeOutcome.ALREADY:
                return DONE
            case AcknowledgeOutcome.NOT_THE_WINNER | AcknowledgeOutcome.UNKNOWN_ORDER as outcome:
                return Park(outcome.value)

    async def _call_later(self, message: NotifyDue) -> None:
        wait_ms = _wait_ms(message)
        if wait_ms is None:
            return
        again = replace(message, attempt=message.attempt + 1)
        try:
            await self._timer.notify_after(wait_ms, again)
        except Unavailable as error:
            log.warning("notice.postponed", order_id=message.order_id, reason=str(error))

    async def _note_reach(self, answer: NoticeAnswer) -> None:
        now_s, outcome = self._now_s(), answer.outcome
        if outcome in {NoticeOutcome.FAILED, NoticeOutcome.TIMEOUT}:
            was_away = self._reach.is_away
            self._reach.failed(now_s)
            if self._reach.is_away and not was_away:
                self._catching_up.went_away()
                log.warning(
                    "order_service.away",
                    address=self._notifier.address,
                    outcome=answer.outcome.value,
                    status=answer.status,
                    reason=answer.reason,
                )
        elif self._reach.answered():
            log.info("order_service.back", outcome=outcome.value)
        if outcome is not NoticeOutcome.OK:
            self._catching_up.said_no()
        elif self._catching_up.said_yes(now_s):
            await self._catch_up()

    async def _catch_up(self) -> None:
        """Have all that is not acknowledged told again now, not when the ladder would."""
        now = self._clock.now()
        try:
            while await self._retelling.make_all_due(None, now, CATCH_UP_STEP) == CATCH_UP_STEP:
                pass
        except Unavailable as error:
            log.warning("catch_up.postponed", reason=str(error))

    def _now_s(self) -> float:
        return self._clock.now().timestamp()


def _wait_ms(message: NotifyDue) -> int | None:
    """Return when it is called again after this call; None where the reteller's ladder says so."""
    is_over = message.attempt >= len(NOTIFY_WAITS_MS)
    return None if is_over else NOTIFY_WAITS_MS[message.attempt]


async def drop(message: NotifyDue) -> Fate:
    """Take a call that is due though the order service is told by events alone by now."""
    log.debug("notice.dropped", order_id=message.order_id)
    return DONE
